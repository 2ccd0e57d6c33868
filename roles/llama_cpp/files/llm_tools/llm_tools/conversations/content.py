# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The content of a message: text, or OpenAI's list of parts.

In a conversation, an image or a recording is its path and its SHA-256; a request holds its data.
"""

from __future__ import annotations

import base64
import hashlib
import os

from ..core.base.errors import LlamaCppError
from ..core.base.files import open_file

DATA_URL = "data:"


def text_of(content):
    """The text in ``content``; other parts appear as a note in brackets."""
    if content is None or isinstance(content, str):
        return content or ""
    return "\n\n".join(part.get("text") or f"[{name_of(part)}]" for part in content)


def name_of(part):
    """``image: /home/me/cat.png``"""
    kind = {"image_url": "image", "input_audio": "audio"}.get(part["type"], part["type"])
    address = (part.get("image_url") or {}).get("url", "")
    return f"{kind}: {part.get('path') or address.partition(';')[0] or 'not kept'}"


def kept(content):
    """``content`` as it is saved. A part may have ``path``, where its data comes from."""
    return content if content is None or isinstance(content, str) else [_kept(part) for part in content]


def _kept(part):
    image, audio = part.get("image_url"), part.get("input_audio")
    if image and image["url"].startswith(DATA_URL):
        head, _, data = image["url"][len(DATA_URL) :].partition(",")
        return media("image_url", part.get("path"), _sha256(data), media_type=head.partition(";")[0])
    if audio:
        return media("input_audio", part.get("path"), _sha256(audio["data"]), format=audio.get("format"))
    return part


def media(kind, path, sha256, **more):
    """An image or a recording as it is saved."""
    return {"type": kind, "path": path and os.path.abspath(path), "sha256": sha256, **more}


def _sha256(data):
    try:
        return hashlib.sha256(base64.b64decode(data)).hexdigest()
    except ValueError as error:
        raise LlamaCppError(f"an image or a recording cannot be saved: its data is not Base64 ({error}).") from None


def sendable(content):
    """``content`` for a request. Raises LlamaCppError if a file is not the one that was sent before."""
    return content if content is None or isinstance(content, str) else [_sendable(part) for part in content]


def _sendable(part):
    if "sha256" not in part:
        return part
    data = _data_of(part)
    if part["type"] == "image_url":
        return {"type": "image_url", "image_url": {"url": f"{DATA_URL}{part.get('media_type')};base64,{data}"}}
    return {"type": "input_audio", "input_audio": {"data": data, "format": part.get("format")}}


def _data_of(part):
    if not part.get("path"):
        raise LlamaCppError("an image or a recording of this conversation came from no file; start a new conversation.")
    try:
        with open_file(part["path"]) as stream:
            data = stream.read()
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    else:
        if hashlib.sha256(data).hexdigest() == part["sha256"]:
            return base64.b64encode(data).decode("ascii")
        why = "has changed"
    raise LlamaCppError(
        f"{part['path']}, which belongs to this conversation, {why}. Put it back, or start a new conversation."
    )
