# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Takes a host out of a gateway's rotation without a failed request, and puts it back when it is fit for it."""

from __future__ import annotations

from ..base.errors import LlamaCppError
from ..base.wait import stays, wait_until
from .haproxy import MAINTENANCE

#: States in which somebody keeps new requests from a host; its checks do not end them.
KEPT_AWAY = (MAINTENANCE, "DRAIN")

POLL_SECONDS = 0.5


class Rotation:
    """One host at one gateway.

    :param haproxy: the gateway, a :class:`haproxy.HAProxy`.
    :param host: the name of the host there.
    :param report: ``report(stage, detail)`` is called at each look.
    :raises LlamaCppError: the gateway does not have this host.
    """

    def __init__(self, haproxy, host, report=lambda stage, detail: None):
        self._haproxy, self._host, self._report = haproxy, host, report
        if host not in self._all():
            raise LlamaCppError(
                f"The gateway has no host {host}; nothing was changed. Configure the gateway first: ansible-playbook "
                "playbooks/gateway.yml --limit llm_gateways"
            )

    @property
    def is_away(self):
        """Whether it is kept away for all its models."""
        return all(state in KEPT_AWAY for state in self._states().values())

    @property
    def is_kept_away(self):
        """Whether it is kept away for any of them."""
        return self._host in kept_away(self._all())

    def last_of(self, keep_up=None, returning=()):
        """The models of which no other host is up, if this one may go.

        :param keep_up: how many others must be up for each of its models; None: all that have it, and one at least.
        :param returning: hosts that count as up.
        :raises LlamaCppError: it must not, since too few others are up.
        """
        everyone, alone = self._all(), []
        for backend, state in everyone[self._host].items():
            others = {name: states[backend] for name, states in everyone.items() if backend in states}
            del others[self._host]
            up = [name for name, other in others.items() if is_up(other) or name in returning]
            if is_up(state):
                self._require(backend, others, up, max(1, len(others)) if keep_up is None else keep_up)
                alone += [] if up else [_model(backend)]
        return alone

    def take_away(self, seconds, go_on=False):
        """Have it sent nothing new, and wait until it has ended what it does; returns how many answers are left.

        :param go_on: after ``seconds``, leave those that are left to their fate instead of raising LlamaCppError.
        """
        if not self.is_away:
            self._haproxy.set_state(self._host, "maint")
            if not self.is_away:
                raise LlamaCppError(f"The gateway still sends requests to {self._host}; the host was not changed.")
        left = []

        def has_ended():
            left[:] = [self._haproxy.running(self._host)]
            self._report("waiting for its answers", f"{left[0]} running")
            return not left[0]

        if not wait_until(has_ended, seconds, POLL_SECONDS) and not go_on:
            raise LlamaCppError(
                f"{self._host} still has {left[0]} running answers after {seconds} s. It was not changed and gets no "
                "new requests. Run the play again to go on waiting, with a longer llama_cpp_gateway_drain_timeout if "
                "need be; llama_cpp_gateway_drain_overdue=continue ends such answers."
            )
        return left[0]

    def put_back(self, seconds, settle_seconds):
        """Have it sent requests again, and wait until the gateway counts it as up.

        :param settle_seconds: for how long without a break; at first HAProxy takes it as up without a check.
        """
        if not self.is_kept_away and self._is_up():
            return
        self._haproxy.set_state(self._host, "ready")
        if not wait_until(lambda: self._is_up() and stays(self._is_up, settle_seconds), seconds, POLL_SECONDS):
            states = ", ".join(f"{_model(backend)}: {state}" for backend, state in sorted(self._states().items()))
            raise LlamaCppError(
                f"The gateway does not count {self._host} as up within {seconds} s ({states}). It is asked as soon as "
                "its checks succeed. To see what keeps it from that, on that host: llm-manager status; llm-manager "
                "watchdog"
            )

    def _require(self, backend, others, up, needed):
        if len(up) >= needed:
            return
        model = _model(backend)
        if not others:
            raise LlamaCppError(
                f"{self._host} is the only host with {model}, which cannot be used meanwhile. Nothing was changed. "
                "Add another host with it, or accept the outage: -e llama_cpp_gateway_keep_up=0"
            )
        down = ", ".join(f"{name} ({state})" for name, state in sorted(others.items()) if not is_up(state))
        raise LlamaCppError(
            f"{self._host} was not taken out of rotation: of the other hosts with {model}, {len(up)} are up, and "
            f"{needed} have to be. Not up: {down or 'none'}. Repair these first, by this play with --limit if it is to "
            "change them; or set llama_cpp_gateway_keep_up to the number of hosts that will do."
        )

    def _is_up(self):
        states = self._states()
        self._report("waiting for the gateway's checks", ", ".join(sorted(set(states.values()))))
        return all(map(is_up, states.values()))

    def _states(self):
        return self._all()[self._host]

    def _all(self):
        return self._haproxy.hosts()


def kept_away(hosts):
    """The names of the ``hosts``, as HAProxy has them, that are kept away for any of their models."""
    return [host for host, states in hosts.items() if any(state in KEPT_AWAY for state in states.values())]


def is_up(state):
    """Whether HAProxy sends requests to a host in this state; ``UP 1/2`` is one that fails its checks."""
    return state.startswith("UP") or state == "no check"


def _model(backend):
    return backend.partition("_")[2]
