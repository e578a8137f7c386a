# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets that rules log by NFLOG, read by hand and not by flowkin: for the tests that pin the kernel itself."""

import select
import socket
import struct
import time

from ctnetlink import NETLINK_NETFILTER, attribute, request
from kernel_events import Tuple, attributes, datagrams

_ULOG, _PACKET, _CONFIG = 4, 0, 1
_BIND, _COPY_PACKET = 1, 2
_ERROR = 2
_CONNTRACK = 4  # NFULNL_CFG_F_CONNTRACK
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_TCP_FLAGS = ("fin", "syn", "rst", "psh", "ack", "urg")
_ICMP = (1, 58)


class Packet:
    """A logged packet: who speaks to whom, and what the kernel says beside it."""

    def __init__(self, data):
        found = attributes(data[4:])
        self.hook = _HOOKS[found[1][2]]
        self.mark = struct.unpack("!I", found[2])[0] if 2 in found else 0
        self.prefix = found[10].rstrip(b"\0").decode()
        self.section = attributes(found[18]) if 18 in found else None
        self.info = struct.unpack("!I", found[19])[0] if 19 in found else None
        packet = found[9]
        if packet[0] >> 4 == 4:
            self.protocol, self.version, header = packet[9], 4, (packet[0] & 15) * 4
            self.source, self.destination = socket.inet_ntop(socket.AF_INET, packet[12:16]), socket.inet_ntop(
                socket.AF_INET, packet[16:20])
        else:
            self.protocol, self.version, header = packet[6], 6, 40
            self.source, self.destination = socket.inet_ntop(socket.AF_INET6, packet[8:24]), socket.inet_ntop(
                socket.AF_INET6, packet[24:40])
        transport = packet[header:]
        self.flags, self.icmp = set(), None
        self.source_port = self.destination_port = None
        if self.protocol in _ICMP:
            self.icmp = (transport[0], transport[1])
        else:
            self.source_port, self.destination_port = struct.unpack_from("!HH", transport)
        if self.protocol == socket.IPPROTO_TCP:
            self.flags = {name for bit, name in enumerate(_TCP_FLAGS) if transport[13] >> bit & 1}

    @property
    def flow_id(self):
        """CTA_ID of the section, where there is one."""
        return struct.unpack("!I", self.section[12])[0] if self.section else None

    @property
    def flow(self):
        """The original tuple of the section, where there is one."""
        return Tuple(self.section[1]) if self.section else None

    def touches(self, port):
        return port in (self.source_port, self.destination_port)

    def __repr__(self):
        return " ".join(f"{name}={value}" for name, value in vars(self).items() if name != "section")


class PacketLog:
    """What rules in one namespace log to a group. `refusal`: the errno where the kernel did not bind it."""

    def __init__(self, namespace, group=5, sections=False):
        self.packets = []
        with namespace:
            self.netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        body = struct.pack("!BBH", 0, 0, group)
        body += attribute(1, bytes([_BIND])) + attribute(2, struct.pack("!IBx", 256, _COPY_PACKET))
        body += attribute(5, struct.pack("!I", 1))  # each packet at once
        if sections:
            body += attribute(6, struct.pack("!H", _CONNTRACK))
        self.netlink.send(request(_ULOG << 8 | _CONFIG, body))
        self.refusal = None
        while self.refusal is None:
            self._read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.netlink.close()

    def _read(self):
        for kind, _, _, body in datagrams(self.netlink):
            if kind == _ERROR:
                self.refusal = -struct.unpack_from("=i", body)[0]
            elif kind == _ULOG << 8 | _PACKET:
                self.packets.append(Packet(body))

    def wait_for(self, predicate, count=1, timeout=10):
        """The first packets that the predicate accepts: one, or a list of `count`."""
        deadline = time.monotonic() + timeout
        while True:
            found = [packet for packet in self.packets if predicate(packet)]
            if len(found) >= count:
                return found[0] if count == 1 else found[:count]
            if not select.select([self.netlink], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"{len(found)} of {count}; {self.packets}")
            self._read()

    def wait(self, prefix, count=1):
        return self.wait_for(lambda packet: packet.prefix == prefix, count)
