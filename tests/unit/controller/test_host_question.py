# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a host is asked, and what its answer makes of the plan."""

import pytest
from ansible_collections.macos_setup.llm.plugins.plugin_utils import role_variables
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import host_question
from support.planning import LINUX, MAC, resolve

VARIABLES = role_variables.typed_all({"llama_cpp_config_file": "/x.json", "llama_cpp_packages_file": "/y.json"})
NOTHING_DUE = {"due": {}, "programs": {}, "foreign": {}, "fit": {"words": [], "undecided": False}}
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


def test_a_command_of_others_is_not_installed_and_told():
    plan = completed(foreign={"llm": "/opt/homebrew/bin/llm", "llm-client": None, "llm-manager": None})
    names = {file["dest"].rpartition("/")[2] for file in plan["file_sets"]["tools"]["files"]}
    assert {"client.json", "llm-client", "llm-manager"} <= names and "llm" not in names
    assert any("/opt/homebrew/bin/llm" in note and '"llm"' in note for note in plan["notes"])


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
