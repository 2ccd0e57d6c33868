# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""docs/macos.md names everything of macOS that the service code uses."""

import re
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import libraries
from ansible_collections.macos_setup.llm.plugins.module_utils.macos import hardware, plist, power, settings
from ansible_collections.macos_setup.llm.plugins.module_utils.net import peer
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd import diagnosis, exit_codes
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import launchd

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENT = (REPOSITORY / "docs" / "macos.md").read_text(encoding="utf-8")
CODE = "".join(
    path.read_text(encoding="utf-8")
    for path in (REPOSITORY / "plugins" / "module_utils" / "service" / "launchd").glob("*.py")
)


def test_every_verb_of_launchctl():
    verbs = set(re.findall(r'(?:\.run|self\._do)\("([a-z-]+)"', CODE))
    assert {"enable", "bootstrap", "bootout", "kickstart", "print", "print-disabled", "disable"} <= verbs
    assert all("`launchctl %s`" % verb in DOCUMENT for verb in verbs)


def test_every_key_that_a_plist_may_have_and_no_other():
    table = DOCUMENT.partition("## Keys of the property list")[2].partition("The watchdog's plist")[0]
    documented = " ".join(re.findall(r"^\| ([^|]+)", table, re.M))
    assert set(re.findall(r"`(\w+)`", documented)) == set(plist.FORMS)


def test_every_place():
    assert "`%s`" % launchd.DAEMONS in DOCUMENT and "`~/%s`" % launchd.AGENTS in DOCUMENT
    assert "`%s/<name>.conf`" % launchd.NEWSYSLOG in DOCUMENT


def test_every_other_command():
    assert "`%s`" % diagnosis.XATTR in DOCUMENT
    assert "`%s` `%s`" % (processes.PROGRAM, " ".join(processes.PS[1:])) in DOCUMENT
    assert "`%s`" % peer.LSOF in DOCUMENT
    assert "DYLD_PRINT_LIBRARIES" in libraries.LOADER and "DYLD_PRINT_LIBRARIES=1" in DOCUMENT


def test_everything_that_is_asked_or_changed_of_the_host():
    paths = (hardware.SYSCTL, power.PMSET, power.FDESETUP, power.LOGIN_WINDOW, power.KEEP_AWAKE[0])
    for path in (*paths, settings.WIRED_LIMIT_PLIST):
        assert "`%s" % path in DOCUMENT
    assert all(name in DOCUMENT for name in hardware.NAMES.values())


def test_every_exit_code_that_is_acted_on():
    table = DOCUMENT.partition("The code acts on these:")[2]
    numbers = {int(number) for number in re.findall(r"\b\d+\b", " ".join(re.findall(r"^\| ([\d, ]+)", table, re.M)))}
    names = re.findall(
        r"\b(NO_SUCH_PROCESS|IO_ERROR|IN_PROGRESS|ALREADY|NO_DOMAIN_ACTION|NO_DOMAIN|NO_SERVICE)\b", CODE
    )
    assert {getattr(exit_codes, name) for name in names} <= numbers
