# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A real HAProxy with the configuration of the collection, in front of hosts that are servers of this process."""

import contextlib
import http.client
import json
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.gateway.haproxy import HAProxy
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.agent import agent_of
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.policy import ANSWERING, Memory, Settings
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.gateway import plan, servers

from support.haproxy import HAPROXY
from support.planning import CATALOG, MODEL, SCHEMA
from support.supervised_server import free_port

HOSTS_KEY = "key-of-all-hosts"
KEYS = {"anna": "annas-key-is-long-enough", "jobs": "the-key-of-the-jobs-is-long"}
START_SECONDS = 20

VARIABLES = {
    "address": "127.0.0.1",
    "port": 8443,
    "statistics_address": "127.0.0.1",
    "statistics_port": 8405,
    "certificate": "",
    "servers_ca": "",
    "hosts_api_key": HOSTS_KEY,
    "clients": [{"name": "anna", "key": KEYS["anna"]}, {"name": "jobs", "key": KEYS["jobs"], "batch": True}],
    "requests_per_minute": 100_000,
    "parallel": 1000,
    "queue": 50,
    "max_request_bytes": 1024 * 1024,
    "max_connections": 500,
    "request_timeout": 10,
    "queue_timeout": 20,
    "answer_timeout": 600,
    "check_interval": 1,
    "keep_up": None,
    "drain_timeout": 600,
    "drain_overdue": "stop",
}


def configured(name="mini1", variables=None, is_near=True, models=None, **sections):
    """What servers.server() makes of a host whose configuration has these ``sections``."""
    given = {"models": models or {"tiny": MODEL}, "server": {"api_key": "~/gateway-key"}, **sections}
    given.setdefault("llm_settings", {}).setdefault("server_host", "192.0.2.1")
    given["llm_settings"].setdefault("default_model", next(iter(given["models"])))
    return servers.server(name, rules.checked(given, SCHEMA, CATALOG, "test"), variables or {}, is_near)


