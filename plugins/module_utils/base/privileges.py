# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Root without root's reach into what an ordinary user owns.

A module that a play runs as root touches only paths that root alone can change, and runs only programs that root alone
can change. Everything else happens as the user whom the play names: in a child process that gives root up for good
before it opens its first file. What such a child answers is data (JSON), never code, since that user can forge it.
docs/security.md lists what runs as root.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import socket
import stat
import tempfile
import weakref

from .errors import EXPECTED, LlamaCppError, in_words
from .strict_json import MOST_BYTES, parse
from .wait import wait_until

OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH

#: How long a deputy may say nothing. A self-test asks for minutes; but what a user has stopped says nothing for ever.
SILENT_SECONDS = 1800
ENDING_SECONDS = 5

#: What a deputy keeps of root's environment.
INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")

MOST_PLACES = 1000  # that links lead to in a circle, or nearly so


def is_root():
    return os.geteuid() == 0


def require_root_owned(path):
    """Raise LlamaCppError unless root alone can change what ``path`` is and leads to, as far as there is something.

    Every directory and every link on the way counts. A directory with the sticky bit may be writable by others: they
    cannot replace in it what is root's (man 2 unlink).
    """
    if not os.path.isabs(path):
        raise LlamaCppError(
            f'Root does not use "{path}", which is no absolute path. Nothing was changed. Give it whole.'
        )
    for there in _all_on_the_way(path):
        try:
            found = os.lstat(there)
        except (FileNotFoundError, NotADirectoryError):
            continue
        is_link, sticky = stat.S_ISLNK(found.st_mode), stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        if found.st_uid != 0 or (found.st_mode & OTHERS_MAY_WRITE and not (is_link or sticky)):
            raise LlamaCppError(
                f"Root does not use {path}: {there} can be changed by others than root. Nothing was changed. "
                "Use one that root alone can change, on a path that root alone can change."
            )


def _way_to(path):
    """``path`` and all directories above it."""
    path = os.path.abspath(path)
    while True:
        yield path
        if os.path.dirname(path) == path:
            return
        path = os.path.dirname(path)


def _all_on_the_way(path):
    """``path``, all above it, and the same of what each link among them leads to: maybe to another link."""
    found, left = {}, [path, os.path.realpath(path)]
    while left and len(found) < MOST_PLACES:
        way = [there for there in _way_to(left.pop()) if there not in found]
        found.update(dict.fromkeys(way))
        links = [there for there in way if os.path.islink(there)]
        left += [os.path.join(os.path.realpath(os.path.dirname(link)), os.readlink(link)) for link in links]
    return list(found)


def user_to_act_for(user, paths):
    """``user``, or None where root needs no other user: he is root, or None, and root's is all that ``paths`` lead to.

    :raises LlamaCppError: he is, and others can change one of the paths.
    """
    if not is_root() or (user is not None and _account(user).pw_uid != 0):
        return user
    for path in filter(None, paths):
        require_root_owned(path)
    return None


def refuse_foreign(directory):
    """Raise LlamaCppError when root is about to work in ``directory``, which is there and belongs to somebody else."""
    if not is_root() or not os.path.lexists(directory):
        return
    owners = [os.lstat(path).st_uid for path in (directory, os.path.realpath(directory)) if os.path.lexists(path)]
    if any(owners):
        name = _name(max(owners))
        raise LlamaCppError(
            f"{directory} belongs to {name}, and this runs as root, which does not work in what others own. "
            f"Nothing was changed. Run the play as {name}, without become: it becomes root where it has to."
        )


def _name(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def as_user(user, function, *arguments):
    """``function(*arguments)`` as ``user``; its value has to be JSON. Without root, or with None, it is simply called.

    What it changes of its arguments stays in the child.

    :raises LlamaCppError: what the function raised as one, with its text.
    """
    if user is None or not is_root():
        return function(*arguments)
    with Deputy(user, lambda _say: {"call": lambda: function(*arguments)}) as deputy:
        return deputy.ask("call")


class Deputy:
    """A process of ``user`` that does what it is asked, one thing at a time, until it is closed or root's process ends.

    :param user: the name of an ordinary user.
    :param make: called in that process with ``say``; returns name -> function. What a function gets and returns is
        JSON; each call of ``say(text)`` meanwhile arrives at ``on_say``.
    :param patience: seconds without a word after which it is given up: its user may have stopped it.
    """

    def __init__(self, user, make, on_say=lambda text: None, patience=SILENT_SECONDS):
        account = _account(user)
        if account.pw_uid == 0:
            raise LlamaCppError("Root acts for an ordinary user, and root is none. Nothing was changed.")
        self._user, self._on_say, self._patience = user, on_say, patience
        here, there = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            here.close()
            _live(account, there, make)
        there.close()
        here.settimeout(patience)
        self._channel = here.makefile("rw", encoding="utf-8")
        here.close()
        self._end = weakref.finalize(self, _end, self._channel, pid)  # once; at root's own end at the latest

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def close(self):
        """End the process, whatever holds it up."""
        self._end()

    def ask(self, name, *arguments):
        """What the function ``name`` returns.

        Raises LlamaCppError with what it raised, and when the process is gone, silent, or says what it cannot mean.
        """
        try:
            _send(self._channel, [name, arguments])
            for line in iter(lambda: self._channel.readline(MOST_BYTES + 1), ""):
                kind, value = parse(line, any_text=True)
                if kind == "value":
                    return value
                if kind == "error":
                    raise LlamaCppError(value)
                self._on_say(str(value))
        except socket.timeout:  # which is a TimeoutError from Python 3.10 on
            raise LlamaCppError(
                f"The process that acts for {self._user} has said nothing for {self._patience} s. See whether somebody "
                "has stopped it, or what it waits for, then run the play again."
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise LlamaCppError(f"The process that acts for {self._user} failed: {error}. Try again.") from None
        raise LlamaCppError(f"The process that acts for {self._user} has ended. Run the play again.")


def _end(channel, pid):
    with contextlib.suppress(OSError):
        channel.close()
    with contextlib.suppress(ChildProcessError):  # it was waited for, or this is another child
        if not wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0], ENDING_SECONDS, poll=0.005):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _account(user):
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise LlamaCppError(f"There is no user {user} on this host. Nothing was changed.") from None
    return account


def _live(account, there, make):
    """All that the child does."""
    try:
        _give_up_root(account)
        with there.makefile("rw", encoding="utf-8") as channel:
            functions = make(lambda text: _send(channel, ["say", text]))
            for line in channel:
                name, arguments = json.loads(line)
                _send(channel, _answer(functions[name], arguments))
    except (OSError, ValueError):
        pass  # root's process has ended
    finally:
        os._exit(0)


def _answer(function, arguments):
    try:
        return ["value", function(*arguments)]
    except EXPECTED as error:
        return ["error", in_words(error)]
    except Exception as error:  # whatever it is, root's process is to fail with it, and not to wait
        return ["error", f"{type(error).__name__}: {error}"]


def _send(channel, message):
    channel.write(json.dumps(message) + "\n")
    channel.flush()


def _give_up_root(account):
    """Become ``account`` for good: groups first, since only root may change them (man 2 setuid)."""
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    os.environ.clear()  # it goes to the user's programs
    os.environ.update(inherited, HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name)
    tempfile.tempdir = None  # root's may be closed to the user
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)  # where a module's result goes
