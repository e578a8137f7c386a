# SPDX-License-Identifier: GPL-2.0-or-later
"""Connmarks and labels: set at birth, changed by a rule, changed by a tool."""

import pytest
from ctnetlink import set_mark
from flowkin import action, matching
from net import TRACKING, Topology
from traffic import tcp_connection, udp_exchange

MARKS = TRACKING + """
table inet marks {
    chain forward {
        type filter hook forward priority -10;
        udp dport 7003 ct state new ct mark set 0x11
        udp dport 7004 ct state established ct mark set 0x77
        udp dport 7005 ct state new ct label set 5
        udp dport 7006 ct state established ct label set 9
    }
}
"""


def test_a_mark_that_a_rule_sets_at_the_first_packet_stands_on_the_start(watch):
    with Topology(MARKS) as net, watch(net.router) as flowkin:
        udp_exchange(net, 7003)
        start = flowkin.wait_action("flow-start")
        net.router.flush()
        end = flowkin.wait_action("flow-end")
    for record in (start, end):
        assert record["conntrack"]["mark"] == 0x11
        assert record["conntrack"]["mark_origin"] == "rule"


def test_a_mark_that_a_rule_changes_later_is_told_with_the_one_before(watch):
    with Topology(MARKS) as net, watch(net.router) as flowkin:
        udp_exchange(net, 7004, rounds=2)
        start = flowkin.wait_action("flow-start")
        change = flowkin.wait_action("flow-mark-changed")
    assert start["conntrack"]["mark"] == 0
    assert "mark_origin" not in start["conntrack"]
    assert change["conntrack"]["mark"] == 0x77
    assert change["conntrack"]["mark_previous"] == 0
    assert change["conntrack"]["mark_changes"] == 1
    assert change["conntrack"]["mark_origin"] == "rule"
    assert "mark" in change["conntrack"]["changed"]


def test_a_mark_that_a_tool_changes_is_told_also_when_it_becomes_zero(watch):
    with Topology() as net, watch(net.router) as flowkin, tcp_connection(net, 8000):
        start = flowkin.wait_action("flow-start")
        for mark in (0x2A, 0):
            set_mark(net.router, start, mark)
        first, second = flowkin.wait_action("flow-mark-changed", count=2)
    assert (first["conntrack"]["mark_previous"], first["conntrack"]["mark"]) == (0, 0x2A)
    assert (second["conntrack"]["mark_previous"], second["conntrack"]["mark"]) == (0x2A, 0)
    assert second["conntrack"]["mark_changes"] == 2


def test_a_label_that_is_set_at_the_first_packet_stands_on_start_and_end(watch):
    with Topology(MARKS) as net, watch(net.router) as flowkin:
        udp_exchange(net, 7005)
        start = flowkin.wait_action("flow-start")
        net.router.flush()
        end = flowkin.wait_action("flow-end")
    assert start["conntrack"]["labels"] == [5]
    assert end["conntrack"]["labels"] == [5]  # the kernel's DESTROY does not carry them


def test_a_label_that_is_set_later_is_an_update(watch):
    with Topology(MARKS) as net, watch(net.router) as flowkin:
        udp_exchange(net, 7006, rounds=2)
        update = flowkin.wait_for(lambda record: action(record) == "flow-update" and
                                  "labels" in record["conntrack"]["changed"])
    assert update["conntrack"]["labels"] == [9]


@pytest.mark.parametrize("updates, wanted", (
    ("none", []),
    ("significant", ["flow-update", "flow-mark-changed"]),
))
def test_which_updates_become_lines_is_the_operators_choice(watch, updates, wanted):
    with Topology() as net, watch(net.router, config={"output": {"updates": updates}}) as flowkin:
        with tcp_connection(net, 8000) as (near, far):
            near.sendall(b"hello")
            far.recv(5)
            set_mark(net.router, flowkin.wait_action("flow-start"), 7)
        net.router.flush()
        end = flowkin.wait_action("flow-end")
        told = flowkin.find(matching(conntrack__uid=end["conntrack"]["uid"]))
    assert [action(record) for record in told] == ["flow-start", *wanted, "flow-end"]
    assert end["conntrack"]["mark"] == 7
