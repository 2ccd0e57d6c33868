# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The API keys of a llama-server: in its key file, and in the one environment variable that carries them all."""

from __future__ import annotations

from .errors import LlamaCppError


def read_api_key(path):
    """The first of :func:`read_api_keys`: one is enough to be let in."""
    return read_api_keys(path)[0]


def read_api_keys(path):
    """The keys in a llama-server ``--api-key-file``: empty lines and lines that start with ``#`` do not count.

    Raises LlamaCppError when the file cannot be read, holds no key (llama-server would then ask nobody for one),
    or holds one that cannot work. The key never appears in the error.
    """
    try:
        with open(path, encoding="utf-8", newline="\n") as stream:
            lines = [line.removesuffix("\n") for line in stream]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise LlamaCppError(f"The API key file {path} cannot be read: {reason}.") from error
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise LlamaCppError(f"The API key file {path} holds no key. Write one into it, on a line of its own.")
    return [check_api_key(key, f"The API key in {path}") for key in keys]


def check_api_key(key, subject):
    """``key`` itself; raises LlamaCppError, which names ``subject`` and not the key, when no header can carry it.

    llama-server compares the header with the whole line of its key file, so a space at the end never matches.
    """
    if key != key.strip() or not all(" " <= character <= "~" for character in key):
        text = "begins or ends with a space, or contains a control character or a letter outside ASCII; it cannot work."
        raise LlamaCppError(f"{subject} {text}")
    return key


def as_variable(keys):
    """``keys`` as LLAMA_API_KEY wants them: separated by commas; one with a comma or a quote is quoted
    (``parse_csv_row`` in common/arg.cpp of llama.cpp 0c1e570)."""
    return ",".join('"' + key.replace('"', '""') + '"' if set(key) & set(',"') else key for key in keys)
