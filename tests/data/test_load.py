"""Files, folders and Hub ids as data sets; held-out tails; the line or row of what is wrong."""

import gzip
import json
from collections import Counter
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aji import config
from aji.data import DataArguments, load, load_conversations, load_documents, load_splits
from aji.data.files import find_files
from aji.data.weights import draw_places
from aji.errors import UserError


CHAT = [{"role": "user", "content": "안녕"}, {"role": "assistant", "content": "hi 🙂"}]
ROWS = [{"text": "하나"}, {"text": "two\nlines"}, {"text": "🙂"}]
TEXTS = [row["text"] for row in ROWS]


def lines(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def said(row):
    """The messages of a row without the keys that are null."""
    return [{key: value for key, value in message.items() if value is not None} for message in row["messages"]]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name, content):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return name

    return write


@pytest.fixture
def big(monkeypatch, tmp_path):
    """Every file counts as too large for memory."""
    monkeypatch.setattr(load, "IN_MEMORY", 0)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", lines(*ROWS)),
        ("a.jsonl.gz", lines(*ROWS)),
        ("a.jsonl", "\n" + lines(*ROWS) + "\n\n"),
        ("a.jsonl", lines(*ROWS).replace("\n", "\r\n")),
        ("a.jsonl", b"\xef\xbb\xbf" + lines(*ROWS).encode()),
        ("a.json", json.dumps(ROWS, indent=2)),
        ("a.json", lines(*ROWS)),  # rows of lines under the name of .json
        ("a.csv", 'text,n\n하나,1\n"two\nlines",2\n🙂,3\n'),
        ("a.tsv", 'n\ttext\n1\t하나\n2\t"two\nlines"\n3\t🙂\n'),
        ("a.txt", "하나<|endoftext|>".replace("<|", "\n<|") + "\n"),
    ],
)
def test_documents_of_every_kind(write, name, content):
    data = load_documents(write(name, content))
    assert data.column_names == ["text"]
    assert data["text"][:] == (["하나\n"] if name == "a.txt" else TEXTS)


def test_a_text_file_is_one_document_as_it_stands(write):
    text = "\ttab\r\n\r\nNUL \x00 🙂\n\n"
    assert load_documents(write("a.txt", text))["text"][:] == [text]


def test_text_with_document_marks_is_several(write):
    text = "one\n<|endoftext|>\n\n<|endoftext|>\ntwo <|endoftext|> here\n"
    assert load_documents(write("a.txt", text))["text"][:] == ["one\n", "two <|endoftext|> here\n"]


def test_folder_and_pattern(write):
    write("books/b.txt", "B")
    write("books/a.txt", "A")
    write("books/README.md", "no")
    write("books/.hidden.txt", "no")
    write("books/deep/c.txt", "C")
    assert load_documents("books")["text"][:] == ["A", "B"]
    assert load_documents("books/**/*.txt")["text"][:] == ["A", "B", "C"]
    assert load_documents("books/[b]*.txt")["text"][:] == ["B"]


def test_known_columns_are_kept(write):
    rows = [
        {"text": "a", "language": "en", "genre": "news", "junk": 1},
        {"text": "b", "genre": None, "language": "ko"},
    ]
    data = load_documents(write("a.jsonl", lines(*rows)))
    assert data.to_list() == [
        {"text": "a", "language": "en", "genre": "news"},
        {"text": "b", "language": "ko", "genre": None},
    ]
    chats = load_conversations(write("b.jsonl", lines({"messages": CHAT, "kind": "fact", "language": "ko", "x": 1})))
    assert chats.to_list() == [{"messages": CHAT, "language": "ko", "kind": "fact"}]


def test_text_column_and_max_rows(write):
    path = write("a.jsonl", lines({"text": "no", "body": "yes"}, {"body": "2"}, {"body": "3"}))
    assert load_documents(path, "body", max_rows=2)["text"][:] == ["yes", "2"]
    assert load_documents(write("a.txt", "plain"), "body")["text"][:] == ["plain"]


def test_empty_documents_are_counted(write, caplog):
    path = write("a.jsonl", lines({"text": "a"}, {"text": ""}, {"text": None}, {"text": " \n"}))
    assert load_documents(path)["text"][:] == ["a"]
    assert caplog.messages == ["a.jsonl: left out 3 documents without text"]


