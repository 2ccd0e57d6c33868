# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the service runner is told: one JSON file, written by the play, checked as a whole before anything starts."""

from __future__ import annotations

import collections

from ..base.errors import LlamaCppError
from ..base.strict_json import LARGEST, LONGEST_SECONDS, MOST_BYTES, parse, told

MOST_PROBLEMS = 20  # of which it tells

#: Every key is needed, but for those of OPTIONAL. A whole number here means one from 1 up, any other a time in seconds
#: from 0 up.
EXAMPLE = {
    "argv": ["/opt/llm/engine/current/bin/llama-server", "--model", "/opt/llm/models/a.gguf"],
    "environment": {"HOME": "/opt/llm/service/home"},
    "beside": ("/usr/bin/caffeinate", "-i", "-w"),
    "key_files": {"LLAMA_API_KEY": "/opt/llm/service/api-key"},
    "inputs": ["/opt/llm/models/a.gguf"],
    "log_file": "/opt/llm/logs/llama-server.log",
    "rotation": {"max_bytes": 10_000_000, "keep": 5},
    "state_file": "/opt/llm/service/run/llama-server.json",
    "stop_seconds": 15.0,
    "fast_exit": {"seconds": 60.0, "limit": 5, "settle_seconds": 1.0},
}
OPTIONAL = {
    "workers": {"169.254.10.2:50052": "98304"},
    "listens_on": "169.254.10.2:50052",
}

#: ``_``             may be there too: a note for the reader of the file
#: ``argv``          the server's command line; the program by its path
#: ``environment``   what the server gets besides server_runner.INHERITED
#: ``beside``        a command that runs as long as the server, whose process id is its last argument; empty for none
#: ``key_files``     the API keys of a file in a variable of that name, for whom ``--api-key-file`` does not reach; what
#:                   that option names is checked as well, and nothing is served without a usable key
#: ``inputs``        the files without which the server cannot serve
#: ``rotation``      size of a log file, and how many are kept beside the one that is written
#: ``state_file``    see runner/crash_loop.py; ``<state_file>.lock`` is next to it
#: ``stop_seconds``  from SIGTERM to the second one
#: ``fast_exit``     after ``limit`` exits in a row, each within ``seconds`` of the start, the runner holds still. It
#:                   ends ``settle_seconds`` after its start at the earliest: supervisord starts again whatever ended
#:                   within its startsecs, even with exit status 0
#: ``workers``       the RPC workers that have to answer first, with the MiB that the devices of each offered when a
#:                   play asked: for the next one, since a worker in use does not answer (runner/prerequisites.py)
#: ``listens_on``    the address of a program that ends with status 0 whatever went wrong: it has to be there first, and
#:                   every end that was not asked for is a failure
Config = collections.namedtuple("Config", [*EXAMPLE, *OPTIONAL], defaults=[{}, None])

#: By the type of the example: what is wanted, and whether a value is that.
KINDS = {
    dict: ("an object", lambda value: isinstance(value, dict)),
    list: (
        "a list of text",
        lambda value: isinstance(value, list) and value and all(type(word) is str for word in value),
    ),
    tuple: (
        "a list of text, which may be empty",
        lambda value: isinstance(value, list) and all(type(word) is str for word in value),
    ),
    str: ("text", lambda value: type(value) is str),
    int: (f"a whole number from 1 to {LARGEST}", lambda value: type(value) is int and 1 <= value <= LARGEST),
    float: (
        f"a number from 0 to {LONGEST_SECONDS}",
        lambda value: type(value) in (int, float) and 0 <= value <= LONGEST_SECONDS,
    ),
}


def read_config(path):
    """The :class:`Config` in the file ``path``. Raises LlamaCppError with everything that is wrong with it."""
    try:
        with open(path, "rb") as stream:
            found = parse(stream.read(MOST_BYTES + 1))
        if isinstance(found, dict):
            found.pop("_", None)
        wrong = list(_problems(EXAMPLE, found))
    except OSError as error:
        wrong = [error.strerror]
    except ValueError as error:
        wrong = [str(error)]
    if wrong:
        raise LlamaCppError(
            f"{path} is no configuration of the service runner; nothing was started.\n  "
            + "\n  ".join(map(told, wrong[:MOST_PROBLEMS]))
            + "\n"
            "Write it again: run the play with --tags llm_service."
        )
    return Config(**found)


def _problems(example, found, where=""):
    """A line for everything in ``found`` that is not of the form of ``example``."""
    wanted, fits = KINDS[type(example)]
    if not fits(found):
        yield f"{where or 'the document'}: {wanted} is wanted"
    elif isinstance(example, dict):
        if where in ("environment", "key_files", "workers"):  # their keys are free
            example = dict.fromkeys(found, "any text")
            yield from (f"{where}: {key!r} is no name of a variable" for key in found if not key or "=" in key)
        known = example if where else {**example, **OPTIONAL}
        for key in dict.fromkeys([*example, *found]):
            path = f"{where}.{key}" if where else key
            if key in known and key in found:
                yield from _problems(known[key], found[key], path)
            else:
                yield f"{path}: {'missing' if key in example else 'unknown key'}"
