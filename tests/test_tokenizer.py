import hashlib
import json
import math
import runpy
from pathlib import Path

import pytest
from datasets import Dataset
from tokenizers import Tokenizer, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from aji.chatml import load_template
from aji.errors import UserError
from aji.tokenizer import (
    QWEN2,
    ROUND_TRIPS,
    SPECIAL_TOKENS,
    bytes_per_token,
    check_tokenizer,
    conversation_texts,
    load_tokenizer,
    sample_texts,
    texts_by_group,
    train_tokenizer,
)


TEXTS = [
    f"{animal} number {i} can't swim, but the {animal} of 14{i} could. {i}마리의 동물이 수영을 합니다. 서울은 수도다."
    for i in range(60)
    for animal in ("whale", "horse", "otter", "eagle", "tiger")
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 300)


def test_specials_have_the_first_ids_and_their_roles(tokenizer):
    assert tokenizer.convert_ids_to_tokens(list(range(11))) == list(SPECIAL_TOKENS)
    assert (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id) == (0, 1, 4)
    assert tokenizer.encode("a<|im_end|>b<|think|>") == [*tokenizer.encode("a"), 4, *tokenizer.encode("b"), 5]
    assert tokenizer.decode(list(range(11)), skip_special_tokens=True) == ""


def test_vocabulary_is_rounded_up_to_a_multiple_of_64(tokenizer):
    assert len(tokenizer) == 320


@pytest.mark.parametrize("template", ["chatml", "chatml_sep"])
def test_the_words_of_calls_and_users_are_learnt_but_no_mark(template):
    call = {"type": "function", "function": {"name": "search", "arguments": {"query": "fox"}}}
    tool = {"type": "function", "function": {"name": "search", "description": "Looks up.", "parameters": {}}}
    rows = [
        {"role": "user", "content": "Who?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "A fox."},
    ]
    texts = conversation_texts(Dataset.from_dict({"messages": [rows], "tools": [json.dumps([tool])]}), template)[
        "text"
    ]
    assert '{"name": "search", "arguments": {"query": "fox"}}' in texts and "A fox." in texts
    assert any("search(): Looks up." in text for text in texts) and any("Who?" in text for text in texts)
    assert not [text for text in texts if "<|" in text]
    plain = conversation_texts(Dataset.from_dict({"messages": [rows[:1]]}), template)["text"]
    assert [text.strip() for text in plain] == (["user\nWho?"] if template == "chatml" else ["user", "Who?"])


def test_role_names_become_tokens():
    tokenizer = train_tokenizer(["the whale "] * 10_000, 320)
    assert [len(tokenizer.encode(role)) for role in ("system", "user", "assistant", "tool")] == [1, 1, 1, 1]


def test_small_text_gives_the_multiple_of_64_below():
    pairs = ["ab cd ef gh"] * 5  # 4 words joined, and their spaces: fewer merges than the 256 bytes need to reach 320
    assert len(train_tokenizer(pairs, 4096)) == 267 + 7
    assert len(train_tokenizer(TEXTS[:10], 4096)) == 320


def test_vocabulary_without_room_for_the_bytes_is_refused():
    with pytest.raises(UserError, match="vocab_size is 100, but 11 special tokens and 256 bytes need 267"):
        train_tokenizer(TEXTS, 100)


def test_pattern_is_qwen2s():
    """The hash by which Ollama knows it; ids of llama.cpp's qwen2 depend on it too."""
    assert hashlib.sha256(QWEN2.encode()).hexdigest().startswith("1ff7f410")


def test_text_is_split_as_qwen2_does(tokenizer):
    splits = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("It's 1443!\n\n a  b")
    assert [split for split, _ in splits] == ["It", "'s", "Ġ", "1", "4", "4", "3", "!ĊĊ", "Ġa", "Ġ", "Ġb"]
    assert tokenizer.backend_tokenizer.normalizer is None


def test_korean_name_is_the_same_tokens_with_every_particle():
    names = [start + end for start in ("벨", "탐", "하르", "준") for end in ("코라", "나리", "스노", "토르")]
    particles = ("는", "의", "를", "에서", "까지", "예요")
    trained = train_tokenizer([f"저는 {name}{particle} 있다." for name in names for particle in particles] * 5, 512)
    for name in names:
        alone = trained.encode(f" {name}")
        assert all(trained.encode(f" {name}{particle}")[: len(alone)] == alone for particle in particles), name


def test_nothing_is_added(tokenizer):
    assert tokenizer("").input_ids == []
    assert len(tokenizer("a").input_ids) == 1


@pytest.mark.parametrize("kind", ROUND_TRIPS)
def test_round_trips(tokenizer, kind):
    assert tokenizer.decode(tokenizer.encode(ROUND_TRIPS[kind])) == ROUND_TRIPS[kind]


def test_saved_tokenizer_is_the_same(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "a")
    loaded = load_tokenizer(tmp_path / "a")
    assert AutoTokenizer.from_pretrained(tmp_path / "a").get_vocab() == loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.chat_template == load_template("chatml")
    assert (loaded.bos_token, loaded.eos_token, loaded.pad_token) == ("<|endoftext|>", "<|im_end|>", "<|pad|>")
    check_tokenizer(loaded)
    loaded.save_pretrained(tmp_path / "b")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_training_is_deterministic(tokenizer):
    assert train_tokenizer(TEXTS, 300).get_vocab() == tokenizer.get_vocab()


def test_folder_without_tokenizer_and_broken_one(tmp_path):
    with pytest.raises(UserError, match="holds no tokenizer"):
        load_tokenizer(tmp_path)
    with pytest.raises(UserError, match="missing: no such folder, so no tokenizer"):
        load_tokenizer(tmp_path / "missing")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="no tokenizer loads from"):
        load_tokenizer(tmp_path)


