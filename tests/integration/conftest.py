# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Directories that stand for hosts, a clean copy of the checkout, and which tests come first."""

import contextlib
import subprocess

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support import checkout
from support.plays import Host, processes_below

FAILED = pytest.StashKey()


#: The files that take longest, the longest first; with --dist loadfile each has one worker.
LONGEST = ("test_scenarios", "test_upgrade", "test_changes", "test_model_fleet", "test_interruptions", "test_bundle")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed:
        item.getparent(pytest.Module).stash[FAILED] = True
    return report


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """A copy of what git knows of the checkout."""
    target = tmp_path_factory.mktemp("newcomer") / "a clone"
    checkout.copy_to(target)
    yield target
    subprocess.run(["make", "demo-clean"], cwd=target, check=False)


@contextlib.contextmanager
def lent(host):
    """``host`` in its own new directory; its processes end with the block."""
    host.directory.mkdir()
    yield host
    processes.end(processes_below(host.directory), patience=20)
    assert wait_until(lambda: not processes_below(host.directory), 10)


@pytest.fixture
def host(tmp_path, engine):
    """A directory that stands for a host, with the compiled engine to adopt."""
    with lent(Host(tmp_path / "host", engine)) as host:
        yield host


@pytest.fixture
def mac_host(tmp_path, engine):
    """The same for a host whose facts say macOS."""
    # What a shell would execute is refused in a plist (module_utils/macos/plist.py).
    with lent(Host(tmp_path / "host", engine, workspace="llm & co's workspace")) as host:
        yield host


@pytest.fixture(scope="module")
def prepare():
    """``prepare(host)`` changes the configuration of the host that the tests of a file share. Files override it."""
    return lambda host: None


@pytest.fixture(scope="module")
def shared(tmp_path_factory, engine, prepare):
    """``shared.renew()`` makes ``shared.host`` a new one, installed as the file wants it; the one before has ended."""
    with contextlib.ExitStack() as opened:

        class Shared:
            host = None

            def renew(self):
                opened.close()
                self.host = opened.enter_context(lent(Host(tmp_path_factory.mktemp("shared") / "host", engine)))
                prepare(self.host)
                self.host.play()

        yield Shared()


@pytest.fixture
def installed(request, shared):
    """The host of this file: installed once, then changed by its tests, and made anew after one that failed.

    Each test takes it as any other test may have left it.
    """
    stash = request.node.getparent(pytest.Module).stash
    if shared.host is None or stash.get(FAILED, False):
        stash[FAILED] = False
        shared.renew()
    return shared.host
