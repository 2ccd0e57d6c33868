# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Which options a llama-server binary knows, by its own ``--help``."""

from __future__ import annotations

import re

from ..base import commands
from ..base.errors import LlamaCppError
from ..base.text import did_you_mean

#: Options that were taken away without a trace, and what does their work today (llama.cpp at commit 0c1e570:
#: common/arg.cpp). Others are still declared, with a description that says so.
SUCCESSORS = {
    "--mlock": "--load-mode mlock",
    "--mmap": "--load-mode mmap",
    "--no-mmap": "--load-mode none",
    "--direct-io": "--load-mode dio",
}
REMOVED = re.compile(
    r"the argument has been removed\.\s*(?:use (?:the respective )?(.*?))?\s*(?:\(env:.*)?$", re.DOTALL
)

#: A line of the help that declares options: names, each perhaps with a value's name, before the description.
DECLARATION = re.compile(r"^(?:-{1,2}[A-Za-z0-9][\w-]*(?: [^\s,]+)?,\s+)*-{1,2}[A-Za-z0-9][\w-]*")
OPTION = re.compile(r"(?:^|[\s,])(-{1,2}[A-Za-z0-9][\w-]*)")


def declared(help_text):
    """Every option of a help text, as pairs (the names of one option, its description)."""
    names, description = [], []
    for line in help_text.splitlines():
        match = DECLARATION.match(line)
        if match:
            if names:
                yield names, "\n".join(description)
            names, description = OPTION.findall(match.group(0)), [line[match.end() :]]
        else:
            description.append(line.strip())
    if names:
        yield names, "\n".join(description)


def known_options(help_text):
    """What becomes of each option name, dashes included, that a help text declares.

    Returns a dict: None for an option that works, else what the help recommends instead of a removed one.
    """
    options = {}
    for names, description in declared(help_text):
        removed = REMOVED.search(description)
        instead = " ".join((removed.group(1) or "nothing").split()) if removed else None
        options.update(dict.fromkeys(names, instead))
    return options


def check(server, arguments):
    """Raise LlamaCppError, naming all of them, when ``arguments`` hold options that the binary ``server`` lacks."""
    help_text = commands.output_of([server, "--help"])
    known = known_options(help_text or "")
    if not known:
        raise LlamaCppError(f"{server} prints no help, so its options cannot be checked. Nothing was changed.")
    working = [name for name, instead in known.items() if instead is None]
    unknown = [word for word in arguments if word.startswith("--") and word not in working]
    if not unknown:
        return
    lines = ["%s does not know %d of the configured options; nothing was changed." % (server, len(unknown))]
    for option in unknown:
        instead = SUCCESSORS.get(option) or known.get(option)
        hint = f"; it was removed, use {instead}" if instead else did_you_mean(option, working, cutoff=0.7)
        lines.append(f"  {option}{hint}")
    lines.append("Correct server.arguments or the model's arguments, or choose another engine.version.")
    raise LlamaCppError("\n".join(lines))
