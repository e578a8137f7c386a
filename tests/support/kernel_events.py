# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel says of its flows, read by hand and not by flowkin: for the tests that pin the kernel itself.

    with Events(net.router) as events:
        new = events.wait("NEW", port=80)

Attributes that the kernel left out are None. A socket keeps its events in order, so that nothing came is shown by
something later that did: `settled()` sends for such a thing.
"""

import contextlib
import ipaddress
import os
import select
import socket
import struct
import subprocess
import time

from ctnetlink import NETLINK_NETFILTER, request

_CTNETLINK, _EXPECTATIONS = 1, 2
_GROUPS = 0b111111  # NEW, UPDATE, DESTROY of flows and of expectations
_GET, _DUMP = 1, 0x300
_CREATED = 0x600
_ERROR, _DONE = 2, 3

_STATUS = ("EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST", "SRC_NAT_DONE",
           "DST_NAT_DONE", "DYING", "FIXED_TIMEOUT", "TEMPLATE", "UNTRACKED", "HELPER")
_TCP = ("NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE")


def attributes(data):
    """The attributes of a message, by number: {number: payload}."""
    found = {}
    while len(data) >= 4:
        length, number = struct.unpack_from("=HH", data)
        found[number & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3:]
    return found


def datagrams(netlink):
    """The messages of one datagram: (type, flags, port id, body)."""
    data = netlink.recv(1 << 16)
    while len(data) >= 16:
        length, kind, flags, _, port_id = struct.unpack_from("=IHHII", data)
        yield kind, flags, port_id, data[16:length]
        data = data[(length + 3) & ~3:]


class Tuple:
    """Addresses, ports and the protocol's number."""

    def __init__(self, data):
        parts = attributes(data)
        addresses, protocol = attributes(parts[1]), attributes(parts[2])
        self.source, self.destination = (str(ipaddress.ip_address(addresses[number]))
                                         for number in ((1, 2) if 1 in addresses else (3, 4)))
        self.protocol = protocol[1][0]
        self.source_port, self.destination_port = (
            struct.unpack("!H", protocol[number])[0] if number in protocol else None for number in (2, 3))

    def __eq__(self, other):
        return isinstance(other, Tuple) and vars(self) == vars(other)

    def __repr__(self):
        return f"{{{self.source}:{self.source_port} > {self.destination}:{self.destination_port} {self.protocol}}}"


def _number(data, form):
    return None if data is None else struct.unpack(form, data)[0]


def _pair(data, form, numbers=(1, 2)):
    if data is None:
        return None
    found = attributes(data)
    return tuple(_number(found.get(number), form) for number in numbers)


class Flow:
    """A message about a flow. `kind`: NEW, UPDATE, DESTROY, or dump."""

    def __init__(self, kind, port_id, data):
        found = attributes(data[4:])
        self.kind, self.port_id = kind, port_id
        self.original, self.reply = Tuple(found[1]), Tuple(found[2])
        self.master = Tuple(found[14]) if 14 in found else None
        bits = _number(found.get(3), "!I") or 0
        self.status = {name for bit, name in enumerate(_STATUS) if bits >> bit & 1}
        self.id = _number(found.get(12), "!I")
        self.mark = _number(found.get(8), "!I")
        self.timeout = _number(found.get(7), "!I")
        self.labels = found.get(22)
        self.helper = attributes(found[5])[1].rstrip(b"\0").decode() if 5 in found else None
        self.sent, self.received = (_pair(found.get(number), "!Q") for number in (9, 10))  # (packets, bytes)
        self.start, self.stop = _pair(found.get(20), "!Q") or (None, None)
        self.at = _number(found.get(27), "!Q")
        self.tcp = None
        if 4 in found and 1 in attributes(found[4]):
            self.tcp = _TCP[attributes(attributes(found[4])[1])[1][0]]

    @property
    def record(self):
        """As a record of flowkin's names it, for ctnetlink.set_mark()."""
        return {"network": {"iana_number": str(self.original.protocol)},
                "source": {"ip": self.original.source, "port": self.original.source_port},
                "destination": {"ip": self.original.destination, "port": self.original.destination_port}}

    def __repr__(self):
        return " ".join(f"{name}={value}" for name, value in vars(self).items() if value is not None)


