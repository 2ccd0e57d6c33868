# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

import io

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.net.event_stream import sse_data
from ansible_collections.macos_setup.llm.plugins.module_utils.net.http1 import BadAnswer


def test_an_event_without_end_is_given_up():
    with pytest.raises(BadAnswer, match="does not end"):
        list(sse_data(io.BytesIO(b"data: x\n" * 1000), 1000))
    assert list(sse_data(io.BytesIO(b"data: x\n\n" * 1000), 1000)) == ["x"] * 1000
