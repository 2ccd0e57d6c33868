# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The GGUF reader: what it reads, and that nothing hostile gets past it or hurts."""

import os
import struct
import tracemalloc

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.models import gguf
from support import model_factory as factory

MANY_MIB = 8 * 1024 * 1024


@pytest.fixture
def written(tmp_path):
    def write(content, size=None):
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        if size:
            os.truncate(path, size)  # sparse: takes no room
        return str(path)

    return write


def test_what_a_header_says(written):
    info = gguf.check(written(factory.model_bytes(4096)))
    assert (info.version, info.architecture, info.name) == (3, "llama", "a small model")
    assert (info.context_length, info.file_type, info.has_chat_template) == (128, 7, True)
    assert (info.n_tensors, info.size, info.size_needed, info.unknown_types) == (1, 4096, 4096, ())
    assert info.parameters == 4096 - len(factory.header(tensors=[factory.tensor("weights", [0])]))
    assert info.split is None
    assert info.metadata["tokenizer.ggml.add_bos_token"] is True


def test_a_bare_header(written):
    info = gguf.check(written(factory.header(())))
    assert (info.architecture, info.context_length, info.has_chat_template, info.parameters) == (None, None, False, 0)


def test_the_end_of_the_last_tensor_is_the_exact_limit(written):
    content = factory.model_bytes(5001)
    assert gguf.check(written(content)).size_needed == 5001
    assert gguf.check(written(content + b"padding")).size_needed == 5001
    with pytest.raises(gguf.GgufError, match="5000 of 5001"):
        gguf.check(written(content[:-1]))
    assert gguf.inspect(written(content[:-1])).size_needed == 5001


