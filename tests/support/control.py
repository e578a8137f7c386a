# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket from a client's side: requests and answers as lines, and flowkinctl as an operator runs it."""

import contextlib
import json
import socket
import subprocess

from flowkin import BUILD

FLOWKINCTL = BUILD / "flowkinctl"
TIMEOUT_S = 60


class Client(contextlib.AbstractContextManager):
    """A connection to a control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))  # without a timeout, which would make it refuse to wait in line
        self.socket.settimeout(TIMEOUT_S)
        self._lines = self.socket.makefile("rb")

    def __exit__(self, *_):
        self._lines.close()
        self.socket.close()

    def send(self, raw):
        self.socket.sendall(raw)

    def line(self):
        """The next line of an answer; none where the daemon has hung up."""
        raw = self._lines.readline()
        return json.loads(raw) if raw else None

    def answer(self):
        """The rest of an answer: its flows, and its last line."""
        flows = []
        while (line := self.line()) is not None and "result" not in line:
            flows.append(line)
        return flows, line

    def ask(self, command, **members):
        self.send(json.dumps({"command": command, **members}).encode() + b"\n")
        return self.answer()


def flowkinctl(path, *words, wrapper=(), binary=FLOWKINCTL):
    """Runs flowkinctl to its end."""
    command = [*wrapper, binary, "--socket", path, *words]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=TIMEOUT_S,
                          check=False, stdin=subprocess.DEVNULL)
