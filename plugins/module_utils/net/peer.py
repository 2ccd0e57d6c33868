# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whose process holds the other end of a connection within this machine.

What is looked for is the other end of that very connection, not who listens at its port: between such a look and the
connection the port could change hands. Linux names the user of every socket in ``/proc/net/tcp``. Elsewhere ``lsof``
does (lsof(8)); on macOS, without root, for the processes of the user who asks, and anybody else's count as unknown.
"""

from __future__ import annotations

import os
import socket
import sys
import time

PROC_NET = "/proc/net"
LSOF = "/usr/sbin/lsof"
LSOF_SECONDS = 10
FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.5

PENDING = "pending"  # the connection is not accepted yet
UNKNOWN = "unknown"  # somebody whose processes this user may not see


def owner_of_peer(connection, patience=None):
    """The user id of the process that has accepted ``connection``, a TCP socket; None when it cannot be told.

    :param patience: seconds to wait until somebody has accepted it, which a busy server does in its time and a stopped
        one never; None waits for ever.
    :raises socket.timeout: it was not. :raises ConnectionError: it was closed instead.
    """
    look = _look_into_proc if os.path.exists(f"{PROC_NET}/tcp") else _ask_lsof
    deadline = None if patience is None else time.monotonic() + patience
    pause = FIRST_PAUSE
    while True:
        found = look(connection.getpeername()[:2], connection.getsockname()[:2])
        if found != PENDING:
            return None if found == UNKNOWN else found
        if peek(connection) == b"":
            raise ConnectionResetError("it was closed")
        if deadline is not None and time.monotonic() + pause > deadline:
            raise socket.timeout("nobody accepts the connection")
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def peek(connection):
    """The next byte that has come in on a connected socket, left where it is; empty when it is closed, None: none yet.

    Over TLS it is a byte beneath that.
    """
    patience = connection.gettimeout()
    connection.settimeout(0)
    try:
        return socket.socket.recv(connection, 1, socket.MSG_PEEK)
    except BlockingIOError:
        return None
    finally:
        connection.settimeout(patience)


def _look_into_proc(theirs, ours):
    """The user id in the row whose local address is ``theirs``. Without an inode it is not accepted yet (proc(5))."""
    for name, mapped in (("tcp", False), ("tcp6", True)):
        try:
            wanted = [_in_proc(*theirs, mapped), _in_proc(*ours, mapped)]
            with open(f"{PROC_NET}/{name}", encoding="ascii") as table:
                for fields in map(str.split, table):
                    if fields[1:3] == wanted and fields[9] != "0":
                        return int(fields[7])
        except OSError:  # an address of the other family, or no such table
            continue
    return PENDING


def _in_proc(host, port, mapped):
    """An address as those tables write it; ``mapped``: an IPv4 one as a socket of IPv6 has it."""
    if ":" in host and not mapped:
        raise OSError("no IPv4 address")
    packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    if mapped and len(packed) == 4:
        packed = b"\0" * 10 + b"\xff\xff" + packed
    words = (int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4))
    return "%s:%04X" % ("".join("%08X" % word for word in words), port)


def _ask_lsof(theirs, ours):
    """The same by ``lsof -F``, a field a line: ``p`` and ``u`` of a process, then ``n`` of each of its sockets."""
    import subprocess  # noqa: PLC0415 - it would double what the start of a command takes where it is not needed

    command = [LSOF, "-nP", "-w", f"-iTCP:{theirs[1]}", "-Fun"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LSOF_SECONDS,
            check=False,  # 1 when nothing was found
        )
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN
    # Where the other end is a socket of IPv6, an IPv4 address may be written as that has it.
    wanted = ["->".join(_in_lsof(prefix + host, port) for host, port in (theirs, ours)) for prefix in ("", "::ffff:")]
    user, listened = None, False
    for line in done.stdout.decode("ascii", "replace").splitlines():
        kind, text = line[:1], line[1:]
        if kind == "u" and text.isdigit():
            user = int(text)
        elif kind == "n" and text in wanted:
            return user
        elif kind == "n" and "->" not in text:
            listened = True
    return PENDING if listened else UNKNOWN


def _in_lsof(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
