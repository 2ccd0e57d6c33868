# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What of an address may be printed and stored, and how the rest travels apart from it."""

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import addresses

SIGNED = "https://models.example/a/b.gguf?X-Amz-Signature=abc&x=%3F#part"
PLAIN, QUERY = "https://models.example/a/b.gguf", "?X-Amz-Signature=abc&x=%3F"


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        (SIGNED, PLAIN),
        ("https://sam:secret@models.example:8443/b.gguf", "https://models.example:8443/b.gguf"),
    ],
)
def test_what_is_printed_of_an_address(url, printed):
    assert addresses.shown(url) == printed


def test_a_query_is_taken_off_and_put_back():
    assert addresses.apart(SIGNED) == (PLAIN, QUERY)
    assert addresses.joined(PLAIN, {PLAIN: QUERY}) == PLAIN + QUERY
    assert addresses.joined("https://models.example/", {PLAIN: QUERY}) == "https://models.example/"


def test_the_queries_of_a_configuration_are_withheld_wherever_they_stand():
    config = {
        "engine": {"url": "https://e.example/a.tar.gz?sig=1"},
        "models": {
            "m": {"url": SIGNED, "mirrors": ["https://m.example/?sig=2", PLAIN], "lora": [{"url": PLAIN + "?"}]}
        },
        "client": {"system_prompt": "Who asks https://models.example/?q=1", "bytes": 5},
    }
    plain, queries = addresses.withheld(config)
    assert plain["engine"] == {"url": "https://e.example/a.tar.gz"}
    assert plain["models"]["m"] == {"url": PLAIN, "mirrors": ["https://m.example/", PLAIN], "lora": [{"url": PLAIN}]}
    assert plain["client"] == config["client"]
    assert queries == {"https://e.example/a.tar.gz": "?sig=1", PLAIN: QUERY, "https://m.example/": "?sig=2"}
    assert config["models"]["m"]["url"] == SIGNED


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Looking in indexes: https://sam:pw@pypi.example/simple", "Looking in indexes: https://pypi.example/simple"),
        ('{"url": "https://h/m.gguf?sig=abc", "n": 1}', '{"url": "https://h/m.gguf", "n": 1}'),
        ("HTTPS://h/a?b c? http://h/d?e#f.", "HTTPS://h/a c? http://h/d"),
        ("proxy http://sam:p@w'x@proxy:3128 refused", "proxy http://proxy:3128 refused"),
        ("git+https://h/x.git@v1", "git+https://h/x.git@v1"),
        ("git@github.com:a/b.git, who@where", "git@github.com:a/b.git, who@where"),
    ],
)
def test_what_a_program_said_is_told_without_secrets(said, shown):
    assert addresses.redacted(said) == shown
