# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The address of a server, as its users write it.

urllib.parse would do, but to import it takes a third as long as to start Python, and the commands ask one question in
each run (docs/decisions/0130-a-client-that-starts-fast.md).
"""

from __future__ import annotations

from ..base.errors import LlamaCppError

PORTS = {"http": 80, "https": 443}
HIGHEST_PORT = 65535
ANY_ADDRESS = ("0.0.0.0", "::")


class ServerUrl:
    """``http[s]://host[:port][/prefix]``; a ``/v1`` at the end, as other clients want it, is understood.

    Raises LlamaCppError when it is not such an address.

    :ivar text: the address without ``/v1`` and a slash at its end.
    :ivar https: whether TLS is spoken.
    :ivar authority: host and port as they were written.
    :ivar host: a name or an address in lower case, without brackets.
    :ivar port: a number.
    :ivar prefix: what stands before each path, without a slash at its end; empty as a rule.
    """

    def __init__(self, url):
        if "@" in url or "?" in url or "#" in url:
            raise LlamaCppError(
                "The server URL must have no user, password, query or fragment; the key has its own place."
            )
        scheme, mark, rest = url.partition("://")
        scheme = scheme.lower()
        self.authority, slash, path = rest.partition("/")
        if scheme not in PORTS or not mark or not self.authority or not all("!" <= letter <= "~" for letter in url):
            raise LlamaCppError(f'The server URL "{url}" must look like http://127.0.0.1:8080 or https://host:8443.')
        try:
            self.host, port = _host_and_port(self.authority.lower())
        except ValueError as error:
            raise LlamaCppError(f'The server URL "{url}" cannot be used: {error}.') from error
        self.https = scheme == "https"
        self.port = PORTS[scheme] if port is None else port
        self.prefix = (slash + path).rstrip("/").removesuffix("/v1").rstrip("/")
        self.text = f"{scheme}://{self.authority}{self.prefix}"

    def identity(self):
        """What is equal for two addresses that lead to the same server, so far as this machine's names tell."""
        from ..base.loopback import is_loopback  # noqa: PLC0415 - for another spelling, and the commands start fast

        host = self.host.rstrip(".")
        return self.https, "localhost" if host in ANY_ADDRESS or is_loopback(host) else host, self.port, self.prefix


def same_server(one, other):
    """Whether two addresses lead to the same server: names of this machine and a ``/v1`` at the end do not matter."""
    if one == other:
        return True
    try:
        return ServerUrl(one).identity() == ServerUrl(other).identity()
    except LlamaCppError:
        return False


def _host_and_port(place):
    """The host, and the port or None. Raises ValueError for what is no address and no name that can be looked up."""
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("brackets enclose an IPv6 address, and only a port follows them")
        port = rest[1:]
        import ipaddress  # noqa: PLC0415 - for few servers, and the commands have to start fast

        ipaddress.IPv6Address(host.partition("%")[0])
    else:
        host, _, port = place.partition(":")
        if not all(0 < len(label) < 64 for label in host.removesuffix(".").split(".")):
            raise ValueError("a part of the host name is empty or too long")
        if not all(letter.isalnum() or letter in "-._" for letter in host):
            raise ValueError(f'"{host}" is not the name of a host')
    if not port:
        return host, None
    if not port.isdigit() or int(port) > HIGHEST_PORT:
        raise ValueError(f'the port must be a number up to {HIGHEST_PORT}, not "{port}"')
    return host, int(port)
