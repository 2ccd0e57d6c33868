# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A process of which one thread stands still and the others go on: a server that answers what needs no computing, and
computes nothing.
"""

import contextlib
import ctypes
import os
import sys

# ptrace(2). A thread that was seized goes on when the thread that seized it ends, or lets it.
SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17


@contextlib.contextmanager
def stuck_thread(thread):
    """Stops ``thread``, by its id, while the block runs. The main thread of a process has the id of the process.

    :raises PermissionError: this machine does not allow it.
    """
    if sys.platform != "linux":
        raise PermissionError(f"A single thread cannot be stopped on {sys.platform}.")
    library = ctypes.CDLL(None, use_errno=True)
    library.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    for request in (SEIZE, INTERRUPT):
        if library.ptrace(request, thread, None, None):
            raise PermissionError(os.strerror(ctypes.get_errno()))
    try:
        yield
    finally:
        library.ptrace(DETACH, thread, None, None)
