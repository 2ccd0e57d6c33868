# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The simulated launchd itself: domains, overrides and jobs, and the answer to every verb."""

import json
import os
import plistlib
import re
import signal
import stat
import time
from pathlib import Path

from . import output
from .job import Job

SETTINGS = {
    "drain_seconds": 0.0,  # how long a label stays in use after bootout has ended its process
    "throttle_seconds": 10,  # ThrottleInterval where the plist has none
    "exit_timeout": 5,  # ExitTimeOut where the plist has none; what print shows on macOS
    "busy_code": 5,  # what bootstrap answers while the label is in use: 5, or 37 or 36
    "bootout_code": 0,  # what bootout answers while the job ends: 0, or 36
    "agents": {},  # uid -> directories whose plists are loaded at login
    "daemons": [],  # directories whose plists are loaded at boot
}
MESSAGES = {
    1: "Operation not permitted",
    3: "No such process",
    5: "Input/output error",
    36: "Operation now in progress",
    37: "Operation already in progress",
    109: "Invalid property list",
    110: "Invalid or missing service identifier",
    111: "Invalid or missing Program/ProgramArguments",
    113: "Could not find specified service",
    125: "Domain does not support specified action",
    134: "Service cannot load in requested session",
    150: "Operation not permitted while System Integrity Protection is engaged",
}
PREFIX = {"bootstrap": "Bootstrap failed: %d: %s\n", "bootout": "Boot-out failed: %d: %s\n"}
ROOT_HINT = "Try re-running the command as root for richer errors.\n"


class Refused(Exception):
    """A verb ended with an exit code; ``words`` is what stands on stderr."""

    def __init__(self, code, words=""):
        super().__init__(code)
        self.code = code
        self.words = words


