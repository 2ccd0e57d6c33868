# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Keys and tokens that go into a header: from files, from the environment, and in the variable of a llama-server.

None of them is ever part of an error: what refuses one says where it stands.
"""

from __future__ import annotations

import os

from ..base.errors import LlamaCppError
from ..base.text import csv_row


def read_api_key(path):
    """The first of :func:`read_api_keys`: one is enough to be let in."""
    return read_api_keys(path)[0]


def read_api_keys(path):
    """The keys in a llama-server ``--api-key-file``: empty lines and lines that start with ``#`` do not count.

    Raises LlamaCppError when the file cannot be read, holds no key (llama-server would then require none),
    or holds one that cannot work. The key never appears in the error.
    """
    _require_file(path, "The API key file")
    try:
        with open(path, encoding="utf-8", newline="\n") as stream:
            lines = [line.removesuffix("\n") for line in stream]
    except (OSError, UnicodeDecodeError) as error:
        raise LlamaCppError(f"The API key file {path} cannot be read: {_why(error)}.") from None
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise LlamaCppError(f"The API key file {path} holds no key. Write one into it, on a line of its own.")
    return [check_api_key(key, f"The API key in {path}") for key in keys]


def secret_of_environment(name, environ):
    """The key or token in the variable ``name``, without the blanks and line breaks around it; None when there is none.

    Raises LlamaCppError, which does not repeat it, when no header can carry it.
    """
    secret = environ.get(name, "").strip()
    return check_api_key(secret, name) if secret else None


def secret_of_file(path, subject):
    """The key or token in the first line of the file ``path``, without the blanks around it.

    Raises LlamaCppError, which names ``subject`` and the file, when it cannot be read or no header can carry it.
    """
    _require_file(path, subject)
    try:
        with open(path, encoding="utf-8") as stream:
            secret = stream.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise LlamaCppError(f"{subject} {path} cannot be read: {_why(error)}.") from None
    if not secret:
        raise LlamaCppError(f"{subject} {path} has no token in its first line.")
    return check_api_key(secret, f"{subject} {path}")


def _require_file(path, subject):
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would be waited for without end
        raise LlamaCppError(f"{subject} {path} cannot be read: it is not a file.")


def _why(error):
    return getattr(error, "strerror", None) or "it is not text"


def check_api_key(key, subject):
    """``key`` itself; raises LlamaCppError, which names ``subject`` and not the key, when no header can carry it.

    llama-server compares the header with the whole line of its key file, so a space at the end never matches.
    """
    if key != key.strip() or not all(" " <= character <= "~" for character in key):
        text = "begins or ends with a space, or contains a control character or a letter outside ASCII; it cannot work."
        raise LlamaCppError(f"{subject} {text}")
    return key


def as_variable(keys):
    """``keys`` as LLAMA_API_KEY wants them."""
    return csv_row(keys)
