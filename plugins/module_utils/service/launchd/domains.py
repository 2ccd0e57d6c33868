# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where on this Mac launchd runs the jobs of a user, or could."""

from __future__ import annotations

import os

from ...base.definition import Definition
from ...base.errors import LlamaCppError
from ...macos import plist
from .launchctl import LaunchctlMissing, check_domain


def domain_of(launchctl, labels, domains):
    """The one of ``domains`` in which one of the jobs is loaded, else the first that exists; the last one always does.

    A job that runs is left where it is: a login at the screen or a logout is no reason to restart it. A single one of
    ``domains`` is meant as it is.
    """
    for domain in domains:
        check_domain(domain)
    if len(domains) == 1:
        return domains[0]
    try:
        for label in labels:
            for domain in domains:
                if launchctl.job(f"{domain}/{label}"):
                    return domain
        return next((domain for domain in domains[:-1] if launchctl.has_domain(domain)), domains[-1])
    except LaunchctlMissing:  # nothing is loaded where there is none, so that check mode works on any host
        return domains[0]


def jobs_of(launchctl, labels, domains, directory, home):
    """Those of the jobs that are loaded in ``domains`` or have a plist in ``directory``: [{label, plist, domain}].

    :param home: the home of the user whose jobs are meant: on one Mac several users may have jobs of the same label,
        of which launchd takes one in the domain system.
    """
    found = []
    for label in labels:
        path = os.path.join(directory, label + ".plist")
        domain = domain_of(launchctl, [label], domains)
        if home_of(launchctl, label, domain, path) == home:
            found.append({"label": label, "plist": path, "domain": domain})
    return found


def home_of(launchctl, label, domain, path):
    """The HOME that a job's plist gives it, or that it was loaded with when there is no plist.

    An empty text for a job that names none; None where there is neither plist nor job.
    """
    job = _job(launchctl, domain, label)
    if job is None and not os.path.lexists(path):
        return None
    try:
        environment = plist.parse(Definition(path).content() or "").get("EnvironmentVariables")
    except (ValueError, LlamaCppError):
        environment = job and job.environment
    home = environment.get("HOME") if isinstance(environment, dict) else None
    return home if isinstance(home, str) else ""


def _job(launchctl, domain, label):
    try:
        return launchctl.job(f"{domain}/{label}")
    except LaunchctlMissing:
        return None
