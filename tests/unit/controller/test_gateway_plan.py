# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The gateway as a function of its variables and of the configurations of the hosts behind it."""

import hashlib
import json
import re
import shlex

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils.gateway import clients, plan, servers
from ansible_collections.macos_setup.llm.plugins.plugin_utils.rendering import haproxy_word
from support.gateway import HOSTS_KEY, KEYS, VARIABLES, configured
from support.planning import MODEL, resolve

PATHS = {name: f"/run/{name}" for name in ("admin_socket", "master_socket", "peers_socket", "key_map", "lua")}
LIMITS = {"requests_per_minute": 60, "parallel": 4}
KEY = "k" * clients.SHORTEST_KEY


def planned(hosts=None, **variables):
    return plan.plan({**VARIABLES, **variables}, hosts or [configured()], {"paths": PATHS, "user": None})


def text(hosts=None, key=HOSTS_KEY, **variables):
    return plan.configuration(planned(hosts, hosts_api_key=key, **variables), key)[0]


def server_of(**more):
    return configured("mac", is_near=False, **more)


@pytest.mark.parametrize(
    ("settings", "variables", "address"),
    [
        ({"server_host": "192.0.2.7"}, {"ansible_host": "mac.lan"}, "192.0.2.7"),
        ({"server_host": "0.0.0.0"}, {"ansible_host": "mac.lan"}, "mac.lan"),
        ({"server_host": "0.0.0.0"}, {}, "mac"),
        ({"server_host": "::"}, {"llama_cpp_gateway_server_address": "fd00::7", "ansible_host": "m"}, "[fd00::7]"),
        ({"server_host": "127.0.0.1"}, {"llama_cpp_gateway_server_address": "10.0.0.7"}, "10.0.0.7"),
    ],
)
def test_the_address_of_a_host(settings, variables, address):
    assert server_of(llm_settings=settings, variables=variables)["address"] == address


def test_a_gateway_on_the_same_machine_uses_loopback():
    assert configured(llm_settings={"server_host": "127.0.0.1"})["address"] == "127.0.0.1"
    assert configured(llm_settings={"server_host": "0.0.0.0"})["address"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "sections", "key"),
    [
        ("mac", {"llm_settings": {"server_host": "127.0.0.1"}}, "llm_settings.server_host"),
        ("mac", {"llm_settings": {"enabled": False}}, "llm_settings.enabled"),
        ("mac", {"server": {"api_key": "auto"}}, "server.api_key"),
        ("mac 1", {}, "letters, digits"),
    ],
)
def test_a_host_that_the_gateway_cannot_use(name, sections, key):
    with pytest.raises(LlamaCppError, match=re.escape(key)) as failure:
        configured(name, is_near=False, **sections)
    assert str(failure.value).strip().startswith(f"{name}: ")


def test_a_model_that_is_to_be_absent_is_offered_by_nobody():
    host = configured(models={"tiny": MODEL, "old": {"state": "absent", "filename": "old.gguf"}})
    assert [model["name"] for model in servers.models([host])] == ["tiny"]


def test_a_host_is_asked_by_its_agent_where_its_watchdog_runs_one():
    agent = {"agent": {"port": 8079, "gateways": ["192.168.7.10"]}}
    assert "agent-check agent-port 8079 agent-inter 1s" in text([configured(service={"watchdog": agent})])
    assert "agent-check" not in text([configured(service={"watchdog": {**agent, "enabled": False}})])
    assert "agent-check" not in text()


@pytest.mark.parametrize(
    ("agent", "key"),
    [
        ({"port": 8079, "gateways": ["1:2:3"]}, "service.watchdog.agent.gateways[0]"),
        ({"port": 8079, "gateways": ["gate.lan"]}, "service.watchdog.agent.gateways[0]"),
        ({"port": 8080, "gateways": ["192.168.7.10"]}, "service.watchdog.agent.port"),
        ({"port": 8079}, "service.watchdog.agent"),
    ],
)
def test_an_agent_that_cannot_be(agent, key):
    with pytest.raises(LlamaCppError, match=re.escape(key)):
        configured(service={"watchdog": {"agent": agent}})


