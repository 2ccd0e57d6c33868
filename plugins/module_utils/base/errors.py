# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The failures this collection expects, told in words its owner can act on."""

from __future__ import annotations

import errno
import sys


class LlamaCppError(Exception):
    """Something the owner can put right.

    The text says what is wrong, where, what was and was not changed, and what to do next. Modules hand it
    to ``fail_json``, commands print it on stderr; neither adds a traceback.
    """


#: What a module or command may end with and tell :func:`in_words`.
EXPECTED = (LlamaCppError, OSError)

_AGAIN = ", then run the same again."
_RIGHT = "Run it as a user who may do that (become), or give this user the right to."
_IN_THE_WAY = "Something else stands there: move it away" + _AGAIN
_GONE = "The disk that it lies on does not answer: connect it again" + _AGAIN

#: What to do about a fault of the system: the cause decides, not what was being done.
REMEDIES = {
    errno.ENOSPC: "The disk is full: make room on it" + _AGAIN,
    errno.EDQUOT: "The user's quota is used up: make room, or have it raised" + _AGAIN,
    errno.EROFS: "The disk is mounted read-only: mount it for writing, or choose a directory on another one" + _AGAIN,
    errno.EIO: "The disk itself reports an error: check it (macOS: Disk Utility; Linux: dmesg) before it is used on.",
    errno.EFBIG: "The file system does not take files of that size: choose a directory on another disk" + _AGAIN,
    errno.EACCES: _RIGHT,
    errno.EPERM: _RIGHT,
    errno.EMFILE: "Too many files are open: raise the limit (ulimit -n)" + _AGAIN,
    errno.ENFILE: "Too many files are open on this machine: end what holds them" + _AGAIN,
    errno.ENAMETOOLONG: "Choose a shorter directory" + _AGAIN,
    errno.ELOOP: "Links lead there in a circle: remove one of them" + _AGAIN,
    errno.EEXIST: _IN_THE_WAY,
    errno.EISDIR: _IN_THE_WAY,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.ENOTEMPTY: _IN_THE_WAY,
    errno.ENXIO: _GONE,
    errno.ENODEV: _GONE,
    errno.ESTALE: _GONE,
}


def in_words(error, what="", path=None):
    """An EXPECTED failure as people are told it.

    :param what: of an OSError, what could not be done with the file, such as ``cannot be written``.
    :param path: that file, where the error does not name it.
    """
    if not isinstance(error, OSError):
        return str(error)
    subject = " ".join(filter(None, (str(error.filename or path or ""), what)))
    cause = error.strerror or str(error) or type(error).__name__
    return " ".join(filter(None, (f"{subject}: {cause}." if subject else f"{cause}.", REMEDIES.get(error.errno))))


#: Of an unhandled exception: its text may be as long as what it quotes.
TOLD_CHARACTERS = 8192


def tell_briefly():
    """Print an unhandled exception in a bounded number of characters, its beginning and its end.

    For a program that a service manager starts again and again, whose log would grow with each start.
    """
    sys.excepthook = _told


def _told(kind, error, trace):
    import traceback  # noqa: PLC0415 - only here, and the commands have to start fast

    told = "".join(traceback.format_exception(kind, error, trace))
    half = TOLD_CHARACTERS // 2
    if len(told) > TOLD_CHARACTERS:
        told = f"{told[:half]}\n… {len(told) - 2 * half} characters left out …\n{told[-half:]}"
    sys.stderr.write(told)
