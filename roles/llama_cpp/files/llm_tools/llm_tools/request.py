# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The request for an answer, from the command line, a template, a conversation and the configuration, in this order."""

from __future__ import annotations

import argparse
from collections import namedtuple

from .errors import UsageError
from .prompt import content_of, read_text, text_of, without_paths
from .sampling import add_sampling, checked, sampling_of
from .user_files import conversations_dir, new_conversation_id, templates_dir

#: What the command line, a template, a conversation and the configuration say together: the conversation that goes on
#: (or None), the prompt (or ""), the system prompt (or None), the model (or None), the other keys of the request.
Beginning = namedtuple("Beginning", "conversation text system model options")


class Request:
    """What is sent, and what is saved of it.

    :ivar body: the body of the request.
    :ivar message: the user's message, as it is saved.
    :ivar conversation: the Conversation that goes on, or None until a new one is saved.
    :ivar conversation_id: what the conversation is called; None for a question that belongs to none.
    :param new: makes that; None: nothing is to be saved.
    """

    def __init__(self, body, message, conversation, new, conversation_id):
        self.body, self.message, self.conversation = body, message, conversation
        self.conversation_id = conversation_id
        self._new = new

    def save(self, answer):
        """Add the message and the ``answer`` to the conversation, which may be a new one.

        Raises LlamaCppError when that fails.
        """
        if not (answer.content or answer.reasoning or answer.tool_calls):
            return
        if self.conversation is None and self._new:
            self.conversation = self._new()
        if self.conversation is not None:
            self.conversation.append([self.message, answer.saved(self.body.get("model"))])


def add_request(parser):
    """The options that shape a request, besides its prompt."""
    parser.add_argument("-m", "--model", metavar="NAME", help="model to use (see: llm models)")
    parser.add_argument("-s", "--system", metavar="TEXT|@FILE", help="system prompt")
    parser.add_argument("-T", "--template", metavar="NAME", help="use a template (see: llm templates)")
    parser.add_argument(
        "-p",
        "--param",
        metavar="NAME=VALUE",
        action="append",
        type=parameter,
        default=[],
        help="value of a variable in the template; repeatable",
    )
    add_sampling(parser)
    parser.add_argument("--schema", metavar="FILE|JSON", help="JSON Schema that the answer must match")
    parser.add_argument("--tools", metavar="FILE|JSON", help="tools the model may call; its calls are printed, not run")


def add_conversation(parser):
    """The options that say which conversation goes on."""
    parser.add_argument("-c", "--continue", dest="last", action="store_true", help="continue the last conversation")
    parser.add_argument("--conversation", metavar="ID", help="continue this conversation (see: llm conversations)")
    parser.add_argument("--no-save", action="store_true", help="do not save the conversation")


def parameter(text):
    """(name, value) of ``NAME=VALUE``."""
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier():
        raise argparse.ArgumentTypeError(f'"{text}" is not NAME=VALUE')
    return name, value


def compose(environment, arguments):
    """The :class:`Request` of one prompt. Raises UsageError when something of it cannot be used."""
    conversation, text, system, model, options = begin(environment, arguments)
    message = {"role": "user", "content": content_of(environment, arguments, text)}
    past = conversation.request_messages() if conversation else as_messages(system)
    if conversation and system != conversation.system:
        past = [*as_messages(system), *(message for message in past if message["role"] != "system")]
    sent = {**message, "content": without_paths(message["content"])}
    body = {"messages": [*past, sent], **options, **({"model": model} if model else {})}
    if arguments.no_save:
        return Request(body, message, None, None, conversation and conversation.id)
    name = conversation.id if conversation else new_conversation_id()
    create = {"model": model, "system": system, "wanted_id": name}
    return Request(body, message, conversation, lambda: store(environment).create(**create), name)


def begin(environment, arguments):
    """The :class:`Beginning` of one or more answers. Raises UsageError when something of it cannot be used."""
    conversation = chosen_conversation(environment, arguments)
    text, system, options = text_of(environment, arguments), None, {}
    if arguments.template:
        text, system, options = rendered_template(environment, arguments, text)
    elif arguments.param:
        raise UsageError("-p is for a template, and there is no --template.")
    conversation = conversation if conversation and conversation.messages else None
    system = system_prompt(environment, arguments, system, conversation)
    model = arguments.model or options.pop("model", None)
    model = model or (conversation and conversation.model) or environment.default_model
    options = {**sampling_of(arguments, {**environment.section("client"), **options}), **extras(arguments)}
    return Beginning(conversation, text, system, model, options)


def rendered_template(environment, arguments, text):
    """(prompt, system prompt or None, keys of a request) that the template makes of ``text``."""
    from . import templates  # noqa: PLC0415 - few ask for one, and the commands have to start fast

    template = templates.load(templates_dir(environment.environ), arguments.template)
    prompt, system, options = templates.render(template, dict(arguments.param), text)
    return prompt, system, checked(options, template.path)


def extras(arguments):
    """The keys of a request for JSON, and for tools."""
    if not arguments.schema and not arguments.tools:
        return {}
    from . import schemas  # noqa: PLC0415 - few ask for one, and the commands have to start fast

    found = {}
    if arguments.schema:
        found["response_format"] = schemas.response_format(schemas.read(arguments.schema))
    if arguments.tools:
        found["tools"] = schemas.read_tools(arguments.tools)
    return found


def store(environment):
    """The conversations of the user."""
    from .conversations.store import Store  # noqa: PLC0415 - after the answer, which is not to wait for it

    return Store(conversations_dir(environment.environ))


def chosen_conversation(environment, arguments):
    """The conversation that is to go on, or None. Raises UsageError where there is none to continue."""
    if arguments.conversation:
        return store(environment).find(arguments.conversation)
    if not arguments.last:
        return None
    found = store(environment).latest()
    if found is None:
        raise UsageError("there is no conversation to continue.")
    return found


def system_prompt(environment, arguments, of_template=None, conversation=None):
    """The system prompt, or None for none: of the command line, else of the template, the conversation, the
    configuration."""
    given = arguments.system
    if given is not None:
        return (read_text(given[1:]) if given.startswith("@") else given) or None
    if of_template is not None:
        return of_template or None
    return conversation.system if conversation else environment.section("client").get("system_prompt")


def as_messages(system):
    """A system prompt as a list of no or one message."""
    return [{"role": "system", "content": system}] if system else []
