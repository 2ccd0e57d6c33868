# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The causes of a failed start, from logs that llama-server wrote (0c1e570, Linux) or, marked so, from its source."""

import re
import threading

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.log_causes import (
    CAUSES,
    GENERAL_CAUSES,
    diagnose,
    explain,
    explaining,
)

# The times at the beginning of the lines are left out.
START = "I srv  llama_server: initializing ...\nI cmn  common_param: common_params_print_info: verbosity = 3\n"
LOADING = START + "I srv    load_model: loading model '/m/a model.gguf'\n"
READY = LOADING + "I srv  llama_server: listening on http://127.0.0.1:8080\n"


def failed_to_load(*lines):
    """A start that ended while the model was loaded; every such log ends with the same lines."""
    end = [
        "E common_fit_params: encountered an error while trying to fit params to free device memory: "
        "failed to load model",
        "E cmn  common_init_: failed to load model '/m/a model.gguf'",
        "E srv    load_model: failed to load model, '/m/a model.gguf'",
        "I srv    operator(): operator(): cleaning up before exit...",
        "E srv  llama_server: exiting due to model loading error",
    ]
    return LOADING + "".join(line + "\n" for line in [*lines, *end])


def failed_with_projector(*lines):
    """A start that ended when the model was loaded, and its projector was not."""
    end = [
        "E srv    load_model: failed to load multimodal model, '/m/eye.gguf'",
        "I srv    operator(): operator(): cleaning up before exit...",
        "E srv  llama_server: exiting due to model loading error",
    ]
    return LOADING + "".join(line + "\n" for line in [*lines, *end])


