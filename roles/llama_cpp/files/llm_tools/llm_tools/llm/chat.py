# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm chat``: a conversation at the terminal. Without one, what comes on stdin is one prompt."""

from __future__ import annotations

from ..answer import INTERRUPTED
from ..arguments import add_timeout, add_wait
from ..chat import repl
from ..chat.session import Session
from ..exit_codes import ExitCode
from ..prompt import add_prompt, audio_part, content_of, image_part
from ..request import add_conversation, add_request

SUMMARY = (
    "Talk with the model: prompts and answers in turn, with a line editor, files, and conversations that are kept."
)
EXAMPLES = (
    "%(prog)s chat",
    '%(prog)s chat "Let us plan a journey."',
    "%(prog)s chat -c",
    '%(prog)s chat -m qwen3 -s "You answer in Esperanto."',
)


def add_arguments(parser):
    add_prompt(parser)
    add_request(parser)
    add_conversation(parser)
    parser.add_argument("--raw", action="store_true", help="do not render Markdown")
    add_wait(parser)
    add_timeout(parser, 600, "time out after this many seconds without data from the server")


def run(environment, arguments):
    session = Session(environment, arguments)
    if not session.interactive:
        session.send(content_of(environment, arguments, session.text), session.text)
        if session.answer.finish_reason == INTERRUPTED:
            return ExitCode.INTERRUPTED
        return ExitCode.SUCCESS if session.leave() else ExitCode.FAILURE
    if arguments.words or arguments.template:
        return repl.run(session, content_of(environment, arguments, session.text))
    session.texts = [session.text] if session.text else []
    session.media = [*map(image_part, arguments.image), *map(audio_part, arguments.audio)]
    return repl.run(session)