class FakeHost:
    """A host behind the gateway: answers with its name, and remembers what it was asked as (path, headers, body).

    While ``free`` is cleared it takes requests and answers none of them. A stream has ``PIECES`` pieces; after each
    one, the host waits until the client has it (``heard``). With ``pieces``, the bytes of each, all answers are streams
    of these, and nothing is waited for.
    """

    PIECES = 10

    def __init__(self, name, address, port):
        self.name, self.address = name, (address, port)
        self.asked, self.pieces = [], None
        self.memory = Memory(state=ANSWERING, looked=time.time())  # of its watchdog
        self.free = threading.Event()
        self.free.set()
        self.heard = threading.Semaphore(0)
        self._server = None

    def start(self):
        self._server = _Server(self.address, _Handler)
        self._server.host = self
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path != "/health":
            self.server.host.asked.append((self.path, self.headers, b""))
        self._reply(b'{"status": "ok"}')

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.host.asked.append((self.path, self.headers, body))
        self.server.host.free.wait()
        if self.server.host.pieces or b'"stream": true' in body:
            self._stream(self.server.host.pieces)
        else:
            self._reply(b'{"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 2}}')

    def _stream(self, pieces):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces or [b"data\n\n"] * FakeHost.PIECES:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if not pieces:
                self.server.host.heard.acquire(timeout=START_SECONDS)
        self.wfile.write(b"0\r\n\r\n")

    def _reply(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Host", self.server.host.name)
        self.send_header("Access-Control-Allow-Origin", "of the host")
        with contextlib.suppress(OSError):  # the client may have left
            self.end_headers()
            self.wfile.write(body)


class Gateway:
    """HAProxy, running, with its log in the file ``log``."""

    def __init__(self, directory, hosts, **variables):
        self._directory = Path(directory)
        self._variables = {**VARIABLES, "port": free_port(), "statistics_port": free_port(), **variables}
        self.port, self.statistics_port = self._variables["port"], self._variables["statistics_port"]
        self.log = self._directory / "log"
        names = ("admin_socket", "master_socket", "peers_socket", "key_map", "lua")
        self.paths = {name: str(self._directory / name) for name in names}
        self.configure(hosts)
        self.haproxy = HAProxy(self.paths["admin_socket"], self.paths["master_socket"])

    def configure(self, hosts, **variables):
        """Write the configuration for ``hosts``; returns its fingerprint."""
        self._variables.update(variables)
        made = plan.plan(self._variables, hosts, {"paths": self.paths, "user": None})
        Path(self.paths["key_map"]).write_text(plan.key_map(made, HOSTS_KEY))
        Path(self.paths["lua"]).write_text(plan.lua())
        text, fingerprint = plan.configuration(made, HOSTS_KEY)
        self.file = self._directory / "haproxy.cfg"
        self.file.write_text(text)
        return fingerprint

    @contextlib.contextmanager
    def running(self):
        command = [HAPROXY, "-W", "-S", f"{self.paths['master_socket']},mode,600", "-f", self.file]
        with open(self.log, "wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            assert wait_until(self.haproxy.fingerprint, START_SECONDS), self.log.read_text()
            yield self
        finally:
            process.terminate()
            process.wait()

    def ask(self, body=None, *, key=KEYS["anna"], conversation=None, path="/v1/chat/completions", model="tiny", **more):
        """A :class:`Reply` to a POST, or to a GET with ``method``."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers.update({"X-LLM-Conversation": conversation} if conversation else {}, **more.pop("headers", {}))
        method = more.pop("method", "POST")
        if body is None and method == "POST":
            body = json.dumps({"messages": [{"role": "user", "content": "Hello"}], "model": model})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it answers without having read all
                connection.request(method, path, body, headers, **more)
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def logged(self):
        """The whole lines of the access log."""
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def logs(self, ask):
        """(what ``ask()`` returns, the line that the access log has of it)."""
        before = len(self.logged())
        result = ask()
        assert wait_until(lambda: len(self.logged()) > before, START_SECONDS, 0.02)
        return result, self.logged()[before]


class Reply:
    """``status``, ``headers`` and ``text`` of an answer; ``host`` is the name of the one that gave it."""

    def __init__(self, response):
        self.status, self.headers, self.text = response.status, response.headers, response.read().decode()
        self.host = self.headers["X-Host"]

    @property
    def error(self):
        return json.loads(self.text)["error"]


@contextlib.contextmanager
def gateway_to(*described, **variables):
    """Lends a :class:`Gateway` that runs in front of the hosts ``described`` by :func:`configured`."""
    with (
        tempfile.TemporaryDirectory(prefix="gateway-", dir="/tmp") as directory,  # sockets have short paths
        Gateway(directory, described, **variables).running() as gateway,
    ):
        yield gateway


@contextlib.contextmanager
def fleet(*names, models=None, slots=2, agents=False, **variables):
    """Lends (gateway, dict of hosts by name) that run, each host on a loopback address of its own.

    With ``agents``, each tells the gateway what its watchdog remembers.
    """
    port, agent_port = free_port(), free_port()
    agent = {"port": agent_port, "gateways": ["127.0.0.1"]}
    hosts = {name: FakeHost(name, f"127.0.0.{number}", port) for number, name in enumerate(names, 2)}
    described = [
        configured(
            name,
            models=(models or {}).get(name),
            llm_settings={"server_host": host.address[0], "server_port": port},
            server={"api_key": "~/gateway-key", "parallel": slots},
            service={"watchdog": {"agent": agent} if agents else {}},
        )
        for name, host in hosts.items()
    ]
    with contextlib.ExitStack() as stack:
        for host in hosts.values():
            host.start()
            stack.callback(host.stop)
            stack.callback(host.free.set)
        # Sockets have short paths.
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-", dir="/tmp"))
        for host in hosts.values() if agents else ():
            section = {**agent, "address": host.address[0], "drain_file": f"{directory}/drain-{host.name}"}
            host.drain_file = Path(section["drain_file"])
            running = agent_of(section, Settings(), lambda host=host: host.memory)
            running.listen()
            stack.callback(running.close)
        gateway = Gateway(directory, described, **variables)
        gateway.described = described
        yield stack.enter_context(gateway.running()), hosts
