# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Which options a llama-server binary knows, by its own ``--help``."""

from __future__ import annotations

import re
from typing import NamedTuple

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

#: In what stands before the description, columns wide and then blank, the last name is followed by that of its value.
#: A longer one has the line for itself (common_arg::to_string in common/arg.cpp).
DECLARATION_COLUMNS, DESCRIPTION_COLUMN = 37, 40

#: A word of a command line that is an option and no value.
LONG_OPTION = re.compile("--[A-Za-z][A-Za-z0-9._-]*")

#: An option that takes a value in every llama-server: where the help does not say so, it is written in another form.
SURELY_WITH_VALUE = "--port"


class Option(NamedTuple):
    """One option as a help text declares it."""

    names: list  # dashes included
    value: str  # the name of its value, or its choices; empty for one that takes none
    description: str

    @property
    def instead(self):
        """None for an option that works, else what the help recommends instead of a removed one."""
        removed = REMOVED.search(self.description)
        return " ".join((removed.group(1) or "nothing").split()) if removed else None


def declared(help_text):
    """Every :class:`Option` of a help text."""
    found = None
    for line in help_text.splitlines():
        match = DECLARATION.match(line)
        if match:
            if found:
                yield found
            alone = line[DECLARATION_COLUMNS:DESCRIPTION_COLUMN].strip()
            end = len(line) if alone else min(len(line), DESCRIPTION_COLUMN)
            names, value = OPTION.findall(match.group(0)), line[match.end() : end].strip()
            found = Option(names, value, line[end:])
        elif found:
            found = found._replace(description=f"{found.description}\n{line.strip()}")
    if found:
        yield found


def known_options(help_text):
    """The :class:`Option` of each name, dashes included, that a help text declares, as a dict."""
    return {name: option for option in declared(help_text) for name in option.names}


def check(server, arguments):
    """Raise LlamaCppError, naming all of them, when ``arguments`` hold options that the binary ``server`` lacks."""
    help_text = commands.output_of([server, "--help"])
    known = known_options(help_text or "")
    if not known:
        raise LlamaCppError(f"{server} prints no help, so its options cannot be checked. Nothing was changed.")
    problems = list(dict.fromkeys(_problems(known, arguments)))
    if not problems:
        return
    lines = ["%s does not accept %d of the configured options; nothing was changed." % (server, len(problems))]
    lines += [f"  {problem}" for problem in problems]
    lines.append("Correct server.arguments or the model's arguments, or choose another engine.version.")
    raise LlamaCppError("\n".join(lines))


def _problems(known, arguments):
    working = [name for name, option in known.items() if option.instead is None]
    tells_values = SURELY_WITH_VALUE in known and known[SURELY_WITH_VALUE].value
    for word, following in zip(arguments, [*arguments[1:], "--"]):
        if not LONG_OPTION.fullmatch(word):
            continue
        has_value = not (following == "--" or LONG_OPTION.fullmatch(following))
        if word not in working:
            instead = SUCCESSORS.get(word) or (known[word].instead if word in known else None)
            unknown = "it is unknown" + did_you_mean(word, working, cutoff=0.7)
            yield f"{word}: it was removed, use {instead}" if instead else f"{word}: {unknown}"
        elif tells_values and known[word].value and not has_value:
            yield f"{word}: it takes a value, {known[word].value}, and was given none (true)"
        elif tells_values and not known[word].value and has_value:
            yield f'{word}: it takes no value, and was given "{following}"; set it to true'
