# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Files and directories that are never seen half-written, never reached through a stranger's link, and open to nobody
by the grace of a umask; and locks that tell who has them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pwd
import stat
import tempfile
import time

from . import processes
from .errors import LlamaCppError
from .json_form import misfit
from .strict_json import MOST_BYTES, parse

CHUNK_BYTES = 1024 * 1024

#: The facts of :func:`identity`.
IDENTITY = ("size", "mtime_ns", "inode")

#: How long a lock is waited for by who says nothing meanwhile, and by who does.
SILENT_SECONDS, PATIENT_SECONDS = 10, 6 * 3600


def make_directories(path, mode=0o755):
    """Make the directory ``path`` with ``mode``, and what is missing above it with 0755, whatever the umask.

    A directory that is there keeps its mode. Raises OSError.
    """
    if not path or os.path.isdir(path):
        return
    make_directories(os.path.dirname(path))
    try:
        os.mkdir(path, mode)  # a umask only takes away from it
    except FileExistsError:
        if not os.path.isdir(path):  # otherwise another process was faster
            raise
        return
    set_mode(path, mode)


def set_mode(directory, mode):
    """Give ``directory`` the ``mode``, and nothing that a link leads to which somebody put in its place by now."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def identity(path):
    """What changes when the file ``path`` does, or another takes its place: facts by name, of the file behind a link.

    A file of tens of gigabytes need not be read again while they are the same. Raises OSError.
    """
    status = os.stat(path)
    return dict(zip(IDENTITY, (status.st_size, status.st_mtime_ns, status.st_ino)))


def why_not_own(path):
    """Why what stands at ``path`` is no file or directory of this user, in words; None if it is, or nothing is there.

    A link is never our own: it leads wherever somebody else wants. So is a file with a second name.
    """
    try:
        return _why_not_own(os.lstat(path), path)
    except FileNotFoundError:
        return None


def _why_not_own(status, path):
    if stat.S_ISLNK(status.st_mode):
        return "is a link"
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return "is neither a file nor a directory"
    if status.st_uid != os.geteuid() and status.st_uid != _uid_of_ours(os.path.dirname(path)):
        return "belongs to " + _user(status.st_uid)
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        return "has a second name (a hard link)"
    return None


def _uid_of_ours(directory):
    """To whom a file belongs that this process makes in ``directory``: a share may give it to somebody else."""
    try:
        with tempfile.TemporaryFile(dir=directory) as probe:
            return os.fstat(probe.fileno()).st_uid
    except OSError:
        return os.geteuid()


def _user(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def require_private(directory):
    """Raise LlamaCppError if ``directory`` is there and is not this user's own, closed to the writing of others."""
    why = why_not_own(directory)
    if why is None and os.path.lexists(directory):
        mode = stat.S_IMODE(os.lstat(directory).st_mode)
        if not os.path.isdir(directory):
            why = "is no directory"
        elif mode & 0o022:
            why = f"can be written by others (mode {mode:04o})"
    if why:
        raise LlamaCppError(
            f"{directory} {why}, so nothing in it can be trusted. It was not touched. See what it is, remove it, then "
            f"run the same again: ls -ld '{directory}'"
        )


def open_own(path, flags, mode=0o644):
    """A descriptor of this user's own file ``path``, made if it is not there; it has ``mode``, whatever the umask.

    :param flags: those of ``os.open``; not O_TRUNC, which would empty a file before it is known whose it is.
    :raises LlamaCppError: a link, or a file of somebody else, stands there. It was not touched.
    :raises OSError:
    """
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as error:
        why = why_not_own(path) if error.errno in (errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENXIO) else None
        if why is None:
            raise
        raise _not_own(path, why) from None
    status = os.fstat(descriptor)
    why = _why_not_own(status, path)
    if why:
        os.close(descriptor)
        raise _not_own(path, why)
    if stat.S_IMODE(status.st_mode) != mode:
        os.fchmod(descriptor, mode)
    return descriptor


