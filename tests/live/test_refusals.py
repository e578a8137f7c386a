# SPDX-License-Identifier: GPL-2.0-or-later
"""What REJECT rules answer: in each hook, to TCP and UDP, by RST and by ICMP, over IPv4 and IPv6, at a flow's first
packet and in mid-stream; by each form of the rules that are shipped."""

import contextlib

import pytest
from flowkin import action
from refusals import (ANSWERS, HOOKS, PORT, RULES, answer_to, assert_answer, conversation, first_packet, is_packet, refuse,
                      refuse_no_more, scene)

PATHS = [(hook, version) for hook in HOOKS for version in (4, 6)]
every_form = pytest.mark.parametrize("rules", RULES)
every_answer = pytest.mark.parametrize("answer", ANSWERS)


@every_form
@every_answer
def test_a_flow_that_is_refused_at_its_first_packet_has_that_one_record(watch, rules, answer):
    protocol, words = ANSWERS[answer]
    with scene(watch, rules) as (net, flowkin):
        refuse(net, HOOKS, protocol, words)
        told = []
        for hook, version in PATHS:
            port = first_packet(net, hook, protocol, version)
            record = answer_to(flowkin, port, version)
            assert_answer(record, net, hook, protocol, version, port, answer == "tcp-by-rst")
            told.append(record)
        flowkin.stop()
        flows = flowkin.find(lambda record: action(record).startswith("flow-"))
        packets = flowkin.find(is_packet)
    for record in told:
        assert record["conntrack"]["confirmed"] is False
        assert "uid" not in record["conntrack"]
    assert not [flow for flow in flows if flow["destination"].get("port") == PORT]
    assert {action(packet) for packet in packets} == {"packet-rejected"}
    assert len(packets) == len(PATHS)


@every_form
@every_answer
def test_a_flow_that_is_refused_in_mid_stream_says_so_at_once_and_at_its_end(watch, rules, answer):
    protocol, words = ANSWERS[answer]
    found_by = []
    with scene(watch, rules) as (net, flowkin), contextlib.ExitStack() as stack:
        talks = [(hook, version, stack.enter_context(conversation(net, hook, protocol, version))[0])
                 for hook, version in PATHS]
        starts = flowkin.wait_action("flow-start", count=len(talks), destination__port=PORT)
        refuse(net, HOOKS, protocol, words)
        for (hook, version, near), flow in zip(talks, starts):
            port = near.getsockname()[1]
            with contextlib.suppress(OSError):
                near.send(b"more")
            record = answer_to(flowkin, port, version)
            assert_answer(record, net, hook, protocol, version, port, answer == "tcp-by-rst")
            assert record["conntrack"]["uid"] == flow["conntrack"]["uid"]
            assert record["conntrack"]["id"] == flow["conntrack"]["id"]
            assert "confirmed" not in record["conntrack"]
            found_by.append(record["conntrack"]["packet"]["flow_id_from"])
        refuse_no_more(net)
        net.router.flush()
        for flow in starts:
            end = flowkin.wait_action("flow-end", conntrack__uid=flow["conntrack"]["uid"])
            assert end["event"]["outcome"] == "failure"
    # By the mark as soon as its byte order is learnt, where the rules put the id there.
    by = {"ct"} if "ct" in found_by else {"mark"} if rules == "id" else {"tuple"}
    assert set(found_by[3:]) == by
