# SPDX-License-Identifier: GPL-2.0-or-later
"""ICMP errors, REJECT's answers, RSTs: packets about a flow. Each test's docstring is a statement of
docs/conntrack-semantics.md."""

import contextlib
import socket
import struct

import pytest
from kernel_events import dump, entry
from net import TRACKING
from scenes import LOGGED, PORT, open_socket, refuse, scene, tcp_connection, unanswered
from traffic import udp_exchange, udp_shot

RELATED_MARKS = """
table inet related_marks {
    chain forward {
        type filter hook forward priority -10;
        ct state new ct mark set 0x99
        ct state related ct mark set ct mark or 0x1000
    }
    chain output { type filter hook output priority -10; ct state related ct mark set ct mark or 0x2000; }
}
"""


def ours(packet):
    return packet.protocol in (socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6) or packet.touches(PORT)


@contextlib.contextmanager
def refused_in_mid_stream(answer, rules=""):
    """A connection, and after its first words a rule that refuses the next: (net, events, log, NEW, the answer)."""
    with scene(TRACKING + LOGGED + rules) as (net, events, log), tcp_connection(net, PORT) as (near, _):
        new = events.wait("NEW", port=PORT)
        refuse(net.router, "forward", answer)
        near.sendall(b"more")
        yield net, events, log, new, log.wait("related")


def test_an_icmp_error_belongs_to_the_flow_it_is_about():
    """An ICMP error about a flow is RELATED and belongs to that flow's own entry: it has the same id, and there is no
    second entry."""
    with scene(TRACKING + LOGGED) as (net, events, log):
        udp_shot(net.client, net.SERVER[4], PORT)  # nobody listens there
        first, error = log.wait("new"), log.wait("related")
        events.wait("NEW", port=PORT)
        flows = dump(net.router)
    assert error.icmp == (3, 3) and error.hook == "forward"
    assert error.mark == first.mark != 0
    assert len(flows) == 1 and flows[0].master is None


def test_what_marks_the_error_marks_the_flow():
    """So a rule that sets the mark of an ICMP error sets the mark of the flow: this, and not the children of helpers, is
    where a mark is shared."""
    with scene(TRACKING + RELATED_MARKS) as (net, events, _):
        udp_shot(net.client, net.SERVER[4], PORT)
        new, update = events.wait("NEW", port=PORT), events.wait("UPDATE", port=PORT)
    assert new.id == update.id
    assert (new.mark, update.mark) == (0x99, 0x1099)


def test_an_icmp_error_is_in_no_counter():
    """An ICMP error is in no counter: the flow has seen no reply."""
    with scene(TRACKING + LOGGED) as (net, events, log):
        udp_shot(net.client, net.SERVER[4], PORT)
        log.wait("related")
        held = entry(net.router, PORT)
    assert held.sent[0] == 1 and held.received == (0, 0)
    assert "SEEN_REPLY" not in held.status


def test_the_rst_of_a_rule_is_related():
    """The RST of a REJECT rule is RELATED, leaves by the output hook, and has the id and the mark of the flow it
    answers."""
    with refused_in_mid_stream("tcp reset", RELATED_MARKS) as (_, events, log, new, rst):
        refused = log.wait_for(lambda packet: packet.destination_port == PORT)
        update = events.wait("UPDATE", port=PORT, mark=0x2099)
    assert rst.hook == "output" and "rst" in rst.flags
    assert rst.source_port == PORT
    assert rst.mark == refused.mark
    assert update.id == new.id


def test_the_rst_of_an_endpoint_is_established():
    """The RST of an endpoint is ESTABLISHED: the 5-tuple cannot tell it from a rule's, the state can."""
    with scene(TRACKING + LOGGED) as (net, _, log), tcp_connection(net, PORT) as (_, far):
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        rst = log.wait_for(lambda packet: "rst" in packet.flags)
    assert (rst.prefix, rst.hook) == ("established", "forward")


@pytest.mark.parametrize("version", (4, 6))
@pytest.mark.parametrize("answer, kind", (("tcp reset", socket.SOCK_STREAM),
                                          ("icmpx port-unreachable", socket.SOCK_STREAM),
                                          ("icmpx port-unreachable", socket.SOCK_DGRAM)))
