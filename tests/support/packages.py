# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Makes small Python packages and points pip and uv at them instead of at an index."""

import hashlib
import io
import tarfile
import zipfile


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def environment(directory):
    """Environment variables under which pip and uv know the files in ``directory`` and nothing else."""
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(directory),
        "PIP_CONFIG_FILE": "/dev/null",
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(directory),
        "UV_NO_CONFIG": "1",
    }


def make_wheel(directory, name, version, code="", files=None):
    """A wheel with the module ``name`` and with ``files`` (path in it -> bytes); returns its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / (f"{name}-{version}-py3-none-any.whl")
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name + ".py", code)
        for inside, content in (files or {}).items():
            archive.writestr(inside, content, zipfile.ZIP_DEFLATED)
        archive.writestr(info + "/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(info + "/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(info + "/RECORD", "")
    return path


def make_sdist(directory, name, version, files):
    """A source distribution with ``files`` (relative path -> text); returns its path."""
    directory.mkdir(parents=True, exist_ok=True)
    root = "{}-{}".format(name.replace("-", "_"), version)
    path = directory / (root + ".tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        for relative, text in {"PKG-INFO": metadata, **files}.items():
            member = tarfile.TarInfo(f"{root}/{relative}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path
