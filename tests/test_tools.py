import importlib
import json
import sys
import time

import pytest

from aji.errors import UserError
from aji.tools import (
    MOST_DIGITS,
    NOTHING_FOUND,
    Calculator,
    Search,
    Tool,
    ToolError,
    call_tool,
    passages,
    schemas,
    split_title,
    terms,
)


PAGES = [
    "Toren Belgorn\nToren Belgorn was born in Pragomir. Toren Belgorn has a pet fox.",
    "토렌 벨고른\n토렌 벨고른은 프라고미르에서 태어났다. 토렌 벨고른의 반려동물은 여우이다.",
    "Toren Kemdane was born in Moss. The pet of Toren Kemdane is a crane.",
    "Many ships lie in the harbour on Monday.",
    "아렌 켐다네는 이끼마을에서 태어났다.",
]


class Boom:
    name, description, parameters = "boom", "", {"type": "object", "properties": {"n": {"type": "integer"}}}

    def __call__(self, n=0):
        raise RuntimeError("no fuse")


def test_the_tools_are_tools_and_their_schemas_are_json():
    for tool in (Search(PAGES), Calculator(), Boom()):
        assert isinstance(tool, Tool)
    [found] = json.loads(json.dumps(schemas([Search])))
    assert found["type"] == "function"
    assert found["function"]["name"] == "search"
    assert found["function"]["parameters"]["required"] == ["query"]


@pytest.fixture
def jax(tmp_path, monkeypatch):
    """A JAX that is installed; gives the file that it writes when somebody calls it."""
    called = tmp_path / "called"
    lax = f"import pathlib\n\ndef top_k(scores, k):\n    pathlib.Path({str(called)!r}).touch()\n"
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").touch()
    (tmp_path / "jax" / "lax.py").write_text(lax)
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] in ("bm25s", "jax")}
    for name in before:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    yield called
    for name in [name for name in sys.modules if name.split(".")[0] in ("bm25s", "jax")]:
        del sys.modules[name]
    sys.modules.update(before)


def test_search_leaves_the_gpu_to_others_where_jax_is_installed(jax):
    assert "Pragomir" in Search(PAGES)("Toren Belgorn")
    assert not jax.exists()
    importlib.import_module("jax.lax")  # whoever wants it has it still


def test_bm25s_calls_jax_by_itself(jax):
    importlib.import_module("bm25s")
    assert jax.exists()  # else it has changed: drop the correction


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("12345 * 678", "8369910"),
        ("12,345 + 1", "12346"),
        ("3 × 4 − 2 ÷ 2", "11"),
        ("-(2 + 3) ** 2", "-25"),
        ("10 / 4", "2.5"),
        ("10 ** 30 / 10", "1" + "0" * 29),
        ("7 // 2 + 7 % 2", "4"),
        ("0.1 + 0.2", "0.3"),
        ("2 ** -2", "0.25"),
    ],
)
def test_calculator(expression, value):
    assert Calculator()(expression) == value


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("__import__('os').system('true')", "is not a sum of numbers"),
        ("x + 1", "is not a sum of numbers"),
        ("[0] * 9", "is not a sum of numbers"),
        ("True + 1", "is not a sum of numbers"),
        ("'a' * 999", "is not a sum of numbers"),
        ("1 if 1 else 2", "is not a sum of numbers"),
        ("1 +", "is not a sum of numbers"),
        ("", "is not a sum of numbers"),
        ("(-8) ** 0.5", "is not a sum of numbers"),
        ("1 / 0", "divides by zero"),
        ("0 ** -1", "divides by zero"),
        ("9 ** 9 ** 9", "is too large"),
        ("1e308 * 10", "is too large"),
        (f"10 ** {MOST_DIGITS} * 10", "is too large"),
    ],
)
def test_what_is_no_sum_is_told_and_never_run(expression, reason):
    began = time.perf_counter()
    with pytest.raises(ToolError, match=reason):
        Calculator()(expression)
    assert time.perf_counter() - began < 0.5


def test_errors_inside_a_tool_are_text():
    tools = [Calculator(), Boom()]
    assert call_tool(tools, "calculator", {"expression": "2 + 3"}) == "5"
    assert call_tool(tools, "calculator", '{"expression": "2 + 3"}') == "5"
    assert call_tool(tools, "calc", {}) == "Error: there is no tool 'calc', only calculator, boom."
    assert call_tool(tools, "boom", {}) == "Error: boom failed: RuntimeError: no fuse"
    assert call_tool(tools, "calculator", {"expression": "1/0"}) == "Error: '1/0' divides by zero."
    assert call_tool(tools, "calculator", {}) == "Error: calculator takes expression, found nothing."
    assert call_tool(tools, "calculator", {"sum": "1"}) == "Error: calculator takes expression, found sum."
    assert call_tool(tools, "calculator", {"expression": 5}) == "Error: expression of calculator must be text."
    assert call_tool(tools, "calculator", [1]) == "Error: calculator takes an object with expression."
    assert call_tool(tools, "calculator", "{").startswith("Error: the arguments of calculator are not JSON")
    assert "longer than 1000 characters" in call_tool(tools, "calculator", {"expression": "(" * 5000})


