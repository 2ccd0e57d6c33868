# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a file must be by its header. (Licences: test_install.py. Sets: test_shards.py. With a real engine:
contract/test_purposes.py, contract/test_companions.py.)
"""

import contextlib

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.models import gguf, kinds
from support import model_factory as factory

NAMELESS = [key for key in factory.KEYS if key[0] != "general.architecture"]


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (NAMELESS, "names no architecture"),
        ([("general.type", factory.STRING, "imatrix")], '"imatrix"'),
        ([*factory.KEYS, ("general.type", factory.STRING, "imatrix")], '"imatrix"'),
        ([*factory.KEYS, ("general.type", factory.U32, 7)], '"7"'),
    ],
)
def test_what_is_no_language_model_is_refused_as_one(written, keys, words):
    path = written(factory.model_bytes(4096, keys=keys))
    with pytest.raises(gguf.GgufError, match=words):
        kinds.require(path, gguf.check(path), "model", 0, 1)


@pytest.mark.parametrize(("pooling", "fits"), [(None, False), (0, False), (1, True), (3, True)])
def test_an_embedding_model_names_its_pooling(written, pooling, fits):
    keys = [*factory.KEYS, *([] if pooling is None else [("llama.pooling_type", factory.U32, pooling)])]
    path = written(factory.model_bytes(4096, keys=keys))
    with contextlib.nullcontext() if fits else pytest.raises(gguf.GgufError, match=r'llama\.pooling_type.*"pooling"'):
        kinds.require(path, gguf.check(path), kinds.EMBEDDER, 0, 1)


def test_only_the_first_file_of_a_set_names_the_architecture(written):
    keys = [("split.no", factory.U32, 1), ("split.count", factory.U32, 2)]
    path = written(factory.model_bytes(4096, keys=keys))
    kinds.require(path, gguf.check(path), "model", 1, 2)
