# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Why llama-server did not start, as its log tells it.

The log goes on from one start of the server to the next (launchd and supervisord append to it), so a cause is
only looked for after the most recent start. The texts were read in, or provoked from, llama.cpp 0c1e570.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import re

from ..base.errors import LlamaCppError
from ..base.log_tail import quote_log, tail
from ..base.privileges import as_user
from ..base.wait import wait_until

SHOWN_LINES = 15
SEARCHED_BYTES = 256 * 1024
IN_PROGRESS_SECONDS = 2.0

#: What every start writes: the service runner's line, and the server's own unless its arguments already were refused.
STARTS = ("service_runner: starting ", "llama_server: initializing")

#: What went wrong, in the owner's words, the command or variable that repairs it, and the line that says so.
Cause = collections.namedtuple("Cause", "cause remedy line")

DAMAGED = "the model file {model} is damaged, incomplete, or no GGUF file"
INSTALL_AGAIN = "Remove that file and install the model again: run the play with --tags llm_models."

SAME_ENGINE = "Give server and workers the same engine and set them up again: ansible-playbook playbooks/rpc.yml"

#: (pattern, cause, remedy); named groups of the pattern, and {model}, are filled into both texts.
CAUSES = [
    (
        r"couldn't bind HTTP server socket, hostname: (?P<host>.*), port: (?P<port>\d+)",
        (
            "port {port} on {host} cannot be used: another program holds it, this machine has no such address, "
            "or the TLS certificate or key is unusable (llama-server reports all of these alike)"
        ),
        "See whether somebody holds it: sudo lsof -nP -iTCP:{port} -sTCP:LISTEN",
    ),
    (
        r"the server is built without SSL support",
        "TLS is configured, but this llama-server was built without it",
        "Leave server.tls out of the configuration, or install OpenSSL 3 and build the engine again.",
    ),
    (
        r"service_runner: (?P<what>The API key (?:file .* (?:cannot be read: [^.]*|holds no key)|in .* cannot work))",
        "{what}; without a usable key nothing is served",
        "Write a key into the file, on a line of its own, then: llm-manager start",
    ),
    (
        r"service_runner: (?P<file>.*) cannot be read: (?P<why>[^.]*)\. (?P<what>.*)",
        "the file {file}, which the server needs, cannot be read: {why}",
        "{what}",
    ),
    (
        (
            r"service_runner: (?P<what>the key file .* (is open to other users \(mode \d+\)|belongs to \S+ and not to "
            r"\S+))\. (?P<remedy>.*)"
        ),
        "{what}",
        "{remedy}",
    ),
    (
        r"service_runner: (?:waiting for|lost) (?P<what>the (?:RPC worker|address) .*)",
        "the service waits for {what}",
        "Once that is there it starts by itself. A worker is set up by: ansible-playbook playbooks/rpc.yml",
    ),
    (
        r"Failed to connect to (?P<endpoint>[\d.]+:\d+)$",
        "the RPC worker {endpoint} is not there",
        "Start it, or set it up: ansible-playbook playbooks/rpc.yml",
    ),
    (
        r"RPC handshake failed for (?P<endpoint>\S+)",
        "the RPC worker {endpoint} has another version of llama.cpp",
        SAME_ENGINE,
    ),
    (
        r"Remote RPC server crashed or returned malformed response",
        "an RPC worker was lost, or has another version of llama.cpp",
        SAME_ENGINE,
    ),
    (
        r"failed to open GGUF file '(?P<file>.*)' \((?P<why>.*)\)",
        "the model file {file} cannot be opened: {why}",
        "Install the model: run the play with --tags llm_models.",
    ),
    (
        (
            r"not within the file bounds|corrupted or incomplete|corrupted model|invalid magic characters"
            r"|bad GGUF version|exceeds remaining file size"
        ),
        DAMAGED,
        INSTALL_AGAIN,
    ),
    (
        r"has invalid ggml type (?P<type>\d+)",
        "{model} holds tensors of a type (id {type}) that this llama.cpp does not know",
        "Choose a newer engine.version, or another quantisation of the model.",
    ),
    (
        r"of type \d+ \((TYPE_)?(?P<type>\S+) REMOVED, use (?P<instead>\S+)",
        "{model} holds tensors of the type {type}, which llama.cpp has removed",
        "Choose the file of this model with {instead}.",
    ),
    (
        r"of type (?P<type>\d+) \(DEPRECATED\)",
        "{model} holds tensors of a type (id {type}) that llama.cpp has removed",
        "Choose another quantisation of the model.",
    ),
    (
        r"wrong number of tensors; expected (?P<there>\d+), got (?P<used>\d+)",
        (
            "{model} holds {there} tensors, of which this llama.cpp uses {used}: it was made for another program "
            "(files of Ollama may hold a projector, too) or for another version"
        ),
        "Choose a file made for llama.cpp, with its projector as mmproj, or another engine.version.",
    ),
    (
        r"unknown pre-tokenizer type: '(?P<pre>.*)'|unknown tokenizer: '(?P<tokenizer>.*)'",
        'this llama.cpp does not know the tokenizer "{pre}{tokenizer}" of {model}',
        "Choose a newer engine.version, or a file of this model that was converted for llama.cpp.",
    ),
    (
        r"key not found in model: (?P<key>\S+)|key (?P<typed>\S+) has wrong type",
        "{model} was converted incompletely, or for another llama.cpp: its header lacks a usable {key}{typed}",
        "Choose another file of this model, or another engine.version.",
    ),
    (
        r"cannot find tokenizer (?P<what>vocab|merges) in model file",
        "{model} was converted incompletely: its header has no {what} of the tokenizer",
        "Choose another file of this model.",
    ),
    (
        r"tensor '(?P<tensor>.*?)' has wrong shape",
        "{model} contradicts itself: the tensor {tensor} has another shape than its header says",
        "Choose another file of this model, or a newer engine.version.",
    ),
    (
        r"CLIP cannot be used as main model",
        "{model} is a multimodal projector and no language model",
        "Configure it as the mmproj of the language model that it was published with.",
    ),
    (
        r"unknown model architecture: ''",
        "{model} names no architecture, so it is no language model",
        "Choose a file that holds one.",
    ),
    (
        r"unknown model architecture: '(?P<architecture>.+)'",
        'this llama.cpp does not know the architecture "{architecture}" of {model}',
        "Choose another model, or a newer engine.version.",
    ),
    (
        r"mismatch between text model \(n_embd = (?P<model_width>\d+)\) and mmproj \(n_embd = (?P<own_width>\d+)\)",
        (
            "the projector (mmproj) was made for another model than {model}: it gives vectors of {own_width} numbers, "
            "the model takes {model_width}"
        ),
        "Configure as mmproj the projector that was published together with this model.",
    ),
    (
        r"clip_init: failed to load model '(?P<file>.*?)': (\w+: )?(?P<why>.*?)(\. Does this file exist\?)?$",
        "the projector (mmproj) {file} of {model} cannot be used: {why}",
        "Install it again (run the play with --tags llm_models), or choose another one or a newer engine.version.",
    ),
    (
        r"missing tensor '(?P<tensor>.*?)'|tensor '(?P<other>.*?)' not found",
        "{model} lacks a part that this llama.cpp needs: it is no complete language model, or was made for a newer one",
        "Choose another model, or a newer engine.version.",
    ),
    (
        r"failed to allocate|unable to allocate|out of memory|OutOfMemory|Insufficient Memory|std::bad_alloc",
        "there was not enough memory for {model} and its context",
        "Lower context_size or server.parallel, or choose a smaller model.",
    ),
    (
        r"error: invalid argument: (?P<argument>.*)",
        'this llama-server does not know the argument "{argument}"',
        "Correct it in server.arguments or in the arguments of the model.",
    ),
    (
        r"error while handling (argument|environment variable) \"(?P<argument>.*?)\": (?P<why>.*)",
        'llama-server refuses the value of "{argument}": {why}',
        "Correct it in server.arguments or in the arguments of the model.",
    ),
    (
        r"failed to (?:initialize router models|load models on startup): (?P<why>.*)",
        "llama-server refuses the list of models: {why}",
        "Correct the models in the configuration and run the play again.",
    ),
]

