# SPDX-License-Identifier: GPL-2.0-or-later
"""What the experiments of this folder have in common: rules, and conversations of which the test chooses each word."""

import contextlib
import socket

import pytest
from kernel_events import Events
from net import TRACKING, Topology
from packet_log import PacketLog
from traffic import ftp_announce, ftp_words, open_socket, tcp_connection

CHILD = 7001  # the port of a child that is announced
PORT = 7002  # of any other flow

# Each packet is logged with the state that it has for the rules. Its mark is its flow's id: a rule that asks for the id
# where there is none goes no further, so the mark stays 0.
STATES = "meta mark set ct id" + "".join(f"""
        ct state {state} log group 5 prefix "{state}"
""" for state in ("new", "established", "related", "invalid", "untracked"))
LOGGED = f"""
table inet logged {{
    chain forward {{
        type filter hook forward priority 10
        {STATES}
    }}
    chain output {{
        type filter hook output priority 10
        {STATES}
    }}
}}
"""


@contextlib.contextmanager
def scene(rules=TRACKING, **sysctls):
    """The topology, the events of its router, the packets that its rules log."""
    with Topology(rules, **sysctls) as net, Events(net.router) as events, PacketLog(net.router) as log:
        yield net, events, log


@contextlib.contextmanager
def ftp_control(net, events):
    """A control connection that has been greeted: (client's end, server's end, the flow's NEW)."""
    with ftp_words(net) as (near, far):
        yield near, far, events.wait("NEW", port=21)


def announce(near, far):
    ftp_announce(near, far, CHILD)


@contextlib.contextmanager
def child_of(net, events):
    """A control connection and its child: (parent's NEW, child's NEW)."""
    with ftp_control(net, events) as (near, far, parent):
        announce(near, far)
        with tcp_connection(net, CHILD):
            yield parent, events.wait("NEW", port=CHILD)


def refuse(namespace, hook, answer):
    """A REJECT rule. `answer`: "tcp reset", "icmpx port-unreachable"."""
    protocols = "tcp" if answer == "tcp reset" else "{ tcp, udp }"
    namespace.nft(f"""
table inet refusals {{
    chain {hook} {{ type filter hook {hook} priority 0; meta l4proto {protocols} th dport {PORT} reject with {answer}; }}
}}
""")


def unanswered(net, kind=socket.SOCK_STREAM, port=PORT, version=4):
    """The client's first packet, to which it gets an error. Gives its port."""
    with open_socket(net.client, kind, version) as near:
        near.bind(("", 0))
        with pytest.raises(OSError):
            near.connect((net.SERVER[version], port))
            near.send(b"ask")
            near.recv(10)
        return near.getsockname()[1]
