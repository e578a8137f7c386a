# SPDX-License-Identifier: GPL-2.0-or-later
"""What is tracked at all, and what the states are states of. Each test's docstring is a statement of
docs/conntrack-semantics.md."""

import socket
import struct

from kernel_events import dump, entry
from net import TRACKING
from scenes import LOGGED, PORT, open_socket, scene, tcp_connection
from traffic import udp_exchange

UNTRACKED = f"""
table inet bypass {{
    chain prerouting {{ type filter hook prerouting priority raw; udp dport {PORT} notrack; udp sport {PORT} notrack; }}
}}
"""
TRANSLATED = """
table ip nat {
    chain postrouting { type nat hook postrouting priority srcnat; oifname "wan" masquerade; }
}
"""


def test_nothing_is_tracked_where_no_rule_asks():
    """A namespace in which no rule asks for the state of a connection, or translates, tracks nothing."""
    with scene(rules="") as (net, events, _):
        udp_exchange(net, PORT)
        assert dump(net.router) == []
        net.router.nft(TRACKING)
        udp_exchange(net, PORT)
        events.wait("NEW", port=PORT)
    assert len(events.of("NEW")) == 1


def test_a_state_is_of_a_packet():
    """NEW, ESTABLISHED, RELATED, INVALID and UNTRACKED are states of a packet: a flow's first packet is NEW, its answer
    and all that follows are ESTABLISHED, in UDP as in TCP."""
    with scene(TRACKING + LOGGED) as (net, _, log):
        udp_exchange(net, PORT, rounds=2)
        packets = log.wait_for(lambda packet: packet.touches(PORT), 4)
    assert [packet.prefix for packet in packets] == ["new", "established", "established", "established"]


def test_an_untracked_packet_has_no_flow():
    """An UNTRACKED packet belongs to no flow: there is no entry, no event and no id."""
    with scene(TRACKING + LOGGED + UNTRACKED) as (net, events, log):
        udp_exchange(net, PORT)
        packets = log.wait("untracked", 2)
        events.settled()
        assert entry(net.router, PORT) is None
    assert not events.of("NEW", port=PORT)
    assert all(packet.mark == 0 for packet in packets)


def test_an_invalid_packet_has_no_flow():
    """Nor does an INVALID packet: a TCP RST of no connection is one."""
    with scene(TRACKING + LOGGED) as (net, events, log):
        with open_socket(net.client, socket.SOCK_RAW, 4, socket.IPPROTO_TCP) as raw:
            raw.sendto(struct.pack("!HHIIBBHHH", 4711, PORT, 1, 1, 5 << 4, 0x04, 0, 0xBAD, 0), (net.SERVER[4], 0))
        packet = log.wait("invalid")
        events.settled()
        assert entry(net.router, PORT) is None
    assert "rst" in packet.flags and packet.mark == 0
    assert not events.of("NEW", port=PORT)


def test_nat_shows_in_the_reply_tuple():
    """NAT is the difference between the two tuples of a flow: the reply goes to another address than the original came
    from, and the status says SRC_NAT."""
    with scene(TRACKING + TRANSLATED) as (net, events, _), tcp_connection(net, PORT):
        new = events.wait("NEW", port=PORT)
    assert new.original.source == net.CLIENT[4]
    assert new.reply.destination == net.ROUTER_WAN[4]
    assert "SRC_NAT" in new.status


def test_a_flow_that_is_picked_up_may_be_turned_round():
    """A connection that is picked up in mid-stream begins with whoever speaks next: original and reply may be turned
    round, and NEW says ESTABLISHED."""
    with scene(TRACKING) as (net, events, _), tcp_connection(net, PORT) as (near, far):
        before = events.wait("NEW", port=PORT)
        net.router.flush()
        events.wait("DESTROY", port=PORT)
        far.sendall(b"more")
        near.recv(10)
        after = events.wait_for(lambda message: message.kind == "NEW" and message.original.source_port == PORT)
    assert after.original.source == before.original.destination == net.SERVER[4]
    assert after.original.destination_port == before.original.source_port
    assert after.tcp == "ESTABLISHED" and before.tcp == "SYN_SENT"
