# SPDX-License-Identifier: GPL-2.0-or-later
"""Families that are harder to keep together: grandchildren, calls, parents that died, that were never seen, or whose
tuple is another's by now."""

import contextlib
import signal
import subprocess

import pytest
from ctnetlink import set_mark
from flowkin import action
from net import TRACKING, Topology
from supervisor import Unit
from test_families import HELPERS, assert_kin
from traffic import ftp_announce, ftp_words, open_socket, tcp_connection, udp_shot

CHILD = 7001
# Each generation is expected in the other direction.
ANCESTRY = TRACKING + """
table inet ancestry {
    ct expectation second { protocol tcp; dport 2222; timeout 1m; size 4; l3proto ip; }
    ct expectation third { protocol tcp; dport 3333; timeout 1m; size 4; l3proto ip; }
    chain forward {
        type filter hook forward priority -10
        tcp dport 1111 ct state new ct expectation set "second" ct mark set 0x1
        tcp dport 2222 ct state related ct expectation set "third"
    }
}
"""
CALLS = TRACKING + """
table inet calls {
    ct helper sip { type "sip" protocol udp; }
    chain prerouting { type filter hook prerouting priority -150; udp dport 5060 ct helper set "sip"; }
    chain forward { type filter hook forward priority -10; udp dport 5060 ct state new ct mark set 0x51; }
}
"""
MASQUERADE = """
table ip nat {
    chain postrouting { type nat hook postrouting priority srcnat; oifname "wan" masquerade; }
}
"""


def opening(flowkin, port):
    return flowkin.wait_for(lambda record: action(record) in ("flow-start", "flow-seen") and
                            record["destination"].get("port") == port, what=f"a flow to {port}")


def end_of(flowkin, record):
    return flowkin.wait_action("flow-end", conntrack__uid=record["conntrack"]["uid"])


def test_a_grandchild_names_its_parent_and_the_root_of_them_all(tmp_path):
    with Topology(ANCESTRY) as net, Unit(tmp_path, net.router) as unit:
        with tcp_connection(net, 1111):
            eldest = unit.wait_action("flow-start", destination__port=1111)
        with tcp_connection(net, 2222, back=True):
            middle = unit.wait_action("flow-start", destination__port=2222)
        set_mark(net.router, middle, 0x2)
        unit.wait_action("flow-mark-changed", conntrack__uid=middle["conntrack"]["uid"])
        with tcp_connection(net, 3333):
            youngest = unit.wait_action("flow-start", destination__port=3333)
        unit.stop()
        unit.start()  # what a family is outlasts flowkin
        net.router.flush()
        end = end_of(unit, youngest)
        unit.stop()
        unit.verify()
    root = eldest["conntrack"]["uid"]
    assert middle["conntrack"]["parent"]["uid"] == root
    assert middle["conntrack"]["lineage"] == {"root": root, "depth": 1}
    assert (middle["conntrack"]["mark"], middle["conntrack"]["mark_origin"]) == (0x1, "inherited")
    for record in (youngest, end):
        assert record["conntrack"]["parent"] == {"uid": middle["conntrack"]["uid"], "id": middle["conntrack"]["id"]}
        assert record["conntrack"]["lineage"] == {"root": root, "depth": 2}
    # The mark of its parent, not of the root.
    assert (youngest["conntrack"]["mark"], youngest["conntrack"]["mark_origin"]) == (0x2, "inherited")


