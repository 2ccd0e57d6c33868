# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The state of a chat, and how it asks."""

from __future__ import annotations

from .. import schemas
from ..answer import INTERRUPTED, Answer
from ..conversations.conversation import as_sent, prepared
from ..core.base.errors import LlamaCppError
from ..core.llama.readiness import offered_models
from ..model_names import check_purpose, context_of, requested_model, told_context
from ..prompt import printable_utf8
from ..request import as_messages, begin, store
from ..streaming import stream
from ..waiting import when_ready
from .files import with_files
from .keys import Keys
from .transcript import Transcript

LOOK_SECONDS = 5.0
#: Of the context: when less is left, it is said after each answer.
LITTLE = 0.2


class Session:
    """A chat.

    :ivar text: what the command line, stdin and a template say together, the first prompt.
    :ivar model: the name of the model that is asked, None for the server's own.
    :ivar system: the system prompt or None.
    :ivar options: the keys of each request besides its messages and the model.
    :ivar interactive: whether there is a terminal to type at.
    :ivar texts, media: what the next prompt brings along: fenced files, and parts of a message.
    :ivar answer: the last Answer.
    :ivar failed: the message that got no answer and whether it was to replace the last exchange, or None.
    :ivar ended: whether the user wants no more.
    """

    def __init__(self, environment, arguments):
        beginning = begin(environment, arguments)
        self.environment = environment
        self.interactive = environment.is_terminal(environment.stdin)
        self.system = beginning.system
        self.options = beginning.options
        self.model = beginning.model
        self._named = self.model if arguments.model or arguments.template else None  # and not known to exist
        self.text = beginning.text
        self.store = store(environment)
        self.transcript = Transcript(beginning.conversation or self.store.create(), not arguments.no_save)
        self.texts, self.media = [], []
        self.answer = self.failed = None
        self.ended = False
        self._timeout, self._wait = arguments.timeout, arguments.wait
        self._schema = schemas.read(arguments.schema) if arguments.schema else None
        self._raw = bool(arguments.raw or arguments.schema)
        self._contexts = {}  # sizes by models
        self._not_saved = self._notice = self._keys = None
        self.server()

    def server(self):
        """The server; each time anew, so that a key that was put right counts."""
        return self.environment.server(self._timeout).in_conversation(self.transcript.conversation.id)

    def start_anew(self, conversation=None):
        """Go on with ``conversation``, its model and system prompt, or begin a new one."""
        self.leave()
        self.transcript = Transcript(conversation or self.store.create(), self.transcript.saves)
        if conversation:
            self.system, self.model, self._named = conversation.system, conversation.model or self.model, None
        self.texts, self.media, self.answer, self.failed, self._not_saved = [], [], None, None, None

    def leave(self):
        """Save what is not saved yet; returns whether that is done, and tells why it is not."""
        try:
            self.transcript.leave()
        except LlamaCppError as error:
            self.environment.say(str(error))
        return not self.transcript.unsaved

    def choose_model(self, wanted):
        """Ask this model from now on. Raises UsageError where there is none such for chat."""
        model = requested_model(self.environment, self.server(), wanted)
        check_purpose(self.environment, model)
        self.model, self._named = model, None

    def prompt(self, text):
        """Ask ``text``, together with the files it names and those that were added before."""
        files, rest = with_files(printable_utf8(text))
        content = "\n\n".join([*self.texts, *files, rest])
        if self.media:
            content = [{"type": "text", "text": content}, *self.media]
        self.send(content, rest)

    def send(self, content, title):
        """Ask ``content``, of a message; a new conversation gets the beginning of ``title`` as its title."""
        self.transcript.suggest_title(title)
        self.texts, self.media = [], []
        self.ask(prepared({"role": "user", "content": content}))

    def ask(self, message, replace=False):
        """Have ``message``, as it is saved, answered; shows the answer, and adds both to the conversation.

        Ctrl-C stops the answer; what there is of it counts. Raises LlamaCppError where there is none, or only a part.

        :param replace: put both in the place of the last exchange.
        """
        self.failed, self._notice = (message, replace), None
        self.answer = answer = Answer()
        server = self.server()
        keyboard = self.environment.stdin if self.interactive else None
        with Keys(keyboard, lambda: self._end_reasoning(server, answer)) as self._keys:
            try:
                self._stream(server, message, replace, answer)
            except KeyboardInterrupt:
                answer.finish_reason = INTERRUPTED
        if self._notice:
            self.environment.say(self._notice)
        if answer.content or answer.tool_calls:
            self.failed = None
            self._add([message, answer.saved(self.model)], replace)
            self._tell_context(answer)
        if answer.finish_reason == INTERRUPTED:
            self.environment.say("Stopped." if self.failed is None else "Stopped. Ask again: /retry", colour="dim")
        else:
            answer.require_complete(self.options.get("max_tokens"), "/set max_tokens=NUMBER")
            if self._schema:
                schemas.check_answer(self.environment, answer.content, self._schema)

    def take_typed(self):
        """What was typed while the model answered; the next time nothing."""
        keys, self._keys = self._keys, None
        return keys.typed if keys else ""

    def context(self):
        """The size of the context in tokens, or None where the server does not tell it."""
        if self.model not in self._contexts:
            self._contexts[self.model] = context_of(self.server().within(LOOK_SECONDS), self.model)
        return self._contexts[self.model]

    def offered(self):
        """The names of the models for chat that the server has. Raises LlamaCppError."""
        names = {entry["id"] for entry in offered_models(self.server().within(LOOK_SECONDS)).values()}
        return sorted(
            name for name in names if self.environment.elsewhere or self.environment.purpose_of(name) == "chat"
        )

    def _stream(self, server, message, replace, answer):
        environment = self.environment
        if self._named:
            when_ready(environment, server, lambda: self.choose_model(self._named), self._wait)
        check_purpose(environment, self.model)
        messages = [*self.transcript.before(replace), message]
        body = {**self.options, "messages": [*as_messages(self.system), *map(as_sent, messages)]}
        if self.model:
            body["model"] = self.model
        if self.interactive and not environment.elsewhere:  # others may refuse an unknown key
            body["reasoning_control"] = True

        def ask():
            stream(environment, server, body, self._raw, answer)

        try:
            with told_context(environment, server, self.model):
                when_ready(environment, server, ask, self._wait, self.model)
        except LlamaCppError:
            self._contexts.clear()  # it may be another server that is started again
            raise

    def _tell_context(self, answer):
        """Say how much of the context is left when it is little."""
        prompt, _cached, produced = answer.token_counts()
        context = self.context() if self.interactive and prompt else None
        if context and context - prompt - produced < LITTLE * context:
            left = max(0, context - prompt - produced)
            self.environment.say(f"{left} of {context} tokens are left in the context.", colour="dim")

    def _end_reasoning(self, server, answer):
        """Have the model answer at once; called in another thread."""
        if answer.id and answer.reasoning and not answer.content:
            try:
                server.within(LOOK_SECONDS).end_reasoning(answer.id, self.model)
            except LlamaCppError as error:
                self._notice = f"The reasoning could not be ended: {error}"

    def _add(self, messages, replace):
        try:
            self.transcript.add(messages, replace, model=self.model, system=self.system)
            why = None
        except LlamaCppError as error:
            why = f"{error}\nThe conversation goes on; it will be tried again after the next answer."
        if why and why != self._not_saved and self.interactive:
            self.environment.say(why)
        elif self._not_saved and not why:
            self.environment.say("The conversation is saved.")
        self._not_saved = why
