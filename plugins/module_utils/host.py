# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One look at a host before anything is changed: what it has, what is refused, and which stages have something to do.

The stages are asked by the same code that does their work, in check mode.
"""

from __future__ import annotations

import os
import shutil

from .base import commands
from .base.errors import LlamaCppError
from .capacity import report
from .engine import commit as engine_commit
from .engine import request as engine_request
from .engine.release import BUNDLE, Release
from .macos import toolchain
from .macos.hardware import read_hardware
from .macos.settings import converge as converge_settings
from .models import request as model_request
from .models.shards import shard_names
from .net.python_environment import PythonEnvironment
from .offline.bundle import Bundle
from .ownership import programs
from .ownership.block import Block
from .ownership.file_set import is_in_place
from .ownership.manifest import Manifest
from .ownership.private_files import refuse_all_exposed
from .service.launchd import request as launchd_request
from .service.launchd.domains import jobs_of
from .service.launchd.launchctl import Launchctl
from .service.rollout import AddressTaken
from .service.supervisor import request as supervisor_request
from .shells import login

#: How often a repository is asked which commit a tag is.
ATTEMPTS = 3


class Host:
    """The look that the options ``given`` of the module host_info ask for.

    :param check_only: nothing will be changed in this run, so what cannot be had yet is a warning, not a refusal.
    :param warn: takes a sentence for people.
    """

    def __init__(self, given, check_only, warn):
        self._given, self._check_only, self._warn = given, check_only, warn
        self._manifest = Manifest(given["manifest"])
        self._bundle = Bundle(given["bundle"]) if given["bundle"] else None

    def look(self):
        """What the module returns. Raises LlamaCppError for what makes the play impossible."""
        given = self._given
        refuse_all_exposed(given["private_files"])
        self._manifest.refuse_taken(given["claims"])
        found = {
            "programs": {name: commands.find(name) for name in given["programs"]},
            "commands": self._commands(given["commands"]) if given["commands"] else None,
        }
        if given["launchd"]:
            found["elsewhere"] = _jobs(given["launchd"])
        if given["engine"]:
            found.update(self._engine(given["engine"], found["programs"].get("cmake")))
        if given["fit"]:
            found["fit"] = self._fit(given["fit"])
        due = {stage: self._due_parts(parts, found) for stage, parts in given["stages"].items()}
        found["due"] = {stage: kinds for stage, kinds in due.items() if kinds}
        return found

    # -- the commands -------------------------------------------------------------------------------------------

    def _commands(self, wanted):
        """What is in the way of the commands, and what their user has to know to find them."""
        bin_dir, names = wanted["directory"], wanted["names"]
        told = login.searched(bin_dir, wanted["zsh"])
        path = told["path"] if told else []
        directories = [*path, *commands.search_path().split(os.pathsep)]
        foreign = {name: programs.foreign(name, bin_dir, directories) for name in names}
        taken = [path for name in names if foreign[name] for path in [os.path.join(bin_dir, name), *names[name]]]
        whys = {path: programs.why_left_out(path) for files in names.values() for path in files if path not in taken}
        whys.update((path, _why_no_room(path, items)) for path, items in wanted["blocks"].items())
        left_out = {path: why for path, why in whys.items() if why}
        return {
            "foreign": foreign,
            "others": {name: programs.others(name, [bin_dir, *directories]) for name in names},
            "simonw": next(filter(programs.is_simonw, programs.others("llm", [bin_dir, *directories])), None),
            # What is not wanted needs no room.
            "left_out": {path: why for path, why in left_out.items() if wanted["blocks"].get(path) != ""},
            "withheld": [*left_out, *taken],
            "login": told and self._login(told, wanted),
        }

    @staticmethod
    def _login(told, wanted):
        """What the user's shell finds, and the lines with which it would find the rest."""
        path, shell = os.pathsep.join(told["path"]), told["shell"]
        line = login.path_line(shell, wanted["directory"], os.path.expanduser("~"), wanted["system"])
        return {
            "shell": shell,
            "runs": {name: shutil.which(name, path=path) for name in wanted["names"]},
            "path_line": None if login.has(told["path"], wanted["directory"]) else line,
            "completes": login.has(told["fpath"], wanted["zsh"]) if shell.endswith("zsh") else True,
        }

    # -- the engine ---------------------------------------------------------------------------------------------

    def _engine(self, wanted, cmake):
        engine, system = self._final(wanted), wanted["system"]
        release = Release(engine, wanted["engine_dir"], system)
        found = engine_request.look(release)
        engine_request.require_programs(release, found, wanted["programs"])
        engine_request.require_options(release, found, wanted["arguments"])
        told = {"engine": engine, "release": engine_request.told(release, found), "command_line_tools": True}
        if system == "Darwin" and engine["targets"] and not found["usable"]:
            told["command_line_tools"] = self._toolchain(wanted, cmake)
        return told

    def _final(self, wanted):
        """The engine with what only the host can tell: the release that the bundle has, or the commit that a tag is."""
        engine = wanted["engine"]
        if self._bundle:
            facts = {"source": BUNDLE, "version": self._bundle.facts["release"], "targets": [], "options": {}}
            return {**facts, "keep_releases": engine["keep_releases"]}
        if engine["source"] == "git" and engine["commit"] is None:
            return {**engine, "commit": self._commit(wanted, engine)}
        return engine

    def _commit(self, wanted, engine):
        """The commit of the tag; None where it cannot be asked and that is no failure."""
        try:
            return engine_commit.ask(engine["url"], engine["version"], wanted["system"], ATTEMPTS)
        except LlamaCppError as error:
            if isinstance(error, engine_commit.NoGit) and wanted["install_tools"]:
                return None  # comes with the tools
            if not self._check_only:
                raise
            self._warn(str(error))
            return None

    def _toolchain(self, wanted, cmake):
        """Whether this Mac has Apple's tools. Raises LlamaCppError when it cannot build the engine."""
        problems = toolchain.problems(read_hardware(), wanted["engine_dir"], cmake, tools=not wanted["install_tools"])
        if problems and not self._check_only:
            raise LlamaCppError("llama.cpp cannot be built here; nothing was changed.\n  " + "\n  ".join(problems))
        for problem in problems:
            self._warn(problem)
        return toolchain.developer_directory() is not None

    # -- the models ---------------------------------------------------------------------------------------------

    def _fit(self, wanted):
        found = report.require_fit(wanted, self._warn)
        open_ones = [] if self._check_only else [fit for fit in report.compared(found) if fit["fits"] is None]
        return {
            **found,
            # The engine tells what Metal allows, and more of a model that is there, which tells the most itself.
            "undecided": any(wanted["device"] or fit["there"] for fit in open_ones),
            "undecided_absent": not all(fit["there"] for fit in open_ones),
        }

    # -- the stages ---------------------------------------------------------------------------------------------

    def _due_parts(self, parts, found):
        return [kind for kind, wanted in parts if self._is_due(kind, dict(wanted), found)]

    def _is_due(self, kind, wanted, found):
        """Whether a part has something to do. Raises LlamaCppError for what no earlier part can make right."""
        try:
            return PARTS[kind](self, wanted, found)
        except AddressTaken:
            if not found.get("elsewhere"):
                raise
            return True  # by the job that is to be moved
        except LlamaCppError:
            if kind == "models":
                raise
            return True  # the stage itself says what is wrong
        except OSError:
            return True

    def release_is_due(self, wanted, found):
        return wanted["lock"] or engine_request.is_due(found["release"], wanted["served"])

    def file_set_is_due(self, wanted, found):
        withheld = found["commands"]["withheld"] if found["commands"] else ()
        given = {
            option: {path: value for path, value in wanted[option].items() if path not in withheld}
            for option in ("files", "blocks")
        }
        return not is_in_place({**wanted, **given}, self._manifest)

    def environment_is_due(self, wanted, _found):
        environment = PythonEnvironment(wanted["path"], wanted["requirements"])
        return not environment.is_ready() or self._manifest.lacks({environment.path: "tree"})

    def models_are_due(self, wanted, _found):
        unnoted = wanted["state"] == "present" and self._manifest.lacks(model_request.claims(wanted))
        changes = _changes(model_request.fulfil(wanted, True, self._bundle, self._to_come(wanted)))
        return unnoted or changes

    def _to_come(self, models):
        """The paths at which there are files when the models are installed; None: nothing is made in this run."""
        if self._check_only:
            return None
        sets = [wanted for parts in self._given["stages"].values() for kind, wanted in parts if kind == "file_set"]
        own = [path for file in models["files"] for path in shard_names(file["dest"])]
        return {*own, *(path for wanted in sets for path in wanted["files"])}

    def settings_are_due(self, wanted, _found):
        return converge_settings(path=wanted.pop("plist"), **wanted, check=True)["changed"]

    def job_is_due(self, wanted, found):
        return _changes(launchd_request.fulfil(_with_release(wanted, found), True))

    def program_is_due(self, wanted, found):
        return _changes(supervisor_request.fulfil(_with_release(wanted, found), True))


def _why_no_room(path, items):
    """Why a block is not to be put into the file of others at ``path``; None: it may be."""
    try:
        Block(path, items)
    except LlamaCppError as error:
        return f"{error}, so the models of this server are not listed there. It was left alone"
    return None


def _with_release(job, found):
    """A job with the release that is wanted, where it has a rollout."""
    release = found.get("release")
    rollout = job["rollout"] and {**job["rollout"], "release": release and release["name"]}
    return {**job, "rollout": rollout}


def _changes(result):
    return result["changed"] or result.get("verified") is False


def _jobs(given):
    """The jobs that are where they are not wanted any more, in the opposite order of their labels."""
    launchctl, elsewhere = Launchctl(given["launchctl"]), given["elsewhere"]
    labels = given["labels"][::-1]
    return jobs_of(launchctl, labels, elsewhere["domains"], elsewhere["directory"], given["home"])


#: Kind of a part of a stage -> what tells whether it has something to do.
PARTS = {
    "release": Host.release_is_due,
    "file_set": Host.file_set_is_due,
    "environment": Host.environment_is_due,
    "models": Host.models_are_due,
    "mac_settings": Host.settings_are_due,
    "launchd": Host.job_is_due,
    "supervisor": Host.program_is_due,
}
