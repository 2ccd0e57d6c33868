# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager watchdog``: run by the service manager next to the server, or by hand with ``--once``."""

from __future__ import annotations

import os
import time

from ..arguments import add_json
from ..core.base.errors import LlamaCppError, in_words, tell_briefly
from ..core.watchdog.agent import agent_of
from ..core.watchdog.daemon import Watchdog, event, settings_from
from ..environment import CONFIG_VARIABLE
from ..errors import UsageError
from ..exit_codes import ExitCode
from .service import configured_service, why_service_is_held

SUMMARY = "Check the server at intervals and restart it if it is up but does not answer."
EXAMPLES = ("%(prog)s watchdog --once", "%(prog)s watchdog --once --json")

CODES = {
    "answering": ExitCode.SUCCESS,
    "sleeping": ExitCode.SUCCESS,
    "down": ExitCode.NOT_RUNNING,
    "given up": ExitCode.NOT_RUNNING,
    "loading": ExitCode.STILL_LOADING,
}
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def add_arguments(parser):
    parser.add_argument("--once", action="store_true", help="check once, act on the result, print it and exit")
    add_json(parser, "the result of --once")


def run(environment, arguments):
    begun_with = edition(environment)
    section = environment.section("watchdog")
    if not section:
        raise UsageError("No watchdog is configured: service.watchdog is disabled in the configuration.")
    try:
        settings = settings_from(section)
    except LlamaCppError as error:
        raise UsageError(str(error)) from error
    configured_service(environment)  # what is wrong with the configuration ends this now
    watchdog = Watchdog(
        lambda: environment.server(settings.answer_seconds),
        lambda: configured_service(environment),
        settings,
        section["state_file"],
        section["log"],
        environment.section("server").get("model"),
        {model["name"]: model.get("purpose") for model in environment.config.get("models") or ()},
        server_log=environment.section("service").get("log"),
        why_given_up=lambda: why_service_is_held(environment),
    )
    if arguments.once:
        return tell(environment, watchdog.look(), settings, arguments.json)
    tell_briefly()
    parent = os.getppid()
    agent = agent_of(section["agent"], settings, lambda: watchdog.memory) if section.get("agent") else None
    while edition(environment) == begun_with and os.getppid() == parent:
        listen(environment, agent)
        watchdog.look()
        time.sleep(settings.interval)
    environment.say("The configuration, the commands or the service manager changed; this watchdog exits.")
    return ExitCode.SUCCESS


def listen(environment, agent):
    """Have ``agent`` listen; a port that cannot be had is no reason to leave the server alone."""
    if agent:
        try:
            agent.listen()
        except OSError as error:
            environment.say(f"The gateway is told nothing: {in_words(error, 'cannot be listened on')}")


def tell(environment, memory, settings, as_json):
    """Print the result of a check; returns the matching exit status."""
    if as_json:
        environment.write_json(memory._asdict())
    else:
        environment.write(event(memory, settings) + "\n")
    return CODES.get(memory.state, ExitCode.FAILURE)


def edition(environment):
    """The modification times of the watchdog's configuration and program.

    When one changes, the loop ends and the service manager starts the new version, so the watchdog never has to be
    restarted together with the server.
    """
    paths = [environment.environ.get(CONFIG_VARIABLE, "")]
    for directory, _directories, names in os.walk(PACKAGE, followlinks=True):
        paths += [os.path.join(directory, name) for name in names if name.endswith(".py")]
    return {path: os.stat(path).st_mtime_ns if os.path.exists(path) else None for path in paths}
