# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm batch``: what a line of the input becomes, and how its result is written."""

import io
import json
import threading

import pytest

CHAT = {"choices": [{"message": {"content": "Grüße\n"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 3}}


def lines_of(content, settings=b""):
    from llm_tools.batch.lines import Lines

    return Lines(io.BytesIO(content), "in.jsonl", settings)


def request_of(line, **options):
    """The request that one line is, as (path, its body, form of its result)."""
    from llm_tools.batch.requests import Reader

    content = line if isinstance(line, bytes) else json.dumps(line).encode()
    found = Reader(**options).request(next(lines_of(content)))
    return found.path, json.loads(found.document), found.form


def refusal_of(line, **options):
    """The result of a line that is no request."""
    from llm_tools.batch.requests import Refused

    with pytest.raises(Refused) as caught:
        request_of(line, **options)
    written = caught.value.form.failed(caught.value.code, str(caught.value))
    assert written.count(b"\n") == 1 and written.endswith(b"\n")
    return json.loads(written)


# Lines


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\r\n\r\nb", [b"a", b"", b"b"]),
        (b"\xef\xbb\xbfa\n\n", [b"a", b""]),
    ],
)
def test_every_line_counts(content, expected, tmp_path):
    from llm_tools.batch.lines import count

    assert [line.content for line in lines_of(content)] == expected
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    assert count(path) == len(expected)


def test_the_id_of_a_line_stands_for_its_content_its_place_and_the_settings():
    ids = [line.id for line in lines_of(b"a\na\nb\n")]
    assert len(set(ids)) == 3 and ids == [line.id for line in lines_of(b"a\r\na\nb")]
    assert not set(ids) & {line.id for line in lines_of(b"a\na\nb\n", b"other")}


def test_a_line_that_is_too_long_is_not_held(monkeypatch):
    from llm_tools.batch import lines

    monkeypatch.setattr(lines, "MOST_BYTES", 10)
    found = list(lines_of(b"x" * 9 + b"\n" + b"y" * 35 + b"\nz\n" + b"w" * 11))
    assert [line.content for line in found] == [b"x" * 9, None, b"z", None]
    assert found[1].id != next(lines_of(b"\n" + b"y" * 34)).id


def test_utf_16_is_refused_by_name():
    from llm_tools.environment import UsageError

    with pytest.raises(UsageError, match=r"in\.jsonl is UTF-16"):
        next(lines_of('"Why?"\n'.encode("utf-16")))


# Requests


@pytest.mark.parametrize("url", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank"])
def test_a_line_in_openais_format_is_sent_as_it_is(url):
    body = {"model": "gpt", "messages": [{"role": "user", "content": "Why?"}], "temperature": 0.25, "new": [None]}
    line = {"custom_id": "a", "method": "POST", "url": url, "body": body}
    assert request_of(line, system="Be kind.", options={"max_tokens": 5})[:2] == (url, body)
    assert request_of(line, model="tiny", forced_model="tiny")[1]["model"] == "tiny"
    streamed = {**line, "body": {**body, "stream": True, "stream_options": {}}}
    assert request_of(streamed)[1] == body


@pytest.mark.parametrize("line", ["Why?", {"prompt": "Why?"}, {"messages": [{"role": "user", "content": "Why?"}]}])
def test_a_plain_line_is_a_question_with_the_settings(line):
    path, body, _form = request_of(line, model="tiny", system="Be kind.", options={"max_tokens": 5})
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}]
    assert (path, body) == ("/v1/chat/completions", {"model": "tiny", "max_tokens": 5, "messages": messages})


def test_what_a_plain_line_says_itself_wins():
    line = {"prompt": "Why?", "system": "Be short.", "max_tokens": 9, "model": "big", "custom_id": 4}
    body = request_of(line, model="tiny", forced_model="tiny", system="Be kind.", options={"max_tokens": 5})[1]
    messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Why?"}]
    assert body == {"model": "big", "max_tokens": 9, "messages": messages}
    own = [{"role": "system", "content": "Mine."}, {"role": "user", "content": "Why?"}]
    assert request_of({"messages": own}, system="Be kind.")[1]["messages"] == own


def test_with_text_a_line_is_a_prompt_whatever_it_looks_like():
    assert request_of(b'{"prompt": "Why?"}  \r', text=True)[1]["messages"][0]["content"] == '{"prompt": "Why?"}  '


