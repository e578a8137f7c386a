# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of a flow of each common protocol, from its first packet to its end."""

import socket
import time

import pytest
from flowkin import action, matching
from net import Topology
from traffic import open_socket, ping, tcp_connection, tcp_life, udp_exchange, udp_shot

BOTH = pytest.mark.parametrize("version", (4, 6), ids=("ipv4", "ipv6"))
ALL_UPDATES = {"output": {"updates": "all"}}
SHORT_UDP = {"net__netfilter__nf_conntrack_udp_timeout": 1}


def story(flowkin, uid):
    """All records of one flow."""
    return flowkin.find(matching(conntrack__uid=uid))


@BOTH
def test_a_tcp_connection_is_told_from_its_first_syn_to_its_end(watch, version):
    with Topology() as net, watch(net.router, config=ALL_UPDATES) as flowkin:
        port = tcp_life(net, 8000, version, payload=b"x" * 1000)
        time.sleep(1.1)
        net.router.reap()
        end = flowkin.wait_action("flow-end")
        records = story(flowkin, end["conntrack"]["uid"])

    start = records[0]
    assert action(start) == "flow-start"
    assert start["source"] == {"ip": net.CLIENT[version], "port": port}
    assert start["destination"] == {"ip": net.SERVER[version], "port": 8000}
    assert start["network"]["type"] == f"ipv{version}"
    assert start["network"]["transport"] == "tcp"
    assert start["network"]["iana_number"] == "6"
    assert start["conntrack"]["observed"] == "event"
    assert start["conntrack"]["mark"] == 0
    states = [record["conntrack"]["tcp"]["state"] for record in records[:-1]]
    assert states[:3] == ["SYN_SENT", "SYN_RECV", "ESTABLISHED"]
    assert states[-1] == "TIME_WAIT"

    assert end["event"]["reason"] == "tcp-close"
    assert end["event"]["outcome"] == "success"
    assert end["event"]["start"] == start["@timestamp"] or end["event"]["start"] < end["event"]["end"]
    assert end["event"]["duration"] > 0
    assert end["source"]["packets"] >= 4 and end["source"]["bytes"] > 1000
    assert end["destination"]["packets"] >= 3 and end["destination"]["bytes"] > 1000
    assert end["network"]["packets"] == end["source"]["packets"] + end["destination"]["packets"]
    assert end["network"]["bytes"] == end["source"]["bytes"] + end["destination"]["bytes"]
    assert "assured" in end["conntrack"]["status"]
    assert "gaps" not in end["conntrack"]


@BOTH
def test_a_udp_question_with_its_answer_ends_by_timeout_and_with_success(watch, version):
    with Topology(**SHORT_UDP) as net, watch(net.router) as flowkin:
        port = udp_exchange(net, 53, version)
        start = flowkin.wait_action("flow-start", source__port=port)
        time.sleep(1.1)
        net.router.reap()
        end = flowkin.wait_action("flow-end", source__port=port)
    assert start["network"]["transport"] == "udp"
    assert start["destination"] == {"ip": net.SERVER[version], "port": 53}
    assert end["event"]["reason"] == "timeout"
    assert end["event"]["outcome"] == "success"
    assert end["source"]["packets"] == end["destination"]["packets"] == 1


def test_a_udp_datagram_that_nobody_answers_ends_unreplied(watch):
    with Topology(**SHORT_UDP) as net, watch(net.router) as flowkin:
        with open_socket(net.server, socket.SOCK_DGRAM, bind=(net.SERVER[4], 9000)):
            port = udp_shot(net.client, net.SERVER[4], 9000)
            time.sleep(1.1)
            net.router.reap()
            end = flowkin.wait_action("flow-end", source__port=port)
    assert end["event"]["reason"] == "unreplied"
    assert end["event"]["outcome"] == "unknown"
    assert end["destination"]["packets"] == 0


@BOTH
def test_an_icmp_echo_has_its_type_code_and_id_in_place_of_ports(watch, version):
    with Topology() as net, watch(net.router) as flowkin:
        ping(net, version, identifier=4711)
        start = flowkin.wait_action("flow-start")
        net.router.flush()
        end = flowkin.wait_action("flow-end")
    assert start["network"]["transport"] == ("icmp" if version == 4 else "ipv6-icmp")
    assert start["conntrack"]["icmp"] == {"type": 8 if version == 4 else 128, "code": 0, "id": 4711}
    assert "port" not in start["source"] and "port" not in start["destination"]
    assert end["event"]["outcome"] == "success"
    assert end["conntrack"]["uid"] == start["conntrack"]["uid"]