PORT_IN_USE = START + "E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18993\n"
MISSING_MODEL = failed_to_load(
    "E gguf_init_from_file: failed to open GGUF file '/m/a model.gguf' (No such file or directory)",
    "E llama_model_load: error loading model: llama_model_loader: failed to load model from /m/a model.gguf",
)
NO_GGUF = failed_to_load("E gguf_init_from_reader: invalid magic characters: 'hell', expected 'GGUF'")
HEADER_CUT = failed_to_load("E gguf_init_from_reader: failed to read key-value pairs")
TENSOR_CUT = failed_to_load(
    "E llama_model_load: error loading model: tensor 'token_embd.weight' data is not within the file bounds, "
    "model is corrupted or incomplete"
)
UNKNOWN_ARCHITECTURE = failed_to_load("E llama_model_load: error loading model: unknown model architecture: 'lxxma'")
NO_ARCHITECTURE = failed_to_load("E llama_model_load: error loading model: unknown model architecture: ''")
NEW_TYPE = failed_to_load(
    "E gguf_init_from_reader: tensor 'output_norm.weight' has invalid ggml type 99. should be in [0, 43)",
    "E gguf_init_from_reader: failed to read tensor info",
    "E llama_model_load: error loading model: llama_model_loader: failed to load model from /m/a model.gguf",
)
REMOVED_TYPE = failed_to_load(
    "E gguf_init_from_reader: tensor 'output_norm.weight' of type 31 (TYPE_Q4_0_4_4 REMOVED, use Q4_0 with runtime "
    "repacking) has 64 elements per row, not a multiple of block size (0)",
    "E gguf_init_from_reader: failed to read tensor info",
)
DEPRECATED_TYPE = failed_to_load(
    "E gguf_init_from_reader: tensor 'output_norm.weight' of type 4 (DEPRECATED) has 64 elements per row, not a "
    "multiple of block size (0)",
    "E gguf_init_from_reader: failed to read tensor info",
)
TENSORS_LEFT = failed_to_load(
    "E llama_model_load: error loading model: done_getting_tensors: wrong number of tensors; expected 22, got 20"
)
VOCABULARY = "E llama_model_load: error loading model: error loading model vocabulary: "
UNKNOWN_PRE_TOKENIZER = failed_to_load(VOCABULARY + "unknown pre-tokenizer type: 'deepseek-r9-qwen'")
UNKNOWN_TOKENIZER = failed_to_load(VOCABULARY + "unknown tokenizer: 'newtok'")
NO_TOKENIZER = failed_to_load(VOCABULARY + "key not found in model: tokenizer.ggml.model")
NO_TOKENS = failed_to_load(VOCABULARY + "cannot find tokenizer vocab in model file")
KEY_OF_WRONG_TYPE = failed_to_load(
    "E llama_model_load: error loading model: error loading model hyperparameters: key llama.context_length has wrong "
    "type str but expected type u32"
)
WRONG_SHAPE = failed_to_load(
    "E llama_model_load: error loading model: check_tensor_dims: tensor 'blk.0.ffn_gate.weight' has wrong shape; "
    "expected     64,    256, got     64,    128,      1,      1"
)
CLIP = failed_to_load(
    "E llama_model_load: error loading model: CLIP cannot be used as main model, use it with --mmproj instead"
)
TENSOR_MISSING = failed_to_load(
    "E llama_model_load: error loading model: check_tensor_dims: tensor 'token_embd.weight' not found"
)
NO_MEMORY = failed_to_load(
    "E ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 2048929824",
    "E llama_init_from_model: failed to initialize the context: failed to allocate compute pp buffers",
)
ROUTER = (
    START + "E srv  llama_server: failed to initialize router models: option 'bogus' not recognized in preset 'x'\n"
)
OTHER_PROJECTOR = failed_with_projector(
    "E mtmd_init_from_file: error: mismatch between text model (n_embd = 64) and mmproj (n_embd = 32)",
    "hint: you may be using wrong mmproj",
)
NEW_PROJECTOR = failed_with_projector(
    "E clip_init: failed to load model '/m/eye.gguf': load_hparams: unknown projector type: new"
)
BROKEN_PROJECTOR = failed_with_projector(
    "E gguf_init_from_reader: invalid magic characters: 'hell', expected 'GGUF'",
    "E clip_init: failed to load model '/m/eye.gguf': clip_model_loader: failed to load CLIP model from /m/eye.gguf. "
    "Does this file exist?",
)
# From the source: ggml-metal.cpp:209 and server-http.cpp:174.
NO_METAL_MEMORY = failed_to_load("E alloc: failed to allocate Metal buffer of 99999 bytes (out of memory)")
NO_TLS = START + "E srv  init: the server is built without SSL support\n"
# Refused arguments come before anything else.
UNKNOWN_ARGUMENT = "error: invalid argument: --mlock\n"
BAD_VALUE = 'error while handling argument "--port": stoi\n\nusage:\n--port PORT     port to listen (default: 8080)\n'
BAD_VARIABLE = 'error while handling environment variable "LLAMA_ARG_CTX_SIZE": stoi\n\n'

GUARDED = (
    "service_runner: /Volumes/Disk 1/a.gguf cannot be read: Operation not permitted. macOS keeps programs that launchd "
    "starts away from /Volumes/Disk 1: move the model to the internal disk"
)

EXPOSED_KEY = (
    "service_runner: the key file /etc/a key is open to other users (mode 0644). Close it, and replace what is in it "
    "if somebody may have read it: chmod 600 '/etc/a key'"
)

NO_KEY = "service_runner: The API key file /s/api-key holds no key. Write one into it, on a line of its own.\n"
NO_KEY_FILE = "service_runner: The API key file /s/api-key cannot be read: No such file or directory.\n"
BAD_KEY = (
    "service_runner: The API key in /s/api-key begins or ends with a space, or contains a control character or a "
    "letter outside ASCII; it cannot work.\n"
)

RPC = "../../src/0c1e570/ggml/src/ggml-rpc/ggml-rpc.cpp:"
WAITS_FOR_WORKER = "service_runner: waiting for the RPC worker 10.13.0.2:50052: Connection refused\n"
NO_WORKER = RPC + "544: Failed to connect to 10.13.0.2:50052\n"
OTHER_WORKER = "E RPC server version mismatch: 8.0.0\n" + RPC + "547: RPC handshake failed for 10.13.0.2:50052\n"
LOST_WORKER = START + RPC + "566: Remote RPC server crashed or returned malformed response\n"