OPENAI = {"custom_id": "a", "url": "/v1/chat/completions", "body": {}}


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (b" \n", "empty_line", "empty"),
        (b"nonsense", "invalid_json", "column 1"),
        (b'{"prompt": NaN}', "invalid_json", "NaN"),
        (b"[" * 100_000, "invalid_json", ""),
        (b'"\xff"', "invalid_encoding", "byte 1"),
        (b'"\x00"', "invalid_json", ""),
        (b"5", "invalid_line", '"prompt"'),
        (b'{"promt": "Why?"}', "invalid_line", '"prompt"'),
        (b'""', "invalid_prompt", "empty"),
        (b'{"prompt": ["Why?"]}', "invalid_prompt", "text"),
        (b'{"prompt": "Why?", "messages": []}', "invalid_line", "either"),
        (b'{"messages": ["Why?"]}', "invalid_messages", "objects"),
        (b'{"prompt": "Why?", "custom_id": []}', "invalid_custom_id", "text"),
        ({**OPENAI, "url": "/v1/chat/completion"}, "invalid_url", 'did you mean "/v1/chat/completions"'),
        ({**OPENAI, "url": None}, "invalid_url", "expected"),
        ({**OPENAI, "method": "GET"}, "invalid_method", "POST"),
        ({**OPENAI, "body": "x"}, "invalid_body", "object"),
        ({**OPENAI, "custom_id": {}}, "invalid_custom_id", "text"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_a_bad_line_is_a_result_that_says_why(line, code, words):
    found = refusal_of(line)
    assert found["error"]["code"] == code and words in found["error"]["message"]
    assert found["id"].startswith("batch_req_")


def test_a_custom_id_that_comes_twice_is_refused_at_its_second_line():
    from llm_tools.batch.requests import Reader, Refused

    plain, openai = {"prompt": "Why?", "custom_id": "a"}, {**OPENAI, "custom_id": "a"}
    values = [plain, openai, {**plain, "custom_id": "b"}, plain, {**plain, "custom_id": 1}, {**plain, "custom_id": "1"}]
    values += [{**plain, "custom_id": None}] * 2 + [{"prompt": '"custom_id"'}] * 2
    refused = []
    for line in lines_of("\n".join(map(json.dumps, values)).encode()):
        try:
            Reader().request(line)
        except Refused as error:
            assert error.code == "duplicate_custom_id"
            refused.append(line.index)
    assert refused == [1, 3]


def test_keys_of_a_line_that_python_functions_have_too_are_passed_on():
    assert request_of({"prompt": "Why?", "self": 1, "line": 2})[1]["self"] == 1


# Results


def written(form, answer, text=None):
    return form.answered(json.dumps(answer) if text is None else text, answer)


def test_a_result_in_openais_format():
    form = request_of(OPENAI)[2]
    answer = {**CHAT, "id": "chatcmpl-1"}
    found = json.loads(written(form, answer))
    assert found.pop("id").startswith("batch_req_")
    response = {"status_code": 200, "request_id": "chatcmpl-1", "body": answer}
    assert found == {"custom_id": "a", "response": response, "error": None}
    refused = json.loads(form.failed("http_400", "Too long.", 400, '{"error": {"code": 400}}'))
    assert refused["response"] == {"status_code": 400, "request_id": None, "body": {"error": {"code": 400}}}
    assert refused["error"] == {"code": "http_400", "message": "Too long."}
    assert json.loads(form.failed("timeout", "Too slow."))["response"] is None


def test_numbers_are_passed_on_to_the_last_digit_and_in_one_line():
    form = request_of(OPENAI)[2]
    text = '{"data": [{"embedding": [0.10000000149011612, -0, 1e-45]}]}'
    assert text.encode() in written(form, json.loads(text), text)
    spread = text.replace(",", ",\n")
    assert json.loads(written(form, json.loads(spread), spread))["response"]["body"] == json.loads(text)
    assert written(form, json.loads(spread), spread).count(b"\n") == 1


def test_a_plain_result():
    form = request_of({"prompt": "Why?", "custom_id": 4})[2]
    found = json.loads(written(form, CHAT))
    assert found.pop("id").startswith("batch_req_")
    shown = {"answer": "Grüße\n", "finish_reason": "stop", "usage": {"completion_tokens": 3}}
    assert found == {"index": 0, "custom_id": 4, **shown, "error": None}
    assert "custom_id" not in json.loads(written(request_of("Why?")[2], CHAT))
    assert json.loads(form.failed("http_500", "Oh."))["answer"] is None


@pytest.mark.parametrize("content", ["\ud800", "\u2028", "\0"])
def test_any_answer_is_one_line_of_utf_8(content):
    answer = {"choices": [{"message": {"content": content}}]}
    found = written(request_of("Why?")[2], answer)
    assert found.count(b"\n") == 1 and json.loads(found.decode("utf-8"))["answer"] == content


@pytest.mark.parametrize("answer", [{}, {"choices": []}, {"choices": [{"message": {"content": 5}}]}])
def test_an_answer_of_another_kind_is_none(answer):
    from llm_tools.batch.results import NotAnAnswer

    with pytest.raises(NotAnAnswer):
        written(request_of("Why?")[2], answer)


# From a line to its result


class Server:
    """A server that gives one answer, or raises it."""

    base_url = "http://server"

    def __init__(self, answer):
        self._answer, self.conversations = answer, []

    def in_conversation(self, identifier):
        self.conversations.append(identifier)
        return self

    def post(self, path, document):
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def result_of(answer, line=OPENAI):
    """(the result of a line that is answered so, what was counted)."""
    from llm_tools.batch.asking import Asking
    from llm_tools.batch.patience import Patience
    from llm_tools.batch.progress import Tally
    from llm_tools.batch.requests import Reader

    server, tally = Server(answer), Tally()
    asking = Asking(server, Reader(), Patience(server, 0.001, lambda error: None), tally)
    return json.loads(asking(next(lines_of(json.dumps(line).encode())))), tally


@pytest.mark.parametrize("line", [OPENAI, "Why?"])
@pytest.mark.parametrize("answer", ["", "<html>", "NaN", "[]", '"x"', "[" * 100_000])
def test_an_answer_that_is_none_is_the_error_of_its_line(answer, line):
    assert result_of(answer, line)[0]["error"]["code"] == "invalid_answer"


def test_each_thread_has_a_conversation_of_its_own():
    from llm_tools.batch.asking import Asking
    from llm_tools.batch.patience import Patience
    from llm_tools.batch.progress import Tally
    from llm_tools.batch.requests import Reader

    server = Server(json.dumps(CHAT))
    asking = Asking(server, Reader(), Patience(server, 0.001, lambda error: None), Tally())

    def work():
        for line in lines_of(b'"Why?"\n"How?"\n'):
            asking(line)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(server.conversations)) == len(server.conversations) == 4