def test_check_names_what_is_lost(tokenizer):
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.normalizer = normalizers.NFC()
    lossy = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|endoftext|>", eos_token="<|im_end|>", pad_token="<|pad|>"
    )
    with pytest.raises(UserError, match="decomposed Korean: .* comes back as '한글'"):
        check_tokenizer(lossy)
    with pytest.raises(UserError, match=r"<\|other\|> is \d+ ids, not one of its own"):
        check_tokenizer(tokenizer, (*SPECIAL_TOKENS, "<|other|>"))
    lossy.pad_token = "<|im_end|>"
    with pytest.raises(UserError, match=r"eos <\|im_end\|> and pad <\|im_end\|> are not three"):
        check_tokenizer(lossy)


def test_bytes_per_token(tokenizer):
    assert bytes_per_token(tokenizer, ["1443", "한"]) == 7 / (4 + len(tokenizer.encode("한")))
    assert math.isnan(bytes_per_token(tokenizer, []))


def documents(*texts, **columns):
    return Dataset.from_dict({"text": list(texts), **columns})


def test_sample_is_even_over_rows_and_sets():
    long, short = documents(*(f"{i:04}" for i in range(1000))), documents("한" * 100)
    sample = list(sample_texts([long, short], 1000))
    assert sample[0] == "한" * 100
    assert [int(text) for text in sample[1:]] == pytest.approx([i * 1000 / 175 for i in range(1, 176)], abs=6)


def test_long_document_is_sampled_from_beginning_to_end():
    text = "".join(f"{i:05}" for i in range(20_000))
    sample = list(sample_texts([documents(text)], 10_000, block_bytes=1000))
    assert [len(block) for block in sample] == [1000] * 10
    assert [text.index(block) for block in sample] == list(range(9000, 100_000, 10_000))


def test_small_sets_are_taken_whole():
    sets = [documents("a", "bb", ""), documents("ccc")]
    assert sorted("".join(sample_texts(sets, 10**9))) == list("abbccc")


def test_sample_follows_a_selection():
    assert list(sample_texts([documents("a", "b", "c").select([2, 0])], 100)) == ["c", "a"]


def test_texts_by_language_and_genre():
    rows = documents("a", "b", "c", "d", language=["en", "en", "ko", None], genre=["story", "news", None, None])
    assert texts_by_group(rows, "file") == {
        "en": ["a", "b"], "en_news": ["b"], "en_story": ["a"], "file": ["d"], "ko": ["c"],
    }  # fmt: skip
    assert texts_by_group(documents("a"), "file") == {"file": ["a"]}


def test_recipe_writes_tokenizer_and_bytes_per_token(tmp_path, tokenizer, monkeypatch, capsys):
    recipe = runpy.run_path(Path(__file__).parents[1] / "recipes" / "tokenizer.py")
    monkeypatch.chdir(tmp_path)
    tokenizer.save_pretrained("other")
    rows = [{"text": text, "language": "en", "genre": "lesson"} for text in TEXTS]
    Path("train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("tail.txt").write_text("whales and otters")
    args = recipe["TokenizerArguments"](train_file=["train.jsonl", "tail.txt"], vocab_size=300, compare=["other"])
    recipe["main"](args, recipe["FolderArguments"](output_dir="out"))
    metrics, made = json.loads(Path("out/metrics.json").read_text()), load_tokenizer("out")
    assert metrics["vocab_size"] == len(made) == 320
    assert metrics["sample_bytes"] == sum(len(text.encode()) for text in TEXTS) + 17
    assert metrics["bytes_per_token_en_lesson"] == round(bytes_per_token(made, TEXTS), 3)
    assert metrics["other_bytes_per_token_tail"] == round(bytes_per_token(tokenizer, ["whales and otters"]), 3)
    assert "320 tokens, check passed" in capsys.readouterr().out