def test_empty_answers_are_counted(write, caplog):
    silent = [CHAT[0], {"role": "assistant", "content": " "}]
    data = load_conversations(write("a.jsonl", lines({"messages": CHAT}, {"messages": silent})))
    assert data.to_list() == [{"messages": CHAT}]
    assert caplog.messages == ["left out 1 conversations with an empty answer, the first at a.jsonl row 2"]


@pytest.mark.parametrize("size", [2**28, 0], ids=["memory", "disk"])
def test_parquet(write, big, monkeypatch, caplog, size):
    monkeypatch.setattr(load, "IN_MEMORY", size)
    pq.write_table(pa.table({"body": ["a", "", None, "b"], "n": [1, 2, 3, 4], "language": ["en"] * 4}), "a.parquet")
    data = load_documents("a.parquet", "body")
    assert data.to_list() == [{"text": "a", "language": "en"}, {"text": "b", "language": "en"}]
    assert caplog.messages == ["a.parquet: left out 2 documents without text"]
    with pytest.raises(UserError, match=r"^a.parquet.*: found no column 'text' but body, n, language. Name the one"):
        load_documents("a.parquet")
    with pytest.raises(UserError, match=r"n.* (is of type int|holds int64), expected"):
        load_documents("a.parquet", "n")

    pq.write_table(pa.table({"messages": [CHAT, CHAT[1:]]}), "b.parquet")
    assert [said(row) for row in load_conversations("b.parquet")] == [CHAT, CHAT[1:]]


def test_large_files_go_through_the_disk(write, big):
    path = write("a.jsonl", lines({"messages": CHAT, "kind": "x"}, {"messages": CHAT}))
    data = load_conversations(path)
    assert data.cache_files
    assert data.column_names == ["messages", "kind"]
    assert [said(row) for row in data] == [CHAT, CHAT]

    assert load_documents(write("t.jsonl", lines(*ROWS)))["text"][:] == TEXTS
    assert load_documents(write("t.jsonl", lines(*ROWS, *ROWS)))["text"][:] == TEXTS * 2  # the cache sees the change
    with pytest.raises(UserError, match="^t.jsonl row 2: found no column 'text' but x"):
        load_documents(write("t.jsonl", lines(ROWS[0], {"x": "1"})))


