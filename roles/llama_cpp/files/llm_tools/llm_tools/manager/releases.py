# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager releases``: the builds of llama.cpp on this machine."""

from __future__ import annotations

from ..arguments import add_json
from ..core.engine import store
from ..core.service.rollout import record_in
from ..errors import UsageError
from ..exit_codes import ExitCode

SUMMARY = "List the installed releases of llama.cpp."
EXAMPLES = ("%(prog)s releases", "%(prog)s releases --json")


def add_arguments(parser):
    add_json(parser, "the releases")


def run(environment, arguments):
    found = list(described(rollback_settings(environment)["rollout"]))
    if arguments.json:
        environment.write_json(found)
    else:
        environment.write_table(
            [(entry["name"], words(entry), "green" if entry["current"] else None) for entry in found]
        )
    return ExitCode.SUCCESS


def rollback_settings(environment):
    """What the play wrote about the engine. Raises UsageError when it wrote nothing."""
    settings = environment.section("rollback")
    if not settings:
        raise UsageError("No engine is configured. Run the play with --tags llm_tools.")
    return settings


def described(rollout):
    """The releases, newest first, as dicts of what the command tells about each."""
    engine_dir = rollout["engine_dir"]
    current, record = store.current_release(engine_dir), record_in(rollout["record"])
    for name in store.installed(engine_dir):
        stamp = store.stamp_of(engine_dir, name)
        yield {
            "name": name,
            "build": stamp.get("build_info"),
            "current": name == current,
            "previous": name == record.get("previous"),
            "selftested": bool(stamp.get("selftest")),
        }


def words(entry):
    marks = [word for word in ("current", "previous") if entry[word]]
    return ", ".join([entry["build"] or "-", *marks, *([] if entry["selftested"] else ["not tested"])])
