# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A real llama-server with real RPC workers. (Their services and their return after a loss: scenario rpc.)"""

import contextlib
import re
import subprocess

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import selftest
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.temporary_server import TemporaryServer
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.log_causes import diagnose
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.rpc_worker import NoWorker, ask
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import rpc
from ansible_collections.macos_setup.llm.plugins.plugin_utils.rpc import worker as worker_plan
from support.fake_rpc_worker import hello, rpc_worker
from support.paths import REPOSITORY
from support.planned_server import plan_of, serving
from support.supervised_server import free_port

SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest"
MODEL = SELFTEST / "selftest.gguf"
PATIENCE = 30


@contextlib.contextmanager
def worker(engine, host):
    """The endpoint of a worker at ``host``, started as its service starts it, once it answers."""
    variables = {"address": host, "port": free_port(), "device": "CPU", "cache": False}
    command = [engine / "ggml-rpc-server", *worker_plan.arguments(variables), "--threads", "1"]
    endpoint = f"{host}:{variables['port']}"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers():
        with contextlib.suppress(NoWorker):
            return ask(endpoint)

    try:
        assert wait_until(answers, PATIENCE, 0.02)
        yield endpoint
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def endpoints(engine):
    with worker(engine, "127.0.0.2") as first, worker(engine, "127.0.0.3") as second:
        yield [first, second]


def given(endpoints, *more):
    return ["--rpc", ",".join(endpoints), "--parallel", "1", "--threads", "1", "--no-ui", *more]


def test_every_known_answer_to_the_letter(engine, endpoints, tmp_path):
    sizes = [ask(endpoint).memory for endpoint in endpoints]
    assert all(len(size) == 1 and size[0] > 0 for size in sizes)
    with serving_with(engine, endpoints, "1,1", tmp_path / "log") as server:
        result = selftest.ask_all(server, selftest.known_answers(SELFTEST / "answers.json"))
        assert result["asked"] > 100 and result["wrong"] == []
        with pytest.raises(NoWorker, match="may be using it"):
            ask(endpoints[0], seconds=0.2)
    assert holders(tmp_path / "log") == set(endpoints)
    assert ask(endpoints[0]).memory == sizes[0]  # the question that was given up did it no harm


def test_the_shares_are_in_the_order_of_the_workers(engine, endpoints, tmp_path):
    with serving_with(engine, endpoints, "0,1", tmp_path / "log"):
        assert holders(tmp_path / "log") == {endpoints[1]}


def serving_with(engine, endpoints, split, log):
    arguments = given(endpoints, "--tensor-split", split, "--verbosity", "4", "--log-file", str(log))
    return TemporaryServer(engine / "llama-server", MODEL, arguments, timeout=PATIENCE)


def holders(log):
    """The workers that hold a part of the model, by what llama-server says."""
    return set(re.findall(r"RPC\d+\[(\S+)\] model buffer size", log.read_text()))


def test_the_models_of_a_router_one_after_the_other(endpoints, tmp_path):
    models = {name: {"path": str(MODEL), "filename": f"{name}.gguf"} for name in ("one", "two")}
    plan = plan_of(models, tmp_path, {"default_model": "one"}, rpc_workers=workers(endpoints), max_loaded_models=1)
    with serving(plan, tmp_path) as server:
        for name in ("one", "two", "one"):
            assert server.complete("Hello", model=name, n_predict=1)["model"] == name


def workers(endpoints):
    return [{"address": host, "port": int(port)} for host, port in (endpoint.split(":") for endpoint in endpoints)]


@pytest.mark.parametrize(("answers", "cause"), [([hello(6)], "has another version"), ([], "was lost, or has another")])
def test_a_worker_of_another_version_ends_the_server_with_a_known_cause(engine, answers, cause):
    with rpc_worker(answers) as endpoint:
        assert cause in ended(engine, endpoint)


def test_a_missing_worker_ends_the_server_with_a_known_cause(engine):
    assert "is not there" in ended(engine, f"127.0.0.1:{free_port()}")


def ended(engine, endpoint):
    """The cause that is found in what llama-server says when it ends by itself."""
    command = [engine / "llama-server", "--model", MODEL, "--port", str(free_port()), *given([endpoint])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE, env=rpc.ENVIRONMENT)
    assert done.returncode < 0
    return diagnose(done.stderr.splitlines()).cause


def test_a_worker_says_success_when_its_address_is_not_there(engine):
    """Which is why its runner takes no exit status for success."""
    command = [engine / "ggml-rpc-server", "--host", "192.0.2.1", "--port", "50052"]
    assert subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE).returncode == 0
