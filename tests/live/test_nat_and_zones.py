# SPDX-License-Identifier: GPL-2.0-or-later
"""Translated addresses and conntrack zones."""

import base64
import hashlib
import ipaddress
import struct

from net import TRACKING, Topology
from traffic import open_socket, tcp_life, udp_exchange, udp_shot

PORT_FORWARD = TRACKING + """
table ip nat {
    chain prerouting { type nat hook prerouting priority dstnat; tcp dport 8080 dnat to 10.2.0.2:80; }
    chain postrouting { type nat hook postrouting priority srcnat; oifname "wan" masquerade; }
}
"""
ZONES = TRACKING + """
table inet zones {
    chain prerouting {
        type filter hook prerouting priority raw;
        udp dport 7001 ct zone set 7
        udp sport 7001 ct zone set 7
        udp dport 7002 ct original zone set 9
    }
}
"""


def community_id(protocol, source, source_port, destination, destination_port):
    """Community ID version 1, seed 0, written down a second time."""
    ends = sorted((ipaddress.ip_address(address).packed, port)
                  for address, port in ((source, source_port), (destination, destination_port)))
    text = struct.pack("!H", 0) + ends[0][0] + ends[1][0] + struct.pack("!BBHH", protocol, 0, ends[0][1], ends[1][1])
    return "1:" + base64.b64encode(hashlib.sha1(text).digest()).decode()


def test_a_forwarded_and_masqueraded_connection_names_both_sides_of_the_translation(watch):
    with Topology(PORT_FORWARD) as net, watch(net.router) as flowkin:
        port = tcp_life(net, 8080, address=net.ROUTER[4], listen=80)
        start = flowkin.wait_action("flow-start")
    assert start["source"] == {"ip": net.CLIENT[4], "port": port,
                               "nat": {"ip": net.ROUTER_WAN[4], "port": start["source"]["nat"]["port"]}}
    assert start["destination"] == {"ip": net.ROUTER[4], "port": 8080, "nat": {"ip": net.SERVER[4], "port": 80}}
    assert start["network"]["community_id"] == community_id(6, net.CLIENT[4], port, net.ROUTER[4], 8080)
    # What a sensor on the server's side sees:
    assert start["conntrack"]["reply"]["community_id"] == community_id(
        6, net.ROUTER_WAN[4], start["source"]["nat"]["port"], net.SERVER[4], 80)
    assert {"snat", "dnat"} <= set(start["conntrack"]["status"])


def test_a_connection_that_is_not_translated_has_no_nat_fields(watch):
    with Topology(PORT_FORWARD) as net, watch(net.router) as flowkin:
        tcp_life(net, 80, version=6)
        start = flowkin.wait_action("flow-start")
    assert "nat" not in start["source"] and "nat" not in start["destination"]
    assert "reply" not in start["conntrack"]


def test_a_zone_of_both_directions_stands_on_the_flow(watch):
    with Topology(ZONES) as net, watch(net.router) as flowkin:
        udp_exchange(net, 7001)
        net.router.flush()
        records = [flowkin.wait_action(name) for name in ("flow-start", "flow-end")]
    for record in records:
        assert record["conntrack"]["zone"] == 7
        assert "zone_direction" not in record["conntrack"]
    assert records[1]["event"]["outcome"] == "success"


def test_a_zone_of_one_direction_names_the_direction(watch):
    with Topology(ZONES) as net, watch(net.router) as flowkin:
        with open_socket(net.server):
            udp_shot(net.client, net.SERVER[4], 7002)
            start = flowkin.wait_action("flow-start")
    assert start["conntrack"]["zone"] == 9
    assert start["conntrack"]["zone_direction"] == "original"


def test_one_tuple_in_two_zones_is_two_flows(watch):
    with Topology() as net, watch(net.router) as flowkin:
        udp_shot(net.client, net.SERVER[4], 7001, source_port=6001)
        flowkin.wait_action("flow-start")
        net.router.nft(ZONES)
        udp_shot(net.client, net.SERVER[4], 7001, source_port=6001)
        first, second = flowkin.wait_action("flow-start", count=2)
        net.router.flush()
        flowkin.wait_action("flow-end", count=2)
    assert "zone" not in first["conntrack"]
    assert second["conntrack"]["zone"] == 7
    assert first["conntrack"]["uid"] != second["conntrack"]["uid"]
    assert first["network"]["community_id"] == second["network"]["community_id"]
