import argparse
import io
import json
import re

import pytest
from rich.console import Console

from aji import tokenview
from aji.errors import UserError
from aji.tokenizer import train_tokenizer


TEXT = 'a 뷁 <b>&"\n\t👩\u200d👧{{IDS}}<|endoftext|>\x1b[31m'


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["the whale and the otter", "서울", "서"] * 9, 320)


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(path)
    return path


def run(*argv):
    parser = argparse.ArgumentParser()
    tokenview.add_arguments(parser)
    tokenview.main(parser.parse_args([str(argument) for argument in argv]))


def test_tokens_hold_every_byte(tokenizer):
    tokens = tokenview.text_tokens(tokenizer, TEXT)
    assert b"".join(token.data for token in tokens).decode() == TEXT
    assert [token.id for token in tokens] == tokenizer.encode(TEXT)
    assert [token.shown for token in tokens if token.special] == ["<|endoftext|>"]


def test_partial_characters_are_shown_as_bytes(tokenizer):
    tokens = tokenview.text_tokens(tokenizer, "a뷁!")
    assert [token.shown for token in tokens] == ["a", "<EB>", "<B7>", "<81>", "!"]
    assert [token.partial for token in tokens] == [False, True, True, True, False]
    assert [token.whole for token in tokens] == ["a", "뷁", "뷁", "뷁", "!"]


def test_token_that_ends_in_half_a_character():
    tokens = list(tokenview._wholes([b" \xeb", b"\xb7", b"\x81b", b"c"]))
    assert tokens == [" 뷁b"] * 3 + ["c"]
    assert tokenview._shown(b" \xeb") == " <EB>"
    assert list(tokenview._wholes([b"a", b"\xeb"])) == ["a", "\ufffd"]


def test_chat_marks_what_carries_loss(tokenizer):
    chat = [{"role": "user", "content": "a<|im_end|>"}, {"role": "assistant", "content": "서울"}]
    tokens = tokenview.chat_tokens(tokenizer, chat)
    assert "".join(token.shown for token in tokens if token.trained) == "서울<|im_end|>"
    assert sum(token.special for token in tokens) == 4
    question = tokenview.chat_tokens(tokenizer, chat[:1])
    assert "".join(token.shown for token in question).endswith("<|im_start|>assistant\n")
    assert not any(token.trained for token in question)


def test_summary(tokenizer):
    tokens = tokenview.text_tokens(tokenizer, "한1")
    assert (
        tokenview.summary(tokens)
        == f"{len(tokens)} tokens, 2 characters, 4 bytes, {4 / len(tokens):.2f} bytes per token"
    )
    assert tokenview.summary([]) == "0 tokens, 0 characters, 0 bytes"


def test_terminal_shows_tokens_ids_and_bytes(tokenizer):
    out = io.StringIO()
    tokenview.show(tokenview.text_tokens(tokenizer, TEXT), limit=3, console=Console(file=out, width=200))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("a| |<EB>|<B7>|<81>| |<|b|>|&|")
    assert "\x1b" not in out.getvalue() and "\u241b" in out.getvalue()
    assert str(tokenizer.encode("a")[0]) in lines[3].split()
    assert any(line.split()[-2:] == ["EB", "<EB>"] for line in lines)
    total = len(tokenizer.encode(TEXT))
    assert f"... {total - 3} more: --limit 0 lists all, --html FILE writes a page." in lines


def test_terminal_colours_loss(tokenizer):
    chat = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "서"}]
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="truecolor", width=200, _environ={})
    tokenview.show(tokenview.chat_tokens(tokenizer, chat), console=console)
    green = re.findall("\x1b\\[[\\d;]*48;2;(?:31;122;58|47;154;79)m([^\x1b]*)\x1b", out.getvalue().split("\n\n")[0])
    assert "".join(green) == "서<|im_end|>"


def test_page_is_whole_and_safe(tokenizer):
    tokens = tokenview.text_tokens(tokenizer, TEXT)
    page = tokenview.to_html(tokens, "<script>", "dir")
    assert page.count('data-id="') == len(tokens)
    assert "<title>&lt;script&gt;: tokens</title>" in page and "<b>&" not in page
    assert not re.search(r"https?://|src=|@import|url\(", page)
    assert "\x1b" not in page
    assert 'data-bytes="EB" data-whole="뷁"><i>EB</i></span>' in page
    assert f'data-id="0" data-bytes="{b"<|endoftext|>".hex(" ").upper()}">&lt;|endoftext|&gt;</span>' in page
    texts = [
        re.sub("<[^>]+>", "", span) for span in re.findall(r'data-i="\d+" data-id=[^>]*>(.*?)</span>', page, re.S)
    ]
    assert "".join(texts).endswith("{{IDS}}&lt;|endoftext|&gt;\u241b[31m")


def test_command_writes_a_page_of_a_chat_file(folder, tmp_path, capsys):
    chat = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    for name, content in (("chat.json", json.dumps(chat["messages"])), ("chat.jsonl", json.dumps(chat) + "\n{}\n")):
        (tmp_path / name).write_text(content)
        run(tmp_path / name, "--chat", "--tokenizer", folder, "--html", tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert '<body class="chat by-loss">' in page and f"<h1>{name}</h1>" in page
        assert page.count(' loss" data-i="') == 4  # two tokens, each in the text and among the ids
        assert "2 tokens (" in capsys.readouterr().out


def test_command_reads_text_or_file(folder, tmp_path, capsys):
    run("a whale", "--tokenizer", folder)
    printed = capsys.readouterr().out
    (tmp_path / "text").write_text("a whale")
    run(tmp_path / "text", "--tokenizer", folder)
    assert capsys.readouterr().out == printed and "7 characters, 7 bytes" in printed
    run("a whale", "--chat", "--tokenizer", folder)
    assert "<|im_start|>" in capsys.readouterr().out


def test_mistakes_are_told(folder, tmp_path):
    (tmp_path / "latin").write_bytes("caf\u00e9".encode("latin-1"))
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "other.json").write_text('{"text": "a"}')
    for argv, reason in [
        (["missing.txt"], "missing.txt: no such file"),
        ([tmp_path / "latin"], "latin is not UTF-8: byte 3 is 0xE9"),
        ([tmp_path / "bad.json", "--chat"], "bad.json is not JSON"),
        ([tmp_path / "other.json", "--chat"], "other.json holds no messages"),
    ]:
        with pytest.raises(UserError, match=reason):
            run(*argv, "--tokenizer", folder)
