# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm``: one file per subcommand."""

SUMMARY = "Send prompts to the language model of this machine. Without a command, the arguments are the prompt."
COMMANDS = (
    "ask",
    "chat",
    "complete",
    "embed",
    "rerank",
    "tokenize",
    "batch",
    "models",
    "load",
    "unload",
    "health",
    "conversations",
    "templates",
    "completion",
)
DEFAULT = "ask"

#: Commands of other programs (ollama, simonw/llm, LM Studio's lms, llama.cpp's llama) -> what does that here, with
#: ``%(prog)s`` for the program's name.
PEERS = {
    **dict.fromkeys(("ls", "list", "ps", "show"), "%(prog)s models"),
    **dict.fromkeys(
        ("pull", "get", "download", "import", "rm", "install"), "add the model to the configuration, then run the play"
    ),
    **dict.fromkeys(("serve", "server"), "llm-manager start"),
    **dict.fromkeys(("run", "cli"), "%(prog)s chat"),
    **dict.fromkeys(("embed-multi", "similar", "collections"), "%(prog)s embed --lines"),
    "prompt": "%(prog)s ask",
    "keys": "--key-file FILE, or the variable LLM_API_KEY",
    "schemas": "%(prog)s ask --schema FILE",
}
