# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The API keys of a server: in its file, and in its environment."""

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.api_keys import as_variable, read_api_key, read_api_keys
from ansible_collections.macos_setup.llm.plugins.module_utils.errors import LlamaCppError


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


def test_all_keys_in_one_variable(tmp_path):
    (tmp_path / "key").write_text('first\n# no key\nsecond\nwith,comma\nwith"quote\n')
    keys = read_api_keys(str(tmp_path / "key"))
    assert keys == ["first", "second", "with,comma", 'with"quote']
    assert as_variable(keys) == 'first,second,"with,comma","with""quote"'
