# SPDX-License-Identifier: GPL-2.0-or-later
"""Children that conntrack helpers announce: their parents, their marks, their expectations."""

import net as network
import pytest
from ctnetlink import set_mark
from flowkin import action, matching
from net import Topology
from traffic import FtpClient, ftp_server, tftp_get, tftp_server

HELPERS = network.HELPERS + """
table inet helpers {
    chain forward {
        type filter hook forward priority -10;
        tcp dport 21 ct state new ct mark set 0x11
        udp dport 69 ct state new ct mark set 0x22
    }
}
"""
MASQUERADE = HELPERS + """
table ip nat {
    chain postrouting { type nat hook postrouting priority srcnat; oifname "wan" masquerade; }
}
"""


def is_child(record):
    return action(record) == "flow-start" and "parent" in record["conntrack"]


def assert_kin(child, parent, helper):
    assert child["conntrack"]["parent"] == {"uid": parent["conntrack"]["uid"], "id": parent["conntrack"]["id"],
                                            "helper": helper}
    assert child["conntrack"]["lineage"] == {"root": parent["conntrack"]["uid"], "depth": 1}


@pytest.mark.parametrize("rules", (HELPERS, MASQUERADE), ids=("routed", "masqueraded"))
@pytest.mark.parametrize("passive", (True, False), ids=("passive", "active"))
def test_an_ftp_transfer_is_a_child_of_its_control_connection(watch, rules, passive):
    with Topology(rules) as net, watch(net.router) as flowkin, ftp_server(net):
        with FtpClient(net, passive) as client, client.transfer():
            parent = flowkin.wait_action("flow-start", destination__port=21)
            child = flowkin.wait_for(is_child)
        net.router.flush()
        end = flowkin.wait_action("flow-end", conntrack__uid=child["conntrack"]["uid"])
        created = flowkin.wait_action("expectation-created")
        fulfilled = flowkin.wait_action("expectation-fulfilled")
        order = [action(record) for record in flowkin.find(
            lambda record: action(record).startswith("expectation") or is_child(record))]

    assert parent["conntrack"]["helper"] == "ftp"
    assert parent["conntrack"]["mark"] == child["conntrack"]["mark"] == 0x11
    assert (parent["conntrack"]["mark_origin"], child["conntrack"]["mark_origin"]) == ("rule", "inherited")
    assert "expected" in child["conntrack"]["status"]
    assert child["source"]["ip"] == (net.CLIENT[4] if passive else net.SERVER[4])
    for record in (child, end):
        assert_kin(record, parent, "ftp")
    assert end["network"]["bytes"] > 200_000
    if rules == MASQUERADE:
        assert parent["source"]["nat"]["ip"] == net.ROUTER_WAN[4]
        translated = child["source"] if passive else child["destination"]
        assert translated["nat"]["ip"] == (net.ROUTER_WAN[4] if passive else net.CLIENT[4])
    assert order[0] == "expectation-created"
    assert set(order[1:3]) == {"expectation-fulfilled", "flow-start"}
    for record in (created, fulfilled):
        assert record["conntrack"]["parent"]["uid"] == parent["conntrack"]["uid"]


def test_a_child_whose_mark_changes_has_diverged_from_its_parent(watch):
    with Topology(HELPERS) as net, watch(net.router) as flowkin, ftp_server(net):
        with FtpClient(net) as client, client.transfer():
            child = flowkin.wait_for(is_child)
            set_mark(net.router, child, 0x42)
        change = flowkin.wait_action("flow-mark-changed")
    assert change["conntrack"]["uid"] == child["conntrack"]["uid"]
    assert (change["conntrack"]["mark_previous"], change["conntrack"]["mark"]) == (0x11, 0x42)
    assert change["conntrack"]["mark_origin"] == "diverged"
    assert change["conntrack"]["parent"] == child["conntrack"]["parent"]


def test_a_child_whose_parents_mark_changes_has_diverged_at_its_next_record(watch):
    with Topology(HELPERS) as net, watch(net.router) as flowkin, ftp_server(net):
        with FtpClient(net) as client, client.transfer():
            parent = flowkin.wait_action("flow-start", destination__port=21)
            child = flowkin.wait_for(is_child)
            set_mark(net.router, parent, 0xAA)
            flowkin.wait_action("flow-mark-changed", conntrack__uid=parent["conntrack"]["uid"])
        net.router.flush()
        end = flowkin.wait_action("flow-end", conntrack__uid=child["conntrack"]["uid"])
    assert end["conntrack"]["mark"] == 0x11  # copied once, never shared
    assert end["conntrack"]["mark_origin"] == "diverged"


def test_a_child_outlives_its_parent_and_still_names_it(watch):
    with Topology(HELPERS) as net, watch(net.router) as flowkin, ftp_server(net):
        with FtpClient(net) as client, client.transfer():
            parent = flowkin.wait_action("flow-start", destination__port=21)
            child = flowkin.wait_for(is_child)
            net.router.run("conntrack", "-D", "-p", "tcp", "--orig-port-dst", 21)
            flowkin.wait_action("flow-end", conntrack__uid=parent["conntrack"]["uid"])
            net.router.run("conntrack", "-D", "-p", "tcp", "--orig-port-src", child["source"]["port"])
            end = flowkin.wait_action("flow-end", conntrack__uid=child["conntrack"]["uid"])
    assert_kin(end, parent, "ftp")


@pytest.mark.parametrize("rules", (HELPERS, MASQUERADE), ids=("routed", "masqueraded"))
def test_a_tftp_transfer_is_a_child_although_it_is_expected_before_its_parent_starts(watch, rules):
    with Topology(rules) as net, watch(net.router) as flowkin, tftp_server(net):
        assert len(tftp_get(net)) == 2000
        parent = flowkin.wait_action("flow-start", destination__port=69)
        child = flowkin.wait_for(is_child)
        created = flowkin.wait_action("expectation-created")
        net.router.flush()
        end = flowkin.wait_action("flow-end", conntrack__uid=child["conntrack"]["uid"])
    assert created["event"]["sequence"] < parent["event"]["sequence"]
    assert child["conntrack"]["mark"] == 0x22
    assert child["conntrack"]["mark_origin"] == "inherited"
    for record in (child, end):
        assert_kin(record, parent, "tftp")


def test_an_expectation_that_is_never_fulfilled_ends(watch):
    with Topology(HELPERS) as net, watch(net.router) as flowkin, ftp_server(net):
        with FtpClient(net) as client:
            client.sendcmd("PASV")
            flowkin.wait_action("expectation-created")
            net.router.flush()  # the parent's end takes its expectations along
        flowkin.wait_action("expectation-ended")
        assert not flowkin.find(matching(event__action="expectation-fulfilled"))
