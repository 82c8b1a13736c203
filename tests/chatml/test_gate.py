import copy
import io

import pytest
import torch
from rich.console import Console
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from aji.chatml import Encoded, encode, gate, load_template
from aji.chatml.gate import check, fit_to, prepare, show, with_chatml
from aji.errors import UserError
from aji.tokenizer import train_tokenizer


IM_END = 4
CHAT = [
    {"role": "user", "content": "수도는?"},
    {"role": "assistant", "content": "서울"},
    {"role": "user", "content": "2+2?"},
    {"role": "assistant", "content": "4"},
]


@pytest.fixture(scope="module")
def trained():
    return train_tokenizer(["서울은 대한민국의 수도다. The capital of Korea is Seoul. 2+2?"] * 4, 512)


@pytest.fixture
def tokenizer(trained):
    trained.chat_template, trained.pad_token = load_template("chatml"), "<|pad|>"
    return trained


@pytest.fixture
def row(tokenizer):
    return encode(tokenizer, [CHAT])[0]


def foreign(words=("hello world",)):
    """A base model's tokenizer: no chat tokens, no template, pad equal to eos; 257 ids and a merge or so."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=260, special_tokens=["</s>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(words, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", pad_token="</s>")


def tiny_llama(vocab_size, tied=True):
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab_size, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
            tie_word_embeddings=tied,
        )
    )  # fmt: skip


def test_report_counts_what_carries_loss(tokenizer, row):
    report = check(tokenizer, len(tokenizer), [row, row], max_length=len(row.input_ids))
    assert (report.rows, report.answers, report.longest) == (2, 4, len(row.input_ids))
    assert (report.tokens, report.trained_tokens) == (2 * len(row.input_ids), 2 * sum(row.trained))
    assert report.trained_share == sum(row.trained) / len(row.trained)
    assert report.example == [
        ("<|im_start|>user\n수도는?<|im_end|>\n<|im_start|>assistant\n", False),
        ("서울<|im_end|>", True),
        ("\n<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n", False),
        ("4<|im_end|>", True),
        ("\n", False),
    ]


def test_rows_as_labels_pass_too(tokenizer, row):
    rows = [{"input_ids": row.input_ids, "labels": row.labels}, {"input_ids": row.input_ids, "trained": row.trained}]
    assert check(tokenizer, len(tokenizer), rows).trained_tokens == 2 * sum(row.trained)


def refuse(tokenizer, rows, reason, vocab_size=None, **options):
    with pytest.raises(UserError, match=reason):
        check(tokenizer, vocab_size or len(tokenizer), rows, **options)


def test_row_without_trained_token_is_refused(tokenizer, row):
    question = encode(tokenizer, [CHAT[:1]])[0]
    refuse(tokenizer, [row, question], "row 1 has no trained token: it holds no assistant message")


def test_untrained_stop_token_is_refused(tokenizer, row):
    trained = [t and i != IM_END for i, t in zip(row.input_ids, row.trained, strict=True)]
    refuse(
        tokenizer,
        [Encoded(row.input_ids, trained)],
        r"row 0: the stop token '<\|im_end\|>' is not trained after .*'서울'",
    )


def test_trained_user_tokens_are_refused(tokenizer, row):
    everything = Encoded(row.input_ids, [True] * len(row.input_ids))
    refuse(tokenizer, [everything], r"row 0: a user token is trained, .*<\|im_start\|>user")
    first = row.trained.index(True)
    from_the_first_answer = Encoded(row.input_ids, [i >= first for i in range(len(row.input_ids))])
    refuse(tokenizer, [from_the_first_answer], r"row 0: a user token is trained, .*\\n<\|im_start\|>user")
    question = Encoded(row.input_ids, [2 < i < first - 4 for i in range(len(row.input_ids))])
    refuse(tokenizer, [question], "row 0: a user token is trained")


def test_cut_rows_are_refused(tokenizer, row):
    length = len(row.input_ids) - 2
    assert row.trained[length - 1] and row.input_ids[length] == IM_END
    refuse(tokenizer, [row], f"row 0 has {length + 2} tokens, max_length is {length}", max_length=length)
    cut = Encoded(row.input_ids[:length], row.trained[:length])
    refuse(tokenizer, [cut], rf"row 0 was cut to {length} tokens without the stop token", max_length=length)


def test_no_rows_are_refused(tokenizer):
    refuse(tokenizer, [], "there are no conversations to train on")


def test_pad_equal_to_an_eos_is_refused(tokenizer, row):
    refuse(tokenizer, [row], r"pad is '<\|pad\|>', the same as an eos", eos_token_ids=[1])
    tokenizer.pad_token = "<|im_end|>"
    refuse(tokenizer, [row], r"pad is '<\|im_end\|>', the same as an eos")


def test_embedding_smaller_than_the_tokenizer_is_refused(tokenizer, row):
    size = len(tokenizer)
    check(tokenizer, size, [row])
    refuse(
        tokenizer, [row], f"ids up to {size - 1}, but the model's embedding has {size - 1} rows", vocab_size=size - 1
    )


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}", "a user token is trained: the chat template"),
        ("{{ m.content }}{% generation %}<|im_end|>{% endgeneration %}", "no assistant token is trained: the chat"),
        (
            "{% if m.role == 'user' %}{{ m.content }}{% else %}{% generation %}{{ m.content }}{% endgeneration %}"
            "<|im_end|>{% endif %}",
            r"the stop token '<\|im_end\|>' .* is not trained: the chat template",
        ),
    ],
)
def test_templates_with_wrong_marks_are_refused(tokenizer, row, template, reason):
    tokenizer.chat_template = f"{{% for m in messages %}}{template}{{% endfor %}}"
    refuse(tokenizer, [row], reason)


def test_show_brackets_what_carries_loss_where_there_is_no_colour(tokenizer):
    chat = [{"role": "user", "content": "[bold]a[/bold]"}, {"role": "assistant", "content": "b\x1b[31m"}]
    out = io.StringIO()
    show(check(tokenizer, len(tokenizer), encode(tokenizer, [chat])), Console(file=out, width=200))
    assert "<|im_start|>user\n[bold]a[/bold]<|im_end|>" in out.getvalue()
    assert "[[b\u241b[31m<|im_end|>]]" in out.getvalue() and "\x1b" not in out.getvalue()
    assert "gate passed: 1 rows, 1 answers" in out.getvalue() and "% of them carry loss" in out.getvalue()


def test_show_colours_on_a_terminal(tokenizer, row):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", width=200, _environ={})
    show(check(tokenizer, len(tokenizer), [row]), console)
    assert "\x1b[30;42m서울<|im_end|>\x1b[0m" in out.getvalue()


def test_fit_to_cuts_after_the_last_whole_answer(row):
    ends = [
        i + 1 for i, (token, t) in enumerate(zip(row.input_ids, row.trained, strict=True)) if t and token == IM_END
    ]
    assert len(ends) == 2
    assert fit_to(row, len(row.input_ids), IM_END) is row
    for length in range(1, len(row.input_ids)):
        fitted = fit_to(row, length, IM_END)
        whole = [end for end in ends if end <= length]
        expected = Encoded(row.input_ids[: whole[-1]], row.trained[: whole[-1]]) if whole else None
        assert fitted == expected


@pytest.mark.parametrize("tied", [True, False])
def test_with_chatml_adds_tokens_and_rows(tied):
    tokenizer = foreign()
    size = len(tokenizer)
    model = tiny_llama(size, tied)
    old = model.get_input_embeddings().weight.detach().clone()
    new_ids = with_chatml(tokenizer, model)
    assert new_ids == list(range(size, size + 9))
    assert tokenizer.convert_ids_to_tokens(new_ids[:2]) == ["<|im_start|>", "<|im_end|>"]
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|pad|>")
    assert model.get_input_embeddings().weight.shape == model.get_output_embeddings().weight.shape == (320, 8)
    assert model.config.vocab_size == 320
    assert torch.equal(model.get_input_embeddings().weight[:size], old)
    assert (model.get_input_embeddings().weight is model.get_output_embeddings().weight) == tied
    assert model.config.eos_token_id == model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.config.pad_token_id == tokenizer.pad_token_id
    rows = encode(tokenizer, [CHAT])
    assert check(tokenizer, 320, rows).answers == 2
    assert with_chatml(tokenizer, model) == []


def test_with_chatml_uses_rows_held_in_reserve():
    tokenizer = foreign()
    model, size = tiny_llama(320), len(tokenizer)
    model.get_input_embeddings().weight.data[size:] = 100.0  # never trained
    new_ids = with_chatml(tokenizer, model)
    weight = model.get_input_embeddings().weight
    assert weight.shape == (320, 8)
    unused = torch.cat([weight[:size], weight[size + len(new_ids) :]])
    assert torch.allclose(weight[new_ids], unused.mean(0).expand(len(new_ids), -1), atol=1e-4)


def test_with_chatml_keeps_a_good_pad(tokenizer):
    assert with_chatml(tokenizer) == []
    assert tokenizer.pad_token == "<|pad|>" and len(tokenizer) % 64 == 0


def test_prepare_keeps_a_template_with_marks_unless_told(tokenizer):
    model = tiny_llama(len(tokenizer))
    tokenizer.chat_template = load_template("chatml_sep")
    assert prepare(tokenizer, model) == []
    assert tokenizer.chat_template == load_template("chatml_sep")
    prepare(tokenizer, model, "chatml")
    assert tokenizer.chat_template == load_template("chatml")
    base = foreign()
    assert len(prepare(base, tiny_llama(len(base)))) == 9
    assert base.chat_template == load_template("chatml")


def test_marks_that_pretraining_never_met_start_warm(tiny_tokenizer, tiny_model):
    model = copy.deepcopy(tiny_model)
    rows, ids = model.get_input_embeddings().weight, tiny_tokenizer.get_vocab()
    assert not gate.warm_start(tiny_tokenizer, model), "random rows differ, as trained ones do"
    with torch.no_grad():
        rows[ids["<|im_end|>"]] = rows[ids["<|im_start|>"]] * 1.01
    assert gate.warm_start(tiny_tokenizer, model)
    newline = tiny_tokenizer.encode("\n")[-1]
    assert torch.equal(rows[ids["<|im_start|>"]], rows[newline])
    assert torch.equal(rows[ids["<|im_end|>"]], rows[tiny_tokenizer.bos_token_id])
    assert model.lm_head.weight is rows
