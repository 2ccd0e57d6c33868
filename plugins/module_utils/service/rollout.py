# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The rollout of a change of the service: the change stays when the server gives a real answer. Otherwise what was
confirmed before comes back.

Besides the service's definition (base/definition.py) a change may have a release of the engine and files, such as
the server's command line. They are put in place between stop and start, so that a server that crashes meanwhile comes
back as it was. The record tells what was last confirmed:

``release``   the release that served; ``previous``: the one that served before it, for a rollback
``files``     path -> text
``health``    how it was asked
"""

from __future__ import annotations

import contextlib
import inspect
import os
import socket
import stat
import time
from urllib.parse import urlsplit

from ..base.errors import LlamaCppError
from ..base.files import exclusive, read_file, read_json, write_atomically, write_json_atomically
from ..base.privileges import SILENT_SECONDS, Deputy, is_root
from ..engine import store
from ..llama.health import check_server
from ..runner.config import read_config

#: How long somebody else may take to change the service: he waits for a model to be loaded, maybe twice.
CHANGE_SECONDS = 1800

CONNECT_SECONDS = 2.0


#: Keywords of health.check_server by which a server proves that it may be told the key.
PROOF = ("own", "certificate")


class AddressTaken(LlamaCppError):
    """Another program listens where the server is to."""


class NoRollout:
    """Nothing is asked: what a service manager keeps running is good enough."""

    gap = None
    health = None

    def deviations(self):
        """What would be put in place: [(what, before, after)], ready for a diff."""
        return []

    def unconfirmed(self):
        """Whether what is in place has not been confirmed yet."""
        return False

    def require_address(self, active):
        """Raise AddressTaken where another program listens at the address of the server that is about to be started.

        :param active: whether anything of the service runs, which may be what listens there.
        """

    def stopping(self):
        """The service that ran is about to be stopped."""

    def apply(self):
        """Put in place what is wanted."""

    def verify(self, service):
        """Wait until the server serves; raises LlamaCppError when it does not."""

    def confirm(self):
        """Remember what is in place as what serves."""

    def undo(self):
        """Put back what was confirmed last; returns whether there is a difference."""
        return False

    def exclusively(self):
        """A context in which no other process changes the service."""
        return contextlib.nullcontext()

    def words(self):
        """Sentences about what serves now."""
        return []


class Rollout(NoRollout):
    """The rollout that ``settings`` describe.

    Keys: ``engine_dir``; ``release``, a name, or None to leave the release as it is; ``files``, path -> text;
    ``record``, the path of the record; ``keep_releases``; ``health``, the keywords of health.check_server.

    :param report: called with a few words at each stage.
    """

    def __init__(self, settings, report=lambda stage: None):
        self._engine_dir = settings["engine_dir"]
        self._release = settings.get("release")
        self._files = settings["files"]
        self._record_path = settings["record"]
        self._keep = settings["keep_releases"]
        self._question = settings["health"]
        self._report = report
        self._stopped_at = None
        #: When nothing was served: {"began", "ended"} (seconds since 1970) and "seconds"; None when that never was.
        self.gap = None
        #: What the server told of itself when it passed; None when it was not asked.
        self.health = None

    # -- what is ------------------------------------------------------------------------------------------------

    def deviations(self):
        found = [(path, text_of(path), text) for path, text in self._files.items()]
        current = store.current_release(self._engine_dir)
        found.append((os.path.join(self._engine_dir, "current"), current or "", self._release or current or ""))
        return [entry for entry in found if entry[1] != entry[2]]

    def unconfirmed(self):
        return bool(self.deviations()) or _what_serves(self._record()) != self._in_place()

    def _record(self):
        return record_in(self._record_path)

    def _in_place(self):
        return store.current_release(self._engine_dir), {path: text_of(path) for path in self._files}

    def require_address(self, active):
        words = self.why_taken(active)
        if words:
            raise AddressTaken(words)

    def why_taken(self, active):
        """The text of AddressTaken; None where the address is free, or is that of the service itself."""
        address = urlsplit(self._question["url"])
        port = str(address.port)
        if (active and self._port_in_place() in (port, None)) or not _somebody_listens(address):
            return None
        return (
            f"Another program holds port {port} on {address.hostname}, so llama-server cannot be started there. "
            "Nothing was changed. Stop that program, or set llm_settings.server_port to a free port, and run the play "
            f"again. To see which program it is: sudo lsof -nP -iTCP:{port} -sTCP:LISTEN"
        )

    def _port_in_place(self):
        """The port of the command line that is in place, as text; None where there is none."""
        for path in self._files:
            with contextlib.suppress(LlamaCppError, ValueError, IndexError):
                argv = read_config(path).argv
                return argv[argv.index("--port") + 1]
        return None

    # -- what is done -------------------------------------------------------------------------------------------

    def stopping(self):
        self._stopped_at = time.time()

    def apply(self):
        self._put(self._release, self._files)

    def verify(self, service):
        """Ask the server a real question. It must be of the current release, and may not end before it answers."""

        def look(state, seconds):
            if state in ("not running", "not answering") and not service.status()["running"]:
                raise LlamaCppError("llama-server ended before it was ready.")
            if state == "ready":
                self._serves()
            else:
                self._report("loading the model" if state == "loading" else "waiting for the server")

        stamp = store.stamp_of(self._engine_dir, store.current_release(self._engine_dir))
        self.health = check_server(**self._question, expected_build=stamp.get("build_info"), on_look=look)

    def confirm(self):
        record, (release, files) = self._record(), self._in_place()
        if record.get("release") != release:
            record["previous"] = record.get("release")
        record.update(release=release, files=files, health=self._question)
        write_json_atomically(self._record_path, record)
        if store.stamp_of(self._engine_dir, release):
            store.prune(self._engine_dir, self._keep, {record.get("previous")})

    def undo(self):
        record = self._record()
        release, files = _what_serves(record)
        if not (release and files is not None and record.get("health")):
            return False
        if not os.path.exists(store.program_of(self._engine_dir, release)):
            return False
        changed = (release, files) != self._in_place()
        self._put(release, files)
        # What proves to whom a key is given is not taken from a record, which may be older than that proof.
        proof = {key: self._question[key] for key in PROOF if key in self._question}
        # Another version may have asked by other keywords.
        asked = {key: value for key, value in record["health"].items() if key in ASKED}
        self._question = {**asked, **proof}
        return changed

    @contextlib.contextmanager
    def exclusively(self):
        with exclusive(self._record_path + ".lock", self._say_who_is_at_it, CHANGE_SECONDS):
            yield

    def _say_who_is_at_it(self, holder):
        self._report(f"waiting for process {holder}, which changes the service")

    def words(self):
        found = ["It answers, with the release %s." % store.current_release(self._engine_dir)]
        return found if self.gap is None else [*found, "Downtime: %.1f s." % self.gap["seconds"]]

    def _put(self, release, files):
        for path, text in files.items():
            if text_of(path) != text:
                write_atomically(path, text, _mode_of(path))
        if release:
            store.switch(self._engine_dir, release)

    def _serves(self):
        if self._stopped_at is not None:
            now = time.time()
            self.gap = {"began": self._stopped_at, "ended": now, "seconds": round(now - self._stopped_at, 2)}


class DelegatedRollout(NoRollout):
    """A :class:`Rollout` in a process of the service's user, since root opens nothing that is a user's.

    :param service: the service; what the rollout wants to know of it is asked in that process, too.
    """

    def __init__(self, settings, report, service):
        def functions(say):
            rollout, lock = Rollout(settings, say), contextlib.ExitStack()

            def verify():
                rollout.verify(service)
                return [rollout.gap, rollout.health]

            return {
                **{name: getattr(rollout, name) for name in self._FORWARDED},
                "lock": lambda: lock.enter_context(rollout.exclusively()),
                "unlock": lock.close,
                "verify": verify,
            }

        # It may be silent while the server thinks about the question.
        patience = SILENT_SECONDS + 3 * settings["health"].get("timeout", 0)
        self._deputy = Deputy(service.user, functions, report, patience)

    _FORWARDED = ("deviations", "unconfirmed", "why_taken", "stopping", "apply", "confirm", "undo", "words")

    def deviations(self):
        return [tuple(entry) for entry in self._deputy.ask("deviations")]

    def unconfirmed(self):
        return self._deputy.ask("unconfirmed")

    def require_address(self, active):
        words = self._deputy.ask("why_taken", active)
        if words:
            raise AddressTaken(words)

    def stopping(self):
        self._deputy.ask("stopping")

    def apply(self):
        self._deputy.ask("apply")

    def verify(self, service):
        self.gap, self.health = self._deputy.ask("verify")

    def confirm(self):
        self._deputy.ask("confirm")

    def undo(self):
        return self._deputy.ask("undo")

    @contextlib.contextmanager
    def exclusively(self):
        self._deputy.ask("lock")
        try:
            yield
        finally:
            self._deputy.ask("unlock")

    def words(self):
        return self._deputy.ask("words")


def paths_of(settings):
    """The paths that a rollout with ``settings`` reads, writes or runs; None among them for what is not given."""
    health = settings.get("health") or {}
    asked = (health.get(name) for name in ("api_key_file", "ca_file", "certificate", "server", "log_file"))
    return [settings.get("engine_dir"), settings.get("record"), *(settings.get("files") or ()), *asked]


def open_rollout(settings, report, service):
    """The rollout that ``settings`` describe for a change of ``service``."""
    if not settings:
        return NoRollout()
    if service.user and is_root():
        return DelegatedRollout(settings, report, service)
    return Rollout(settings, report)


#: The keys of a record and what they may be.
RECORD = {"release": str, "previous": str, "files": dict, "health": dict}


#: Keywords of health.check_server that a record may hold.
ASKED = set(inspect.signature(check_server).parameters) - {"expected_build", "on_look"}


def record_in(path):
    """What the file ``path`` tells of what last passed; empty when it cannot be used."""
    record = read_json(path, RECORD) or {}
    return record if all(isinstance(text, str) for text in (record.get("files") or {}).values()) else {}


def text_of(path):
    """What the file ``path`` holds; an empty text when there is none."""
    try:
        return read_file(path).decode("utf-8", "replace")  # what is damaged differs from all that is wanted
    except FileNotFoundError:
        return ""


def _somebody_listens(address):
    try:
        socket.create_connection((address.hostname, address.port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _mode_of(path):
    """The mode of a file that may be there."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        return 0o644


def _what_serves(record):
    return record.get("release"), record.get("files")
