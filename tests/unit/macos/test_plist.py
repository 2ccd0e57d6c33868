# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The check of launchd property lists."""

import plistlib

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.macos import plist

PATH = "/Library/LaunchDaemons/com.example.job.plist"
GOOD = {
    "Label": "com.example.job",
    "ProgramArguments": ["/opt/llm/run", "--x", "~", "$HOME"],
    "EnvironmentVariables": {"HOME": "/Users/u"},
    "WorkingDirectory": "/opt/a & <b> 'c' ünï",
    "StandardOutPath": "/opt/log",
    "RunAtLoad": True,
    "KeepAlive": {"Crashed": True, "SuccessfulExit": False},
    "ThrottleInterval": 10,
    "ExitTimeOut": 0,
    "ProcessType": "Interactive",
    "SoftResourceLimits": {"NumberOfFiles": 4096},
    "Umask": 0o077,
    "UserName": "svc",
}


def problems(change=None, drop=(), path=PATH, domain="system"):
    job = {key: value for key, value in {**GOOD, **(change or {})}.items() if key not in drop}
    return plist.problems(plistlib.dumps(job).decode(), path, domain)


def test_a_good_plist_has_no_problem():
    assert problems() == []
    assert problems({"KeepAlive": True, "LimitLoadToSessionType": ["Aqua", "Background"]}) == []


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"RunAtload": True}, ["RunAtload", "RunAtLoad"]),
        ({"RunAtLoad": "true"}, ["RunAtLoad", "'true'", "true or false"]),
        ({"RunAtLoad": 1}, ["RunAtLoad"]),
        ({"UserName": 501}, ["UserName", "501", "text"]),
        ({"KeepAlive": "yes"}, ["KeepAlive", "true or false", "an object"]),
        ({"KeepAlive": {"Crashed": "yes"}}, ["KeepAlive.Crashed"]),
        ({"KeepAlive": {"SuccesfulExit": False}}, ["KeepAlive.SuccesfulExit", "SuccessfulExit"]),
        ({"ThrottleInterval": "10"}, ["ThrottleInterval", "whole number"]),
        ({"ExitTimeOut": True}, ["ExitTimeOut"]),
        ({"ExitTimeOut": 1.5}, ["ExitTimeOut"]),
        ({"WorkingDirectory": "~/llm"}, ["WorkingDirectory", "absolute"]),
        ({"StandardOutPath": "/Users/u/~/log"}, ["StandardOutPath"]),
        ({"StandardErrorPath": "/Users/$USER/log"}, ["StandardErrorPath"]),
        ({"StandardErrorPath": "/Users/$(id -un)/log"}, ["StandardErrorPath"]),
        ({"StandardErrorPath": "/Users/{{ user }}/log"}, ["StandardErrorPath"]),
        ({"ProgramArguments": ["/bin/x", 1]}, ["ProgramArguments", "text"]),
        ({"ProgramArguments": ["llama-server"]}, ["llama-server", "absolute"]),
        ({"ProgramArguments": ["/Users/$HOME/run"]}, ["$HOME"]),
        ({"EnvironmentVariables": {"A": 1}}, ["EnvironmentVariables.A"]),
        ({"EnvironmentVariables": ["A=1"]}, ["EnvironmentVariables", "an object"]),
        ({"SoftResourceLimits": {"Files": 1}}, ["SoftResourceLimits.Files", "unknown"]),
        ({"LimitLoadToSessionType": [1]}, ["LimitLoadToSessionType"]),
        ({"Label": "com.example.other"}, ["com.example.other", "com.example.job"]),
        ({"RunAtLoad": False}, ["RunAtLoad", "SuccessfulExit"]),
    ],
)
def test_each_mistake_is_named(change, names):
    (problem,) = problems(change)
    assert all(name in problem for name in names), problem


def test_all_mistakes_are_told_at_once():
    assert len(problems({"RunAtLoad": "x", "Nonsense": 1, "Umask": "022"})) == 3
    assert len(problems({"RunAtLoad": False, "WorkingDirectory": "x"}, domain="gui/501")) == 3


@pytest.mark.parametrize(
    ("change", "domain", "key"),
    [
        ({}, "gui/501", "UserName"),
        ({}, "user/501", "LimitLoadToSessionType"),
        ({"LimitLoadToSessionType": "Aqua"}, "user/501", "LimitLoadToSessionType"),
        ({"LimitLoadToSessionType": "Background"}, "gui/501", "LimitLoadToSessionType"),
        ({"LimitLoadToSessionType": "aqua"}, "gui/501", "LimitLoadToSessionType"),
    ],
)
def test_a_plist_must_fit_its_domain(change, domain, key):
    assert any(problem.startswith(key) for problem in problems(change, domain=domain))


def test_an_agent_fits_the_session_of_its_domain():
    assert problems(drop=["UserName"], domain="gui/501") == []
    assert problems({"LimitLoadToSessionType": "Background"}, ["UserName"], domain="user/501") == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "<plist><dict><key>A</key>",
        '<?xml version="1.0"?><plist version="1.0"><array/></plist>',
        '<?xml version="1.0"?><plist version="1.0"><dict><key>A & B</key><true/></dict></plist>',
        '<?xml version="1.0"?><plist version="1.0"><dict><key>A</key><integer>x</integer></dict></plist>',
    ],
)
def test_what_is_no_property_list_is_said_to_be_none(text):
    (problem,) = plist.problems(text, PATH, "system")
    assert "property list" in problem


@pytest.mark.parametrize("path", ["/Library/LaunchDaemons/other.plist", "/x/com.example.job"])
def test_the_file_must_be_named_after_the_label(path):
    (problem,) = problems(path=path)
    assert problem.startswith("Label")
    assert problems(drop=["Label"])
