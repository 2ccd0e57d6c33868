# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a host is asked before anything is changed (module host_info), and what its answer adds to the plan."""

from __future__ import annotations

from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import commands
from ansible_collections.macos_setup.llm.plugins.plugin_utils.role_files import expected

#: Programs that the play uses when the host has them.
PROGRAMS = ("brew", "ccache", "cmake", "uv")


#: The answer of a host that was not asked.
UNSEEN = {"due": {}, "programs": {}}


def question(plan, variables, queries, mac_programs):
    """The options of host_info for a plan.

    :param variables: the variables of the role, by name without prefix.
    :param queries: the queries of the addresses in the plan.
    :param mac_programs: paths of ``sysctl`` and ``pmset`` where they differ from those of macOS.
    """
    service = plan["service"]
    asked = {
        "manifest": plan["paths"]["manifest"],
        "programs": list(PROGRAMS),
        "private_files": plan["server"]["private_files"],
        "claims": plan["places"],
        "fit": plan["fit"],
        "stages": _stages(plan, variables, queries, mac_programs),
    }
    if plan["features"]["install_client_tools"]:
        asked["commands"] = commands.question(plan)
    if variables["bundle"]:
        asked["bundle"] = variables["bundle"]
    if service["manager"] == "launchd":
        asked["launchd"] = {
            "launchctl": plan["host"]["launchctl"],
            "labels": [service["name"], plan["watchdog"]["name"]],
            "home": plan["host"]["home"],
            "elsewhere": service["elsewhere"],
        }
    if plan["features"]["install_llama_cpp"]:
        asked["engine"] = {
            "engine": plan["engine"],
            "engine_dir": plan["paths"]["engine_dir"],
            "system": plan["host"]["system"],
            "arguments": plan["server"]["options"],
            "programs": plan["needed_programs"],
            "install_tools": variables["install_command_line_tools"],
        }
    return asked


def _stages(plan, variables, queries, mac_programs):
    """The parts of each stage that is wanted: pairs of a kind and the options of what does it."""
    features, sets, environments = plan["features"], plan["file_sets"], plan["environments"]
    stages = {"foundation": [("file_set", expected(sets["foundation"]))]}
    if features["install_llama_cpp"]:
        to_record = bool(plan["engine"].get("locked_by")) and plan["engine"]["commit"] is None
        stages["engine"] = [("release", {"served": features["setup_service"], "lock": to_record})]
    if features["download_models"]:
        common = {
            "manifest": plan["paths"]["manifest"],
            "queries": queries,
            "allow_plain_http": plan["policy"]["allow_plain_http"],
            "require_checksum": plan["policy"]["require_checksums"],
            "deep_verify": variables["deep_verify"],
            "renew": variables["update_lock"],
        }
        stages["models"] = [("models", {**common, "files": plan["files"]})]
        absent = {"files": plan["absent_models"], "state": "absent", "keep": plan["model_paths"]}
        if variables["prune_models"]:
            absent["prune"] = plan["paths"]["models_dir"]
        stages["unwanted"] = [("models", absent)]
    if features["setup_service"]:
        if plan["host"]["system"] == "Darwin":
            stages["mac"] = [("mac_settings", {**plan["mac_settings"], **mac_programs})]
        job = plan["service"]["manager"], plan["jobs"]["server"]
        stages["service"] = [
            ("file_set", expected(sets["service"])),
            ("environment", environments["service"]),
            job,
        ]
    if features["install_client_tools"]:
        stages["tools"] = [("environment", environments["tools"]), ("file_set", expected(sets["tools"]))]
        if features["setup_service"] and plan["service"]["manager"] == "launchd":
            stages["tools"].append(("launchd", plan["jobs"]["watchdog"]))
    return stages


def complete(plan, variables, found):
    """The plan with the answer ``found`` of the host; final.

    ``due``      the stages that have something to do, with the kinds of their parts that do
    ``release``  the release that is wanted, as far as it is on the host; None where no engine is wanted
    ``notes``    sentences for people
    """
    about, due = found.get("commands"), _due(plan, variables, found)
    fit = found.get("fit") or {"words": [], "undecided": False, "undecided_absent": False}
    return {
        **plan,
        "due": due,
        "engine": found.get("engine", plan["engine"]),
        "release": found.get("release"),
        "programs": found["programs"],
        "command_line_tools": found.get("command_line_tools", True),
        "elsewhere": found.get("elsewhere", []),
        "undecided": {"engine": fit["undecided"], "models": fit["undecided_absent"]},
        "notes": [*fit["words"], *(commands.notes(plan, about, "tools" in due) if about else [])],
        "file_sets": _file_sets(plan, variables, due, found),
        "jobs": {**plan["jobs"], "server": _with_release(plan["jobs"]["server"], found.get("release"))},
    }


def _due(plan, variables, found):
    due, features = dict(found["due"]), plan["features"]
    if variables["update_lock"] and features["download_models"] and found is not UNSEEN:
        due.setdefault("models", ["models"])  # what they are is recorded
    # The service depends on release and models, and is moved from one scope to the other.
    if features["setup_service"] and ({"engine", "models"} & set(due) or found.get("elsewhere")):
        due.setdefault("service", [])
    return due


def _file_sets(plan, variables, due, found):
    """The file sets, without commands that are to be left alone, and with the environments that are to be made."""
    sets, about = dict(plan["file_sets"]), found.get("commands")
    sets["tools"] = commands.without(sets["tools"], about["withheld"] if about else ())
    common = {"bundle": variables["bundle"] or None, "uv": found["programs"].get("uv")}
    for stage, environment in plan["environments"].items():
        wanted = {**environment, **common} if "environment" in due.get(stage, ()) else None
        sets[stage] = {**sets[stage], "environment": wanted}
    return sets


def _with_release(job, release):
    return {**job, "rollout": {**job["rollout"], "release": release and release["name"]}}
