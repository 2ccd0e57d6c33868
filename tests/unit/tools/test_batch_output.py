# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm batch``: the output file tells by itself how far a batch is, and is no other's."""

import contextlib
import io

import pytest

INPUT = b'"one"\n"two"\n"three"\n'


def expected():
    from llm_tools.core.base.errors import LlamaCppError

    return LlamaCppError


def lines_of(content, settings=b""):
    from llm_tools.batch.lines import Lines

    return Lines(io.BytesIO(content), "in.jsonl", settings)


def results_of(content, failed=()):
    """A result for each line; those of the lines in ``failed`` are errors."""
    from llm_tools.batch.results import Plain

    answer = {"choices": [{"message": {"content": "ja"}}]}
    forms = [Plain(line) for line in lines_of(content)]
    return [
        form.failed("timeout", "Too slow.") if place in failed else form.answered("", answer)
        for place, form in enumerate(forms)
    ]


@contextlib.contextmanager
def opened(path):
    from llm_tools.batch.output import OutputFile

    with contextlib.closing(OutputFile(str(path))) as output:
        yield output


def resumed(path, content=INPUT, settings=b""):
    """(lines done, of these failed, the lines that are left)."""
    lines = lines_of(content, settings)
    with opened(path) as output:
        done = output.resume(lines)
    return (*done, [line.content for line in lines])


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_it_goes_on_behind_the_last_result(tmp_path, number):
    path, results = tmp_path / "out.jsonl", results_of(INPUT)
    path.write_bytes(b"".join(results[:number]))
    assert resumed(path) == (number, 0, INPUT.split()[number:])


def test_half_a_result_is_made_again_wherever_it_was_cut(tmp_path):
    path, results = tmp_path / "out.jsonl", results_of(INPUT)
    for cut in range(1, len(results[1])):
        path.write_bytes(results[0] + results[1][:cut])
        assert resumed(path) == (1, 0, INPUT.split()[1:])
        assert path.read_bytes() == results[0]


def test_results_are_written_behind_those_that_are_there(tmp_path):
    path, results = tmp_path / "out.jsonl", results_of(INPUT)
    path.write_bytes(results[0] + results[1][:30])
    with opened(path) as output:
        output.resume(lines_of(INPUT))
        output.write(results[1] + results[2])
        output.sync()
    assert path.read_bytes() == b"".join(results)


def test_what_failed_before_still_counts(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"".join(results_of(INPUT, failed=(0, 1))))
    assert resumed(path)[:2] == (3, 2)


@pytest.mark.parametrize(
    ("content", "settings", "words"),
    [
        (b'"one"\n"other"\n', b"", "line 2 of .*out.jsonl is not the result of line 2 of in.jsonl"),
        (b'"zero"\n' + INPUT, b"", "line 1 of"),
        (INPUT, b"--max-tokens 5", "with these options"),
        (b'"one"\n', b"", "more lines than in.jsonl"),
    ],
)
def test_results_of_another_input_are_refused_and_kept(tmp_path, content, settings, words):
    path = tmp_path / "out.jsonl"
    kept = b"".join(results_of(INPUT)[:2]) + b'{"id": "batch'
    path.write_bytes(kept)
    with pytest.raises(expected(), match=words) as caught:
        resumed(path, content, settings)
    assert "--restart" in str(caught.value)
    assert path.read_bytes() == kept


@pytest.mark.parametrize("content", [b"Dear diary,\n", b"{", b'{"id": "batch_req', b"\0" * 9])
def test_any_other_file_is_kept(tmp_path, content):
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"Dear " + content)
    with pytest.raises(expected(), match="not touched"), opened(path) as output:
        output.clear()
    with pytest.raises(expected(), match="not touched"):
        resumed(path)
    assert path.read_bytes() == b"Dear " + content


def test_to_start_anew_is_to_forget_the_results(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"".join(results_of(INPUT)))
    with opened(path) as output:
        output.clear()
        assert output.resume(lines_of(b'"other"\n')) == (0, 0)
    assert path.read_bytes() == b""


def test_only_one_writes_it(tmp_path):
    path = tmp_path / "out.jsonl"
    with opened(path), pytest.raises(expected(), match="being written by"), opened(path):
        pass
    with opened(path):
        pass
