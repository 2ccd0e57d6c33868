# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""IPv4 addresses that only a private network has: where a service without authentication may be reached."""

from __future__ import annotations

import ipaddress

#: RFC 1918; link-local, RFC 3927 (a Thunderbolt bridge without further settings); shared address space, RFC 6598
#: (overlay networks); loopback.
PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
        *("169.254.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
    )
)
EXPECTED = "expected: one within {}".format(", ".join(map(str, PRIVATE)))


def why_not_private(address, network=None):
    """Why ``address`` is not of the private ``network`` (CIDR; None: of any); None when it is."""
    try:
        found = ipaddress.IPv4Address(address)
    except ValueError:
        return f'"{address}" is no IPv4 address, and the RPC protocol has no others'
    if network is None:
        return None if any(found in known for known in PRIVATE) else f'"{address}" is not private; {EXPECTED}'
    if found not in network:
        return f'"{address}" is outside the private network {network}'
    if network.num_addresses > 2 and found in (network.network_address, network.broadcast_address):
        return f'"{address}" stands for all hosts of {network}; expected: the address of one'
    return None


def private_network(text):
    """The private network ``text``, in CIDR notation. Raises ValueError with what is wrong."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        raise ValueError(f'"{text}" is no IPv4 network; expected: one such as 169.254.0.0/16') from None
    if not any(network.subnet_of(known) for known in PRIVATE):
        raise ValueError(f'"{text}" is not private; {EXPECTED}')
    return network
