# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The benchmarks, which no test runs, find in other modules what they name there."""

import ast
import importlib
import sys
import types

import pytest
from support.paths import REPOSITORY

FILES = sorted((REPOSITORY / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_names_what_exists(path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(REPOSITORY), *sys.path])
    module = importlib.import_module(f"benchmarks.{path.stem}")
    missing = [
        f"line {node.lineno}: {node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if isinstance(vars(module).get(node.value.id), types.ModuleType)
        if not hasattr(vars(module)[node.value.id], node.attr)
    ]
    assert not missing
