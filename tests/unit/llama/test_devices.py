# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.devices import list_devices
from support.fake_server_process import FAKE


def test_devices(monkeypatch):
    monkeypatch.setenv(
        "FAKE_LLAMA_DEVICES", "MTL0: Apple M2 (10922 MiB, 10922 MiB free)\nBLAS: Accelerate (0 MiB, 0 MiB free)"
    )
    assert list_devices(str(FAKE)) == {
        "MTL0": "Apple M2 (10922 MiB, 10922 MiB free)",
        "BLAS": "Accelerate (0 MiB, 0 MiB free)",
    }


def test_no_devices(monkeypatch):
    monkeypatch.delenv("FAKE_LLAMA_DEVICES", raising=False)
    assert list_devices(str(FAKE)) == {}


@pytest.mark.parametrize("binary", ["/nowhere/llama-server", "/bin/false"])
def test_binary_that_does_not_run(binary):
    with pytest.raises(LlamaCppError, match=os.path.basename(binary)):
        list_devices(binary)
