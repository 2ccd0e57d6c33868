# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A stand-in for a server of which only what it prints, its environment and its end matter. It does what it is told.

talking_server.py FIFO [exit|insist|ignore]

The second word says what it does on SIGTERM: exit with 0 after its "last words" (the default), exit with 1 on the
second one as llama-server does with a request in flight, or nothing; it prints "SIGTERM" each time. It prints "ready"
once it listens, and then reads commands from the FIFO, one a line:

``say COUNT [WORD]``  that many lines "WORD NUMBER.", WORD being "line", by turns to stdout and stderr
``print TEXT``        the text
``bytes HEX``         these very bytes
``environment``       its environment as JSON, in one line
``make PATH``         an empty file, which tells that everything before has been done
``exit STATUS``       its end
``die SIGNAL``        its end by that signal
"""

import json
import os
import signal
import sys

OUT, ERR = 1, 2


class Told(Exception):
    """SIGTERM has come."""


def say(count, word="line"):
    for number in range(int(count)):
        os.write(OUT if number % 2 else ERR, b"%s %d.\n" % (word.encode(), number))


def obey(line):
    command, _, rest = line.strip().partition(" ")
    if command == "say":
        say(*rest.split())
    elif command == "print":
        os.write(OUT, rest.encode() + b"\n")
    elif command == "bytes":
        os.write(OUT, bytes.fromhex(rest))
    elif command == "environment":
        os.write(OUT, json.dumps(dict(os.environ)).encode() + b"\n")
    elif command == "make":
        open(rest, "wb").close()
    elif command == "exit":
        os._exit(int(rest))
    elif command == "die":
        os.kill(os.getpid(), int(rest))


def main(fifo, on_term="exit"):
    told = []

    def terminate(*_):
        os.write(OUT, b"SIGTERM\n")
        told.append(True)
        if on_term == "insist" and len(told) > 1:
            os._exit(1)
        if on_term == "exit":
            raise Told

    signal.signal(signal.SIGTERM, terminate)
    try:
        with open(os.open(fifo, os.O_RDWR), encoding="utf-8") as commands:  # O_RDWR: there is no end of file
            os.write(OUT, b"ready\n")
            for line in commands:
                obey(line)
    except Told:
        os.write(OUT, b"last words\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
