# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The model factory makes what it says."""

import hashlib

import pytest
from support import model_factory as factory


@pytest.mark.parametrize("size", [2000, 4096, 100_001])
def test_a_model_has_exactly_the_size_asked_for(size):
    content = factory.model_bytes(size)
    assert len(content) == size
    assert content.startswith(b"GGUF\x03\0\0\0")


def test_the_same_seed_gives_the_same_model_and_another_seed_another():
    assert factory.model_bytes(seed=1) == factory.model_bytes(seed=1)
    assert factory.model_bytes(seed=1) != factory.model_bytes(seed=2)


def test_a_written_model_has_the_returned_hash(tmp_path):
    sha256 = factory.write_model(tmp_path / "a.gguf", 5000)
    assert hashlib.sha256((tmp_path / "a.gguf").read_bytes()).hexdigest() == sha256


def test_every_hostile_file_is_another_one():
    files = factory.hostile_files()
    assert len(set(files.values())) == len(files)
    assert factory.model_bytes() not in files.values()


def test_noise_is_repeatable_and_changes_something():
    content = factory.model_bytes()
    noisy = [factory.with_noise(content, seed) for seed in range(100)]
    assert noisy == [factory.with_noise(content, seed) for seed in range(100)]
    assert sum(one != content for one in noisy) > 90
