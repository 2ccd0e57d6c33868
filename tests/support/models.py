# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One model file, through the core of gguf_model in this process, or through the module."""

import os

from ansible_collections.macos_setup.llm.plugins.module_utils.models.install import FileInstall, Wanted
from ansible_collections.macos_setup.llm.plugins.module_utils.models.link import FileLink
from ansible_collections.macos_setup.llm.plugins.module_utils.models.model import ModelInstall
from ansible_collections.macos_setup.llm.plugins.module_utils.models.source import BundleSource
from ansible_collections.macos_setup.llm.plugins.module_utils.offline.bundle import Bundle

from support.modules import run_module


def install(path, source, check_only=False, name="tiny", **wanted):
    """The result of having the file that ``source`` offers in ``path``; ``wanted`` are fields of Wanted."""
    file = FileInstall(Wanted(name, str(path), **wanted), source)
    return ModelInstall(name, [file]).present(check_only)


def unpack(path, bundle, check_only=False, **wanted):
    """The result of having in ``path`` the model of its name from the bundle at the path ``bundle``."""
    return install(path, BundleSource(Bundle(bundle), os.path.basename(path)), check_only, **wanted)


def link(path, target, check_only=False, **wanted):
    """The result of having a link to the file ``target`` in ``path``."""
    return ModelInstall("tiny", [FileLink(Wanted("tiny", str(path), **wanted), str(target))]).present(check_only)


def remove(path, check_only=False):
    """The result of having no model in ``path``."""
    return ModelInstall("tiny", [FileInstall(Wanted("tiny", str(path)))]).absent(check_only)


#: The options of gguf_model that are those of a file.
FILE_OPTIONS = ("name", "dest", "kind", "licenses", "source", "bytes", "sha256", "shards", "mirrors", "locked_by")


def request(arguments):
    """The options of the module for one file, which are given side by side with those for all files."""
    file = {key: value for key, value in arguments.items() if key in FILE_OPTIONS}
    options = {key: value for key, value in arguments.items() if key not in FILE_OPTIONS}
    return {"files": [file], **options}


def gguf_model(arguments, **how):
    """The result of the module for one file: that of the file, with what the module returns for all files."""
    result = run_module("gguf_model", request(arguments), **how)
    (of_file,) = result.pop("files", [{}])
    (diff,) = result.pop("diff", None) or [None]
    return {**of_file, **result, "diff": diff}
