# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Which server a command talks to, and with which API key.

The server: ``--server``, else LLM_BASE_URL, else the configured one, else OPENAI_BASE_URL, which may be meant for
another service. A key goes to the server it was given for, and to no other.
"""

from __future__ import annotations

import functools
import sys

from .core.llama.api_keys import check_api_key, read_api_key, secret_of_environment
from .core.net.server_url import ServerUrl, same_server

CONFIG_VARIABLE = "LLAMA_CPP_CLIENT_CONFIG"
URL_VARIABLE = "LLM_BASE_URL"
KEY_VARIABLE = "LLM_API_KEY"
OPENAI_URL_VARIABLE = "OPENAI_BASE_URL"
OPENAI_KEY_VARIABLE = "OPENAI_API_KEY"

SECURITY = "/usr/bin/security"
KEYCHAIN_SERVICE = "llm-client"
KEYCHAIN_SECONDS = 120  # its user may have to allow it


class Endpoint:
    """The server that ``named`` (``--server``), ``environ`` and ``configured`` (section ``server``) lead to.

    :param key_file: the file of ``--key-file``, or None.
    :ivar url: its address.
    :ivar ours: whether it is the configured server, however its address is spelled.
    :ivar source: what named it, in words; None for the configuration.
    """

    def __init__(self, environ, configured, named=None, key_file=None):
        own = configured.get("url")
        places = (("--server", named), (URL_VARIABLE, environ.get(URL_VARIABLE)), (None, own))
        places += ((OPENAI_URL_VARIABLE, environ.get(OPENAI_URL_VARIABLE)),)
        self.source, url = next(((source, url) for source, url in places if url), (None, None))
        self.ours = bool(own) and bool(url) and same_server(url, own)
        self.url = own if self.ours else url
        self._environ, self._configured, self._key_file = environ, configured, key_file

    @property
    def key_source(self):
        """Where the API key comes from, in words, or None when there is none."""
        if self._key_file:
            return self._key_file
        variable = self._key_variable()
        if variable:
            return variable
        if self.ours:
            return self._configured.get("api_key_file")
        return f"the keychain (service {KEYCHAIN_SERVICE})" if self._keychain_key else None

    def key(self):
        """The API key, or None. Raises LlamaCppError, which does not repeat it, when it is unusable."""
        if self._key_file:
            return read_api_key(self._key_file)
        variable = self._key_variable()
        if variable:
            return secret_of_environment(variable, self._environ)
        if self.ours:
            path = self._configured.get("api_key_file")
            return read_api_key(path) if path else None
        return self._keychain_key

    @property
    def key_was_named(self):
        """Whether both server and key were given by the caller, who answers for it that they belong together."""
        return bool(self.source) and bool(self._key_file or self._key_variable())

    def _key_variable(self):
        """The variable whose key is for this server, or None."""
        if self._environ.get(KEY_VARIABLE, "").strip() and self._is_for(URL_VARIABLE):
            return KEY_VARIABLE
        if self._environ.get(OPENAI_KEY_VARIABLE, "").strip() and not self.ours:
            wanted = self._environ.get(OPENAI_URL_VARIABLE)
            return OPENAI_KEY_VARIABLE if wanted and same_server(wanted, self.url) else None
        return None

    def _is_for(self, variable):
        """Whether a key that comes with ``variable`` is for this server: the one it names, else the own."""
        named = self._environ.get(variable)
        return same_server(named, self.url) if named else self.ours or self.source == "--server"

    @functools.cached_property  # macOS may ask the user each time
    def _keychain_key(self):
        """The key that the keychain of macOS has for the address, or None."""
        if self.ours or not self.url or sys.platform != "darwin":
            return None
        import subprocess  # noqa: PLC0415 - only here, and the commands have to start fast

        account = ServerUrl(self.url).authority
        command = [SECURITY, "find-generic-password", "-s", KEYCHAIN_SERVICE, "-a", account, "-w"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=KEYCHAIN_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        key = done.stdout.strip()
        return check_api_key(key, "The API key in the keychain") if done.returncode == 0 and key else None
