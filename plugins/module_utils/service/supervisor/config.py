# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a supervisord.conf says, as far as its owner's commands need to know."""

from __future__ import annotations

import configparser
import os

from ...base.errors import LlamaCppError
from ...base.files import read_file

# A Unix socket's address holds 104 bytes on macOS and 108 on Linux (sys/un.h), the closing NUL included, and
# supervisord first binds "<socket>.<its pid>" (supervisor/http.py, supervisor_af_unix_http_server).
SOCKET_BYTES = 104 - 1 - len(".4194304")


class SupervisorConfig:
    """The settings of one program in a supervisord.conf.

    Shapes: ``socket``, ``pid_file`` and ``log`` are paths; ``start_seconds`` is how long the program must stay up
    to count as started, ``start_retries`` how often supervisord tries, ``stop_seconds`` how long it waits between
    SIGTERM and SIGKILL.
    """

    def __init__(self, text, path, program):
        """Read ``text``, which is or will be the content of ``path``; raises LlamaCppError with every problem."""
        self._path = path
        self._parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
        try:
            self._parser.read_string(text, path)
        except configparser.Error as error:
            raise LlamaCppError("%s is not a supervisor configuration: %s" % (path, error)) from None
        section = "program:" + program
        self._problems = []
        self.socket = self._path_of("unix_http_server", "file")
        self.pid_file = self._path_of("supervisord", "pidfile")
        self.log = self._path_of("supervisord", "logfile")
        self.command = self._text_of(section, "command")
        self.start_seconds = self._number_of(section, "startsecs", 1)
        self.start_retries = self._number_of(section, "startretries", 3)
        self.stop_seconds = self._number_of(section, "stopwaitsecs", 10)
        if len(os.fsencode(self.socket)) > SOCKET_BYTES:
            self._problems.append(
                "[unix_http_server] file: %s is %d bytes long; the system allows a socket %d. "
                "Choose a shorter directory" % (self.socket, len(os.fsencode(self.socket)), SOCKET_BYTES)
            )
        if self._problems:
            raise LlamaCppError("%s cannot be used:\n  %s" % (path, "\n  ".join(self._problems)))

    @classmethod
    def read(cls, path, program):
        """The configuration in the file ``path``; None when there is no file."""
        try:
            return cls(read_file(path).decode("utf-8"), path, program)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise LlamaCppError("%s cannot be read: %s" % (path, error)) from None

    def _text_of(self, section, option):
        try:
            raw = self._parser.get(section, option)
            return raw % {"here": os.path.dirname(os.path.abspath(self._path))}
        except configparser.NoSectionError:
            self._problems.append("section [%s] is missing" % section)
        except configparser.NoOptionError:
            self._problems.append("[%s] %s is missing" % (section, option))
        except (KeyError, ValueError, TypeError):
            self._problems.append('[%s] %s: "%s" holds a %% that supervisor cannot expand' % (section, option, raw))
        return ""

    def _path_of(self, section, option):
        path = self._text_of(section, option)
        if path and not os.path.isabs(path):
            self._problems.append('[%s] %s: "%s" is not an absolute path' % (section, option, path))
        return path

    def _number_of(self, section, option, default):
        text = self._text_of(section, option) if self._parser.has_option(section, option) else str(default)
        if not text.isdigit():
            self._problems.append('[%s] %s: "%s" is not a whole number' % (section, option, text))
            return default
        return int(text)
