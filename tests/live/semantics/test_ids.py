# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's id of a flow, CTA_ID, and its ways to who reads packets. Each test's docstring is a statement of
docs/conntrack-semantics.md."""

import errno
import socket
import struct

import pytest
from ctnetlink import NETLINK_NETFILTER, attribute, request
from kernel_events import entry
from net import TRACKING, Topology
from packet_log import PacketLog
from scenes import LOGGED, PORT, refuse, scene, unanswered
from traffic import tcp_life, udp_exchange


def test_an_id_is_one_for_a_flows_life():
    """The id of a flow is the same in NEW, in each UPDATE, in DESTROY and in the table."""
    with scene() as (net, events, _):
        tcp_life(net, PORT)
        held = entry(net.router, PORT)
        net.router.flush()
        events.wait("DESTROY", port=PORT)
    told = events.of("NEW", "UPDATE", "DESTROY", port=PORT)
    assert {message.id for message in told} == {held.id}
    assert len(told) > 4


def test_an_id_comes_again():
    """Ids come again: flows that follow each other on one tuple share a few of them."""
    lives = 20
    with scene() as (net, events, _):
        for _ in range(lives):
            net.router.run("conntrack", "-I", "-p", "udp", "-s", net.CLIENT[4], "-d", net.SERVER[4], "--sport", 4711,
                           "--dport", PORT, "-t", 60)
            net.router.flush()
        events.settled()
    ids = [message.id for message in events.of("NEW", port=PORT)]
    assert len(ids) == lives
    assert len(set(ids)) < lives


def test_the_id_comes_in_a_packets_mark():
    """A rule can hand a packet's flow to NFLOG: `meta mark set ct id` makes the id the packet's mark, in the byte order
    of the network on a machine that has the other."""
    with scene(TRACKING + LOGGED) as (net, events, log):
        udp_exchange(net, PORT)
        new = events.wait("NEW", port=PORT)
        packets = [log.wait("new"), log.wait("established")]
    for packet in packets:
        assert packet.mark == int.from_bytes(new.id.to_bytes(4, "little"), "big")


def test_the_kernel_can_send_the_flow_with_the_packet():
    """A kernel with CONFIG_NETFILTER_NETLINK_GLUE_CT sends the flow itself with each logged packet, and how the packet
    relates to it; without, it refuses (EOPNOTSUPP)."""
    with Topology(TRACKING + LOGGED) as net, PacketLog(net.router, sections=True) as log:
        if log.refusal == errno.EOPNOTSUPP:
            pytest.skip("this kernel is built without CONFIG_NETFILTER_NETLINK_GLUE_CT and refuses")
        assert log.refusal == 0
        udp_exchange(net, PORT)
        packet, held = log.wait("new"), entry(net.router, PORT)
    assert (packet.flow_id, packet.flow) == (held.id, held.original)
    assert packet.info == 2


def test_the_kernel_tells_who_answered():
    """Where it does, a RST of a rule is RELATED_REPLY (4), one of an endpoint ESTABLISHED_REPLY (3)."""
    with Topology(TRACKING + LOGGED) as net, PacketLog(net.router, sections=True) as log:
        if log.refusal == errno.EOPNOTSUPP:
            pytest.skip("this kernel is built without CONFIG_NETFILTER_NETLINK_GLUE_CT and refuses")
        unanswered(net)
        of_endpoint = log.wait_for(lambda packet: "rst" in packet.flags)
        refuse(net.router, "forward", "tcp reset")
        unanswered(net)
        of_rule = log.wait_for(lambda packet: packet.hook == "output" and "rst" in packet.flags)
    assert (of_endpoint.info, of_rule.info) == (3, 4)


def test_the_id_of_a_refused_packet_is_its_answers():
    """A refused packet and its answer have one id, although the flow never comes to be: by id and tuple the two are
    paired."""
    rule = f"""
table inet before {{
    chain forward {{
        type filter hook forward priority -1
        tcp dport {PORT} meta mark set ct id log group 5 prefix "refused"
    }}
}}
"""
    with scene(TRACKING + LOGGED + rule) as (net, _, log):
        refuse(net.router, "forward", "tcp reset")
        port = unanswered(net)
        refused, answer = log.wait("refused"), log.wait("related")
    assert refused.mark == answer.mark != 0
    assert (answer.destination_port, answer.source_port) == (port, PORT) == (refused.source_port,
                                                                            refused.destination_port)


def test_a_queue_can_do_so_on_the_same_kernels():
    """So does NFQUEUE (NFQA_CT), on the same kernels and on no other."""
    with Topology(TRACKING) as net, PacketLog(net.router, sections=True) as log:
        with net.router, socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as queue:
            body = struct.pack("!BBH", 0, 0, 5)
            for command in (attribute(1, struct.pack("!BxH", 1, 0)),  # bind
                            attribute(4, struct.pack("!I", 2)) + attribute(5, struct.pack("!I", 2))):
                queue.send(request(3 << 8 | 2, body + command))
                refusal = -struct.unpack_from("=i", queue.recv(4096), 16)[0]
    assert refusal == log.refusal
