# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The variables of a role, each of the type that its argument specification names.

``-e name=value`` always gives text, an INI inventory gives text or what Python makes of it, and Ansible's own check of
the specification only asks whether a value could be converted. So every variable is converted here, once, before any
task looks at one.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import yaml
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.macos_setup.llm.plugins.module_utils.base import strict_json
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.text import did_you_mean
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.load import listed, shown

ROLES = Path(__file__).resolve().parents[2] / "roles"
SERVER, GATEWAY, WORKER = "llama_cpp", "llama_cpp_gateway", "llama_cpp_rpc_worker"
PREFIX = SERVER + "_"

DAY = 86400

#: What no specification can say: the range of a whole number.
RANGES = {
    "llama_cpp_ready_timeout": (1, DAY),
    "llama_cpp_gateway_port": (1, 65535),
    "llama_cpp_gateway_statistics_port": (1, 65535),
    "llama_cpp_gateway_requests_per_minute": (1, 1_000_000),
    "llama_cpp_gateway_parallel": (1, 1_000_000),
    "llama_cpp_gateway_queue": (1, 1_000_000),
    "llama_cpp_gateway_max_request_bytes": (16 * 1024, 256 * 1024 * 1024),
    "llama_cpp_gateway_max_connections": (10, 1_000_000),
    "llama_cpp_gateway_request_timeout": (1, DAY),
    "llama_cpp_gateway_queue_timeout": (1, DAY),
    "llama_cpp_gateway_answer_timeout": (1, DAY),
    "llama_cpp_gateway_check_interval": (1, 3600),
    "llama_cpp_gateway_keep_up": (0, 1_000_000),
    "llama_cpp_gateway_drain_timeout": (0, DAY),
    "llama_cpp_rpc_worker_port": (1, 65535),
    "llama_cpp_rpc_worker_ready_timeout": (1, DAY),
}

#: Variables with a secret somewhere inside, which no error shows.
SECRETS = {"llama_cpp_gateway_clients"}

#: Variables of the playbooks, which Ansible reads before the role does; a text that means nothing is refused here too.
OF_PLAYBOOKS = {"llama_cpp_stop_at_failure": {"type": "bool"}}

WANTED = {
    "bool": "true or false (also yes or no, on or off, 1 or 0)",
    "int": "a whole number",
    "str": "text",
    "path": "a path in one line",
    "dict": "an object, or one as JSON text",
    "list": "a list, or one as JSON text",
}


class Unsuitable(ValueError):
    """A value that is not, and does not stand for, one of the wanted type."""


@functools.cache
def options(role=SERVER):
    """What the specifications of ``role`` say of each variable, by its name; those without a default too."""
    specification = ROLES / role / "meta" / "argument_specs.yml"
    entry_points = yaml.safe_load(specification.read_text(encoding="utf-8"))["argument_specs"].values()
    return {name: option for entry_point in entry_points for name, option in entry_point.get("options", {}).items()}


def typed_all(given, role=SERVER):
    """Every variable of ``role`` as a dict of its name, without the prefix, to its value; None where it is left out.

    :param given: name -> value, as the host of the play has them; what is missing or null has its default.
    :raises LlamaCppError: with every variable that cannot be used, and what is allowed.
    """
    values, wrong = {}, []
    for name, option in {**options(role), **(OF_PLAYBOOKS if role == SERVER else {})}.items():
        value, default = given.get(name), _default(option, role)
        if value is None:
            value = default
        try:
            values[name.removeprefix(role + "_")] = None if value is default is None else typed(value, name, option)
        except Unsuitable as error:
            wrong.append(f"  {name}: {error}")
    if wrong:
        lines = ["Variables that cannot be used; nothing was changed.", *wrong, "Correct them and run the play again."]
        raise LlamaCppError("\n".join(lines))
    return values


def _default(option, role):
    """The default of a variable, with the path of the role in it, which only the role itself could fill in."""
    default = option.get("default")
    return default.replace("{{ role_path }}", str(ROLES / role)) if isinstance(default, str) else default


def with_settings(values):
    """``values`` of :func:`typed_all` with the settings that have a variable of their own among the overrides."""
    settings = load.load_schema()["properties"]["llm_settings"]["properties"]
    given = {key: values[key] for key in settings if values[key] is not None}
    return {**values, "overrides": load.merge(values["overrides"], {"llm_settings": given} if given else {})}


def engine_alone(values):
    """``values`` of :func:`with_settings` that ask for the engine of a worker, and nothing else that the role
    installs."""
    alone = {"download_models": False, "setup_service": False, "install_client_tools": False}
    asked = {
        "feature_flags": {"install_llama_cpp": True, **alone},
        "server": {"rpc_workers": []},
        "engine": {"rpc": True},
    }
    return {**values, "overrides": load.merge(values["overrides"], asked), "state": "present"}


def typed(value, name, option):
    """``value`` of the variable ``name`` as its ``option`` of the specification wants it. Raises Unsuitable."""
    kind = option["type"]
    least, most = RANGES.get(name, (strict_json.SMALLEST, strict_json.LARGEST))
    try:
        found = CONVERSIONS[kind](value)
    except (TypeError, ValueError) as error:
        raise Unsuitable(_refusal(value, name, f"expected: {WANTED[kind]}{_why(error)}")) from None
    flaws = strict_json.flaws(found, most_bytes=load.MOST_BYTES)
    if flaws:
        path, what = flaws[0]
        raise Unsuitable(f"{strict_json.dotted(path)}: {what}" if path else what)
    choices = option.get("choices")
    if choices and found not in choices:
        raise Unsuitable(_refusal(value, name, f"expected: {listed(choices)}{did_you_mean(found, choices)}"))
    if kind == "int" and not least <= found <= most:
        raise Unsuitable(_refusal(value, name, f"expected: a whole number from {least} to {most}"))
    return found


def _refusal(value, name, wanted):
    try:
        words = shown(value, secret=name in SECRETS or load.is_secret((name,)))
    except (TypeError, ValueError, RecursionError):  # JSON has no word for it, or it is too long or too deep
        words = f"a {strict_json.kind_of(value)}"
    return f"{words} is not allowed; {wanted}"


def _why(error):
    return f" ({error})" if isinstance(error, strict_json.NotStrict) else ""


def _bool(value):
    if isinstance(value, str) and not value.isascii():
        raise ValueError
    return boolean(value)


def _int(value):
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,%d}" % strict_json.MOST_DIGITS, value, re.ASCII):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise ValueError
    return int(value)


def _str(value):
    """Text; of a number, which an INI inventory makes of digits, what was written there."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError
    return str(value)


def _path(value):
    path = _str(value)
    if re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", path):  # as in the schema
        raise ValueError
    return path


def _of_json(kind):
    def convert(value):
        found = strict_json.parse_syntax(value, load.MOST_BYTES) if isinstance(value, str) else value
        if not isinstance(found, kind):
            raise ValueError
        return found

    return convert


CONVERSIONS = {"bool": _bool, "int": _int, "str": _str, "path": _path, "dict": _of_json(dict), "list": _of_json(list)}
