# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Root hands what is a user's to that user, and runs nothing that others can change."""

import os
import pwd
import signal

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import privileges
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.privileges import (
    Deputy,
    as_user,
    require_root_owned,
)
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd.launchctl import (
    Launchctl,
    LaunchctlMissing,
)

NOBODY = pwd.getpwnam("nobody")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give root up")


def who():
    """What this process is, and whether it can be root again."""
    try:
        os.setuid(0)
    except PermissionError:
        return [os.getresuid(), os.getresgid(), os.environ["HOME"]]
    return "root again"


@as_root
def test_it_is_the_user_for_good():
    uid, gid = NOBODY.pw_uid, NOBODY.pw_gid
    assert as_user("nobody", who) == [[uid] * 3, [gid] * 3, NOBODY.pw_dir]
    assert os.geteuid() == 0


@as_root
def test_no_group_of_root_is_left():
    assert as_user("nobody", os.getgroups) == os.getgrouplist("nobody", NOBODY.pw_gid)


@pytest.mark.parametrize("user", [None, pytest.param("nobody", marks=as_root)])
def test_arguments_and_values_come_and_go(user):
    assert as_user(user, "{}-{}".format, "a", 1) == "a-1"


def fail(error):
    raise error


@as_root
@pytest.mark.parametrize("error", [LlamaCppError("that is why"), ValueError("that is why")])
def test_a_failure_arrives(error):
    with pytest.raises(LlamaCppError, match="that is why"):
        as_user("nobody", fail, error)


@as_root
def test_a_process_that_is_killed_is_a_failure():
    with pytest.raises(LlamaCppError, match="has ended"):
        as_user("nobody", lambda: os.kill(os.getpid(), signal.SIGKILL))


@as_root
def test_what_it_says_meanwhile_arrives_in_order():
    said, state = [], []

    def functions(say):
        def step(name):
            say(name + " begins")
            state.append(name)
            return state

        return {"step": step}

    with Deputy("nobody", functions, said.append) as deputy:
        assert [deputy.ask("step", name) for name in "ab"] == [["a"], ["a", "b"]]
    assert said == ["a begins", "b begins"] and state == []


@as_root
@pytest.mark.parametrize(("user", "words"), [("root", "ordinary user"), ("no-such-user", "no user no-such-user")])
def test_nobody_but_an_ordinary_user_is_acted_for(user, words):
    with pytest.raises(LlamaCppError, match=words):
        as_user(user, who)


@as_root
def test_what_it_prints_does_not_get_into_the_result_of_a_module(capfd):
    assert as_user("nobody", os.system, "echo noise") == 0
    assert capfd.readouterr().out == ""


@pytest.fixture
def program(tmp_path):
    """One that root alone can change, as far as the directories above go."""
    path = tmp_path / "bin" / "program"
    path.parent.mkdir(mode=0o755)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@as_root
def test_a_program_of_root_is_run(program):
    require_root_owned(program)
    require_root_owned("/bin/sh")


def link_to_theirs(path):
    theirs = path.parent.parent / "theirs"
    theirs.write_text("")
    os.chown(theirs, NOBODY.pw_uid, 0)
    path.unlink()
    path.symlink_to(theirs)


CHANGED = {
    "it belongs to a user": lambda path: os.chown(path, NOBODY.pw_uid, 0),
    "everybody may write to it": lambda path: path.chmod(0o757),
    "its group may write to it": lambda path: path.chmod(0o775),
    "its directory belongs to a user": lambda path: os.chown(path.parent, NOBODY.pw_uid, 0),
    "everybody may write to its directory": lambda path: path.parent.chmod(0o777),
    "it is a link to a user's program": link_to_theirs,
}


@as_root
@pytest.mark.parametrize("change", CHANGED)
def test_a_program_that_others_can_change_is_not_run(program, change):
    CHANGED[change](program)
    with pytest.raises(LlamaCppError, match=str(program)):
        require_root_owned(program)


@as_root
def test_a_link_of_a_user_to_a_program_of_root_is_not_followed(program):
    link = program.parent.parent / "link"
    link.symlink_to(program)
    os.lchown(link, NOBODY.pw_uid, 0)
    with pytest.raises(LlamaCppError, match=str(link)):
        require_root_owned(link)


@as_root
def test_root_acts_for_root_only_where_root_alone_can_write(program):
    assert privileges.user_to_act_for("nobody", [program]) == "nobody"
    assert privileges.user_to_act_for("root", [program, None, program / "missing"]) is None
    os.chown(program.parent, NOBODY.pw_uid, 0)
    with pytest.raises(LlamaCppError, match=str(program)):
        privileges.user_to_act_for("root", [program])


