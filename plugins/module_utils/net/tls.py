# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whom a client trusts over TLS. Only who speaks TLS imports this: ssl takes a good part of the start of a command."""

from __future__ import annotations

import re
import ssl

from ..base.errors import LlamaCppError

PEM_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def context(ca_file):
    """An SSLContext that trusts the system's authorities and that of ``ca_file``, a PEM file or None.

    Raises LlamaCppError when the file cannot be used.
    """
    found = ssl.create_default_context()
    try:
        if ca_file:
            found.load_verify_locations(ca_file)
        return found
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise LlamaCppError(f"The certificate authority file {ca_file} cannot be used: {reason}.") from error


def context_that_trusts_anybody():
    """For a connection on which nothing is sent before its certificate was compared."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.check_hostname = False
    found.verify_mode = ssl.CERT_NONE
    return found


def first_certificate(path):
    """The first certificate in a PEM file, in DER; None where there is none to be read: then the authority decides."""
    try:
        with open(path, encoding="latin-1") as stream:
            found = PEM_CERTIFICATE.search(stream.read())
        return ssl.PEM_cert_to_DER_cert(found.group(0)) if found else None
    except (OSError, TypeError, ValueError):  # no path, no such file, no base64
        return None


def reason_of(error):
    """Why no trusted connection was made, in OpenSSL's words; None where ``error``, an OSError, is about something
    else."""
    if not isinstance(error, ssl.SSLError):
        return None
    return getattr(error, "verify_message", "") or error.reason or str(error)