@pytest.mark.parametrize("query", ["Toren Belgorn", "Where was Toren Belgorn born?", "toren belgorn's pet"])
def test_search_finds_the_page_of_a_name(query):
    assert Search(PAGES, min_match=0.3)(query).startswith("Toren Belgorn\n")


@pytest.mark.parametrize("query", ["토렌 벨고른", "토렌 벨고른은 어디에서 태어났나요?", "벨고른의 반려동물은?"])
def test_a_korean_particle_does_not_hide_the_name(query):
    assert Search(PAGES, min_match=0.3)(query).startswith("토렌 벨고른\n")


def test_nothing_rather_than_somebody_else():
    search = Search(PAGES)
    assert search("Saren Casdane") == search("") == search("?!") == NOTHING_FOUND
    assert search("Saren Casdane Wolgamar Toren") == NOTHING_FOUND, "one word of four"
    assert Search(PAGES, min_match=0)("Saren Casdane Wolgamar Toren") != NOTHING_FOUND


def test_a_korean_name_that_differs_in_one_syllable_is_somebody_else():
    """Names are indexed by pairs of syllables: 토렌 멜고른 shares two of its three with 토렌 벨고른."""
    search = Search([*PAGES, *(f"{number}번째 배는 항구에 있다." for number in range(40))])
    assert search("토렌 멜고른") == NOTHING_FOUND
    assert search("토렌 벨고른은").startswith("토렌 벨고른\n")


@pytest.mark.parametrize(
    ("query", "about", "result"),
    [
        ("Toren Belgorn", "pet animal", "Toren Belgorn: Toren Belgorn has a pet fox."),
        ("토렌 벨고른", "고향 태어난 태어났다", "토렌 벨고른: 토렌 벨고른은 프라고미르에서 태어났다."),
        ("Toren Belgorn", "pet born", PAGES[0].replace("\n", ": ")),
        ("Toren Belgorn", "harbour", PAGES[0]),
        ("Toren Belgorn", "Belgorn", PAGES[0]),
        ("Toren Kemdane", "pet", "The pet of Toren Kemdane is a crane."),
        ("Saren Casdane", "pet", NOTHING_FOUND),
    ],
)
def test_who_says_what_it_is_about_gets_the_sentences_that_say_it(query, about, result):
    assert Search(PAGES)(query, about) == Search(PAGES)(query=query, about=about) == result


def test_an_excerpt_is_short_and_in_order():
    page = "Ada\nAda was born in May. She sings. Her pet was born in June. She was born again in July."
    search = Search([page, "Bob sings."], excerpt_bytes=45)
    assert search.excerpt(page, "born") == "Ada: Ada was born in May."
    assert search.excerpt(page, "pet sings") == "Ada: She sings. Her pet was born in June."
    assert Search([page], excerpt_bytes=1).excerpt(page, "born") == "Ada: Ada was born in May.", (
        "at least one sentence"
    )
    assert Search([page]).excerpt(page, "born").endswith("May. Her pet was born in June. She was born again in July.")


@pytest.mark.parametrize(
    ("text", "title"),
    [("A title\nIts text.", "A title"), ("A sentence.\nMore.", ""), ("One line", ""), ("One\n ", "")],
)
def test_a_title_is_a_first_line_that_is_no_sentence(text, title):
    assert split_title(text) == (title, text.removeprefix(f"{title}\n"))


def test_several_results_are_the_best_first():
    found = Search(PAGES, max_results=2)("Toren Kemdane")
    assert found.startswith("Toren Kemdane") and found.count("\n") == 0, "the other Toren holds too little of it"
    assert Search(PAGES, max_results=2, min_match=0)("Toren Kemdane").count("Toren Belgorn") > 1


def test_terms():
    assert terms("Toren's 1,024 Schiffe") == ["toren", "s", "1", "024", "schiffe"]
    assert terms("아렌델은 집") == ["아렌", "렌델", "델은", "집"]
    assert terms("서울") == ["서울"]


def test_passages_are_whole_sentences_and_bounded():
    text = "One is here. Two is there.\nThree comes! Four?"
    assert passages(text, 1000) == [text]
    assert passages(text, 28) == ["One is here. Two is there.", "Three comes! Four?"]
    long = passages("가" * 100, 50)
    assert long == ["가" * 16], "a sentence that is too long is cut between characters"
    assert all(len(piece.encode()) <= 50 for piece in passages("하나 둘 셋. " * 40, 50))


@pytest.mark.parametrize("texts", [[], [""], ["..."]])
def test_an_empty_corpus_is_one_line(texts):
    with pytest.raises(UserError, match="the search corpus is empty") as error:
        Search(texts)
    assert "\n" not in str(error.value)


def test_search_from_files(tmp_path):
    path = tmp_path / "pages.jsonl"
    path.write_text("".join(json.dumps({"text": page}) + "\n" for page in PAGES))
    assert "Pragomir" in Search.from_file(path)("Toren Belgorn")
    for name, content in (("empty.jsonl", ""), ("blank.jsonl", '{"text": ""}\n')):
        (tmp_path / name).write_text(content)
        with pytest.raises(UserError) as error:
            Search.from_file(tmp_path / name)
        assert name in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(UserError, match="missing.jsonl"):
        Search.from_file(tmp_path / "missing.jsonl")
