# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""launchd for Linux: a launchctl that parses real plists and runs real processes, for tests only.

One *state directory* is one Mac. ``Simulator(directory)`` switches it on; from then on ``<directory>/bin/launchctl``
is its launchctl, and ``Simulator.login()``, ``logout()`` and ``reboot()`` are what people do to it. The part of
launchd is played by one background process, which ends with everything that it started when it is told to, when the
directory vanishes, when the process that it was started for is gone, or when nobody has asked it anything for long.

What is simulated, from the sources listed in docs/macos.md: the domains system, gui/<uid> (only while logged in) and
user/<uid>; overrides that survive a reboot; bootout that returns before the label is free; ThrottleInterval,
RunAtLoad, StartInterval, ExitTimeOut followed by SIGKILL, KeepAlive in its forms; the owner and mode rules; output and
exit codes of print, print-disabled and list. A process runs as whoever started the simulator unless that is root and
the plist names a user.
"""