@pytest.mark.parametrize(
    ("kind", "elements", "size"),
    [(0, 64, 256), (1, 64, 128), (8, 64, 68), (12, 512, 288), (14, 256, 210), (39, 32, 17)],
)
def test_bytes_of_quantised_tensors(written, kind, elements, size):
    table = [factory.tensor("a", [elements], kind), factory.tensor("b", [16], offset=-(-size // 32) * 32)]
    head = factory.header(tensors=table)
    assert gguf.inspect(written(head)).size_needed == len(head) + -(-size // 32) * 32 + 16


def test_larger_alignment(written):
    keys = [("general.alignment", factory.U32, 4096)]
    head = factory.header(keys, [factory.tensor("a", [10]), factory.tensor("b", [10], offset=4096)])
    assert gguf.inspect(written(head)).size_needed == 4096 + 4096 + 10


def test_an_unknown_tensor_type_cannot_be_checked_but_is_not_corrupt(written):
    table = [factory.tensor("a", [100], kind=99), factory.tensor("b", [16], offset=96)]
    head = factory.header(tensors=table)
    info = gguf.check(written(head + bytes(112)))
    assert (info.unknown_types, info.size_needed) == ((99,), len(head) + 112)
    with pytest.raises(gguf.GgufError, match="cut short"):
        gguf.check(written(head + bytes(111)))


@pytest.mark.parametrize("kind", sorted(gguf.REMOVED_TYPES))
def test_a_removed_tensor_type_is_named_with_what_to_take_instead(written, kind):
    name, instead = gguf.REMOVED_TYPES[kind]
    with pytest.raises(gguf.GgufError, match=f"{name},.* with {instead}$"):
        gguf.check(written(factory.header(tensors=[factory.tensor("a", [256], kind)]) + bytes(512)))
    assert kind not in gguf.TENSOR_TYPES


def test_what_is_unusual_but_loaded_by_the_engine_is_not_refused(written):
    keys = [("k" * 305, factory.U32, 1), *((f"key.{number}", factory.U8, 1) for number in range(5000))]
    assert gguf.check(written(factory.header([*factory.KEYS, *keys]))).architecture == "llama"


def test_a_file_of_a_split_set(written):
    keys = [("split.no", 2, 1), ("split.count", 2, 3), ("split.tensors.count", factory.I32, 291)]
    factory_keys = [(key, factory.U32, value) for key, _, value in keys]
    assert gguf.check(written(factory.header(factory_keys))).split == gguf.Split(1, 3, 291)


def test_version_2_is_read_too(written):
    assert gguf.check(written(factory.header(version=2))).version == 2


@pytest.mark.parametrize("what", sorted(factory.hostile_files()))
def test_hostile_files_are_refused_with_little_memory(written, what):
    path = written(factory.hostile_files()[what])
    tracemalloc.start()
    try:
        with pytest.raises(gguf.GgufError) as caught:
            gguf.check(path)
        assert tracemalloc.get_traced_memory()[1] < MANY_MIB
    finally:
        tracemalloc.stop()
    assert path in str(caught.value)


def test_names_from_the_file_cannot_play_with_the_terminal(written):
    keys = [("\x1b[2J", factory.U8, 1), ("\x1b[2J", factory.U8, 2)]
    with pytest.raises(gguf.GgufError) as caught:
        gguf.check(written(factory.header(keys) + bytes(64)))
    assert "?[2J" in str(caught.value)
    assert str(caught.value).isprintable()


def test_big_endian_is_named(written):
    with pytest.raises(gguf.GgufError, match="big-endian"):
        gguf.check(written(factory.hostile_files()["big-endian"]))


def open_array(length):
    """A header that ends in an array of ``length`` texts whose lengths are whatever follows."""
    return factory.header((), n_keys=1)[:24] + factory.text("a") + struct.pack("<iiQ", 9, 8, length)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(open_array(2**30), id="a thousand million empty texts"),
        pytest.param(open_array(1000) + struct.pack("<Q", 2**30), id="texts that jump far"),
        pytest.param(factory.header(n_keys=4000), id="thousands of keys that are not there"),
        pytest.param(factory.header(n_tensors=2**40), id="a million million tensors"),
    ],
)
def test_a_huge_file_does_not_make_huge_claims_believable(written, content):
    path = written(content, size=64 * 2**30)
    tracemalloc.start()
    try:
        with pytest.raises(gguf.GgufError):
            gguf.check(path)
        assert tracemalloc.get_traced_memory()[1] < MANY_MIB
    finally:
        tracemalloc.stop()


def test_a_large_vocabulary_is_read_with_little_memory(written):
    words = [str(number) for number in range(300_000)]
    path = written(factory.header([*factory.KEYS, ("tokenizer.ggml.merges", factory.ARRAY, (8, words))]))
    tracemalloc.start()
    try:
        assert gguf.check(path).architecture == "llama"
        assert tracemalloc.get_traced_memory()[1] < MANY_MIB
    finally:
        tracemalloc.stop()


def test_every_cut_through_the_header_is_noticed(written):
    content = factory.model_bytes(4096)
    for length in range(0, len(content) - 2048, 7):
        with pytest.raises(gguf.GgufError):
            gguf.check(written(content[:length]))


def test_mutated_headers_end_in_an_answer_or_a_refusal(tmp_path):
    content = factory.model_bytes(4096)
    path = tmp_path / "mutant.gguf"
    path.touch()
    refused = 0
    tracemalloc.start()
    try:
        for seed in range(10_000):
            with path.open("r+b") as stream:  # one file: making new ones would take most of the time
                stream.write(factory.with_noise(content, seed))
                stream.truncate()
            try:
                gguf.check(str(path))
            except gguf.GgufError:
                refused += 1
        assert tracemalloc.get_traced_memory()[1] < MANY_MIB
    finally:
        tracemalloc.stop()
    assert 5000 < refused < 10_000


@pytest.mark.parametrize("what", ["missing", "directory", "pipe"])
def test_what_is_no_file_is_refused(tmp_path, what):
    path = tmp_path / what
    if what == "directory":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    with pytest.raises(gguf.GgufError):
        gguf.check(str(path))
