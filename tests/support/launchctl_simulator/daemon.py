# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The background process of a state directory: answers requests, lets time pass, and ends when nobody needs it."""

import json
import os
import select
import signal
import sys
import time
import traceback

from . import wire
from .launchd import Launchd

TICK_SECONDS = 0.02
WATCH_SECONDS = 0.5
IDLE_SECONDS = 1800


def serve(directory, guard_pid):
    """Be launchd until told to stop, or until ``directory`` or the process ``guard_pid`` (0: nobody) is gone."""
    launchd = Launchd(directory)
    server = wire.listen(directory)
    last_request = watched = time.monotonic()
    running = True

    def stop(_number, _frame):
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    try:
        while running:
            ready, _, _ = select.select([server], [], [], TICK_SECONDS)
            if ready:
                connection, _ = server.accept()
                with connection:
                    running = _answer(launchd, connection)
                last_request = time.monotonic()
            launchd.tick()
            now = time.monotonic()
            if now - watched > WATCH_SECONDS:
                watched = now
                running = running and os.path.isdir(directory) and (guard_pid == 0 or wire.runs(guard_pid))
                running = running and now - last_request < IDLE_SECONDS
    finally:
        launchd.kill_everything()
        server.close()


def _answer(launchd, connection):
    """Answer one request; False when it was the last one."""
    try:
        request = wire.receive(connection)
        kind = request["kind"]
        if kind == "launchctl":
            wire.send(connection, launchd.launchctl(request["arguments"], request["uid"]))
        elif kind == "set":
            launchd.settings.update(request["settings"])
            (launchd.directory / "settings.json").write_text(json.dumps(launchd.settings), encoding="utf-8")
            wire.send(connection, {})
        elif kind == "fail":
            launchd.failures[request["verb"]] = list(request["codes"])
            wire.send(connection, {})
        elif kind in ("login", "logout", "background_login"):
            getattr(launchd, kind)(request["uid"])
            wire.send(connection, {})
        elif kind == "reboot":
            launchd.reboot()
            wire.send(connection, {})
        elif kind == "stop":
            launchd.kill_everything()
            wire.send(connection, {})
            return False
    except OSError:  # the one who asked is gone
        pass
    except Exception:
        traceback.print_exc()
    return True


def main():
    directory, guard_pid = sys.argv[1], int(sys.argv[2])
    if os.fork():
        os._exit(0)
    os.setsid()
    log = os.open(os.path.join(directory, "launchd.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    with open(os.path.join(directory, "launchd.pid"), "w", encoding="ascii") as stream:
        stream.write("%d\n" % os.getpid())
    os.chdir("/")
    serve(directory, guard_pid)


if __name__ == "__main__":
    main()