#: The same for what llama-server says in general behind a line that tells more: read only where no line does.
GENERAL_CAUSES = [
    (r"failed to read (magic|header|key-value pairs|tensor)", DAMAGED, INSTALL_AGAIN),
]
MODEL_LINE = re.compile(r"(?:loading model|failed to load model,) '(?P<model>.*)'")


def diagnose(lines):
    """The :class:`Cause` that the lines of a log give for the most recent start, or None when they tell none."""
    starts = [number for number, line in enumerate(lines) if any(start in line for start in STARTS)]
    lines = lines[starts[-1] :] if starts else lines
    model = next((found["model"] for found in map(MODEL_LINE.search, reversed(lines)) if found), "the model")
    for line, (pattern, cause, remedy) in _candidates(lines):
        found = re.search(pattern, line)
        if found:
            facts = {"model": model, **{name: value or "" for name, value in found.groupdict().items()}}
            return Cause(cause.format(**facts), remedy.format(**facts), line)
    return None


def _candidates(lines):
    """Every line with every row of the tables, the last line first."""
    for table in (CAUSES, GENERAL_CAUSES):
        yield from itertools.product(reversed(lines), table)


def explain(path, patience=IN_PROGRESS_SECONDS):
    """Cause, remedy and last lines as a block of text for an error; says so when they cannot be found.

    :param patience: seconds to look again while the log names no cause: the server may be in the middle of another
        start, which fails as the one before did.
    """
    cause = wait_until(lambda: diagnose(tail(path, SEARCHED_BYTES).splitlines()), patience)
    return f"{_told(cause) or 'The log names no cause that is known here.'}\n{quote_log(path, SHOWN_LINES)}"


@contextlib.contextmanager
def explaining(path, user=None):
    """Within, a service is started; its failure tells the cause too, if the server's log ``path`` has named one since.

    What was in the log before belongs to an earlier start. ``path`` may be None: then there is nothing to add.

    :param user: as whom root reads the log: see privileges.as_user.
    """
    before = as_user(user, _size, path)
    try:
        yield
    except LlamaCppError as error:
        told = as_user(user, _told_since, path, before)
        if not told:
            raise
        raise LlamaCppError("\n".join([str(error), *told])) from error


def _told_since(path, before):
    """The cause and the last lines of what the log ``path`` got since it had ``before`` bytes; empty for nothing."""
    written = tail(path, min(_size(path) - before, SEARCHED_BYTES)) if _size(path) > before else ""
    if not written.strip():
        return []
    cause = _told(diagnose(written.splitlines()))
    return [*([cause] if cause else []), quote_log(path, SHOWN_LINES)]


def _told(cause):
    return f"Cause: {cause.cause}.\n{cause.remedy}" if cause else ""


def _size(path):
    return os.path.getsize(path) if path and os.path.exists(path) else 0
