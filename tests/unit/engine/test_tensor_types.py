# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Models of one tensor type and F16: sound files with the data of that type, and of the reference for the rest."""

from ansible_collections.macos_setup.llm.plugins.module_utils.engine.tensor_types import single_types
from ansible_collections.macos_setup.llm.plugins.module_utils.models import gguf
from support.model_factory import typed_model

F16, Q4_0, Q4_K, NEW = 1, 2, 12, 34


def test_each_type_has_a_model_of_its_own(tmp_path):
    model, reference = tmp_path / "model.gguf", tmp_path / "reference.gguf"
    kinds = {"a": Q4_K, "b": F16, "c": Q4_0, "d": Q4_K, "e": NEW}
    model.write_bytes(typed_model({name: (kind, b"typed " + name.encode()) for name, kind in kinds.items()}))
    reference.write_bytes(typed_model({name: (F16, b"exact " + name.encode()) for name in kinds}))
    found = dict(single_types(str(model), str(reference)))
    assert list(found) == ["Q4_0", "Q4_K", "type 34"]
    path = tmp_path / "one.gguf"
    for name, taken in (("Q4_0", "c"), ("Q4_K", "ad"), ("type 34", "e")):
        path.write_bytes(found[name])
        gguf.check(str(path))
        head, parts = gguf.parts(str(path))
        assert head == gguf.parts(str(reference))[0]
        for tensor, part in zip(kinds, parts):
            assert part.kind == (kinds[tensor] if tensor in taken else F16)
            assert part.data.startswith(f"{'typed' if tensor in taken else 'exact'} {tensor}".encode())
