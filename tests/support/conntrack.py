# SPDX-License-Identifier: GPL-2.0-or-later
"""The conntrack tool beside flowkin: an independent witness of the same events."""

import contextlib
import os
import re
import subprocess
import tempfile
import time


PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}
_EVENT = re.compile(r"\[(NEW|UPDATE|DESTROY)\]\s+ipv[46]\s+\d+\s+(\S+)\s+(\d+)")


def parse(line):
    """(event, flow), the flow as flowkin.flow_of() names it; None for a line that is none."""
    event = _EVENT.search(line)
    if not event:
        return None
    first = lambda name: next(iter(re.findall(rf"\b{name}=(\S+)", line)), None)
    number = lambda text: None if text is None else int(text)
    icmp = event[2].startswith("icmp")
    identifiers = re.findall(r"\bid=(\d+)", line)  # the last is the flow's; ICMP prints its own before
    flow = (int(identifiers[-1]), int(event[3]), first("src"), first("dst"),
            number(identifiers[0] if icmp else first("sport")), number(first("type" if icmp else "dport")))
    return event[1], flow


class ConntrackEvents(contextlib.AbstractContextManager):
    """`conntrack -E` in a namespace. Its socket holds 166 events and version 1.4.7 sets --buffer-size on another, so it
    must never wait: it runs before all others and writes to memory."""

    def __init__(self, namespace):
        self.namespace = namespace

    def __enter__(self):
        self._output = tempfile.TemporaryFile(dir="/dev/shm")
        self.program = self.namespace.background(
            "chrt", "--fifo", "1", "stdbuf", "-oL", "conntrack", "-E", "-e", "ALL", "-o", "id,timestamp,extended",
            stdout=self._output, stderr=subprocess.DEVNULL)
        _wait_until_subscribed(self.program.pid)
        return self

    def __exit__(self, *_):
        self.program.end()
        self._output.close()

    @property
    def events(self):
        """Those it has told so far."""
        written = os.pread(self._output.fileno(), 1 << 30, 0)  # its file position is the program's
        whole = written.decode().rpartition("\n")[0]
        return [parsed for line in whole.splitlines() if (parsed := parse(line))]


def _wait_until_subscribed(pid, timeout=5):
    """Until a netlink socket of its own has joined the groups of NEW, UPDATE and DESTROY."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        own = set()
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # it has closed that one meanwhile
                own.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
        with open(f"/proc/{pid}/net/netlink", encoding="ascii") as table:
            for row in list(table)[1:]:
                _, family, _, groups, *_, inode = row.split()
                if family == "12" and int(groups, 16) & 7 == 7 and f"socket:[{inode}]" in own:
                    return
        time.sleep(0.01)
    raise TimeoutError("conntrack -E did not subscribe")