SAMPLES = [
    (WAITS_FOR_WORKER, "the RPC worker 10.13.0.2:50052: Connection refused", "playbooks/rpc.yml"),
    (NO_WORKER, "10.13.0.2:50052 is not there", "playbooks/rpc.yml"),
    (OTHER_WORKER, "10.13.0.2:50052 has another version", "the same engine"),
    (LOST_WORKER, "an RPC worker was lost", "the same engine"),
    (EXPOSED_KEY, "the key file /etc/a key is open to other users", "chmod 600 '/etc/a key'"),
    (NO_KEY, "/s/api-key holds no key; without a usable key nothing is served", "llm-manager start"),
    (NO_KEY_FILE, "/s/api-key cannot be read: No such file or directory; without", "llm-manager start"),
    (BAD_KEY, "/s/api-key begins or ends with a space", "llm-manager start"),
    (
        GUARDED,
        "/Volumes/Disk 1/a.gguf, which the server needs, cannot be read: Operation not permitted",
        "internal disk",
    ),
    (PORT_IN_USE, "port 18993 on 127.0.0.1", "lsof -nP -iTCP:18993"),
    (MISSING_MODEL, "/m/a model.gguf cannot be opened: No such file", "llm_models"),
    (NO_GGUF, "/m/a model.gguf is damaged", "llm_models"),
    (HEADER_CUT, "/m/a model.gguf is damaged", "llm_models"),
    (UNKNOWN_ARCHITECTURE, '"lxxma"', "engine.version"),
    (NO_ARCHITECTURE, "/m/a model.gguf names no architecture", "Choose a file"),
    (NEW_TYPE, "a type (id 99)", "newer engine.version"),
    (REMOVED_TYPE, "the type Q4_0_4_4", "with Q4_0."),
    (DEPRECATED_TYPE, "a type (id 4)", "another quantisation"),
    (TENSORS_LEFT, "holds 22 tensors, of which this llama.cpp uses 20", "mmproj"),
    (UNKNOWN_PRE_TOKENIZER, '"deepseek-r9-qwen"', "newer engine.version"),
    (UNKNOWN_TOKENIZER, '"newtok"', "newer engine.version"),
    (NO_TOKENIZER, "tokenizer.ggml.model", "another file"),
    (NO_TOKENS, "no vocab of the tokenizer", "another file"),
    (KEY_OF_WRONG_TYPE, "llama.context_length", "another file"),
    (WRONG_SHAPE, "blk.0.ffn_gate.weight", "another file"),
    (CLIP, "/m/a model.gguf is a multimodal projector", "mmproj"),
    (TENSOR_MISSING, "/m/a model.gguf lacks", "engine.version"),
    (TENSOR_CUT, "/m/a model.gguf is damaged", "llm_models"),
    (OTHER_PROJECTOR, "projector (mmproj) was made for another model than /m/a model.gguf", "published together"),
    (NEW_PROJECTOR, "/m/eye.gguf of /m/a model.gguf cannot be used: unknown projector type: new", "engine.version"),
    (BROKEN_PROJECTOR, "projector (mmproj) /m/eye.gguf of /m/a model.gguf cannot be used", "llm_models"),
    (NO_METAL_MEMORY, "not enough memory for /m/a model.gguf", "context_size"),
    (NO_MEMORY, "not enough memory for /m/a model.gguf", "context_size"),
    (NO_TLS, "TLS", "server.tls"),
    (ROUTER, "option 'bogus' not recognized in preset 'x'", "configuration"),
    (UNKNOWN_ARGUMENT, '"--mlock"', "server.arguments"),
    (BAD_VALUE, '"--port"', "server.arguments"),
    (BAD_VARIABLE, '"LLAMA_ARG_CTX_SIZE"', "server.arguments"),
]


