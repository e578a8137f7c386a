# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks the kernel to change a flow, as a tool does that speaks ctnetlink itself. `conntrack -U` cannot stand in:
version 1.4.7 sends attributes back that kernels since 6.x refuse in an update (EOPNOTSUPP)."""

import ipaddress
import os
import socket
import struct

_NETLINK_NETFILTER = 12
_CT_NEW = 1 << 8 | 0
_NLM_F_REQUEST, _NLM_F_ACK, _NLMSG_ERROR = 1, 4, 2
_NESTED = 0x8000
_CTA_TUPLE_ORIG, _CTA_MARK = 1, 8
_CTA_TUPLE_IP, _CTA_TUPLE_PROTO = 1, 2


def _attribute(kind, content):
    return struct.pack("=HH", len(content) + 4, kind) + content + b"\0" * (-len(content) % 4)


def _tuple(record):
    ends = [ipaddress.ip_address(record[side]["ip"]) for side in ("source", "destination")]
    first = 1 if ends[0].version == 4 else 3  # CTA_IP_V4_SRC or CTA_IP_V6_SRC
    addresses = b"".join(_attribute(first + number, end.packed) for number, end in enumerate(ends))
    protocol = _attribute(1, bytes([int(record["network"]["iana_number"])]))
    for kind, side in ((2, "source"), (3, "destination")):
        protocol += _attribute(kind, struct.pack("!H", record[side]["port"]))
    return _attribute(_CTA_TUPLE_ORIG | _NESTED, _attribute(_CTA_TUPLE_IP | _NESTED, addresses) +
                      _attribute(_CTA_TUPLE_PROTO | _NESTED, protocol))


def set_mark(namespace, record, mark):
    """Sets the connmark of the flow that a record of flowkin's is about."""
    family = socket.AF_INET if ":" not in record["source"]["ip"] else socket.AF_INET6
    body = struct.pack("!BBH", family, 0, 0) + _tuple(record) + _attribute(_CTA_MARK, struct.pack("!I", mark))
    message = struct.pack("=IHHII", 16 + len(body), _CT_NEW, _NLM_F_REQUEST | _NLM_F_ACK, 1, 0) + body
    with namespace, socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as netlink:
        netlink.send(message)
        answer = netlink.recv(4096)
    kind, error = struct.unpack_from("=H", answer, 4)[0], struct.unpack_from("=i", answer, 16)[0]
    assert kind == _NLMSG_ERROR
    if error:
        raise OSError(-error, os.strerror(-error))
