# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks the kernel to change a flow, as a tool does that speaks ctnetlink itself. `conntrack -U` cannot stand in:
version 1.4.7 sends attributes back that kernels since 6.x refuse in an update (EOPNOTSUPP)."""

import ipaddress
import os
import socket
import struct

NETLINK_NETFILTER = 12
_CT_NEW = 1 << 8 | 0
_NLM_F_REQUEST, _NLM_F_ACK, _NLMSG_ERROR = 1, 4, 2
_NESTED = 0x8000
_CTA_TUPLE_ORIG, _CTA_MARK = 1, 8
_CTA_TUPLE_IP, _CTA_TUPLE_PROTO = 1, 2


def attribute(kind, content):
    return struct.pack("=HH", len(content) + 4, kind) + content + b"\0" * (-len(content) % 4)


def request(kind, body, flags=_NLM_F_ACK):
    """A message to the kernel; `kind` is the subsystem and the message's own number."""
    return struct.pack("=IHHII", 16 + len(body), kind, _NLM_F_REQUEST | flags, 1, 0) + body


def _tuple(record):
    ends = [ipaddress.ip_address(record[side]["ip"]) for side in ("source", "destination")]
    first = 1 if ends[0].version == 4 else 3  # CTA_IP_V4_SRC or CTA_IP_V6_SRC
    addresses = b"".join(attribute(first + number, end.packed) for number, end in enumerate(ends))
    protocol = attribute(1, bytes([int(record["network"]["iana_number"])]))
    for kind, side in ((2, "source"), (3, "destination")):
        protocol += attribute(kind, struct.pack("!H", record[side]["port"]))
    return attribute(_CTA_TUPLE_ORIG | _NESTED, attribute(_CTA_TUPLE_IP | _NESTED, addresses) +
                      attribute(_CTA_TUPLE_PROTO | _NESTED, protocol))


def set_mark(namespace, record, mark):
    """Sets the connmark of the flow that a record of flowkin's is about."""
    family = socket.AF_INET if ":" not in record["source"]["ip"] else socket.AF_INET6
    body = struct.pack("!BBH", family, 0, 0) + _tuple(record) + attribute(_CTA_MARK, struct.pack("!I", mark))
    with namespace, socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
        netlink.send(request(_CT_NEW, body))
        answer = netlink.recv(4096)
    kind, error = struct.unpack_from("=H", answer, 4)[0], struct.unpack_from("=i", answer, 16)[0]
    assert kind == _NLMSG_ERROR
    if error:
        raise OSError(-error, os.strerror(-error))
