# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is wrong is said before anything is touched."""

from support.plays import listing, processes_below, recap

HUGE = {"huge": {"url": "https://models.example/huge.gguf", "bytes": 1 << 50}}


def test_a_broken_configuration_and_a_wrong_variable_touch_nothing(host):
    host.config["llm_settings"]["server_port"] = "8080"
    host.config["models"]["selftest"]["contxt_size"] = 5
    output = host.play("-e", "llama_cpp_default_model=nothing", expect=2)
    assert 'llm_settings.server_port: "8080" is text' in output
    assert 'did you mean "context_size"' in output
    assert "llm_settings.default_model" in output
    assert not host.install.exists()
    assert not host.bin.exists()


def test_places_that_the_owner_has_taken_are_all_named_and_nothing_is_touched(host):
    taken = ("engine/src", "engine/releases", "tools/lib", "tools/venv", "service/runner", "service/venv")
    for name in (*taken, "models", "logs"):
        (host.install / name).mkdir(parents=True)
        (host.install / name / "mine").write_text("years of work")
    before = listing(host.install)
    output = host.play("--check", expect=2)
    assert all(f"{host.install / name} is a directory that is not noted as ours" in output for name in taken)
    assert f"in {len(taken)} of its places" in output and listing(host.install) == before and not host.bin.exists()


def test_a_model_that_cannot_fit_is_refused_before_anything_is_touched(host):
    host.config["models"] = HUGE
    host.config["llm_settings"]["default_model"] = "huge"
    output = host.play(expect=2)
    assert "models.huge needs 1048576.0 GiB for its weights alone" in output
    assert "It was not downloaded." in output and "are to be downloaded to" in output
    assert "in the catalog that fits" in output and "llama_cpp_fit=warn" in output
    assert not host.install.exists() and processes_below(host.directory) == []


def test_disabled_by_a_variable_that_is_text_nothing_is_touched(host):
    output = host.play("-e", "llama_cpp_server_port=9001", "-e", "llama_cpp_enabled=no")
    assert recap(output)["failed"] == 0
    assert not host.install.exists() and not host.bin.exists()


def test_check_mode_on_a_bare_host_touches_nothing(host):
    """With variables as text, of which "false" must not count as true, nor "true" be no condition."""
    on = ["llama_cpp_update_lock=true", "llama_cpp_prune_models=yes", 'llama_cpp_serial=[1,"25%"]']
    off = ["llama_cpp_install_command_line_tools=false", "llama_cpp_purge_models=no", "llama_cpp_stop_at_failure=off"]
    other = ["llama_cpp_ready_timeout=60", 'llama_cpp_overrides={"server":{"parallel":2}}']
    output = host.play("--check", "--diff", *(word for text in on + off + other for word in ("-e", text)))
    assert recap(output)["changed"] > 0
    assert not host.install.exists()
    assert not host.bin.exists()
    assert processes_below(host.directory) == []
