# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where a service without authentication may listen."""

import ipaddress

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.net.private_address import (
    private_network,
    why_not_private,
)

PRIVATE = ("10.13.0.2", "172.31.0.1", "192.168.7.9", "169.254.10.2", "100.64.0.9", "127.0.0.2")
OTHER = ("0.0.0.0", "8.8.8.8", "172.32.0.1", "255.255.255.255", "224.0.0.1", "::1", "fd00::7", "studio-2", "", "10.1")
OTHER_NETWORKS = ("0.0.0.0/0", "10.0.0.0/7", "192.0.2.0/24", "10.13.0.2/24", "fd00::/8", "", "home")


def test_private_addresses():
    assert [address for address in PRIVATE if why_not_private(address)] == []


def test_public_and_wildcard_addresses_and_what_is_none():
    assert [address for address in OTHER if why_not_private(address) is None] == []


def test_an_address_has_to_be_that_of_one_host_of_the_declared_network():
    network = private_network("10.13.0.0/30")
    assert why_not_private("10.13.0.2", network) is None
    assert "outside" in why_not_private("10.13.0.5", network)
    assert "all hosts" in why_not_private("10.13.0.3", network) and "all hosts" in why_not_private("10.13.0.0", network)
    assert why_not_private("127.0.0.1", ipaddress.ip_network("127.0.0.1/32")) is None


@pytest.mark.parametrize("network", OTHER_NETWORKS)
def test_a_network_that_is_not_private(network):
    with pytest.raises(ValueError, match=r"is not private|is no IPv4 network"):
        private_network(network)