def test_the_watchdog_is_told_where_to_listen_and_where_it_is_drained():
    agent = {"port": 8079, "gateways": ["192.168.7.10"]}
    found = resolve({"service": {"watchdog": {"agent": agent}}, "llm_settings": {"server_host": "192.168.7.11"}})
    drain_file = "/home/sam/llm-workspace/service/run/draining"
    assert found["watchdog"]["client"]["agent"] == {**agent, "address": "192.168.7.11", "drain_file": drain_file}
    assert resolve()["watchdog"]["client"]["agent"] is None


def test_origins_are_those_that_all_hosts_allow():
    def allowing(*origins):
        return configured(server={"api_key": "~/key", "cors_origins": list(origins)})

    page, other = "https://a.example", "https://b.example"
    assert planned([allowing(page, other), allowing("*"), allowing(page, "localhost")])["origins"] == [page]
    assert planned([allowing("*"), allowing("*")])["origins"] == ["*"]
    assert "is_allowed_origin var(txn.origin) -m str 'https://a.example'" in text([allowing(page)])


def test_what_homebrews_haproxy_lacks_is_asked_of_no_other_build():
    found = text()
    for feature, word in (("LUA", "lua"), ("PROMEX", "prometheus-exporter")):
        blocks = re.findall(rf"^\.if feature\({feature}\).*?^\.endif$", found, re.MULTILINE | re.DOTALL)
        rest = [line for line in found.split("\n") if not any(line in block.split("\n") for block in blocks)]
        assert blocks and not [line for line in rest if word in line and not line.lstrip().startswith("#")]


def test_models_are_merged_with_their_aliases_and_hosts():
    one = configured("one", models={"tiny": {**MODEL, "aliases": ["small"]}, "big": MODEL | {"filename": "b.gguf"}})
    two = configured("two", models={"tiny": {**MODEL, "aliases": ["t"]}})
    found = servers.models([one, two])
    assert [(model["name"], model["aliases"], model["servers"]) for model in found] == [
        ("big", [], ["one"]),
        ("tiny", ["small", "t"], ["one", "two"]),
    ]


def test_an_alias_means_one_model():
    one = configured("one", models={"tiny": {**MODEL, "aliases": ["fast"]}})
    for other in ({"other": {**MODEL, "aliases": ["fast"]}}, {"fast": MODEL}):
        with pytest.raises(LlamaCppError, match='"fast" also means'):
            servers.models([one, configured("two", models=other)])


def test_slots_are_those_that_the_server_has():
    assert configured()["slots"] == servers.DEFAULT_SLOTS
    found = text([configured(server={"api_key": "~/key", "parallel": 7})])
    assert "maxconn 7 maxqueue 7" in found


