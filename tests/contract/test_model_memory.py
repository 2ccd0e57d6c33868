# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The engine that was built says of a model's memory what our own estimate says."""

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.units import MIB
from ansible_collections.macos_setup.llm.plugins.module_utils.capacity import estimate
from ansible_collections.macos_setup.llm.plugins.module_utils.models import gguf
from support import model_shapes


@pytest.fixture(scope="module")
def program(engine):
    return estimate.fit_params_beside(str(engine / "llama-server"))


def test_it_agrees_for_every_type_of_cache(tmp_path, program):
    path = str(tmp_path / "model.gguf")
    model_shapes.write(path, model_shapes.MODELS["tinyllama-1.1b"])
    for kind in estimate.CACHE_TYPES:
        cache = (kind, kind)
        engine = estimate.measured(program, path, 4096, 1, cache=cache)
        assert estimate.estimated(gguf.check(path), 4096, 1, cache=cache).context // MIB * MIB == engine.context, kind


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("context", [4096, 32768])
@pytest.mark.parametrize("model", model_shapes.MODELS)
def test_the_estimate_agrees_with_the_engine(tmp_path, program, model, context, slots):
    path = str(tmp_path / "model.gguf")
    model_shapes.write(path, model_shapes.MODELS[model])
    engine = estimate.measured(program, path, context, slots)
    need = estimate.estimated(gguf.check(path), context, slots)
    assert need.weights // MIB * MIB == engine.weights
    assert need.context // MIB * MIB == engine.context or (not need.exact and need.context > engine.context)
    assert 0.95 * engine.working <= need.working <= 1.2 * engine.working + MIB