def test_a_protocol_without_a_name_is_told_by_its_number(watch):
    with Topology() as net, watch(net.router) as flowkin:
        with open_socket(net.client, socket.SOCK_RAW, protocol=253) as raw:
            raw.sendto(b"experiment", (net.SERVER[4], 0))
        start = flowkin.wait_action("flow-start")
    assert start["network"]["iana_number"] == "253"
    assert "port" not in start["source"]


def test_a_refused_connection_starts_and_ends_by_reset(watch):
    with Topology() as net, watch(net.router) as flowkin:
        with open_socket(net.client) as near, pytest.raises(ConnectionRefusedError):
            near.connect((net.SERVER[4], 81))
        start = flowkin.wait_action("flow-start", destination__port=81)
        end = flowkin.wait_action("flow-end", destination__port=81)
    assert end["conntrack"]["uid"] == start["conntrack"]["uid"]
    assert end["event"]["reason"] == "tcp-reset"
    assert end["event"]["outcome"] != "success"


def test_a_connection_that_is_reset_in_mid_stream_ends_by_reset(watch):
    with Topology() as net, watch(net.router) as flowkin:
        with tcp_connection(net, 8000) as (near, _):
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        time.sleep(1.1)
        net.router.reap()
        end = flowkin.wait_action("flow-end", destination__port=8000)
    assert end["event"]["reason"] == "tcp-reset"
    assert end["conntrack"]["tcp"]["state"] == "CLOSE"


def test_a_flow_that_a_tool_deletes_names_the_tool(watch):
    with Topology() as net, watch(net.router) as flowkin:
        port = udp_exchange(net, 53)
        flowkin.wait_action("flow-start", source__port=port)
        net.router.run("conntrack", "-D", "-p", "udp", "--orig-port-src", port)
        end = flowkin.wait_action("flow-end", source__port=port)
    assert end["event"]["reason"] == "deleted"
    assert end["conntrack"]["deleted_by"] > 0


def test_the_same_ports_used_again_are_another_flow(watch):
    with Topology() as net, watch(net.router) as flowkin:
        for _ in range(3):
            udp_exchange(net, 53, source_port=5353)
            net.router.flush()
        starts = flowkin.wait_action("flow-start", count=3, source__port=5353)
        ends = flowkin.wait_action("flow-end", count=3, source__port=5353)
    uids = [record["conntrack"]["uid"] for record in starts]
    assert len(set(uids)) == 3
    assert uids == [record["conntrack"]["uid"] for record in ends]


def test_a_long_lived_flow_is_told_each_active_interval_with_what_was_counted_since(watch):
    with Topology() as net, watch(net.router, config={"output": {"active_interval": "10s"}}) as flowkin:
        with tcp_connection(net, 8000) as (near, far):
            near.sendall(b"x" * 100)
            far.recv(100)
            active = flowkin.wait_action("flow-active", timeout=25)
            near.sendall(b"x" * 1000)
            far.recv(1000)
            net.router.flush()
            end = flowkin.wait_action("flow-end")
    assert active["conntrack"]["uid"] == end["conntrack"]["uid"]
    assert active["conntrack"]["delta"]["source"] == {"packets": active["source"]["packets"],
                                                      "bytes": active["source"]["bytes"]}
    assert 100 < active["source"]["bytes"] < 1000
    since = end["conntrack"]["delta"]
    assert since["source"]["bytes"] == end["source"]["bytes"] - active["source"]["bytes"] > 1000
    assert 0 < since["interval"] < 10_000_000_000


def test_without_accounting_and_timestamps_the_end_says_what_it_does_not_know(watch):
    off = {"net__netfilter__nf_conntrack_acct": 0, "net__netfilter__nf_conntrack_timestamp": 0}
    with Topology(**off) as net, watch(net.router) as flowkin:
        udp_exchange(net, 53)
        net.router.flush()
        end = flowkin.wait_action("flow-end")
    assert {"accounting-off", "timestamps-off"} <= set(end["conntrack"]["gaps"])
    assert "packets" not in end["source"] and "packets" not in end["network"]