def test_a_refused_first_packet_leaves_nothing(answer, kind, version):
    """A flow that is refused at its first packet has no entry and no event, though its packet and the answer have an
    id."""
    with scene(TRACKING + LOGGED) as (net, events, log):
        refuse(net.router, "input", answer)
        with open_socket(net.client, kind, version) as near:
            near.setblocking(False)
            with contextlib.suppress(OSError):
                near.connect((net.ROUTER[version], PORT))
                near.send(b"ask")
            reply = log.wait("related")
        events.settled()
    assert not [message for message in events.messages if PORT in (message.original.source_port,
                                                                  message.original.destination_port)]
    assert reply.mark != 0 and reply.hook == "output"


def test_the_rst_to_a_first_syn_ends_the_flow():
    """A closed port's RST, on the other hand, lets the flow come to be and ends it at once: NEW, then DESTROY."""
    with scene(TRACKING) as (net, events, _):
        unanswered(net)
        end = events.wait("DESTROY", port=PORT)
    kinds = [message.kind for message in events.of("NEW", "UPDATE", "DESTROY", port=PORT)]
    assert (kinds[0], kinds[-1]) == ("NEW", "DESTROY")
    assert end.port_id == 0  # nobody asked for it


def test_a_reset_by_a_rule_closes_the_flow():
    """In mid-stream a REJECT with a RST closes the flow."""
    with refused_in_mid_stream("tcp reset") as (net, events, *_):
        update = events.wait("UPDATE", port=PORT, tcp="CLOSE")
    assert update.timeout <= 10


def test_an_icmp_answer_leaves_the_flow_established():
    """In mid-stream a REJECT with an ICMP error leaves the flow ESTABLISHED."""
    with refused_in_mid_stream("icmpx port-unreachable") as (net, *_, error):
        held = entry(net.router, PORT)
    assert error.icmp == (3, 3) and error.hook == "output"
    assert held.tcp == "ESTABLISHED" and held.timeout > 100


def test_each_retransmission_is_new():
    """A first packet that is dropped is NEW each time it is sent again, and there is never an event."""
    drop = f"""
table inet drops {{
    chain forward {{ type filter hook forward priority 20; udp dport {PORT} drop; }}
}}
"""
    with scene(TRACKING + LOGGED + drop) as (net, events, log):
        with open_socket(net.client, socket.SOCK_DGRAM) as near:
            for _ in range(3):
                near.sendto(b"x", (net.SERVER[4], PORT))
        tries = log.wait("new", 3)
        events.settled()
    assert all(packet.destination_port == PORT for packet in tries)
    assert not events.of("NEW", port=PORT)


def test_an_error_about_no_flow_is_invalid():
    """An ICMP error about a flow that is not in the table is INVALID, not RELATED."""
    rule = """
table inet early {
    chain prerouting {
        type filter hook prerouting priority -100
        ct state invalid log group 5 prefix "invalid"
        ct state related log group 5 prefix "related"
    }
}
"""
    with scene(TRACKING + rule) as (net, _, log):
        port = udp_exchange(net, PORT)
        net.router.flush()
        quoted = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 36, 0, 0, 64, 17, 0, socket.inet_aton(net.SERVER[4]),
                             socket.inet_aton(net.CLIENT[4])) + struct.pack("!HHHH", PORT, port, 16, 0)
        body = struct.pack("!BBHI", 3, 3, 0, 0) + quoted
        total = sum(struct.unpack(f"!{len(body) // 2}H", body))
        total = (total >> 16) + (total & 0xFFFF)
        checksum = ~(total + (total >> 16)) & 0xFFFF
        with open_socket(net.client, socket.SOCK_RAW, 4, socket.IPPROTO_ICMP) as raw:
            raw.sendto(body[:2] + struct.pack("!H", checksum) + body[4:], (net.SERVER[4], 0))
        error = log.wait_for(lambda packet: packet.icmp == (3, 3))
    assert error.prefix == "invalid"