def test_tools_and_calls(write):
    call = {"name": "add", "arguments": {"a": 1}}
    row = {
        "conversations": [
            {"from": "human", "value": "?"},
            {"from": "function_call", "value": json.dumps(call)},
            {"from": "observation", "value": "2"},
        ],
        "tools": "[]",
    }
    data = load_conversations(write("a.json", json.dumps([row, row | {"tools": '[{"name": "add"}]'}])))
    assert data["tools"][:] == [None, '[{"name": "add"}]']
    assert data[0]["messages"][1]["tool_calls"] == [
        {"type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    ]
    assert [message["role"] for message in data[0]["messages"]] == ["user", "assistant", "tool"]


def test_csv_conversations(write):
    data = load_conversations(write("a.csv", "Q,A,label\n안녕,hi 🙂,0\n"))
    assert data.to_list() == [{"messages": CHAT}]
    data = load_conversations(write("a.csv", "x,y\n안녕,hi 🙂\n"), columns={"user": "x", "assistant": "y"})
    assert data.to_list() == [{"messages": CHAT}]


BROKEN = [
    ("a.jsonl", "", "a.jsonl: found an empty file, expected at least one row"),
    ("a.jsonl", " \n\n", "a.jsonl: found an empty file, expected at least one row"),
    ("a.json", "", "a.json: found an empty file"),
    ("a.json", "[]", "a.json: found an empty file"),
    ("a.txt", "\n \n", "a.txt: found an empty file"),
    ("a.csv", "", "a.csv: found an empty file"),
    ("a.csv", "text\n", "a.csv: found an empty file"),
    ("a.jsonl", '{"text": ""}\n', "a.jsonl: found no row with content, expected at least one"),
    ("a.jsonl", '{"text": "a"}\n{"text": "b"\n', "a.jsonl line 2 column 13: invalid JSON (Expecting ',' delimiter)"),
    ("a.jsonl", "{'text': 'a'}\n", "a.jsonl line 1 column 2: invalid JSON (Expecting property name"),
    ("a.jsonl", "[" * 100_000, "a.jsonl line 1: invalid JSON (nested too deeply)"),
    ("a.jsonl", '{"text": "a"}\n{"text": "\\ud83d"}', "a.jsonl line 2: invalid JSON (half of a surrogate pair"),
    ("a.jsonl", '"text"\n', "a.jsonl row 1: found str 'text', expected {\"column\": value}"),
    (
        "a.jsonl",
        '{"text": "a"}\n\n{"body": "b", "id": 1}',
        "a.jsonl row 3: found no column 'text' but body, id. Name the",
    ),
    ("a.jsonl", '{"text": 3}', "a.jsonl row 1: text is of type int, expected a string"),
    ("a.json", '[\n{"text": "a"},\n]', "a.json line 3 column 1: invalid JSON"),
    ("a.json", '{\n"text": "a"\n}', "a.json: found one JSON value, expected a list of rows"),
    ("a.json", '[{"text": "a"}, 3]', "a.json row 2: found int '3', expected"),
    ("a.csv", "text,n\na,1\nb,c,2\n", "a.csv line 3: found 3 cells, expected 2 (text, n). Put a cell that holds"),
    ("a.jsonl.gz", b"", "a.jsonl.gz: found an empty file"),
    ("a.parquet", "no", "a.parquet: found a broken parquet file ("),
    (
        "a.jsonl",
        b'{"text": "a"}\n' + '{"text": "한글"}'.encode("cp949"),
        "a.jsonl line 2: found byte 0xc7 at offset 24",
    ),
    ("a.txt", "one\n한글".encode("cp949"), "a.txt line 2: found byte 0xc7 at offset 4, expected UTF-8. Convert it: "),
    (
        "a.txt",
        "one".encode("utf-16"),
        "a.txt line 1: found byte 0xff at offset 0, expected UTF-8. Convert it: iconv -f UTF-16",
    ),
    ("a.csv", "text\ncaf\xe9 \xff".encode("latin-1"), "a.csv line 2: found byte 0xe9 at offset 8, expected UTF-8."),
    ("a.bin", "x", "a.bin: found a file of unknown kind, expected .txt, .jsonl, .json, .csv, .tsv, .parquet"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN)
def test_broken_files_are_named(write, name, content, message):
    with pytest.raises(UserError) as error:
        load_documents(write(name, content))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_encoding_advice_works(write):
    """The encoding that the message names is the one that reads the text."""
    path = write("a.txt", "아기가 말을 배운다".encode("cp949"))
    with pytest.raises(UserError, match="iconv -f CP949 -t UTF-8 a.txt > utf8-a.txt"):
        load_documents(path)
    assert Path(path).read_bytes().decode("CP949") == "아기가 말을 배운다"


def test_cut_gzip(write):
    path = Path(write("a.jsonl.gz", lines(*ROWS) * 99))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="^a.jsonl.gz: found a broken gzip file .*Copy it again"):
        load_documents(str(path))
    path.write_bytes(b"no gzip")
    with pytest.raises(UserError, match="^a.jsonl.gz: found a broken gzip file"):
        load_documents(str(path))


def test_broken_conversation_is_named_by_file_and_row(write):
    rows = [{"messages": CHAT}] * 16 + [{"messages": [CHAT[0], {"role": "bot", "content": "x"}]}]
    with pytest.raises(
        UserError, match="^data/train.jsonl row 17: role 'bot' is not one of system, user, assistant, tool."
    ):
        load_conversations(write("data/train.jsonl", lines(*rows)))
    with pytest.raises(UserError, match=r"^a.txt: found plain text, expected conversations \(.jsonl"):
        load_conversations(write("a.txt", "x"))


def test_missing_and_mixed(write):
    for source in ("none.jsonl", "./none", "/none/at/all", "a/b/c"):
        with pytest.raises(UserError, match=f"^{source}: found no such file or folder. Correct the path$"):
            load_documents(source)
    write("empty/README.md", "x")
    with pytest.raises(UserError, match="^empty: found no file to read, expected .txt.*Give one of its sub-folders"):
        load_documents("empty")
    with pytest.raises(UserError, match=r"^empty/\*: found no file to read"):
        load_documents("empty/*")
    write("both/train-0.jsonl", lines(*ROWS))
    write("both/test-0.jsonl", lines(*ROWS))
    with pytest.raises(UserError, match=r"^both: found training files and held-out ones \(test-0.jsonl\)"):
        load_documents("both")
    assert find_files("both/train*") == [Path("both/train-0.jsonl")]


@pytest.fixture
def hub(monkeypatch):
    """A Hub with one data set; the list holds what was asked for."""
    asked = []

    def load_dataset(path, name=None, *, split):
        asked.append((path, name, split))
        if path != "me/pages":
            raise datasets.exceptions.DatasetNotFoundError(f"Dataset '{path}' doesn't exist on the Hub\nmore")
        return datasets.Dataset.from_dict(
            {"text": [f"{split} {n}" for n in range(4)] + [None], "n": list(range(5)), "url": ["u"] * 5}
        )

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def test_hub(write, hub, caplog):
    data = load_documents("me/pages", name="small", split="validation")
    assert hub == [("me/pages", "small", "validation")]
    assert data.to_list() == [{"text": f"validation {n}", "url": "u"} for n in range(4)]
    assert caplog.messages == ["me/pages: left out 1 documents without text"]
    assert load_documents("me/pages", max_rows=2)["text"][:] == ["train 0", "train 1"]
    with pytest.raises(
        UserError, match=r"^me/other: found no such file.*\(Dataset 'me/other' doesn't exist on the Hub\)"
    ):
        load_documents("me/other")
    with pytest.raises(
        UserError, match=r"^me/pages row 1: found the columns text, n, url, expected one of: messages;"
    ):
        load_conversations("me/pages")
    train_set, eval_set = load_splits(DataArguments("me/pages", eval_split="test"), "documents")
    assert (train_set[0]["text"], eval_set[0]["text"]) == ("train 0", "test 0")


def test_saved_to_disk(write):
    data = datasets.Dataset.from_dict({"messages": [CHAT]})
    data.save_to_disk("one")
    datasets.DatasetDict(train=data, test=data).save_to_disk("two")
    assert load_conversations("one").to_list() == [{"messages": CHAT}]
    assert load_conversations("two", split="test").to_list() == [{"messages": CHAT}]
    with pytest.raises(UserError, match="^two: found the splits train, test, expected 'eval'"):
        load_conversations("two", split="eval")


# Splits


def splits(kind="documents", **arguments):
    train_set, eval_set = load_splits(DataArguments(**arguments), kind)
    return train_set.to_list(), None if eval_set is None else eval_set.to_list()


@pytest.mark.parametrize(
    ("text", "share", "cut"),
    [
        ("0123456789", 0.1, 9),
        ("0123456789", 0.9, 1),
        ("x" * 1_115_394, 0.1, 1_003_854),  # tiny shakespeare in nanoGPT: int(n * 0.9)
        ("가나다라", 0.5, 2),  # 12 bytes, cut at 6
        ("가나다라", 0.6, 2),  # int(4.8) = 4 is inside 나, which ends at 6
        ("🙂🙂", 0.7, 1),
    ],
)
def test_tail_of_one_document(write, text, share, cut):
    (train,), (held_out,) = splits(train_file=write("a.txt", text), eval_tail=share)
    assert (train["text"], held_out["text"]) == (text[:cut], text[cut:])


@pytest.mark.parametrize(("rows", "share", "cut"), [(10, 0.1, 9), (10, 0.9, 1), (10, 0.3, 7), (3, 0.5, 1)])
def test_tail_of_rows(write, rows, share, cut):
    path = write("a.jsonl", lines(*({"text": str(n)} for n in range(rows))))
    train, held_out = splits(train_file=path, eval_tail=share)
    assert [int(row["text"]) for row in train] == list(range(cut))
    assert [int(row["text"]) for row in held_out] == list(range(cut, rows))


def test_tail_of_one_conversation_is_refused(write):
    path = write("a.jsonl", lines({"messages": CHAT}))
    with pytest.raises(UserError, match="^eval_tail 0.1 of 1 rows leaves one side empty"):
        splits("conversations", train_file=path, eval_tail=0.1)


def test_eval_file(write):
    train, held_out = write("a.jsonl", lines(*ROWS)), write("b.jsonl", lines({"text": "b"}))
    assert splits(train_file=train, eval_file=held_out) == (ROWS, [{"text": "b"}])
    assert splits(train_file=train) == (ROWS, None)
    assert splits(train_file=train, max_rows=1) == (ROWS[:1], None)
    with pytest.raises(UserError, match=r"^the held-out set is the training set \(./a.jsonl\)"):
        splits(train_file=train, eval_file="./a.jsonl")
    with pytest.raises(UserError, match="^the held-out set is the training set"):
        splits(train_file="me/pages", eval_split="train")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eval_tail": 1.0}, "eval_tail is 1.0, expected a share from 0 up to 1"),
        ({"eval_tail": -0.1}, "eval_tail is -0.1, expected a share"),
        ({"eval_tail": 0.1, "eval_file": "b"}, "found eval_tail and a held-out set, expected one of them"),
        ({"max_rows": 0}, "max_rows is 0, expected at least 1"),
        ({"columns": {"user": "a"}}, "columns: found user, expected messages, or both user and assistant"),
        ({"roles": {"bot": "helper"}}, "roles: found 'helper', expected one of system, user, assistant, tool"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(UserError) as error:
        DataArguments("a", **arguments)
    assert str(error.value).startswith(message)


def test_arguments_by_flags(write):
    path = write("a.csv", "x,y\n안녕,hi 🙂\n")
    flags = ["--train_file", path, "--columns", "{user: x, assistant: y}", "--roles", "{bot: assistant}"]
    (args,) = config.parse(DataArguments, argv=flags)
    assert args.roles == {"bot": "assistant"}
    assert load_splits(args, "conversations")[0].to_list() == [{"messages": CHAT}]


# Mixtures


def chats(path: Path, count: int, name: str, **extra) -> str:
    """`count` conversations whose question is NAME 0, NAME 1, ..."""
    rows = []
    for number in range(count):
        answer = {"role": "assistant", "content": "yes"} | extra
        rows.append(json.dumps({"messages": [{"role": "user", "content": f"{name} {number}"}, answer]}))
    path.write_text("\n".join(rows), encoding="utf-8")
    return str(path)


def asked(data) -> list[str]:
    return [row["messages"][0]["content"] for row in data]


def test_a_mixture_uses_each_set_as_often_as_its_weight_says(tmp_path):
    a, b, c = (chats(tmp_path / f"{name}.jsonl", count, name) for name, count in (("a", 4), ("b", 8), ("c", 2)))
    train_set, eval_set = load_splits(DataArguments(mixture={a: 1, b: 0.25, c: 2.5}), kind="conversations")
    found = Counter(asked(train_set))
    assert {text: n for text, n in found.items() if text[0] == "a"} == {"a 0": 1, "a 1": 1, "a 2": 1, "a 3": 1}
    assert [n for text, n in found.items() if text[0] == "b"] == [1, 1]
    assert sorted(found[f"c {n}"] for n in range(2)) == [2, 3]
    again, _ = load_splits(DataArguments(mixture={a: 1, b: 0.25, c: 2.5}), kind="conversations")
    assert asked(again) == asked(train_set)
    assert eval_set is None


@pytest.mark.parametrize("weight", [0.025, 0.25, 0.5, 0.75, 1.25])
def test_a_share_of_rows_that_take_turns_holds_them_all(weight):
    """Every second row of harmful and harmless requests by turns would be the harmful ones."""
    places = draw_places(8000, weight)
    assert len(places) == 8000 * weight and places == sorted(places)
    for turns in (2, 4):
        for kind in range(turns):
            share = sum(place % turns == kind for place in places) / len(places)
            assert share == pytest.approx(1 / turns, rel=0.2)


def test_parts_of_a_mixture_may_differ_in_their_messages(tmp_path):
    call = {"type": "function", "function": {"name": "search", "arguments": "{}"}}
    plain, tools = (chats(tmp_path / "a.jsonl", 1, "a"), chats(tmp_path / "b.jsonl", 1, "b", tool_calls=[call]))
    rows, _ = load_splits(DataArguments(mixture={plain: 1, tools: 1}), kind="conversations")
    assert rows[0]["messages"][1]["tool_calls"] is None and rows[1]["messages"][1]["tool_calls"] == [call]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "found neither train_file nor mixture, expected one of them"),
        ({"train_file": "a", "mixture": {"b": 1}}, "found both train_file and mixture"),
        ({"mixture": {"a.jsonl": 0}}, "found weight 0 of a.jsonl, expected a positive number"),
        ({"mixture": {"a.jsonl": "much"}}, "found weight 'much' of a.jsonl"),
    ],
)
def test_a_senseless_mixture_is_told(settings, message):
    with pytest.raises(UserError) as error:
        DataArguments(**settings)
    assert message in str(error.value)


def test_a_weight_that_leaves_nothing_and_a_held_out_set_that_is_trained_on_are_told(tmp_path):
    a, b = chats(tmp_path / "a.jsonl", 2, "a"), chats(tmp_path / "b.jsonl", 2, "b")
    with pytest.raises(UserError, match="weight 0.1 of 2 rows leaves none"):
        load_splits(DataArguments(mixture={a: 1, b: 0.1}), kind="conversations")
    with pytest.raises(UserError, match="the held-out set is the training set"):
        load_splits(DataArguments(mixture={a: 1, b: 1}, eval_file=b), kind="conversations")
