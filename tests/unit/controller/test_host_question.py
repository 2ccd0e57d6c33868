# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a host is asked, and what its answer makes of the plan."""

import pytest
from ansible_collections.macos_setup.llm.plugins.plugin_utils import role_variables
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import host_question
from support.planning import LINUX, MAC, resolve

VARIABLES = role_variables.typed_all({"llama_cpp_config_file": "/x.json", "llama_cpp_packages_file": "/y.json"})
NOTHING_DUE = {"due": {}, "programs": {}, "fit": {"words": [], "undecided": False}}
NOTHING_DUE["fit"]["undecided_absent"] = False


def asked(config=None, host=LINUX, **variables):
    return host_question.question(resolve(config, host), {**VARIABLES, **variables}, {}, {})


def completed(config=None, host=LINUX, variables=None, **found):
    return host_question.complete(resolve(config, host), {**VARIABLES, **(variables or {})}, {**NOTHING_DUE, **found})


def test_all_stages_are_looked_at():
    all_of_them = {"foundation", "engine", "models", "unwanted", "service", "tools"}
    assert set(asked()["stages"]) == all_of_them
    assert set(asked(host=MAC)["stages"]) == all_of_them | {"mac"}


FLAGS = {
    "install_llama_cpp": {"engine"},
    "download_models": {"models", "unwanted"},
    "setup_service": {"service"},
    "install_client_tools": {"tools"},
}


@pytest.mark.parametrize("flag", FLAGS)
def test_each_flag_adds_its_stage_and_nothing_else(flag):
    question = asked({"feature_flags": {**dict.fromkeys(FLAGS, False), flag: True}})
    assert set(question["stages"]) == {"foundation"} | FLAGS[flag]


def test_models_are_removed_that_nothing_names_when_that_is_asked_for():
    (_kind, kept), (_, pruned) = (asked(prune_models=prune)["stages"]["unwanted"][0] for prune in (False, True))
    assert "prune" not in kept
    assert (pruned["prune"], pruned["keep"]) == (resolve()["paths"]["models_dir"], resolve()["model_paths"])


def test_under_launchd_it_is_asked_for_jobs_of_the_other_scope_and_for_the_watchdog():
    mac = asked(host=MAC)
    assert mac["launchd"]["elsewhere"]["scope"] == "system"
    assert [kind for kind, _options in mac["stages"]["tools"]] == ["environment", "file_set", "launchd"]
    assert "launchd" not in asked()


def test_what_the_host_found_due_is_due_and_the_service_follows_engine_and_models():
    assert completed()["due"] == {}
    assert completed(due={"tools": ["file_set"]})["due"] == {"tools": ["file_set"]}
    assert completed(due={"models": ["models"]})["due"] == {"models": ["models"], "service": []}
    assert set(completed(due={"engine": ["release"]})["due"]) == {"engine", "service"}
    without = {"feature_flags": {"setup_service": False}}
    assert set(completed(without, due={"engine": ["release"]})["due"]) == {"engine"}


def test_a_job_in_the_other_scope_makes_the_service_due():
    found = completed(host=MAC, elsewhere=[{"label": "com.llama.server"}])
    assert found["due"] == {"service": []} and found["elsewhere"]


def test_the_models_are_due_when_the_lock_file_is_to_be_written():
    assert "models" in completed(variables={"update_lock": True})["due"]
    plan = resolve()
    unseen = host_question.complete(plan, {**VARIABLES, "update_lock": True}, host_question.UNSEEN)
    assert unseen["due"] == {} and unseen["release"] is None and unseen["notes"] == []


# What is told of the commands

NAMES = ("llm", "llm-client", "llm-manager")
ALL_FREE = {
    "foreign": dict.fromkeys(NAMES),
    "others": {name: [] for name in NAMES},
    "simonw": None,
    "left_out": {},
    "withheld": [],
    "login": None,
}
LOGIN = {"shell": "/bin/zsh", "runs": {}, "path_line": None, "completes": True}
THEIRS = "/opt/homebrew/bin/llm"


def told(**about):
    """The notes of a play that installs the commands, as one text; nothing else is to be told."""
    return "\n".join(completed(host=MAC, due={"tools": ["file_set"]}, commands={**ALL_FREE, **about})["notes"])


def test_a_command_of_others_is_not_installed_nor_what_goes_with_it():
    share = "/Users/sam/.local/share"
    withheld = ["/Users/sam/.local/bin/llm", f"{share}/man/man1/llm.1"]
    about = {**ALL_FREE, "foreign": {**ALL_FREE["foreign"], "llm": THEIRS}, "withheld": withheld}
    about["others"] = {**ALL_FREE["others"], "llm": [THEIRS]}
    plan = completed(host=MAC, commands=about)
    names = {file["dest"] for file in plan["file_sets"]["tools"]["files"]}
    assert not names & set(withheld) and f"{share}/man/man1/llm-client.1" in names
    (note,) = plan["notes"]
    assert THEIRS in note and "llm-client" in note and "not installed" in note


def test_it_is_told_which_program_a_name_runs():
    others = {**ALL_FREE["others"], "llm": [THEIRS]}
    note = told(others=others, login={**LOGIN, "runs": {"llm": "/somewhere/llm"}})
    assert THEIRS in note and '"llm" runs /somewhere/llm' in note and "/Users/sam/.local/bin/llm" in note


def test_a_directory_that_is_not_searched_is_told_with_the_line_to_add():
    line = ("/Users/sam/.zshrc", 'export PATH=/Users/sam/.local/bin:"$PATH"')
    note = told(login={**LOGIN, "path_line": line})
    assert all(part in note for part in (*line, "/bin/zsh", "/Users/sam/.local/bin"))


def test_zsh_is_told_where_the_completion_scripts_are_when_they_are_installed():
    about = {**ALL_FREE, "login": {**LOGIN, "completes": False}}
    assert "fpath=(/Users/sam/.local/share/zsh/site-functions $fpath)" in told(**about)
    assert completed(host=MAC, commands=about)["notes"] == []


def test_nothing_is_told_where_all_is_well():
    assert told() == told(login=LOGIN) == ""


def test_a_file_of_others_in_the_place_of_one_of_ours_is_told():
    assert "/x/_llm is not ours." in told(left_out={"/x/_llm": "is not ours"})


def test_the_rollout_has_the_release_that_the_host_names():
    plan = completed(release={"name": "b1-abc"}, engine={"source": "bundle", "version": "b1-abc"})
    assert plan["jobs"]["server"]["rollout"]["release"] == "b1-abc"
    assert plan["engine"]["source"] == "bundle" and plan["release"]["name"] == "b1-abc"
    assert completed()["jobs"]["server"]["rollout"]["release"] is None


def test_configured_text_is_data_in_every_file():
    prompt = "{{ lookup('pipe', 'id') }} {% raw %}"
    plan = resolve({"client": {"system_prompt": prompt}})
    (client,) = (file for file in plan["file_sets"]["tools"]["files"] if file["dest"].endswith("client.json"))
    assert prompt in client["content"]
