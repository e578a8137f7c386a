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


def test_the_end_of_a_flow_tells_its_last_eight_marks_and_since_when_it_had_them(watch):
    given = list(range(1, 11))
    with Topology() as net, watch(net.router) as flowkin, tcp_connection(net, 8000):
        start = flowkin.wait_action("flow-start")
        for mark in given:
            set_mark(net.router, start, mark)
        changes = flowkin.wait_action("flow-mark-changed", count=len(given))
        net.router.flush()
        end = flowkin.wait_action("flow-end")
    history = end["conntrack"]["marks"]
    assert [entry["mark"] for entry in history] == given[-8:]
    assert [entry["since"] for entry in history] == [change["@timestamp"] for change in changes[-8:]]
    assert (end["conntrack"]["mark"], end["conntrack"]["mark_previous"], end["conntrack"]["mark_changes"]) == (10, 9, 10)
    assert [change["conntrack"]["mark_changes"] for change in changes] == given


def test_a_short_history_of_marks_begins_with_the_flow(watch):
    with Topology(MARKS) as net, watch(net.router) as flowkin:
        udp_exchange(net, 7004, rounds=2)
        start = flowkin.wait_action("flow-start")
        net.router.flush()
        end = flowkin.wait_action("flow-end")
        udp_exchange(net, 7003)  # a flow whose mark never changes has no history
        flowkin.wait_action("flow-start", destination__port=7003)
        net.router.flush()
        other = flowkin.wait_action("flow-end", destination__port=7003)
    first, second = end["conntrack"]["marks"]
    assert (first["mark"], second["mark"]) == (0, 0x77)
    assert first["since"] == start["@timestamp"]
    assert first["since"] <= second["since"]
    assert "marks" not in other["conntrack"] and "mark_changes" not in other["conntrack"]


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