@contextlib.contextmanager
def call(net):
    """A phone call from client to server, held until the end of the context."""
    answering = ["sipp", "-sn", "uas", "-i", net.SERVER[4], "-p", "5060", "-mp", "6100", "-nostdin"]
    calling = ["sipp", "-sn", "uac", f"{net.SERVER[4]}:5060", "-i", net.CLIENT[4], "-p", "5060", "-mp", "6000",
               "-m", "1", "-d", "30000", "-nostdin"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    with net.server.background(*answering, **silent), net.client.background(*calling, **silent):
        yield


@pytest.mark.parametrize("rules", (CALLS, CALLS + MASQUERADE), ids=("routed", "masqueraded"))
def test_the_audio_of_a_call_is_a_child_of_its_signalling(watch, rules):
    near = "10.1.0.2" if rules == CALLS else "10.2.0.1"  # where the server finds the client
    with Topology(rules) as net, watch(net.router) as flowkin, call(net):
        signalling = flowkin.wait_action("flow-start", destination__port=5060, timeout=30)
        expected = flowkin.wait_for(lambda record: action(record) == "expectation-created" and
                                    record["conntrack"]["expectation"]["class"] == 1 and
                                    record["destination"]["ip"] == near, timeout=30)
        heard = expected["destination"]["port"]
        udp_shot(net.server, near, heard)
        child = flowkin.wait_action("flow-start", destination__port=heard)
        fulfilled = flowkin.wait_action("expectation-fulfilled",
                                        conntrack__expectation__child=child["conntrack"]["uid"])
        net.router.flush()
        end = end_of(flowkin, child)
    assert signalling["conntrack"]["helper"] == "sip"
    assert expected["conntrack"]["expectation"]["helper"] == "sip"
    assert fulfilled["conntrack"]["expectation"]["id"] == expected["conntrack"]["expectation"]["id"]
    assert (child["conntrack"]["mark"], child["conntrack"]["mark_origin"]) == (0x51, "inherited")
    for record in (child, end):
        assert_kin(record, signalling, "sip")
    if rules != CALLS:
        assert child["destination"]["nat"]["ip"] == net.CLIENT[4]


def test_a_family_that_was_there_before_flowkin_is_linked_by_the_dump(watch):
    with Topology(HELPERS) as net, ftp_words(net) as (near, far):
        ftp_announce(near, far, CHILD)
        with tcp_connection(net, CHILD), watch(net.router) as flowkin:
            parent, child = opening(flowkin, 21), opening(flowkin, CHILD)
            flowkin.send(signal.SIGUSR1)
            flowkin.wait_action("resync-completed", conntrack__resync__cause="request")
            net.router.flush()
            end = end_of(flowkin, child)
    assert action(parent) == action(child) == "flow-seen"
    for record in (child, end):
        assert_kin(record, parent, "ftp")
    assert child["conntrack"]["mark_origin"] == "inherited"


def kill_parent(net):
    net.router.run("conntrack", "-D", "-p", "tcp", "--orig-port-dst", 21)


def usurp(near, far):
    """The control connection goes on: to conntrack that is another flow with the same tuple."""
    near.sendall(b"NOOP\r\n")
    far.recv(100)


def assert_linked_by_tuple(record, near):
    assert record["conntrack"]["parent"] == {"tuple": {
        "transport": "tcp", "source": {"ip": "10.1.0.2", "port": near.getsockname()[1]},
        "destination": {"ip": "10.2.0.2", "port": 21}}}
    assert "lineage" not in record["conntrack"]
    assert "expected" in record["conntrack"]["status"]


@pytest.mark.parametrize("usurped", (False, True), ids=("gone", "usurped"))
def test_a_child_whose_parent_was_never_seen_names_it_by_tuple(watch, usurped):
    with Topology(HELPERS) as net, ftp_words(net) as (near, far):
        ftp_announce(near, far, CHILD)
        with tcp_connection(net, CHILD):
            kill_parent(net)
            if usurped:
                usurp(near, far)
            with watch(net.router) as flowkin:
                child = opening(flowkin, CHILD)
                flowkin.send(signal.SIGUSR1)
                flowkin.wait_action("resync-completed", conntrack__resync__cause="request")
                net.router.flush()
                end = end_of(flowkin, child)
        for record in (child, end):
            assert_linked_by_tuple(record, near)
        # What it has it may have of its parent or not: nobody knows.
        assert child["conntrack"]["mark"] == 0x11 and "mark_origin" not in child["conntrack"]


def test_a_child_keeps_its_parent_when_another_flow_takes_the_parents_tuple(watch):
    with Topology(HELPERS) as net, watch(net.router) as flowkin, ftp_words(net) as (near, far):
        parent = opening(flowkin, 21)
        ftp_announce(near, far, CHILD)
        with tcp_connection(net, CHILD):
            child = opening(flowkin, CHILD)
            kill_parent(net)
            usurp(near, far)
            usurper = flowkin.wait_action("flow-start", count=3)[-1]
            set_mark(net.router, usurper, 0xEE)
            flowkin.wait_action("flow-mark-changed", conntrack__uid=usurper["conntrack"]["uid"])
            flowkin.send(signal.SIGUSR1)
            flowkin.wait_action("resync-completed", conntrack__resync__cause="request")
            net.router.flush()
            end = end_of(flowkin, child)
    assert (usurper["source"], usurper["destination"]) == (parent["source"], parent["destination"])
    assert usurper["conntrack"]["uid"] != parent["conntrack"]["uid"]
    for record in (child, end):
        assert_kin(record, parent, "ftp")
    assert end["conntrack"]["mark_origin"] == "inherited"  # what a stranger does is nothing to it
