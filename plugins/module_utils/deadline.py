# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""An end to what comes byte by byte: the timeout of a socket begins anew with each of them."""

from __future__ import annotations

import contextlib
import socket
import threading


class TooSlow(socket.timeout):
    """It went on, and was not done in time."""


@contextlib.contextmanager
def ended_after(seconds, connection):
    """Shut ``connection``, a connected socket, down when the block still runs after ``seconds``; None: never.

    Raises TooSlow then, instead of what came of that in the block.
    """
    over = threading.Event()

    def end():
        over.set()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # beneath TLS, with which the block is busy

    timer = threading.Timer(seconds or 0, end)
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield
    except Exception as error:
        if over.is_set():
            raise TooSlow(f"not done within {seconds:g} s") from error
        raise
    finally:
        timer.cancel()
    if over.is_set():
        raise TooSlow(f"not done within {seconds:g} s")
