# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a program needs of the network before it is started, and what is waited for where it is not there yet.

llama-server ends in a crash without one of its RPC workers, and ggml-rpc-server ends without its address, with exit
status 0. Both come by themselves once a cable is plugged in or the other machine has started.
"""

from __future__ import annotations

import errno
import re
import socket

from ..base import processes
from ..base.files import read_json
from ..base.wait import wait_until
from ..llama import rpc_worker
from ..llama.rpc_worker import NoWorker

#: How often it is looked for.
POLL_SECONDS = 2.0


def missing(config):
    """What a program with this runner configuration waits for, in words; None when everything is there."""
    for endpoint in config.workers:
        why = rpc_worker.why_missing(endpoint)
        if why:
            return f"the RPC worker {why}"
    return _why_unusable(config.listens_on) if config.listens_on else None


def _why_unusable(endpoint):
    host, _colon, port = endpoint.rpartition(":")
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, int(port)))
        except OSError as error:
            known = {
                errno.EADDRNOTAVAIL: "this machine does not have it (is the cable plugged in, the tunnel up?)",
                errno.EADDRINUSE: "another program listens there",
            }
            return f"the address {endpoint}: {known.get(error.errno, error.strerror)}"
    return None


def offers(workers, config_file, state_file, patience):
    """What RPC workers offer, endpoint -> MiB of each of their devices, and why others are missing, by endpoint.

    A worker that the service here uses is not asked, since it would not answer: its runner's configuration says what
    it offered.

    :param workers: endpoint -> MiB that are declared, or None for all that the worker has.
    :param config_file: the configuration of the service's runner; ``state_file`` is where the runner says what runs.
        Both None where there is no such service.
    :param patience: seconds in which all of them have to answer.
    """
    found = _in_use(config_file, state_file) if config_file and state_file else {}
    why = {}

    def all_answer():
        for endpoint in (endpoint for endpoint in workers if endpoint not in found):
            try:
                found[endpoint] = _memory(endpoint, workers[endpoint])
                why.pop(endpoint, None)
            except NoWorker as failure:
                why[endpoint] = str(failure)
        return not why

    wait_until(all_answer, patience, poll=POLL_SECONDS / 4)
    declared = {endpoint: [memory] for endpoint, memory in workers.items() if memory}
    return {
        endpoint: _shares(workers[endpoint], sizes)
        for endpoint, sizes in {**declared, **found}.items()
        if endpoint in workers
    }, why


def _shares(declared, sizes):
    """What is declared of a worker, divided among its devices as their ``sizes`` are; shares stay as they are."""
    if not declared:
        return sizes
    shares = [declared * size // (sum(sizes) or 1) for size in sizes]
    return [*shares[:-1], declared - sum(shares[:-1])]


def _memory(endpoint, declared):
    worker = rpc_worker.ask(endpoint)
    if worker.memory or declared:
        return list(worker.memory) or [declared]
    version = ".".join(map(str, worker.protocol))
    raise NoWorker(
        f"it speaks version {version} of the protocol, in which it cannot be asked for its memory: declare that with "
        "memory_mb, and have the same engine on both hosts"
    )


def _in_use(config_file, state_file):
    """Endpoint -> MiB of each device, of the workers that the running server uses."""
    state, config = read_json(state_file), read_json(config_file, {"workers": dict})
    child = state.get("child") if isinstance(state, dict) else None
    pid = child.get("pid") if isinstance(child, dict) else None
    if not config or type(pid) is not int or pid < 1 or not processes.alive(pid):
        return {}
    return {
        endpoint: [int(part) for part in memory.split(",")]
        for endpoint, memory in config["workers"].items()
        if isinstance(memory, str) and re.fullmatch(r"\d+(,\d+)*", memory)
    }