class Expectation:
    """A message about an expectation. `kind`: XNEW or XDES."""

    def __init__(self, kind, data):
        found = attributes(data[4:])
        self.kind = kind
        self.master, self.original = Tuple(found[1]), Tuple(found[2])

    def __repr__(self):
        return f"{self.kind} of {self.master}: {self.original}"


def _message(kind, flags, port_id, body):
    if kind >> 8 == _EXPECTATIONS:
        return Expectation("XDES" if kind & 0xFF == 2 else "XNEW", body)
    if kind & 0xFF == 2:
        return Flow("DESTROY", port_id, body)
    return Flow("NEW" if flags & _CREATED else "UPDATE", port_id, body)


class Events:
    """The kernel's events about one namespace, as they come."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.messages = []
        with namespace:
            self.netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.netlink.bind((0, _GROUPS))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.netlink.close()

    def wait_for(self, predicate, timeout=10):
        """The first message, also of those that came already, that the predicate accepts."""
        seen, deadline = 0, time.monotonic() + timeout
        while True:
            for message in self.messages[seen:]:
                if predicate(message):
                    return message
            seen = len(self.messages)
            if not select.select([self.netlink], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"none of {self.messages}")
            self.messages += [_message(*parts) for parts in datagrams(self.netlink)]

    def wait(self, kind, port=None, timeout=10, **wanted):
        """The first message of a kind to a port: wait("UPDATE", port=80, mark=7)."""
        return self.wait_for(lambda message: message.kind == kind and
                             port in (None, message.original.destination_port) and
                             all(getattr(message, name, None) == value for name, value in wanted.items()), timeout)

    def of(self, *kinds, port=None):
        """Those that came so far."""
        return [message for message in self.messages
                if message.kind in kinds and port in (None, message.original.destination_port)]

    def settled(self):
        """Returns once everything up to now has come: makes a flow to a port of its own and waits for its NEW."""
        with self.namespace, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near:
            near.bind(("127.0.0.1", 0))
            near.sendto(b"x", ("127.0.0.1", near.getsockname()[1]))
            port = near.getsockname()[1]
        self.wait("NEW", port=port)


def listeners():
    """How many sockets on this machine, in whichever namespace, have asked for events about flows."""
    texts = [subprocess.run(["ip", "-all", "netns", "exec", "cat", "/proc/net/netlink"], capture_output=True,
                            text=True, check=False).stdout]  # those with a name, also where no process lives in it
    seen = set()
    for process in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            namespace = os.stat(f"/proc/{process}/ns/net").st_ino
            if namespace not in seen:
                seen.add(namespace)
                with open(f"/proc/{process}/net/netlink", encoding="ascii") as file:
                    texts.append(file.read())
    sockets = [line.split() for text in texts for line in text.splitlines()]
    return sum(len(words) > 3 and words[1] == str(NETLINK_NETFILTER) and int(words[3], 16) & 0b111 != 0
               for words in sockets)


def dump(namespace):
    """The kernel's table."""
    with namespace, socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
        netlink.send(request(_CTNETLINK << 8 | _GET, struct.pack("!BBH", 0, 0, 0), flags=_DUMP))
        flows = []
        while True:
            for kind, _, _, body in datagrams(netlink):
                if kind == _DONE:
                    return flows
                if kind == _ERROR:
                    error = -struct.unpack_from("=i", body)[0]
                    raise OSError(error, os.strerror(error))
                flows.append(Flow("dump", 0, body))


def entry(namespace, port):
    """The flow to a port, as the table has it now; None where it has none."""
    return next((flow for flow in dump(namespace) if flow.original.destination_port == port), None)
