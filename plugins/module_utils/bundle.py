# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One archive with everything that an installation needs, for hosts without any network.

A plain tar, so that any part is found without unpacking the rest:

``bundle.json``                what is in it and for which hosts; the first member
``engine/<release>/…``         a release, as engine.py lays it out
``models/<filename>``          models
``wheels/*.whl``               the Python packages of the commands and of the service
``licenses/…``                 the licences of all that
``llm_config.json``            the configuration that it was made from
``SHA256SUMS``                 the hash of every other member, in sha256sum's format; the last one
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import platform
import tarfile
import tempfile

from .errors import LlamaCppError
from .files import CHUNK_BYTES, make_directories, open_own
from .progress import byte_counter
from .strict_json import MOST_BYTES, parse

FACTS, SUMS = "bundle.json", "SHA256SUMS"
FORMAT = 1


def this_platform():
    """What a bundle must have been made on to be installed here."""
    return {"system": platform.system(), "machine": platform.machine()}


class Bundle:
    """The bundle in the file ``path``. Raises LlamaCppError when there is none, or one for other hosts.

    ``facts``  ``platform``; ``python``, the version that the wheels are for; ``release``, the name of the engine's;
               ``models``, by filename: ``sha256``, ``bytes``, ``origin`` and ``revision`` as in stamps.py
    """

    def __init__(self, path):
        self.path = path
        self.facts = read_facts(path)
        if self.facts is None:
            raise LlamaCppError(
                f"llama_cpp_bundle: {path} is not there or is no bundle. Nothing was changed. Copy the bundle to this "
                "host, or make one where an installation works: ansible-playbook playbooks/bundle.yml"
            )
        if self.facts["platform"] != this_platform():
            words = "{system} on {machine}"
            raise LlamaCppError(
                f"llama_cpp_bundle: {path} was made for {words.format(**self.facts['platform'])}, and this host is "
                f"{words.format(**this_platform())}. Nothing was changed. Make a bundle on a host of this kind."
            )

    def extract(self, folder, directory):
        """Write all files of ``folder`` (such as ``wheels``) below ``directory``, which is there, and verify them."""
        with tarfile.open(self.path, "r:") as archive:
            sums = self._sums(archive)
            for member in archive:
                if not member.isfile() or not member.name.startswith(folder + "/"):
                    continue
                parts = member.name[len(folder) + 1 :].split("/")
                if ".." in parts or "" in parts:
                    raise self._damaged(member.name)
                target = os.path.join(directory, *parts)
                make_directories(os.path.dirname(target))
                self._copy(archive, member, target, sums)

    def extract_file(self, name, target, on_bytes=None):
        """Write the file ``name`` of the bundle to ``target`` and verify it; ``on_bytes(count)`` follows that."""
        with tarfile.open(self.path, "r:") as archive:
            self._copy(archive, archive.getmember(name), target, self._sums(archive), on_bytes)

    def _sums(self, archive):
        try:
            lines = archive.extractfile(SUMS).read().decode().splitlines()
        except KeyError:
            raise self._damaged(SUMS) from None
        return {name: digest for digest, _blank, name in (line.partition("  ") for line in lines)}

    def _copy(self, archive, member, target, sums, on_bytes=None):
        digest = hashlib.sha256()
        # Anew, and not through a link: what the name stands for may be somebody else's.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
        with os.fdopen(open_own(target, os.O_WRONLY | os.O_EXCL), "wb") as stream:
            for chunk in _chunks(archive.extractfile(member)):
                stream.write(chunk)
                digest.update(chunk)
                if on_bytes:
                    on_bytes(len(chunk))
        os.chmod(target, 0o755 if member.mode & 0o100 else 0o644)
        if digest.hexdigest() != sums.get(member.name):
            os.unlink(target)
            raise self._damaged(member.name)

    def _damaged(self, name):
        return LlamaCppError(
            f"{self.path} is damaged: {name} is not what its {SUMS} says. It was not installed, and what served before "
            "is unchanged. Copy the bundle anew, then run the play again."
        )


def read_facts(path):
    """The facts of the bundle ``path``, read from its first member; None when there is no such bundle."""
    try:
        with tarfile.open(path, "r:") as archive:
            first = archive.next()
            if first is None or first.name != FACTS:
                return None
            facts = parse(archive.extractfile(first).read(MOST_BYTES + 1))
    except (OSError, tarfile.TarError, ValueError):
        return None
    return facts if isinstance(facts, dict) and facts.get("format") == FORMAT else None


def pack(path, facts, texts, files, progress):
    """Write the bundle ``path`` in one step.

    :param facts: what :class:`Bundle` tells as its facts.
    :param texts: name in the bundle -> text.
    :param files: name in the bundle -> path of the file; links are followed.
    """
    on_bytes = byte_counter(progress, "packing", sum(os.path.getsize(file) for file in files.values()))
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=f".{os.path.basename(path)}.")
    try:
        with os.fdopen(handle, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as archive:
            facts = json.dumps(facts, indent=2, sort_keys=True) + "\n"
            sums = {name: _add_text(archive, name, text) for name, text in {FACTS: facts, **texts}.items()}
            for name, file in sorted(files.items()):
                sums[name] = _add_file(archive, name, file, on_bytes)
            _add_text(archive, SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


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
        member.size, member.mode, member.mtime = status.st_size, status.st_mode & 0o777, int(status.st_mtime)
        hashed = _Hashed(stream, on_bytes)
        archive.addfile(member, hashed)
    return hashed.digest.hexdigest()


def _chunks(stream):
    return iter(lambda: stream.read(CHUNK_BYTES), b"")
