# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Renders the files that the collection writes onto a host.

Not Ansible's templar: what stands in the configuration is data, and a value is never taken for a template again.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import jinja2
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.marker import MANAGED_BY

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"

#: The head of every file: the mark by which the collection knows its own files, and a word to their reader.
HEAD = f"{MANAGED_BY}\nChanges made here are lost at the next run of the play; change the configuration instead."

#: What makes a rendered file a program of /bin/sh, as options of the module file_set.
SCRIPT = {"mode": "0755", "validate": ["/bin/sh", "-n"]}


def render(template, **variables):
    """The text of the file ``template`` of the directory ``templates``; ``managed_by`` in it is the head of the file.

    The settings and the filters are those of Ansible's own templates. Raises jinja2.UndefinedError for a variable that
    is missing.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(TEMPLATES)),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(quote=shlex.quote, haproxy_word=haproxy_word, to_nice_json=_nice_json)
    return environment.get_template(template).render(managed_by=HEAD, **variables)


def haproxy_word(text):
    """``text`` as one word of HAProxy's configuration, which takes what stands in single quotes as it is.

    Raises ValueError for a line break, which nothing there can carry.
    """
    text = str(text)
    if re.search("[\x00-\x1f\x7f]", text):
        raise ValueError(f"{text!r} has a control character.")
    return "'" + text.replace("'", "'\\''") + "'"


def _nice_json(value, indent=4):
    return json.dumps(value, indent=indent, sort_keys=True)
