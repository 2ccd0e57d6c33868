# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Programs of the host: found, run, and their failures explained."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess

from .addresses import redacted
from .errors import LlamaCppError
from .text import last_lines

#: Where programs live that a non-login shell over SSH does not find: Homebrew on Apple silicon and on Intel
#: (docs/macos.md), and per-user installations.
FURTHER_DIRECTORIES = ("/opt/homebrew/bin", "/usr/local/bin", "~/.local/bin")

OUTPUT_LINES = 15
LONGEST_LINE = 1000  # of each, in characters

#: What programs make (compilers, pip, unpackers) everybody may read and only we may write, whichever user runs it.
UMASK = 0o022

#: Where all of them run. The user who runs the play may be in a directory that others write to, and ``python -m`` takes
#: modules from the one it is started in, uv its configuration from there and above.
DIRECTORY = "/"


class CommandFailed(LlamaCppError):
    """A program could not be run, or failed."""


def search_path(first=()):
    """The directories in which programs are looked for, as a PATH: ``first``, the environment's, then the usual."""
    further = [os.path.expanduser(directory) for directory in FURTHER_DIRECTORIES]
    inherited = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([*first, *inherited, *further]))


def find(name, first=()):
    """The absolute path of the program ``name``, or None."""
    found = shutil.which(name, path=search_path(first))
    return found and os.path.abspath(found)


def python_beside(script):
    """The Python of the virtual environment, or of the system, whose console script ``script`` is."""
    names = [os.path.join(os.path.dirname(script), name) for name in ("python", "python3")]
    return next((name for name in names if os.access(name, os.X_OK)), names[0])


def starting(program):
    """The words that start ``program``, by its Python where it is a console script of a virtual environment.

    Where the path of that is long or holds a blank, the first line of a script is one for /bin/sh, which expands
    whatever stands in the path.
    """
    environment = os.path.dirname(os.path.dirname(program))
    if os.path.exists(os.path.join(environment, "pyvenv.cfg")) and _is_script(program):
        return [python_beside(program), program]
    return [program]


def _is_script(program):
    with contextlib.suppress(OSError), open(program, "rb") as stream:
        return stream.read(2) == b"#!"
    return False


def output_of(command, timeout=60, environment=None):
    """What ``command`` (a list) printed, stdout and stderr together, or None when it could not run or failed.

    :param environment: all its environment variables; None: those of this process.
    """
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=DIRECTORY,
            umask=UMASK,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def quote_end(output, count=OUTPUT_LINES):
    """The last lines of ``output``, indented, for the end of an error message; no address in it keeps a secret."""
    return "\n".join("  " + redacted(line)[:LONGEST_LINE] for line in last_lines(output, count))


def check(command, what, remedy="", on_line=None, environment=None, inherit=()):
    """Run ``command`` to its end and return its output; ``on_line(line)`` sees every line as it comes.

    Raises CommandFailed ("<what> failed ... <remedy>") with the last lines of the output. When ``on_line``
    raises, the command and everything it started are ended first. ``inherit`` lists file descriptors, such as
    that of a lock, that the command and its children keep open.
    """
    try:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
            pass_fds=inherit,
            cwd=DIRECTORY,
            umask=UMASK,
        )
    except OSError as error:
        raise CommandFailed(f"{what} could not start: {command[0]}: {error.strerror}. {remedy}") from None
    lines = []
    try:
        for line in process.stdout:
            lines.append(line.decode("utf-8", "replace").rstrip("\n"))
            del lines[:-2000]
            if on_line:
                on_line(lines[-1])
        code = process.wait()
    except BaseException:
        _end_session(process)
        raise
    output = "\n".join(lines)
    if code != 0:
        said = f"{what} failed (exit status {code}). {remedy}".rstrip()
        raise CommandFailed(f"{said}\n{quote_end(output)}")
    return output


def _end_session(process):
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return
