# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The shells complete both commands: what the commands reply, and what three real shells make of it."""

import os
import shlex
import shutil
from pathlib import Path

import pytest
from llm_tools import cli, llm, manager
from llm_tools.conversations.store import Store
from llm_tools.core.shells.completion import script
from llm_tools.user_files import conversations_dir, templates_dir
from support.commands import TOOLS
from support.terminal import Terminal

MODELS = [{"name": "qwen3-0.6b", "description": "small: and good"}, {"name": "qwen3-4b"}, {"name": "vectors"}]


def reply(commands, program, *words):
    """First line of the reply, and the candidates behind it."""
    commands.config["models"] = MODELS
    done = commands.run(program, "__complete", *words)
    assert (done.returncode, done.stderr) == (0, "")
    kind, *lines = done.stdout.splitlines()
    return kind, [line.partition("\t")[0] for line in lines]


def test_every_command_and_every_option_is_offered(commands):
    for name, program in (("llm", llm), ("llm-manager", manager)):
        assert reply(commands, name, "") == ("words", list(program.COMMANDS))
        for command in program.COMMANDS:
            actions = cli.build_parser(name, program, command)._actions
            spellings = [spelling for action in actions for spelling in action.option_strings]
            assert reply(commands, name, command, "-") == ("words", spellings)


@pytest.mark.parametrize(
    "program, words, offered",
    [
        ("llm", ["mod"], ["models"]),
        ("llm", ["help", "heal"], ["health"]),
        ("llm", ["--mode", "heal"], ["health"]),
        ("llm", ["--mode", "embed", "--form"], ["--format"]),
        ("llm", ["--vers"], ["--version"]),
        ("llm", ["--syst"], ["--system"]),
        ("llm", ["-m", "q"], ["qwen3-0.6b", "qwen3-4b"]),
        ("llm", ["load", ""], ["qwen3-0.6b", "qwen3-4b", "vectors"]),
        ("llm", ["load", "vectors", ""], []),
        ("llm", ["embed", "--format", "js"], ["json", "jsonl"]),
        ("llm", ["embed", "--format=js"], ["--format=json", "--format=jsonl"]),
        ("llm", ["ask", "--temperature", ""], []),
        ("llm", ["ask", "--", "-"], []),
        ("llm", ["Why is the sky", "bl"], []),
        ("llm", ["conversations", "exp"], ["export"]),
        ("llm", ["conversations", "import", "s"], ["simonw-llm"]),
        ("llm", ["conversations", "rename", "x", "My ti"], []),
        ("llm", ["conversations", "nonsense", ""], []),
        ("llm", ["templates", "list", ""], []),
        ("llm-manager", ["resta"], ["restart"]),
        ("llm-manager", ["nonsense", ""], []),
        ("llm-manager", ["rollback", ""], []),
    ],
)
def test_what_is_offered(commands, program, words, offered):
    assert reply(commands, program, *words) == ("words", offered)


def test_names_of_what_the_user_saved(commands, tmp_path):
    _command, environment = commands._prepared("llm", (), None)
    (tmp_path / "config" / "llm-client" / "templates").mkdir(parents=True)
    templates = templates_dir(environment)
    Path(templates, "translate.txt").write_text("Translate.")
    for words in (["-T", "tr"], ["templates", "show", ""]):
        assert reply(commands, "llm", *words) == ("words", ["translate"])
    conversation = Store(conversations_dir(environment)).create()
    conversation.append([{"role": "user", "content": "Why?"}])
    for words in (["--conversation", ""], ["conversations", "delete", "one", ""]):
        assert reply(commands, "llm", *words) == ("words", [conversation.id])


@pytest.mark.parametrize("words", [["ask", "-f", ""], ["--image", "x"], ["conversations", "import", "aichat", ""]])
def test_names_of_files_are_left_to_the_shell(commands, words):
    assert reply(commands, "llm", *words) == ("files", [])


def test_a_configuration_that_cannot_be_read_is_no_noise(commands):
    done = commands.run("llm", "__complete", "-m", "", environ={"LLAMA_CPP_CLIENT_CONFIG": "/nowhere"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "words\n", "")


# Real shells. What is typed is run in the end, and tells what the shell has made of it.

#: Shell -> the options that leave out the files of its user.
SHELLS = {"bash": "--norc --noprofile -i", "zsh": "-f -i", "fish": "--no-config -i"}
#: How the script gets into the shell: printed by the command, or found in the directory that the play installs it in.
COMPINIT = "autoload -Uz compinit && compinit -u -D"
LOADED = [
    ("bash", 'eval "$(llm completion bash)"'),
    ("zsh", f'{COMPINIT} && eval "$(llm completion zsh)"'),
    ("zsh", f"fpath=($PWD/scripts $fpath); {COMPINIT}"),
    ("fish", "llm completion fish | source"),
    ("fish", "set -p fish_complete_path $PWD/scripts"),
]


@pytest.fixture
def typed(commands, tmp_path):
    """``typed(shell, load, line)``: the words that a real shell runs when ``line``, with its tabs, is typed at it.

    It has done ``load`` before.
    """
    commands.config["models"] = MODELS
    _command, environment = commands._prepared("llm", (), {"HOME": str(tmp_path), "TERM": "xterm", "LC_ALL": "C.UTF-8"})
    ran = tmp_path / "ran"
    (tmp_path / "bin").mkdir()
    start = " ".join(map(shlex.quote, [commands.python, "-I", "-S", str(TOOLS)]))
    for name in ("llm", "llm-manager"):
        (tmp_path / "bin" / name).write_text(
            f'#!/bin/sh\ncase "$1" in __complete|completion) exec {start} {name} "$@" ;; esac\n'
            f'printf "%s\\n" "$@" > {ran}.new && mv {ran}.new {ran}\n'
        )
        (tmp_path / "bin" / name).chmod(0o755)
    environment.update(PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}", PS1="$ ")
    (tmp_path / "scripts").mkdir()
    for shell, name in (("zsh", "_llm"), ("fish", "llm.fish")):
        (tmp_path / "scripts" / name).write_text(script(shell, "llm", "Of the play\nin two lines"))

    def typed(shell, load, line):
        with Terminal([shell, *SHELLS[shell].split()], environment) as terminal:
            for keys in (f"cd {shlex.quote(str(tmp_path))} && {load} && llm ready\r", line + "\r"):
                ran.unlink(missing_ok=True)
                terminal.type(keys)
                terminal.wait_for(lambda _window: ran.exists())
        return ran.read_text().splitlines()

    return typed


@pytest.mark.processes
@pytest.mark.parametrize("shell, load", LOADED)
def test_a_real_shell_completes(typed, shell, load, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} on this machine")
    (tmp_path / "my notes.txt").write_text("")
    line = "llm emb\t--li\t--format=b\t-f my\t-m qwen3-4\tend"
    assert typed(shell, load, line) == [
        *("embed", "--lines", "--format=binary"),
        *("-f", "my notes.txt", "-m", "qwen3-4b", "end"),
    ]
