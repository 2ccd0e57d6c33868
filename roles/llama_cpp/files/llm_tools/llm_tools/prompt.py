# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a model is asked: words of the command line, text on stdin, files; images and sound for a multimodal model."""

from __future__ import annotations

import codecs
import os
import select

from .core.base.errors import in_words
from .errors import UsageError

WAITING_NOTICE_SECONDS = 2.0

#: What a file begins with -> its media type (https://mimesniff.spec.whatwg.org). llama-server decodes these.
IMAGES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"BM": "image/bmp"}
SOUNDS = {b"RIFF": "wav", b"ID3": "mp3", b"\xff\xfb": "mp3", b"\xff\xf3": "mp3", b"\xff\xf2": "mp3"}

MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def add_text(parser, what="the text"):
    """The words of a text and the files that are put before it."""
    parser.add_argument("words", metavar="WORD", nargs="*", help=f"{what}; text on stdin is put before it")
    parser.add_argument(
        "-f", "--file", metavar="FILE", action="append", default=[], help="put a text file before it; repeatable"
    )


def add_prompt(parser):
    """The words of a prompt and the options that add to it."""
    add_text(parser, "the prompt")
    parser.add_argument("--image", metavar="FILE", action="append", default=[], help="add an image; repeatable")
    parser.add_argument(
        "--audio", metavar="FILE", action="append", default=[], help="add sound, a WAV or MP3 file; repeatable"
    )


def content_of(environment, arguments, text):
    """The prompt ``text`` as the ``content`` of a message: itself, or a list of parts when there are images or sound.

    Raises UsageError when it is empty, or something of it cannot be read.
    """
    media = [*map(image_part, arguments.image), *map(audio_part, arguments.audio)]
    if not text and not media:
        raise UsageError(f'no prompt given. Try: {environment.program} "What is the capital of France?"')
    return [{"type": "text", "text": text}, *media] if media else text


def text_of(environment, arguments):
    """The text of files, then of stdin, then of words, with blank lines between; it may be empty."""
    parts = [*map(read_text, arguments.file), text_on_stdin(environment), " ".join(arguments.words)]
    return printable_utf8("\n\n".join(part for part in parts if part.strip()))


def required_text(environment, arguments, example):
    """:func:`text_of`; raises UsageError with ``example``, a command line without the program, when it is empty."""
    text = text_of(environment, arguments)
    if not text:
        raise UsageError(f"no text given. Try: {environment.program} {example}")
    return text


def text_on_stdin(environment):
    """What comes through a pipe or from a file; nothing from a terminal."""
    if environment.stdin is None or environment.is_terminal(environment.stdin):
        return ""
    if not select.select([environment.stdin], [], [], WAITING_NOTICE_SECONDS)[0]:
        environment.say(f"{environment.program}: waiting for text on stdin (use < /dev/null for none)")
    return decoded(environment.stdin.buffer.read(), "stdin").rstrip("\n")


def read_text(path):
    """The text of the file ``path``. Raises UsageError when it cannot be read or is no text."""
    try:
        with open(path, "rb") as stream:
            return decoded(stream.read(), path).rstrip("\n")
    except OSError as error:
        raise UsageError(in_words(error, "cannot be read", path)) from error


def decoded(content, source):
    """The text of ``content``, which must be UTF-8. Raises UsageError, which names what it is instead."""
    mark = next((mark for mark in MARKS if content.startswith(mark)), None)
    remedy = "Convert it to UTF-8: iconv -f {0} -t UTF-8"
    if mark:
        raise UsageError(f"{source} is {MARKS[mark]} text. {remedy.format(MARKS[mark])}")
    if b"\0" in content:
        raise UsageError(f"{source} is binary data, not text (byte {content.index(bytes(1))} is 0).")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{source} is not UTF-8 text (byte {error.start}). {remedy.format('ISO-8859-1')}, or what it is in."
        ) from None


def printable_utf8(text):
    """``text`` without halves of characters, which words that were not UTF-8 are made of."""
    return text.encode("utf-8", "replace").decode("utf-8")


def image_part(path):
    """The image in the file ``path``, as a part of a message (OpenAI's chat completions) with its ``path``."""
    data, kind = _media(path, IMAGES, "PNG, JPEG, GIF or BMP image")
    url = f"data:{kind};base64,{data}"
    return {"type": "image_url", "image_url": {"url": url}, "path": os.path.abspath(path)}


def audio_part(path):
    """The sound in the file ``path``, as a part of a message with its ``path``."""
    data, kind = _media(path, SOUNDS, "WAV or MP3 file")
    sound = {"data": data, "format": kind}
    return {"type": "input_audio", "input_audio": sound, "path": os.path.abspath(path)}


def without_paths(content):
    """``content`` as it is sent: where its media lie on this machine is not the server's to know."""
    if isinstance(content, str):
        return content
    return [{key: value for key, value in part.items() if key != "path"} for part in content]


def _media(path, kinds, wanted):
    """(the content of a file as base64, which of ``kinds`` it is)"""
    import base64  # noqa: PLC0415 - few have media, and the commands have to start fast

    try:
        with open(os.path.expanduser(path), "rb") as stream:
            content = stream.read()
    except OSError as error:
        raise UsageError(in_words(error, "cannot be read", path)) from error
    kind = next((kind for start, kind in kinds.items() if content.startswith(start)), None)
    if kind is None:
        raise UsageError(f"{path} is no {wanted}.")
    return base64.b64encode(content).decode(), kind
