# SPDX-License-Identifier: GPL-2.0-or-later
"""When a mark is told. Each test's docstring is a statement of docs/conntrack-semantics.md."""

from ctnetlink import set_mark
from kernel_events import entry
from net import TRACKING
from scenes import PORT, scene, tcp_connection
from traffic import udp_exchange


def marks(rules):
    return TRACKING + f"""
table inet marks {{
    chain prerouting {{ type filter hook prerouting priority -100; {rules[0]}; }}
    chain forward {{ type filter hook forward priority -10; {rules[1]}; }}
}}
"""


def test_every_entry_has_a_mark():
    """Every flow has a mark of 32 bits, 0 where nobody set one; the table names it always, an event only where it is not
    0."""
    with scene() as (net, events, _):
        udp_exchange(net, PORT)
        new, held = events.wait("NEW", port=PORT), entry(net.router, PORT)
    assert (new.mark, held.mark) == (None, 0)


def test_a_mark_set_to_zero_is_told():
    """A mark that becomes 0 is told, as an UPDATE with a mark of 0."""
    with scene() as (net, events, _), tcp_connection(net, PORT):
        new = events.wait("NEW", port=PORT)
        for mark in (0xFFFFFFFF, 0):
            set_mark(net.router, new.record, mark)
            events.wait("UPDATE", port=PORT, mark=mark)


def test_a_mark_of_the_first_packet_is_in_new():
    """A mark that a rule sets at the first packet is in NEW, and no UPDATE tells of it."""
    with scene(marks(["ct state new ct mark set 0x11", "ct state invalid drop"])) as (net, events, _):
        udp_exchange(net, PORT)
        new, update = events.wait("NEW", port=PORT), events.wait("UPDATE", port=PORT)
        events.settled()
    assert new.mark == 0x11
    assert len(events.of("UPDATE", port=PORT)) == 1 and "SEEN_REPLY" in update.status


def test_one_packet_one_event():
    """What one packet changes is one event, so that of several marks only the last is ever seen."""
    rules = ["ct state established ct mark set 0x1", "ct state established ct mark set 0x2"]
    with scene(marks(rules)) as (net, events, _):
        udp_exchange(net, PORT)
        events.wait("UPDATE", port=PORT)
        events.settled()
    updates = events.of("UPDATE", port=PORT)
    assert [(update.mark, "SEEN_REPLY" in update.status) for update in updates] == [(0x2, True)]


def test_a_change_by_a_tool_names_the_tool():
    """A change that a tool asked for bears the tool's netlink port; one that a packet caused bears none."""
    with scene(marks(["ct state established ct mark set 0x1", "ct state invalid drop"])) as (net, events, _):
        udp_exchange(net, PORT)
        by_packet = events.wait("UPDATE", port=PORT, mark=0x1)
        net.router.flush()
        by_tool = events.wait("DESTROY", port=PORT)
    assert by_packet.port_id == 0 and by_tool.port_id != 0