def test_a_client_is_known_by_the_hash_of_its_key_alone():
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    (by_key,) = clients.clients([{"name": "anna", "key": KEY}], LIMITS)
    (by_hash,) = clients.clients([{"name": "anna", "key_sha256": digest}], LIMITS)
    assert by_key == by_hash == {"name": "anna", "key_sha256": digest.upper(), "batch": False, **LIMITS}
    one = type("_AnsibleTaggedInt", (int,), {})(1)
    (own,) = clients.clients([{"name": "jobs", "key": KEY, "batch": True, "parallel": one}], LIMITS)
    assert (own["batch"], own["parallel"], own["requests_per_minute"]) == (True, 1, 60)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "at least one client"),
        (["anna"], "[0]: expected: an object"),
        ([{"name": "anna"}], "[0]: give one of key and key_sha256"),
        ([{"name": "anna", "key": KEY, "key_sha256": "0" * 64}], "[0]: give one of"),
        ([{"name": "an na", "key": KEY}], "[0].name"),
        ([{"name": "anna", "key": KEY[1:]}], "[0].key: expected: text of at least 20"),
        ([{"name": "anna", "key": KEY + "\n"}], "[0].key: begins or ends with a space"),
        ([{"name": "anna", "key_sha256": "0" * 63}], "[0].key_sha256"),
        ([{"name": "anna", "key": KEY, "bach": True}], '[0].bach: unknown key; did you mean "batch"?'),
        ([{"name": "anna", "key": KEY, "batch": "yes"}], "[0].batch"),
        ([{"name": "anna", "key": KEY, "parallel": 0}], "[0].parallel"),
        ([{"name": "anna", "key": KEY, "parallel": True}], "[0].parallel"),
        ([{"name": "anna", "key": KEY}, {"name": "anna", "key": KEY + "2"}], "anna has the name of a client above"),
        ([{"name": "anna", "key": KEY}, {"name": "bert", "key": KEY}], "bert has the key_sha256 of a client above"),
    ],
)
def test_what_is_wrong_with_a_client_is_said_without_its_key(entries, words):
    with pytest.raises(LlamaCppError) as failure:
        clients.clients(entries, LIMITS)
    assert words in str(failure.value)
    assert KEY[1:] not in str(failure.value)


def test_hosts_with_a_key_need_one_and_hosts_with_https_an_authority():
    with pytest.raises(LlamaCppError, match="llama_cpp_gateway_hosts_api_key: is empty"):
        planned(hosts_api_key="")
    with pytest.raises(LlamaCppError, match="llama_cpp_gateway_hosts_api_key: begins or ends") as failure:
        planned(hosts_api_key=HOSTS_KEY + " ")
    assert HOSTS_KEY not in str(failure.value)
    encrypted = configured(server={"api_key": "~/key", "tls": {"certificate": "~/c.pem", "private_key": "~/k.pem"}})
    with pytest.raises(LlamaCppError, match="llama_cpp_gateway_servers_ca: is empty, and mini1"):
        planned([encrypted])
    assert "ssl verify required ca-file '/etc/ca.pem'" in text([encrypted], servers_ca="/etc/ca.pem")


def test_open_hosts_on_loopback_get_no_key():
    local = configured(llm_settings={"server_host": "127.0.0.1"}, server={"api_key": "none"})
    assert "http-request del-header Authorization" in text([local], key="")
    assert plan.key_map(planned([local], hosts_api_key=""), "") == ""


def test_no_key_is_in_the_configuration_and_every_change_of_one_is_in_its_fingerprint():
    found = text()
    assert not [key for key in (HOSTS_KEY, *KEYS.values()) if key in found]
    assert plan.key_map(planned(), HOSTS_KEY) == f"hosts Bearer {HOSTS_KEY}\n"
    prints = {plan.configuration(planned(hosts_api_key=key), key)[1] for key in (HOSTS_KEY, HOSTS_KEY + "2")}
    prints.add(plan.configuration(planned(queue=3), HOSTS_KEY)[1])
    assert len(prints) == 3
    now = plan.configuration(planned(), HOSTS_KEY)[1]
    assert now in found and now in prints


def test_a_path_is_one_word_whatever_is_in_it():
    hostile = """/a b/'; # $HOME "c" \\{ %[x]"""
    assert f"ssl crt {haproxy_word(hostile)} alpn" in text(certificate=hostile)
    assert shlex.split(haproxy_word(hostile)) == [hostile]
    with pytest.raises(ValueError, match="control character"):
        haproxy_word("a\nglobal")


def test_addresses_of_both_kinds():
    assert "bind '[::1]:8443'" in text(address="::1")
    assert "bind '10.0.0.1:443'" in text(address="10.0.0.1", port=443)


def test_every_error_is_one_that_clients_of_openai_and_anthropic_can_read():
    for name, error in planned()["errors"].items():
        body = json.loads(error["body"].replace("%[", "").replace("%%", "%"))
        assert body["type"] == "error" and {"message", "type", "code"} <= set(body["error"]), name
        assert (error["retry_after"] is not None) == (error["status"] in (429, 503)), name