class Launchd:
    """All of one simulated Mac; :meth:`tick` lets its time pass."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.jobs = {}  # (domain, label) -> Job
        self.logged_in = set()
        self.failures = {}  # verb -> exit codes that its next calls end with
        self.settings = {**SETTINGS, **self._stored("settings.json", {})}

    # -- time ---------------------------------------------------------------------------------------------------

    def tick(self):
        now = time.monotonic()
        for key, job in list(self.jobs.items()):
            job.tick(now)
            if job.is_gone(now):
                del self.jobs[key]

    def pass_until(self, condition):
        """Let time pass until ``condition()``; nobody else is answered meanwhile."""
        while not condition():
            self.tick()
            time.sleep(0.01)

    def kill_everything(self):
        for job in self.jobs.values():
            if job.process:
                job.signal(signal.SIGKILL)
                job.process.wait()

    # -- launchctl ----------------------------------------------------------------------------------------------

    def launchctl(self, arguments, uid):
        """(exit code, stdout, stderr) of ``launchctl <arguments>``, called by user ``uid``."""
        with open(self.directory / "calls.log", "a", encoding="utf-8") as log:
            log.write(json.dumps(arguments) + "\n")
        verb, *rest = arguments or [""]
        answer = getattr(self, "_verb_" + verb.replace("-", "_"), None)
        try:
            if answer is None:
                raise Refused(64, "Unrecognized subcommand: %s\n" % verb)
            if self.failures.get(verb):
                code = self.failures[verb].pop(0)
                raise Refused(code, self._words(verb, code))
            return 0, answer(rest, uid) or "", ""
        except Refused as refused:
            return refused.code, "", refused.words

    def _verb_bootstrap(self, rest, uid):
        if len(rest) != 2:
            raise Refused(64, "Usage: launchctl bootstrap <domain-target> [service-path, service-path2, ...]\n")
        domain, label = self._target(rest[0])
        if label:
            raise Refused(140, "Service name is not allowed here\n")
        code = self._may_act(domain, uid) or self.load(domain, rest[1])
        if code:
            raise Refused(code, self._words("bootstrap", code))

    def _verb_bootout(self, rest, uid):
        wait = "--wait" in rest
        rest = [word for word in rest if word != "--wait"]
        if not rest or len(rest) > 2:
            raise Refused(64, "Usage: launchctl bootout <domain-target> [service-path] | <service-target>\n")
        domain, label = self._target(rest[0])
        if label is None and len(rest) == 2:
            label = Path(rest[1]).stem
        if self._may_act(domain, uid):
            raise Refused(1, self._words("bootout", 1))
        job = self.jobs.get((domain, label))
        if job is None:
            raise Refused(3, self._words("bootout", 3))
        job.end(time.monotonic(), remove=True)
        if wait:
            self.pass_until(lambda: (domain, label) not in self.jobs)
        elif self.settings["bootout_code"]:
            raise Refused(self.settings["bootout_code"], self._words("bootout", self.settings["bootout_code"]))

    def _verb_enable(self, rest, uid):
        self._override(rest, uid, False)

    def _verb_disable(self, rest, uid):
        self._override(rest, uid, True)

    def _override(self, rest, uid, disabled):
        """Overrides are kept per user, not per session, and any label is taken without a look at the jobs."""
        domain, label = self._target(rest[0] if len(rest) == 1 else "")
        if label is None:
            raise Refused(64, "Usage: launchctl %s <service-target>\n" % ("disable" if disabled else "enable"))
        if self._may_act(domain, uid):
            raise Refused(1, "Could not %s service: 1: %s\n" % ("disable" if disabled else "enable", MESSAGES[1]))
        overrides = self._stored("disabled.json", {})
        overrides.setdefault(_owner(domain), {})[label] = disabled
        (self.directory / "disabled.json").write_text(json.dumps(overrides), encoding="utf-8")

    def _verb_kickstart(self, rest, uid):
        kill = any("k" in word for word in rest if word.startswith("-"))
        rest = [word for word in rest if not word.startswith("-")]
        job = self._job(rest[0] if rest else "")
        if self._may_act(job.domain, uid):
            raise Refused(1, 'Could not kickstart service "%s": 1: %s\n' % (job.label, MESSAGES[1]))
        if not job.kickstart(time.monotonic(), kill):
            raise Refused(37)

    def _verb_kill(self, rest, _uid):
        job = self._job(rest[1] if len(rest) == 2 else "")
        if not job.process:
            raise Refused(3, "No process to signal.\n")
        name = rest[0] if rest[0].startswith("SIG") else "SIG" + rest[0]
        job.signal(int(rest[0]) if rest[0].isdigit() else getattr(signal, name))

    def _verb_print(self, rest, _uid):
        domain, label = self._target(rest[0] if len(rest) == 1 else "")
        if label is None:
            if not self._exists(domain):
                raise Refused(112, "Bad request.\nCould not find domain for %s\n" % output.domain_words(domain))
            return output.print_domain(domain, self._jobs_of(domain), self._disabled(domain))
        return output.print_job(self._job(rest[0]))

    def _verb_print_disabled(self, rest, _uid):
        domain, _ = self._target(rest[0] if len(rest) == 1 else "")
        return output.print_disabled(self._disabled(domain))

    def _verb_list(self, _rest, uid):
        domains = ["system"] if uid == 0 else ["gui/%d" % uid, "user/%d" % uid]
        return output.print_list([job for domain in domains for job in self._jobs_of(domain)])

    def _verb_error(self, rest, _uid):
        if len(rest) != 1 or not rest[0].isdigit():
            raise Refused(64, "Usage: launchctl error [posix|mach|bootstrap] <code>\n")
        return "%s: %s\n" % (rest[0], _message(int(rest[0])))

    def _verb_version(self, _rest, _uid):
        return "Darwin Bootstrapper Version 7.0.0 (simulated)\n"

    # -- people -------------------------------------------------------------------------------------------------

    def login(self, uid):
        """Somebody logs in at the screen: gui/<uid> comes into being and the agents are loaded."""
        self.logged_in.add(uid)
        self._load_all(self.settings["agents"].get(str(uid), []), "gui/%d" % uid)
        self.background_login(uid)

    def background_login(self, uid):
        """A session without a screen, as by SSH: the agents that allow it are loaded into user/<uid>."""
        self._load_all(self.settings["agents"].get(str(uid), []), "user/%d" % uid)

    def logout(self, uid):
        """The jobs of gui/<uid> end, and the domain with them."""
        self._end_all([job for job in self.jobs.values() if job.domain == "gui/%d" % uid])
        self.logged_in.discard(uid)

    def reboot(self):
        """Everything ends; then the Mac boots and waits for a login."""
        self._end_all(list(self.jobs.values()))
        self.logged_in.clear()
        self._load_all(self.settings["daemons"], "system")

    def _load_all(self, directories, domain):
        for directory in directories:
            for path in sorted(Path(directory).glob("*.plist")):
                if not path.name.startswith("."):
                    self.load(domain, str(path))

    def _end_all(self, jobs):
        for job in jobs:
            job.end(time.monotonic(), remove=True)
        self.pass_until(lambda: not any(job.process for job in jobs))
        for job in jobs:
            self.jobs.pop((job.domain, job.label), None)

    # -- rules --------------------------------------------------------------------------------------------------

    def load(self, domain, path):
        """Load the plist ``path`` into ``domain``; the exit code that bootstrap shows, 0 when it is loaded."""
        try:
            file, keys = os.stat(path), self._read(path)
        except OSError:
            return 5
        except Refused as refused:
            return refused.code
        label = keys["Label"]
        rules = (
            (not self._exists(domain), 125),
            (not _is_safe(file, domain), 5),  # launchd's own log has 122 here
            (self._disabled(domain).get(label, keys.get("Disabled", False)), 5),  # 119
            ((domain, label) in self.jobs, self.settings["busy_code"]),
            (not _allows(keys, domain), 134),
        )
        code = next((code for broken, code in rules if broken), 0)
        if code == 0:
            self.jobs[(domain, label)] = Job(domain, path, keys, self.settings, time.monotonic())
            self.tick()
        return code

    def _read(self, path):
        data = Path(path).read_bytes()
        try:
            keys = plistlib.loads(data)
        except Exception:  # whatever plistlib finds wrong
            raise Refused(109) from None
        if not isinstance(keys, dict) or not keys.get("Label"):
            raise Refused(110)
        if not keys.get("ProgramArguments") and not keys.get("Program"):
            raise Refused(111)
        return keys

    def _target(self, text):
        """(domain, label or None) of a domain or service target."""
        found = re.fullmatch(r"(system|(?:gui|user)/\d+)(?:/([^/]+))?", text)
        if not found:
            raise Refused(64, "Unrecognized target specifier.\n")
        return found.group(1), found.group(2)

    def _job(self, target):
        domain, label = self._target(target)
        job = self.jobs.get((domain, label))
        if job is None:
            words = 'Could not find service "%s" in domain for %s\n' % (label, output.domain_words(domain))
            raise Refused(113, "Bad request.\n" + words)
        return job

    def _jobs_of(self, domain):
        return [job for job in self.jobs.values() if job.domain == domain]

    def _exists(self, domain):
        kind, _, uid = domain.partition("/")
        return kind != "gui" or int(uid) in self.logged_in

    def _disabled(self, domain):
        return self._stored("disabled.json", {}).get(_owner(domain), {})

    def _may_act(self, domain, uid):
        """0 when user ``uid`` may change the domain, otherwise the exit code."""
        return 0 if uid == 0 or domain.endswith("/%d" % uid) else 5

    def _words(self, verb, code):
        words = PREFIX.get(verb, "Could not %s service: %%d: %%s\n" % verb) % (code, _message(code))
        return words + (ROOT_HINT if verb == "bootstrap" and code == 5 else "")

    def _stored(self, name, default):
        try:
            return json.loads((self.directory / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return default


def _message(code):
    return MESSAGES.get(code, "Unknown error: %d" % code)


def _owner(domain):
    return domain.partition("/")[2] or "system"


def _is_safe(file, domain):
    """Whether nobody but the domain's owner and root can change the plist."""
    owner = 0 if domain == "system" else int(domain.partition("/")[2])
    right_owner = file.st_uid in (0, owner) and (domain != "system" or file.st_gid == 0)
    return right_owner and not stat.S_IMODE(file.st_mode) & 0o022


def _allows(keys, domain):
    """LimitLoadToSessionType; an agent without it is one for the screen."""
    kind = domain.partition("/")[0]
    default = {"system": "System", "gui": "Aqua", "user": "Aqua"}[kind]
    types = keys.get("LimitLoadToSessionType", default)
    types = [types] if isinstance(types, str) else types
    return {"system": "System", "gui": "Aqua", "user": "Background"}[kind] in types