def _not_own(path, why):
    return LlamaCppError(
        f"{path} {why}, and a file of this name is about to be written. It was not touched. See what it is, remove it, "
        f"then run the same again: ls -l '{path}'"
    )


def write_atomically(path, content, mode=0o644):
    """Replace ``path`` with ``content`` (bytes, or text): after a crash either the old or the new one stands there."""
    directory = os.path.dirname(path) or "."
    handle, temporary = tempfile.mkstemp(dir=directory, prefix=f".{os.path.basename(path)}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)  # and not what may stand under its name by now
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_json_atomically(path, value, mode=0o644):
    """Like :func:`write_atomically`, for a JSON document that people read too."""
    write_atomically(path, json.dumps(value, indent=2, sort_keys=True) + "\n", mode)


def open_file(path, buffering=-1):
    """A stream of the bytes of ``path``. Raises OSError where no file is: a pipe there would be waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EEXIST, "It is no file", path)  # whose remedy fits
    return open(descriptor, "rb", buffering)


def read_file(path):
    """The bytes in ``path``. Raises OSError, also where it is larger than anything of ours that is read as a whole."""
    with open_file(path) as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise OSError(errno.EINVAL, f"It has more than {MOST_BYTES} bytes", path)
    return content


def read_json(path, form=None):
    """The JSON document in ``path``, or None when there is none or it cannot be used (base/strict_json.py).

    :param form: what it has to be (base/json_form.py) to be of use.
    """
    try:
        found = parse(read_file(path))
    except (OSError, ValueError):
        return None
    return None if form is not None and misfit(found, form) else found


def sha256_of(path, on_bytes=None):
    """The SHA-256 of a file as 64 hex digits; ``on_bytes(count)`` is called for every chunk read."""
    digest = hashlib.sha256()
    with open_file(path) as stream:
        for chunk in iter(lambda: stream.read(CHUNK_BYTES), b""):
            digest.update(chunk)
            if on_bytes:
                on_bytes(len(chunk))
    return digest.hexdigest()


@contextlib.contextmanager
def exclusive(path, on_wait=None, timeout=None, poll=0.5):
    """Hold the lock file ``path`` while the block runs; the kernel drops it with the process.

    Yields the file descriptor of the lock. A child process that inherits it keeps the lock until it ends too.
    ``on_wait(holder)`` is called at every poll while another process has it: its number and its command, as text that
    goes behind the word "process". Who gives none has little patience, since it is not told what is waited for.
    Raises LlamaCppError when the lock is still taken after ``timeout`` seconds, or is not this user's own file.

    The file is closed to others (0600): a lock can be held by every user who may open it.
    """
    if timeout is None:
        timeout = PATIENT_SECONDS if on_wait else SILENT_SECONDS
    deadline = time.monotonic() + timeout
    descriptor = open_own(path, os.O_RDWR, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = _holder(descriptor, path)
                if time.monotonic() > deadline:
                    raise LlamaCppError(
                        "%s is still held by process %s after %d s. Wait for that process or stop it, "
                        "then run the same again." % (path, holder, timeout)
                    ) from None
                if on_wait:
                    on_wait(holder)
                time.sleep(poll)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, (processes.identity(os.getpid()) or str(os.getpid())).encode("ascii"), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def lock_owner(path):
    """The process that has noted itself in the lock file ``path`` and still runs, as its number; else None.

    By number and start: a later process with the same number is another one.
    """
    if why_not_own(path):
        return None
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return _noted(stream.read(200))
    except OSError:
        return None


def _noted(text):
    pid = text.partition(" ")[0]
    return int(pid) if pid.isdigit() and processes.identity(int(pid)) == text.strip() else None


def _holder(descriptor, path):
    told = os.pread(descriptor, 200, 0).decode("ascii", "replace")
    pid = processes.lock_holder(os.fstat(descriptor).st_ino) or _noted(told)
    return f"{pid} ({processes.command(pid)})" if pid else f"unknown (to see which: lsof '{path}')"
