# SPDX-License-Identifier: GPL-2.0-or-later
"""Load: flows of three kinds, as fast as the kernel makes them, and their end."""

import contextlib
import dataclasses

import flowkin as tool
from net import Namespace

FLOW_BATCHES = tool.BUILD / "tests/bench/flow_batches"
CONNECT_STORM = tool.BUILD / "tests/bench/connect_storm"

# Nothing answers a datagram of the flood, not even an ICMP error.
_RULES = """
table inet tracking {
    chain input {
        type filter hook input priority 0;
        ct state new udp dport 20000-40000 drop;
        ct state new,established accept;
    }
}
"""
_SYSCTLS = {
    "net__netfilter__nf_conntrack_acct": 1,
    "net__netfilter__nf_conntrack_timestamp": 1,
    "net__netfilter__nf_conntrack_events": 1,
}


@contextlib.contextmanager
def tracked_namespace(label):
    """A namespace that tracks what comes over its loopback."""
    namespace = Namespace(label)
    try:
        namespace.sysctl(**_SYSCTLS)
        namespace.nft(_RULES)
        yield namespace
    finally:
        namespace.delete()


@dataclasses.dataclass(frozen=True)
class Load:
    name: str
    words: tuple  # the program that makes the flows, and its arguments
    flows: int

    def run(self, namespace):
        """Makes the flows and deletes them."""
        namespace.run(*self.words)
        namespace.flush()


def flood(flows, *per_second):
    return Load("UDP flood", (tool.UDP_FLOOD, "127.0.0.1", "127.0.0.2", flows, *per_second), flows)


def connect_storm(connections):
    return Load("TCP connect storm", (CONNECT_STORM, connections), connections)


def batches(flows):
    return Load("ctnetlink batches", (FLOW_BATCHES, flows), flows)
