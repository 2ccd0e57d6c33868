# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The server among the models of simonw/llm, another client, if its owner wants that (client.register_with_llm).

Its file is in docs/other-models.md of that project, read at 0.36: a YAML list of models behind OpenAI's protocol. A key
is named there and kept in another file, which only its own command writes.
"""

from __future__ import annotations

import json
import posixpath

from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan.paths import expanded

#: click's directory for an application of this name (click.get_app_dir); LLM_USER_PATH overrides it.
DIRECTORIES = {
    "Darwin": "~/Library/Application Support/io.datasette.llm",
    "Linux": "~/.config/io.datasette.llm",
}
FILE = "extra-openai-models.yaml"

#: The name of the key, and what the names of the models begin with: those of others are not ours to take.
KEY, PREFIX = "llama-server", "llama-server/"


def blocks(plan):
    """The option ``blocks`` of the module file_set: our items, or none where they are not wanted."""
    wanted, host = plan["register_with_llm"], plan["host"]
    directory = wanted if isinstance(wanted, str) else DIRECTORIES[host["system"]]
    models = [model for model in plan["models"] if model["purpose"] == "chat"] if wanted else []
    return {posixpath.join(expanded(directory, host), FILE): "".join(_item(plan["server"], model) for model in models)}


def _item(server, model):
    """One model, in YAML whose values are JSON."""
    roles = {companion["role"] for companion in model["companions"]}
    values = {
        "model_id": PREFIX + model["name"],
        "model_name": model["name"],
        "api_base": server["url"] + "/v1",
        **({"api_key_name": KEY} if server["key_file"] else {}),
        "supports_schema": True,
        "supports_tools": True,
        **({"vision": True} if "mmproj" in roles else {}),
    }
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in values.items()]
    return "- " + "  ".join(lines)


def notes(plan, found):
    """Sentences for people; ``found`` is the path of its command on the host, or None."""
    if not plan["register_with_llm"]:
        offer = "client.register_with_llm: true adds the models of this server to those it lists."
        return [f"{found} is simonw/llm. {offer}"] if found else []
    key_file = plan["server"]["key_file"]
    if not key_file:
        return []
    return [f"simonw/llm asks for the API key once: {found or 'llm'} keys set {KEY}, then paste what is in {key_file}."]
