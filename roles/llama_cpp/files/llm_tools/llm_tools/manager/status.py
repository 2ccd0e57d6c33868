# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager status``: the state of the service manager's job, and of the server as clients see it."""

from __future__ import annotations

import datetime
import os
import shutil
import time

from ..arguments import add_json
from ..core.base.errors import LlamaCppError
from ..core.base.log_tail import tail
from ..core.base.text import last_lines
from ..core.llama.errors import NotRunning
from ..core.llama.readiness import identify, wait_until_ready
from ..core.ownership.marker import is_ours
from ..core.watchdog.daemon import remembered, settings_from
from ..errors import UsageError
from ..exit_codes import ExitCode
from ..failures import advice, exit_code, state_word
from .readiness import exit_words
from .service import configured_service, why_service_did_not_start, why_service_is_held

SUMMARY = "Show the state of the service and the server."
EXAMPLES = ("%(prog)s status", "%(prog)s status --json")

COLOURS = {"ready": "green", "loading": "yellow"}

#: Missed checks after which the watchdog counts as inactive; each check sends up to three requests.
MISSED_LOOKS = 3


def add_arguments(parser):
    add_json(parser, "the state")


def run(environment, arguments):
    service = configured_service(environment).status()
    url = environment.endpoint.url
    model = environment.section("server").get("model")
    found, failure = {"build": None, "model": None}, None
    try:
        server = environment.server(timeout=10.0)
        wait_until_ready(server, 0, model=model)
        found = identify(server, model)
    except LlamaCppError as error:
        failure = error
    if not service["running"] and not isinstance(failure, (NotRunning, UsageError)):
        failure = LlamaCppError(f"The service is not running, but another program answers at {url}.")
    held = why_service_is_held(environment) if failure else None
    why = held or (why_service_did_not_start(environment) if failure else None)
    service.update(held=held is not None, why=why)
    state = {"state": state_word(failure), "url": url, **found, "message": failure and str(failure)}
    watchdog = watchdog_of(environment)
    if arguments.json:
        client = {"name": environment.client, "runs": program_named(environment.client, environment)}
        environment.write_json({"service": service, "server": state, "watchdog": watchdog, "client": client})
    else:
        environment.write_table(rows(environment, service, state, watchdog))
        if failure:
            environment.say("\n".join([str(failure), *advice(environment, failure)]))
    return exit_code(failure) if failure else ExitCode.SUCCESS


def watchdog_of(environment):
    """What the watchdog last found, and whether it is still active; None if it is disabled."""
    section = environment.section("watchdog")
    if not section:
        return None
    memory, settings = remembered(section["state_file"]), settings_from(section)
    patience = MISSED_LOOKS * (settings.interval + 3 * settings.answer_seconds)
    return {
        "state": memory.state or None,
        "looks": time.time() - memory.looked <= patience,
        "last_look": clock(memory.looked) if memory.looked else None,
        "last_event": next(iter(last_lines(tail(section["log"]), 1)), None),
    }


def rows(environment, service, server, watchdog):
    """The state as rows of a name, a value and the value's colour, for people."""
    running = "running" if service["running"] else "stopped" if service["installed"] else "not installed"
    details = [service["state"]] if service["state"] else []
    if service["pid"]:
        details.insert(0, f"pid {service['pid']}")
    if service["last_exit"] is not None:
        details.append(f"last exit: {exit_words(service['last_exit'])}")
    return [
        ("service", f"{running} ({', '.join(details)})" if details else running, None),
        *why_rows(service),
        ("server", server["state"], COLOURS.get(server["state"], "red")),
        ("url", server["url"], None),
        ("model", server["model"] or "-", None),
        ("build", server["build"] or "-", None),
        *watchdog_rows(watchdog),
        *client_rows(environment),
        ("log", environment.section("service").get("log") or "-", None),
    ]


def why_rows(service):
    """The rows that explain why no server is running."""
    if service["held"]:
        return [("crash loop", f"no more restarts: {service['why']}", "red")]
    return [("why", f"not started: {service['why']}", "red")] if service["why"] else []


def program_named(name, environment):
    """The path of the program that ``name`` runs, or None."""
    return shutil.which(name, path=environment.environ.get("PATH", os.defpath))


def client_rows(environment):
    """A row about the client where its name does not run it."""
    name, bin_dir = environment.client, environment.section("paths").get("bin_dir")
    found = program_named(name, environment)
    if bin_dir is None or (found and is_ours(found)):
        return []
    why = f"{name} runs {found}, which is another program" if found else f"{bin_dir} is not in the PATH"
    return [("client", f"{why}; here it is {os.path.join(bin_dir, 'llm-client')}", "yellow")]


def watchdog_rows(watchdog):
    """The rows about the watchdog. What it found last may have changed since: ``server`` is asked at this moment."""
    if watchdog is None:
        return [("watchdog", "disabled", None)]
    found = "no check yet"
    if watchdog["state"]:
        activity = "active" if watchdog["looks"] else "inactive"
        found = f"{activity} (last check {watchdog['last_look']}: {watchdog['state']})"
    event = watchdog["last_event"]
    return [
        ("watchdog", found, None if watchdog["looks"] else "yellow"),
        *([("last event", event, None)] if event else []),
    ]


def clock(moment):
    return datetime.datetime.fromtimestamp(moment).astimezone().isoformat(timespec="seconds")
