# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One archive with everything that an installation needs, for hosts without any network.

A plain tar, so that any part is found without unpacking the rest:

``bundle.json``                what is in it and for which hosts; the first member
``engine/<release>/…``         a release, as engine/release.py lays it out
``models/<filename>``          models
``wheels/*.whl``               the Python packages of the commands and of the service
``licenses/…``                 the licences of all that
``llm_config.json``            the configuration that it was made from
``SHA256SUMS``                 the hash of every other member, in sha256sum's format; the last one

What it says of itself is in offline/facts.py; here are the bytes. They are hashed while they are packed, and while they
are unpacked: what ``SHA256SUMS`` and ``bundle.json`` say is compared with them, never taken for them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import stat
import tarfile
import tempfile

from ..base.errors import LlamaCppError
from ..base.files import CHUNK_BYTES, open_own
from ..base.progress import byte_counter
from ..ownership.file_tree import FileTree
from . import facts as bundle_facts
from .facts import FACTS, SUMS, Malformed, this_platform

#: What tarfile raises for damage of every kind; MemoryError stands for a size that only a header claims.
DAMAGE = (tarfile.TarError, EOFError, ValueError, OverflowError, MemoryError, RecursionError)

LARGEST_READ = 4 * CHUNK_BYTES  # more is asked for only where a header lies about its own length


class Bundle:
    """The bundle in the file ``path``. Raises LlamaCppError when there is none, or one that is not sound or for others.

    ``facts``  what :func:`bundle_facts.checked` tells
    """

    def __init__(self, path):
        require_absolute(path)
        self.path = path
        with self._opened() as opened:
            self.facts = opened.facts
        if self.facts["platform"] != this_platform():
            words = "{system} on {machine}"
            raise LlamaCppError(
                f"llama_cpp_bundle: {path} was made for {words.format(**self.facts['platform'])}, and this host is "
                f"{words.format(**this_platform())}. Nothing was changed. Make a bundle on a host of this kind."
            )

    def extract(self, folder, directory):
        """Write all files of ``folder`` (such as ``wheels``) below ``directory``, which is empty, and verify them."""
        tree = FileTree(directory, self.path)
        with self._opened(self.facts) as opened:
            for name in opened.below(folder):
                executable = bool(opened.members[name].mode & stat.S_IXUSR)
                tree.file(name[len(folder) + 1 :], opened.verified(name), executable)

    def extract_file(self, name, target, on_bytes=None):
        """Write the file ``name`` of the bundle to ``target`` and verify it; ``on_bytes(count)`` follows that.

        A file that is there is replaced.
        """
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
        try:
            with self._opened(self.facts) as opened, open(open_own(target, os.O_WRONLY | os.O_EXCL), "wb") as stream:
                for chunk in opened.verified(name, on_bytes):
                    stream.write(chunk)
                stream.flush()
                os.fsync(stream.fileno())
        except LlamaCppError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(target)
            raise

    def is_whole(self, progress):
        """Whether all its bytes are what it says; reads all of it."""
        try:
            with self._opened(self.facts) as opened:
                total = sum(member.size for member in opened.members.values())
                on_bytes = byte_counter(progress, "verifying", total)
                for name in opened.sums:
                    for _chunk in opened.verified(name, on_bytes):
                        pass
        except LlamaCppError:
            return False
        return True

    @contextlib.contextmanager
    def _opened(self, facts=None):
        """The _Opened bundle, which still has the ``facts`` of an earlier look."""
        try:
            with _Stream(self.path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
                opened = _Opened(archive)
                if facts not in (None, opened.facts):
                    raise Malformed("it was changed meanwhile")
                yield opened
        except _NoBundle:
            raise LlamaCppError(
                f"llama_cpp_bundle: {self.path} is not there or is no bundle. Nothing was changed. Copy the bundle to "
                "this host, or make one where an installation works: ansible-playbook playbooks/bundle.yml"
            ) from None
        except OSError as error:
            raise LlamaCppError(
                f"llama_cpp_bundle: {error.filename or self.path} cannot be read or written: {error.strerror}. "
                "What served before is unchanged."
            ) from None
        except DAMAGE as error:
            reason = error if isinstance(error, Malformed) else f"it is cut off or no sound tar ({error})"
            raise LlamaCppError(
                f"llama_cpp_bundle: {self.path} is damaged: {reason}. It was not installed, and what served before is "
                "unchanged. Copy the bundle anew or make it anew (ansible-playbook playbooks/bundle.yml), then run the "
                "play again."
            ) from None


class _NoBundle(Exception):
    """There is nothing that was ever a bundle."""


class _Stream(io.BufferedReader):
    """A file to be read as a tar. A header that claims to be gigabytes long is damage, not a reason to load them."""

    def __init__(self, path):
        # Not waiting for anybody who writes, should it be a pipe.
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            raise _NoBundle from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _NoBundle
        super().__init__(io.FileIO(descriptor))

    def read(self, size=-1):
        if size is None or not 0 <= size <= LARGEST_READ:
            raise tarfile.ReadError("a part of it claims an impossible size")
        return super().read(size)


class _Opened:
    """A bundle while it is open: its ``facts``, its ``members`` and their ``sums``, both by name.

    All of them are known, and fit together, before the first is used. Raises Malformed or another kind of DAMAGE.
    """

    def __init__(self, archive):
        self._archive = archive
        first = archive.next()
        if first is None or first.name != FACTS:
            raise _NoBundle
        found = itertools.chain([first], iter(archive.next, None))
        self.members = bundle_facts.members_by_name(found, os.fstat(archive.fileobj.fileno()).st_size)
        self.facts = bundle_facts.checked(self._text(FACTS))
        self.sums = bundle_facts.sums(self._text(SUMS))
        bundle_facts.require_fit(self.facts, self.members, self.sums)

    def below(self, folder):
        return [name for name in self.sums if name.startswith(folder + "/")]

    def verified(self, name, on_bytes=None):
        """The content of a member, in chunks; raises Malformed after the last when they are not what the sums say."""
        digest = hashlib.sha256()
        for chunk in _chunks(self._archive.extractfile(self.members[name])):
            digest.update(chunk)
            yield chunk
            if on_bytes:
                on_bytes(len(chunk))
        if digest.hexdigest() != self.sums[name]:
            raise Malformed(f"{name} is not what its {SUMS} says")

    def _text(self, name):
        member = self.members.get(name)
        if member is None:
            raise Malformed(f"it has no {name}")
        if member.size > bundle_facts.LONGEST_TEXT:
            raise Malformed(f"its {name} is {member.size} bytes long")
        return self._archive.extractfile(member).read().decode()


def require_absolute(path):
    """Raise LlamaCppError for a path that depends on a working directory."""
    if not os.path.isabs(path):
        raise LlamaCppError(f'llama_cpp_bundle: "{path}" is not an absolute path on the host. Nothing was changed.')


def intact_facts(path, wanted, progress):
    """The facts of the bundle ``path``; None when there is none, or it says what is ``wanted`` and is damaged.

    Raises LlamaCppError for a file that never was a bundle: a new one would take its place.
    """
    try:
        found = Bundle(path)
    except LlamaCppError:
        if os.path.lexists(path) and not _begins_like_one(path):
            raise LlamaCppError(
                f"llama_cpp_bundle: {path} is there and is no bundle, so it was left as it is. Remove it, or name "
                "another file, then run this again."
            ) from None
        return None
    return found.facts if found.facts != wanted or found.is_whole(progress) else None


def _begins_like_one(path):
    name = FACTS.encode() + b"\0"
    try:
        with _Stream(path) as stream:
            return stream.read(len(name)) == name
    except _NoBundle:
        return False


def pack(path, facts, texts, files, progress, expected=None):
    """Write the bundle ``path`` in one step.

    :param facts: what :class:`Bundle` tells as its facts.
    :param texts: name in the bundle -> text.
    :param files: name in the bundle -> path of the file; links are followed.
    :param expected: name in the bundle -> the SHA-256 that the file had when it was installed.
    :raises LlamaCppError: a file is not what it was.
    """
    on_bytes = byte_counter(progress, "packing", sum(os.path.getsize(file) for file in files.values()))
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=f".{os.path.basename(path)}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w") as archive:
                facts = json.dumps(facts, indent=2, sort_keys=True) + "\n"
                sums = {name: _add_text(archive, name, text) for name, text in {FACTS: facts, **texts}.items()}
                for name, file in sorted(files.items()):
                    sums[name] = _add_file(archive, name, file, on_bytes)
                    if (expected or {}).get(name, sums[name]) != sums[name]:
                        raise _rotten(file, expected[name], sums[name])
                _add_text(archive, SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


def _rotten(path, expected, found):
    return LlamaCppError(
        f"{path} is not what it was when it was installed and verified, so there is no bundle of it.\n"
        f"  installed  sha256 {expected}\n  found      sha256 {found}\n"
        "Something has written to it, or the disk has lost it. Remove it and run the play macos_setup, which brings it "
        "back, then run this again."
    )


class _Hashed:
    """A file that hashes what is read of it."""

    def __init__(self, stream, on_bytes):
        self._stream, self._on_bytes = stream, on_bytes
        self.digest = hashlib.sha256()

    def read(self, size):
        chunk = self._stream.read(size)
        self.digest.update(chunk)
        self._on_bytes(len(chunk))
        return chunk


def _add_text(archive, name, text):
    content = text.encode()
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
    return hashlib.sha256(content).hexdigest()


def _add_file(archive, name, path, on_bytes):
    with open(path, "rb") as stream:
        status = os.fstat(stream.fileno())
        member = tarfile.TarInfo(name)
        member.size, member.mtime = status.st_size, int(status.st_mtime)
        member.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        hashed = _Hashed(stream, on_bytes)
        archive.addfile(member, hashed)
    return hashed.digest.hexdigest()


def _chunks(stream):
    return iter(lambda: stream.read(CHUNK_BYTES), b"")
