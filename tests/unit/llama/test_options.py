# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.llama import options

#: Lines as llama-server at commit 0c1e570 prints them.
HELP = """----- common params -----

-h,    --help, --usage                  print usage and exit
-c,    --ctx-size N                     size of the prompt context (default: 0, 0 = loaded from model)
                                        (env: LLAMA_ARG_CTX_SIZE)
-dev,  --device <dev1,dev2,..>          comma-separated list of devices to use for offloading (none = don't
                                        offload); see --list-devices
--load-mode MODE                        how the model is loaded, replaces --mlock
--log-prefix, --no-log-prefix           Enable prefix in log messages
-fitt, --fit-target MiB0,MiB1,MiB2,...
                                        target margin per device for --fit
--draft, --draft-n, --draft-max N       the argument has been removed. use --spec-draft-n-max or
                                        --spec-ngram-mod-n-max
                                        (env: LLAMA_ARG_DRAFT_MAX)
--metrics                               enable prometheus compatible metrics endpoint
-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off', or 'auto', default: 'auto')
--port PORT                             port to listen (default: 8080)
-m MODEL, --model MODEL                 two names, each with its value
--spec-draft-threads, -td, --threads-draft N
                                        number of threads to use during generation
--cache-idle-slots, --no-cache-idle-slots
                                        save and clear idle slots on new task
-ot,   --override-tensor <tensor name pattern>=<buffer type>,...
                                        override tensor buffer type
"""


@pytest.fixture
def server(tmp_path):
    path = tmp_path / "llama-server"
    path.write_text(f"#!/bin/sh\ncat <<'EOF'\n{HELP}EOF\n")
    path.chmod(0o755)
    return str(path)


def test_declared_options_only():
    known = options.known_options(HELP)
    assert {"-c", "--ctx-size", "--device", "-dev", "--no-log-prefix", "--fit-target", "--usage"} <= set(known)
    assert not {"--mlock", "--list-devices", "--fit"} & set(known)
    assert known["--metrics"].instead is None
    assert known["--draft-max"].instead == "--spec-draft-n-max or --spec-ngram-mod-n-max"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("--metrics", ""), ("--no-log-prefix", ""), ("--usage", ""), ("--cache-idle-slots", "")),
        *(("-fa", "[on|off|auto]"), ("--flash-attn", "[on|off|auto]"), ("--ctx-size", "N"), ("--load-mode", "MODE")),
        *(("--fit-target", "MiB0,MiB1,MiB2,..."), ("--threads-draft", "N"), ("--model", "MODEL"), ("-dr", None)),
        ("--override-tensor", "<tensor name pattern>=<buffer type>,..."),
    ],
)
def test_the_value_that_an_option_takes(name, value):
    option = options.known_options(HELP).get(name)
    assert (option and option.value) == value


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--flash-attn", "--ctx-size", "256"], "--flash-attn: it takes a value, [on|off|auto]"),
        (["--ctx-size", "256", "--flash-attn"], "--flash-attn: it takes a value, [on|off|auto]"),
        (["--metrics", "yes"], '--metrics: it takes no value, and was given "yes"'),
        (["--no-flash-attn"], '--no-flash-attn: it is unknown; did you mean "--flash-attn"'),
        (["--flash-attn"] * 3, "1 of the configured options"),
    ],
)
def test_a_value_too_few_or_too_many_is_refused(server, arguments, words):
    with pytest.raises(LlamaCppError) as error:
        options.check(server, arguments)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--flash-attn", "on", "--metrics", "--ctx-size", "256"],
        ["--no-log-prefix", "--metrics"],
        ["--ctx-size", "-1"],
        ["--override-tensor", "--- what=CPU"],
    ],
)
def test_options_with_their_values_pass(server, arguments):
    options.check(server, arguments)


def test_a_help_in_another_form_tells_nothing_about_values(tmp_path):
    path = tmp_path / "llama-server"
    path.write_text("#!/bin/sh\nprintf '%s\\n' --flash-attn --ctx-size --port\n")
    path.chmod(0o755)
    options.check(str(path), ["--flash-attn", "--ctx-size", "256"])


def test_known_options_pass(server):
    options.check(server, ["--ctx-size", "512", "--device", "none", "--no-log-prefix"])


def test_all_unknown_ones_are_named_with_what_replaces_them(server):
    with pytest.raises(LlamaCppError) as error:
        options.check(server, ["--mlock", "--ctx-sise", "4", "--load-mode", "mlock", "--draft", "3"])
    text = str(error.value)
    assert "--mlock" in text and "--load-mode mlock" in text
    assert "--ctx-sise" in text and "--ctx-size" in text
    assert "--spec-draft-n-max" in text
    assert "3 of the configured options" in text


def test_a_server_without_help_is_not_trusted(tmp_path):
    path = tmp_path / "llama-server"
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    with pytest.raises(LlamaCppError, match="help"):
        options.check(str(path), ["--ctx-size", "1"])
