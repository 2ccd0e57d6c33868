# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The commands: their names, their files, and what people are told of them."""

from __future__ import annotations

import posixpath

from ansible_collections.macos_setup.llm.plugins.module_utils.shells import completion
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import simonw
from ansible_collections.macos_setup.llm.plugins.plugin_utils.rendering import HEAD, SCRIPT, render
from ansible_collections.macos_setup.llm.plugins.plugin_utils.role_files import read

#: The command that is the client under a name that never clashes, and the one that is not the client.
CLIENT, MANAGER = "llm-client", "llm-manager"

#: What stands for the name of the command in a man page of the role.
PROGRAM = "@PROGRAM@"


def names(client):
    """The names of all commands; ``client`` is that section of the configuration."""
    return list(dict.fromkeys((client["command"], CLIENT, MANAGER)))


def files(plan):
    """The commands and the files that go with them, as options of the module file_set."""
    found = []
    for name in plan["commands"]:
        python = posixpath.join(plan["paths"]["tools_dir"], "venv", "bin", "python")
        found.append(launcher(plan["paths"], name, python, MANAGER if name == MANAGER else "llm"))
        found += companions(name, plan["paths"]["share_dir"])
    return found


def launcher(paths, name, python, program):
    """The file of the command ``name``, by which ``python`` runs ``program``, ``llm`` or MANAGER."""
    command = {
        "config": paths["client_config"],
        "python": python,
        "library": posixpath.join(paths["tools_dir"], "lib"),
        "program": program,
    }
    content = render("launcher.sh.j2", command=command)
    return {"dest": posixpath.join(paths["bin_dir"], name), "content": content, **SCRIPT}


def companions(name, share):
    """The completion scripts and the man page of the command ``name``, below the directory ``share``."""
    scripts = [
        {"dest": posixpath.join(share, place.format(name)), "content": completion.script(shell, name, HEAD)}
        for shell, place in completion.PLACES.items()
    ]
    return [*scripts, {"dest": posixpath.join(share, "man", "man1", f"{name}.1"), "content": _man_page(name)}]


def _man_page(name):
    comment = "".join(f'.\\" {line}\n' for line in HEAD.splitlines())
    page = read(f"man/{MANAGER if name == MANAGER else 'llm'}.1")
    return comment + page.replace(PROGRAM, name.replace("-", "\\-"))


def question(plan):
    """What the host is asked about them: the options ``commands`` of host_info."""
    share = plan["paths"]["share_dir"]
    return {
        "directory": plan["paths"]["bin_dir"],
        "names": {name: [file["dest"] for file in companions(name, share)] for name in plan["commands"]},
        "zsh": _zsh_directory(plan),
        "blocks": plan["file_sets"]["tools"]["blocks"],
        "system": plan["host"]["system"],
    }


def _zsh_directory(plan):
    return posixpath.dirname(posixpath.join(plan["paths"]["share_dir"], completion.PLACES["zsh"]))


def without(file_set, withheld):
    """``file_set`` without the files and blocks that are ``withheld``, which are in places of others."""
    files = [file for file in file_set["files"] if file["dest"] not in withheld]
    blocks = {path: items for path, items in file_set["blocks"].items() if path not in withheld}
    return {**file_set, "files": files, "blocks": blocks}


def notes(plan, found, are_new):
    """Sentences for people about the commands.

    :param found: the answer of the host to :func:`question`.
    :param are_new: whether something of them is installed in this run.
    """
    login = found["login"] or {"runs": {}, "path_line": None, "completes": True}
    met = [name for name in plan["commands"] if found["others"][name]]
    told = [_of_others(plan, name, found, login["runs"].get(name)) for name in met]
    told += [f"{path} {why}." for path, why in found["left_out"].items()]
    told += simonw.notes(plan, found["simonw"])
    if login["path_line"]:
        told.append(_not_searched(plan, login))
    if are_new and not login["completes"]:
        told.append(
            f"{login['shell']} completes the commands once this line is in ~/.zshrc, in place of another call of "
            f"compinit: fpath=({_zsh_directory(plan)} $fpath); autoload -Uz compinit && compinit"
        )
    return told


def _of_others(plan, name, found, runs):
    """What is said of a program of others that has the name of a command."""
    bin_dir, path = plan["paths"]["bin_dir"], found["foreign"][name] or found["others"][name][0]
    alone = f"{path} is not part of this collection and is left alone"
    if not found["foreign"][name]:
        own = posixpath.join(bin_dir, name)
        return f'{alone}. "{name}" runs {runs or "the one that comes first in the PATH"}; the client here is {own}.'
    remedy = 'Use "llm-client" instead, or choose another name with client.command.'
    if name in (CLIENT, MANAGER):
        remedy = "Move it away and run the play again to have it."
    typed = f' "{name}" runs {runs}.' if runs and runs != path else ""
    return f'{alone}, so "{name}" is not installed in {bin_dir}.{typed} {remedy}'


def _not_searched(plan, login):
    directory, (file, line) = plan["paths"]["bin_dir"], login["path_line"]
    return (
        f"{directory} is not in the PATH of {login['shell']}, your login shell, so the commands need their full path "
        f"({posixpath.join(directory, CLIENT)}). To change that, add this line to {file}: {line}"
    )
