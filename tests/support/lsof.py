# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A stand-in for ``lsof -F``: it prints a field a line, the processes and sockets that it was made with."""


def make_lsof(program, users):
    """Write the stand-in ``program``; beside it ``<program>.asked`` will hold its last arguments.

    :param users: pairs (user id, the names of the sockets of one process of this user).
    """
    listing = ""
    for number, (user, names) in enumerate(users):
        listing += f"p{number}\nu{user}\n" + "".join(f"f3\nn{name}\n" for name in names)
    program.write_text(f'#!/bin/sh\necho "$@" > "$0.asked"\ncat <<\'END\'\n{listing}END\n')
    program.chmod(0o755)