def test_tokens_and_answers_that_are_cut_off_are_counted():
    found, tally = result_of(json.dumps({**CHAT, "choices": [{"message": {}, "finish_reason": "length"}]}))
    assert found["error"] is None and tally.tokens == 3 and tally.summary()["cut_off"] == 1
    odd = {"usage": [], "choices": [5]}
    assert result_of(json.dumps(odd))[0]["response"]["body"] == odd
    assert result_of(json.dumps({"usage": {"prompt_tokens": 7, "completion_tokens": "x"}}))[1].tokens == 7


def test_a_refusal_is_the_error_of_its_line_unless_it_concerns_all():
    from llm_tools.core.llama.errors import NotAnswering, NotAuthorised, ServerError

    assert result_of(ServerError("refused", 400, "Too long."))[0]["error"] == {
        "code": "http_400",
        "message": "Too long.",
    }
    assert result_of(NotAnswering("nothing for 5 s"))[0]["error"]["code"] == "timeout"
    for error in (NotAuthorised("key", 401), ServerError("certificate"), ServerError("busy", 503)):
        with pytest.raises(type(error)):
            result_of(error)


def test_what_is_nested_too_deep_to_be_sent_is_the_error_of_its_line():
    from llm_tools.batch.requests import Refused

    refused = 0
    for depth in range(600, 1100):
        try:
            request_of(b'{"prompt": "Why?", "x": ' + b"[" * depth + b"]" * depth + b"}")
        except Refused as error:
            refused += error.code == "invalid_json"
    assert refused


@pytest.mark.parametrize("line", [OPENAI, "Why?"])
def test_nor_does_an_answer_that_is_nested_too_deep_stop_the_batch(line):
    texts = [
        '{"choices": [{"message": {}}],\n"usage": {"x": ' + "[" * depth + "]" * depth + "}}"
        for depth in range(600, 1100)
    ]
    failed = [result_of(text, line)[0]["error"] for text in texts]
    assert failed[0] is None and failed[-1]["code"] == "invalid_answer"
