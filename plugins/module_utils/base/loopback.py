# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The addresses of this machine."""

from __future__ import annotations


def is_loopback(host):
    """Whether an IP address or the name of a host is this machine, by the name alone; nothing is looked up."""
    import ipaddress  # noqa: PLC0415 - only for another spelling, and the commands have to start fast

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