@as_root
def test_others_cannot_replace_what_is_roots_in_a_sticky_directory(program):
    program.parent.chmod(0o1777)
    require_root_owned(program)


@as_root
def test_root_does_not_work_in_a_directory_of_a_user(tmp_path):
    privileges.refuse_foreign(str(tmp_path))
    privileges.refuse_foreign(str(tmp_path / "missing"))
    os.chown(tmp_path, NOBODY.pw_uid, 0)
    with pytest.raises(LlamaCppError, match=r"belongs to nobody.*Run the play as nobody"):
        privileges.refuse_foreign(str(tmp_path))


@as_root
def test_a_link_by_way_of_a_directory_of_a_user_is_not_followed(program):
    """Both ends are root's, and the user leads one to the other."""
    theirs, link = program.parent.parent / "theirs", program.parent / "link"
    theirs.mkdir()
    (theirs / "between").symlink_to(program)
    link.symlink_to(theirs / "between")
    require_root_owned(link)
    os.chown(theirs, NOBODY.pw_uid, 0)
    with pytest.raises(LlamaCppError, match=str(theirs)):
        require_root_owned(link)


@as_root
def test_links_in_a_circle_have_an_end(program):
    for name, target in (("a", "b"), ("b", "a")):
        (program.parent / name).symlink_to(target)
    require_root_owned(program.parent / "a")


@as_root
def test_root_acts_for_nobody_only_where_root_alone_can_write(program):
    assert privileges.user_to_act_for(None, [program]) is None
    os.chown(program.parent, NOBODY.pw_uid, 0)
    with pytest.raises(LlamaCppError, match=str(program)):
        privileges.user_to_act_for(None, [program])


@as_root
@pytest.mark.parametrize("path", ["sysctl", "./sysctl", ""])
def test_a_program_that_would_be_looked_for_is_not_run(path):
    with pytest.raises(LlamaCppError, match="no absolute path"):
        require_root_owned(path)


@as_root
def test_a_launchctl_that_is_not_there_yet_is_not_run_from_a_directory_of_a_user(program):
    program.unlink()
    launchctl = Launchctl(str(program))
    with pytest.raises(LaunchctlMissing):
        launchctl.run("print", "system")
    os.chown(program.parent, NOBODY.pw_uid, 0)
    with pytest.raises(LlamaCppError, match="others than root"):
        Launchctl(str(program)).run("print", "system")


@as_root
def test_a_process_that_its_user_has_stopped_is_given_up_and_ended(monkeypatch):
    monkeypatch.setattr(privileges, "ENDING_SECONDS", 0)

    def functions(_say):
        return {"pid": os.getpid, "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP)}

    with Deputy("nobody", functions, patience=0.05) as deputy:
        pid = deputy.ask("pid")
        with pytest.raises(LlamaCppError, match="nobody has said nothing"):
            deputy.ask("stop")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


FORGED = {
    "no pair": "5",
    "no JSON": '["value", NaN]',
    "nested deeper than can be read": '["value", ' + "[" * 100_000,
    "longer than can be read": '["value", "' + "x" * 2000,
}


@as_root
@pytest.mark.parametrize("said", FORGED)
def test_what_such_a_process_cannot_have_to_say_is_a_failure(said, monkeypatch):
    send = privileges._send

    def forging(channel, message):
        if message[0] == "value":
            channel.write(FORGED[said] + "\n")
            channel.flush()
        else:
            send(channel, message)

    monkeypatch.setattr(privileges, "MOST_BYTES", 1000 if "longer" in said else 1_000_000)
    monkeypatch.setattr(privileges, "_send", forging)
    failed = pytest.raises(LlamaCppError, match="acts for nobody failed")
    with Deputy("nobody", lambda _say: {"call": dict}, patience=5) as deputy, failed:
        deputy.ask("call")


@as_root
def test_nothing_of_roots_environment_goes_to_the_users_programs(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # closed to others
    monkeypatch.setattr(privileges.tempfile, "tempdir", str(tmp_path))
    environment, directory = as_user("nobody", lambda: [dict(os.environ), privileges.tempfile.gettempdir()])
    assert set(environment) <= {*privileges.INHERITED, "HOME", "USER", "LOGNAME"} and "PATH" in environment
    assert directory != str(tmp_path)
