# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The API keys of a server: in its file, and in its environment."""

import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.api_keys import (
    as_variable,
    read_api_key,
    read_api_keys,
    secret_of_environment,
    secret_of_file,
)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("s3cret\n", "s3cret"),
        ("s3cret", "s3cret"),
        ("# two keys\n\nfirst\nsecond\n", "first"),
        ("a#b c\n", "a#b c"),
    ],
)
def test_first_key_of_the_file(tmp_path, content, key):
    (tmp_path / "key").write_text(content)
    assert read_api_key(str(tmp_path / "key")) == key


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# only a comment\n"])
def test_file_without_a_key_is_refused(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(LlamaCppError, match="holds no key"):
        read_api_key(str(tmp_path / "key"))


@pytest.mark.parametrize(
    "content", [b"s3cret \n", b" s3cret\n", b"s3cret\r\n", "s3crét\n".encode(), b"s3cret\x07\n", b"s3\xff\n"]
)
def test_key_that_cannot_work_is_refused_without_being_repeated(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(LlamaCppError, match="key") as caught:
        read_api_key(str(tmp_path / "key"))
    assert "s3c" not in str(caught.value)


def test_missing_key_file_is_named(tmp_path):
    with pytest.raises(LlamaCppError, match="No such file"):
        read_api_key(str(tmp_path / "none"))


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "key")
    for path in (tmp_path, tmp_path / "key"):
        with pytest.raises(LlamaCppError, match="not a file"):
            read_api_key(str(path))
        with pytest.raises(LlamaCppError, match=r"^token_file .* not a file"):
            secret_of_file(str(path), "token_file")


def test_all_keys_in_one_variable(tmp_path):
    (tmp_path / "key").write_text('first\n# no key\nsecond\nwith,comma\nwith"quote\n')
    keys = read_api_keys(str(tmp_path / "key"))
    assert keys == ["first", "second", "with,comma", 'with"quote']
    assert as_variable(keys) == 'first,second,"with,comma","with""quote"'


@pytest.mark.parametrize("around", ["s3cret", " s3cret\n", "\ts3cret\r\n"])
def test_a_secret_of_the_environment_or_of_a_file_comes_without_what_is_around_it(tmp_path, around):
    (tmp_path / "token").write_text(around + "\nsecond line\n")
    assert secret_of_environment("HF_TOKEN", {"HF_TOKEN": around}) == "s3cret"
    assert secret_of_file(str(tmp_path / "token"), "token_file") == "s3cret"


@pytest.mark.parametrize("nothing", [{}, {"HF_TOKEN": ""}, {"HF_TOKEN": " \n"}])
def test_a_variable_without_a_secret_counts_as_none(nothing):
    assert secret_of_environment("HF_TOKEN", nothing) is None


@pytest.mark.parametrize(
    "wrong", ["s3cret\nX-Evil: 1", "s3cret\rX", "s3cr\u00e9t", "s3cr\u2026", "s3cr\udcff", "s3\0cret"]
)
def test_a_secret_that_no_header_can_carry_is_refused_without_being_repeated(tmp_path, wrong):
    with pytest.raises(LlamaCppError, match="HF_TOKEN") as caught:
        secret_of_environment("HF_TOKEN", {"HF_TOKEN": wrong})
    assert "s3" not in str(caught.value)
    (tmp_path / "token").write_bytes(wrong.translate({10: 7, 13: 7}).encode("utf-8", "surrogateescape"))
    with pytest.raises(LlamaCppError, match="token_file") as caught:
        secret_of_file(str(tmp_path / "token"), "token_file")
    assert "s3" not in str(caught.value) and caught.value.__cause__ is None
