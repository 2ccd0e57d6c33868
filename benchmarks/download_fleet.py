# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What hosts with a seed cost the origin."""

import tempfile
from pathlib import Path

from support.fault_server import FaultServer
from support.fleet import Fleet
from support.model_factory import model_bytes

from benchmarks._rows import Row, at_most

SIZE = 64 * 2**20


def measure():
    with tempfile.TemporaryDirectory() as scratch, FaultServer() as origin:
        content = model_bytes(SIZE)
        origin.serve("/m.gguf", content)
        fleet = Fleet(Path(scratch), origin.url("/m.gguf"))
        fleet.play({"llama_cpp_model_seed": fleet.names[0]})
        assert fleet.have(content) == fleet.names
        note = "%d MiB to each of %d hosts" % (SIZE // 2**20, len(fleet.names))
        return [
            Row("hosts with a seed: bytes from the origin / bytes of the model", origin.sent / SIZE, at_most(1), note)
        ]
