import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from aji.chat_model import Endpoint, Journal, LocalModel, load_chat_model
from aji.errors import UserError


ASK = [[{"role": "user", "content": text}] for text in ("one", "two", "three")]


class Server:
    """An OpenAI-compatible server on this machine. `script`: what it does at each request, a status or a delay."""

    def __init__(self):
        self.script, self.seen, self.models, self.busy_for = [], [], ["tiny"], set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer(200, {"data": [{"id": name} for name in outer.models]})

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.seen.append((request, self.headers.get("Authorization")))
                step = outer.script.pop(0) if outer.script else 200
                if isinstance(step, float):
                    time.sleep(step)
                    step = 200
                said = request["messages"][-1]["content"].upper()
                step = 503 if said in outer.busy_for else step
                good = {"choices": [{"message": {"content": said}}]}
                if isinstance(step, dict):
                    self.answer(200, step)
                else:
                    self.answer(step, good if step == 200 else {"error": "x"})

            def answer(self, status, body):
                data = json.dumps(body).encode()
                try:
                    self.send_response(status)
                    self.send_header("Retry-After", "0")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:  # the client has gone
                    pass

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def endpoint(url, path, waits=None, **settings):
    sleep = (waits if waits is not None else []).append
    return Endpoint(url, Journal(path), sleep=sleep, **({"workers": 1, "timeout": 5.0} | settings))


def test_it_asks_in_openai_s_form_and_each_question_once(server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    model = endpoint(server.url, tmp_path / "journal.jsonl")
    assert model.reply([*ASK, ASK[0]], 9) == ["ONE", "TWO", "THREE", "ONE"]
    request, key = server.seen[0]
    assert request == {"model": "tiny", "messages": ASK[0], "max_tokens": 9, "temperature": 0}
    assert key == "Bearer secret" and len(server.seen) == 3


def test_a_busy_server_is_asked_again_ever_more_slowly(server, tmp_path):
    server.script, waits = [503, 429, 500, 200], []
    model = endpoint(f"{server.url}#named", tmp_path / "journal.jsonl", waits)
    assert model.reply(ASK[:1], 5) == ["ONE"]
    assert len(waits) == 3 and 0.5 <= waits[0] <= 1 and 1 <= waits[1] <= 2 and 2 <= waits[2] <= 4
    assert server.seen[0][0]["model"] == "named"


def test_a_slow_server_times_out_and_is_asked_again(server, tmp_path):
    server.script, waits = [1.0], []
    model = endpoint(server.url, tmp_path / "journal.jsonl", waits, timeout=0.3)
    assert model.reply(ASK[:1], 5) == ["ONE"]
    assert len(waits) == 1


def test_what_was_answered_before_the_server_went_down_is_kept_and_not_asked_again(server, tmp_path):
    journal = tmp_path / "run/journal.jsonl"
    server.script = [200, 200, 503, 503, 503]
    with pytest.raises(UserError) as error:
        endpoint(f"{server.url}#tiny", journal, retries=2).reply(ASK, 5)
    assert "did not answer in 3 attempts (HTTP 503)" in str(error.value)
    assert "2 answers are kept: go on with the same command and --if_exists rebuild" in str(error.value)
    with open(journal, "a") as file:
        file.write('["half of a li')  # as a full disk or a kill leaves it
    seen = len(server.seen)
    assert endpoint(f"{server.url}#tiny", journal).reply(ASK, 5) == ["ONE", "TWO", "THREE"]
    assert len(server.seen) == seen + 1


def test_of_several_asked_at_once_those_that_were_answered_are_kept_though_the_first_was_not(server, tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    server.busy_for = {"ONE"}

    def until_the_others_are_answered(_):
        for _ in range(200):
            if len(journal.answers) == 2:
                return
            time.sleep(0.01)

    asked = Endpoint(f"{server.url}#tiny", journal, retries=1, workers=3, sleep=until_the_others_are_answered)
    with pytest.raises(UserError, match="2 answers are kept"):
        asked.reply(ASK, 5)
    assert set(Journal(journal.path).answers.values()) == {"TWO", "THREE"}


def test_a_server_that_is_down_is_told(tmp_path, server, capsys):
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(UserError, match=r"did not answer in 4 attempts .*Is it running\?"):
        endpoint(server.url, tmp_path / "journal.jsonl", retries=3)
    told = capsys.readouterr().err.splitlines()
    assert [line.partition("(attempt ")[2] for line in told] == ["3 of 4).", "4 of 4)."]
    assert server.url in told[0] and "asked again in " in told[0]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (401, "refuses the request: HTTP 401 .* Set OPENAI_API_KEY"),
        (404, "refuses the request: HTTP 404"),
        ({"choices": []}, r"found an answer without choices\[0\]"),
    ],
)
def test_what_asking_again_cannot_mend_is_told_at_once(server, tmp_path, step, message):
    server.script, waits = [step], []
    with pytest.raises(UserError, match=message):
        endpoint(server.url, tmp_path / "journal.jsonl", waits).reply(ASK[:1], 5)
    assert waits == []


def test_of_several_models_one_must_be_named(server, tmp_path):
    server.models = ["a", "b"]
    with pytest.raises(UserError, match=r"has 2 models \(a, b \.\.\.\), expected one: name it after the address"):
        load_chat_model(server.url, tmp_path / "journal.jsonl")


def test_a_local_model_replies_and_remembers(tiny_run, tmp_path, monkeypatch):
    model = load_chat_model(tiny_run, tmp_path / "journal.jsonl")
    assert isinstance(model, LocalModel)
    replies = model.reply(ASK, 4)
    assert len(replies) == 3
    again = load_chat_model(tiny_run, tmp_path / "journal.jsonl")
    monkeypatch.setattr("aji.chat_model.generate", lambda *args: pytest.fail("asked again"))
    assert again.reply(ASK, 4) == replies