def of(log):
    return diagnose(log.splitlines())


@pytest.mark.parametrize(("log", "cause", "remedy"), SAMPLES)
def test_cause_and_remedy(log, cause, remedy):
    found = of(READY + log)
    assert cause in found.cause
    assert remedy in found.remedy
    assert found.line in log


@pytest.mark.parametrize("pattern", [pattern for pattern, _, _ in [*CAUSES, *GENERAL_CAUSES]])
def test_every_row_of_the_table_has_its_sample(pattern):
    assert any(re.search(pattern, line) for log, _, _ in SAMPLES for line in log.splitlines())


def test_only_the_most_recent_start_counts():
    assert of(NO_GGUF + READY) is None
    assert "port 18993" in of(NO_GGUF + PORT_IN_USE).cause


def test_refused_arguments_are_the_most_recent_even_without_a_start():
    assert '"--mlock"' in of(NO_GGUF + UNKNOWN_ARGUMENT).cause


@pytest.mark.parametrize("log", ["", READY, START, "hello\nworld\n"])
def test_no_cause_is_invented(log):
    assert of(log) is None


def test_explanation_ends_with_the_last_lines(tmp_path):
    log = tmp_path / "server.log"
    log.write_text("".join(f"earlier {number}\n" for number in range(100)) + NO_GGUF)
    text = explain(str(log))
    lines = text.splitlines()
    assert "/m/a model.gguf is damaged" in lines[0]
    assert lines[-1].strip() == NO_GGUF.splitlines()[-1]
    assert len([line for line in lines if line.startswith("  ")]) == 15


def test_explanation_admits_what_it_does_not_know(tmp_path):
    log = tmp_path / "server.log"
    log.write_text(READY)
    assert "no cause" in explain(str(log), patience=0)
    assert "listening on" in explain(str(log), patience=0)


def test_explanation_without_a_log(tmp_path):
    assert str(tmp_path / "none.log") in explain(str(tmp_path / "none.log"), patience=0)


def test_a_start_in_progress_is_given_time_to_fail(tmp_path):
    """Between two starts of a crash loop the log names no cause for a moment."""
    log = tmp_path / "server.log"
    log.write_text(NO_GGUF + LOADING)
    writer = threading.Timer(0.3, log.write_text, [NO_GGUF + NO_GGUF])
    writer.start()
    assert "is damaged" in explain(str(log), patience=60)
    writer.join()


def failed_start(log, written):
    """What a failed start says that wrote this to the server's log."""
    with pytest.raises(LlamaCppError) as failure, explaining(log and str(log)):
        if written:
            with open(log, "a", encoding="utf-8") as stream:
                stream.write(written)
        raise LlamaCppError("It does not stay up.")
    return str(failure.value)


def test_a_failed_start_tells_what_was_logged_meanwhile(tmp_path):
    log = tmp_path / "server.log"
    first, second = failed_start(log, PORT_IN_USE), failed_start(log, NO_GGUF)
    assert first.startswith("It does not stay up.\nCause: port 18993") and "lsof" in first
    assert "Last lines of " + str(log) in first
    assert "is damaged" in second and "lsof" not in second


@pytest.mark.parametrize("there", [True, False])
def test_causes_of_earlier_starts_are_not_told_again(tmp_path, there):
    log = tmp_path / "server.log"
    if there:
        log.write_text(PORT_IN_USE)
    assert failed_start(log, "") == failed_start(None, "") == "It does not stay up."


def test_a_failed_start_without_a_known_cause_shows_the_log(tmp_path):
    told = failed_start(tmp_path / "server.log", READY)
    assert "Cause" not in told and "listening on" in told


def test_a_start_that_goes_well_says_nothing(tmp_path):
    with explaining(str(tmp_path / "server.log")):
        (tmp_path / "server.log").write_text(PORT_IN_USE)
