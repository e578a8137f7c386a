# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets that rules log: refused ones and their answers, RSTs of endpoints, ICMP errors, packets of no flow. The rules
are those that are shipped, as they are."""

import bisect
import re
import signal
import socket
import struct

import pytest
from flowkin import UDP_FLOOD, action, matching
from net import TRACKING, Topology
from refusals import (GROUPS, IPTABLES, PORT, RULES, SHIPPED, UNREACHABLE, conversation, first_packet, is_packet, refuse,
                      refuse_no_more, scene)
from supervisor import Unit
from traffic import open_socket, tcp_connection, udp_shot


@pytest.mark.parametrize("version", (4, 6))
def test_a_refused_packet_that_is_logged_too_stands_in_the_record_of_its_answer(watch, version):
    with scene(watch) as (net, flowkin):
        refuse(net, ["forward"], "tcp", log='log group 5 prefix "flowkin:refused by hand"')
        first_packet(net, "forward", "tcp", version)
        record = flowkin.wait_action("packet-rejected")
        flowkin.stop()

    assert len(flowkin.find(is_packet)) == 1
    refused = record["conntrack"]["packet"]["refused"]
    assert refused.pop("at") <= record["@timestamp"]
    assert refused.pop("length") >= 40
    assert refused == {"hook": "forward", "prefix": "flowkin:refused by hand", "in": "lan", "out": "wan",
                       "tcp_flags": ["syn"]} or "ece" in refused["tcp_flags"]


def test_a_refused_packet_without_an_answer_is_a_record_of_its_own(watch):
    with scene(watch) as (net, flowkin):
        net.router.nft(f"""table inet refusals {{ chain forward {{ type filter hook forward priority 0;
            udp dport {PORT} log group 5 prefix "flowkin:refused" drop; }}
}}""")
        udp_shot(net.client, net.SERVER[4], PORT)
        record = flowkin.wait_action("packet-logged", destination__port=PORT)
    assert "refused" not in record["conntrack"]["packet"]


@pytest.mark.parametrize("version", (4, 6))
def test_an_endpoints_own_reset_is_no_refusal(watch, version):
    with scene(watch) as (net, flowkin):
        with tcp_connection(net, PORT, version) as (_, far):
            flow = flowkin.wait_action("flow-start", destination__port=PORT)
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            far.close()
            record = flowkin.wait_action("packet-reset")
        net.router.flush()
        end = flowkin.wait_action("flow-end", conntrack__uid=flow["conntrack"]["uid"])
    packet = record["conntrack"]["packet"]
    assert record["conntrack"]["uid"] == flow["conntrack"]["uid"]
    assert (packet["state"], packet["direction"], packet["hook"]) == ("established", "reply", "forward")
    assert (packet["in"], packet["out"]) == ("wan", "lan")
    assert end["event"]["outcome"] == "success"


@pytest.mark.parametrize("version", (4, 6))
def test_a_closed_port_beyond_the_router_is_an_error_of_the_network(watch, version):
    with scene(watch) as (net, flowkin):
        port = udp_shot(net.client, net.SERVER[version], PORT, version)
        flow = flowkin.wait_action("flow-start", destination__port=PORT)
        record = flowkin.wait_action("packet-error")
    packet = record["conntrack"]["packet"]
    assert record["conntrack"]["uid"] == flow["conntrack"]["uid"]
    assert record["source"] == {"ip": net.SERVER[version]}
    assert packet["icmp"] == UNREACHABLE[version]
    assert packet["about"]["source"] == {"ip": net.CLIENT[version], "port": port}
    assert packet["about"]["community_id"] == flow["network"]["community_id"]
    assert (packet["state"], packet["direction"], packet["hook"]) == ("related", "reply", "forward")


def test_a_closed_port_of_the_router_itself_is_no_refusal(watch):
    with scene(watch) as (net, flowkin):
        udp_shot(net.client, net.ROUTER[4], PORT)
        record = flowkin.wait_for(is_packet)
    assert action(record) == "packet-error"


def test_a_packet_of_no_flow_is_invalid(watch):
    with scene(watch) as (net, flowkin):
        with open_socket(net.client, socket.SOCK_RAW, 4, socket.IPPROTO_TCP) as raw:
            # An RST out of nowhere, and with a wrong checksum.
            raw.sendto(struct.pack("!HHIIBBHHH", 4711, PORT, 1, 1, 5 << 4, 0x04, 0, 0xBAD, 0), (net.SERVER[4], 0))
        record = flowkin.wait_action("packet-invalid")
    packet = record["conntrack"]["packet"]
    assert packet["state"] == "invalid" and packet["tcp_flags"] == ["rst"] and packet["length"] == 40
    assert (record["source"]["port"], record["destination"]["port"]) == (4711, PORT)
    assert not {"uid", "id", "mark"} & set(record["conntrack"])


def test_the_flow_id_comes_in_the_mark_and_the_packets_own_mark_survives(watch):
    with scene(watch, "id") as (net, flowkin):
        net.router.nft("""
table inet routing_marks {
    chain before { type filter hook output priority -300; tcp flags & rst == rst meta mark set 0x7; }
    chain after { type filter hook postrouting priority 0;
        meta mark 0x7 counter; tcp flags & rst == rst meta mark != 0x7 counter; }
}
""")
        for _ in range(4):  # by then the byte order is learnt, from flows that are known by their tuple
            with conversation(net, "forward", "tcp", 4) as (near, _):
                refuse(net, ["forward"], "tcp")
                near.send(b"more")
                record = flowkin.wait_for(lambda record, port=near.getsockname()[1]:
                                          action(record) == "packet-rejected" and
                                          record["destination"]["port"] == port)
                refuse_no_more(net)
        refuse(net, ["forward"], "tcp")
        first_packet(net, "forward", "tcp", 4)
        first = flowkin.wait_action("packet-rejected", conntrack__confirmed=False)
        counters = re.findall(r"counter packets (\d+)", net.router.run("nft", "list", "table", "inet",
                                                                       "routing_marks").stdout)
    expected = {"mark", "ct"}
    assert record["conntrack"]["packet"]["flow_id_from"] in expected
    flow = flowkin.find(matching(event__action="flow-start", conntrack__uid=record["conntrack"]["uid"]))[0]
    assert flow["conntrack"]["id"] == record["conntrack"]["id"]
    assert first["conntrack"]["packet"]["flow_id_from"] in expected
    assert first["conntrack"]["id"]
    assert int(counters[0]) >= 5 and int(counters[1]) == 0


def test_the_rules_for_iptables_log_the_same(watch):
    with scene(watch, rules="") as (net, flowkin):
        for _ in range(2):
            net.router.run("sh", IPTABLES, "on")
        refuse(net, ["forward"], "tcp")
        first_packet(net, "forward", "tcp", 4)
        rejected = flowkin.wait_action("packet-rejected")
        refuse_no_more(net)
        udp_shot(net.client, net.SERVER[6], PORT, 6)
        flowkin.wait_action("packet-error")
        net.router.run("sh", IPTABLES, "off")
        rules = net.router.run("iptables", "-t", "mangle", "-S").stdout
    assert rejected["conntrack"]["packet"]["prefix"] == "flowkin:rejected"
    assert "FLOWKIN" not in rules


def test_rules_loaded_twice_log_once(watch):
    with scene(watch) as (net, flowkin):
        net.router.run("nft", "-f", SHIPPED)
        refuse(net, ["forward"], "tcp")
        first_packet(net, "forward", "tcp", 4)
        flowkin.wait_action("packet-rejected")
        flowkin.stop()
    assert len(flowkin.find(is_packet)) == 1


def test_a_group_of_another_program_is_told_and_the_rest_goes_on(watch):
    with Topology(TRACKING) as net:
        with net.router:
            owner = bind_group(5)
        with owner, watch(net.router, config={"packets": {"groups": [5, 6]}}) as flowkin:
            warning = flowkin.wait_action("monitor-warning")
            net.router.nft("""table inet other { chain forward { type filter hook forward priority 0;
                udp dport 7001 log group 6 prefix "six"; }
}""")
            udp_shot(net.client, net.SERVER[4], PORT)
            flowkin.wait_action("flow-start", destination__port=PORT)
            record = flowkin.wait_action("packet-logged")
            lines = [line for line in flowkin.stderr.splitlines() if "NFLOG group 5" in line]
    assert warning["conntrack"]["monitor"]["code"] == "packet-group-refused"
    assert len(lines) == 1 and "another program" in lines[0]
    assert record["conntrack"]["packet"]["prefix"] == "six"


def bind_group(group):
    """Owns a group of NFLOG, as ulogd would."""
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    body = struct.pack("!BBH", 0, 0, group) + struct.pack("=HHB3x", 5, 1, 1)
    netlink.send(struct.pack("=IHHII", 16 + len(body), 4 << 8 | 1, 5, 1, 0) + body)
    answer = netlink.recv(4096)
    assert struct.unpack_from("=i", answer, 16)[0] == 0
    return netlink


def test_packets_that_are_lost_are_counted_exactly_and_flows_are_not_touched(tmp_path):
    shots = 60_000
    with Topology(TRACKING) as net, Unit(tmp_path, net.router, config=GROUPS) as unit:
        net.router.nft("""table inet flood { chain prerouting { type filter hook prerouting priority -400;
            udp dport 7002 log group 5 prefix "flood" drop; }
}""")
        with unit.paused(), open_socket(net.client, socket.SOCK_DGRAM) as near:
            for _ in range(shots):
                near.sendto(b"x", (net.SERVER[4], 7002))
        unit.wait_action("events-lost", timeout=60)
        unit.stop()
        unit.verify()
    losses = [record["conntrack"]["loss"] for record in unit.find("events-lost")]
    assert {(loss["where"], loss["source"]) for loss in losses} == {("kernel-socket", "packets")}
    assert sum(loss["count"] for loss in losses) + len(unit.find("packet-logged")) == shots


def test_a_packet_finds_its_flow_however_many_events_came_before_it(watch):
    with scene(watch) as (net, flowkin):
        net.router.nft("""table inet drops { chain input { type filter hook input priority 0; udp dport >= 20000 drop; }
}""")
        flowkin.send(signal.SIGSTOP)
        net.router.run(UDP_FLOOD, "127.0.0.1", "127.0.0.2", 12_000)
        with open_socket(net.client, socket.SOCK_DGRAM) as near:
            near.connect((net.SERVER[4], PORT))
            near.send(b"ask")
            with pytest.raises(ConnectionRefusedError):  # the error has been by the router, which logged it
                near.recv(10)
        flowkin.send(signal.SIGCONT)
        record = flowkin.wait_action("packet-error", timeout=30)
        flow = flowkin.wait_action("flow-start", destination__port=PORT)
    assert record["conntrack"]["uid"] == flow["conntrack"]["uid"]


def test_a_flood_of_packets_holds_no_event_back(tmp_path):
    """What flowkin says of a flow waits for no more packets than two batches of them."""
    batch = 128
    shots = 0
    with Topology(TRACKING) as net, Unit(tmp_path, net.router, config=GROUPS) as unit:
        net.router.nft("""table inet flood { chain prerouting { type filter hook prerouting priority -400;
            udp dport >= 20000 log group 5 prefix "flood" drop; }
}""")
        with net.client.background(UDP_FLOOD, net.CLIENT[4], net.SERVER[4], 40_000) as flood:
            while flood.popen.poll() is None:
                udp_shot(net.client, net.SERVER[4], PORT, source_port=2_000 + shots)
                shots += 1
            assert flood.popen.returncode == 0
        net.router.flush()
        unit.wait_action("flow-end", count=shots, timeout=60, destination__port=PORT)
        unit.stop()
        unit.verify()
    assert shots == len(unit.find("flow-start", destination__port=PORT)) > 50
    losses = [record["conntrack"]["loss"] for record in unit.find("events-lost")]
    assert all(loss.get("source") == "packets" for loss in losses), losses
    counted = sum(loss["count"] for loss in losses)
    assert len(unit.find("packet-logged")) + counted == 40_000
    arrived = []  # when the packets came that are told so far
    for record in unit.records:
        if action(record) == "packet-logged":
            arrived.append(record["@timestamp"])
        elif action(record) == "flow-start":
            assert len(arrived) - bisect.bisect(arrived, record["@timestamp"]) <= 2 * batch


def test_a_packet_that_a_rule_kept_from_conntrack_is_untracked(watch):
    with scene(watch) as (net, flowkin):
        net.router.nft(f"""table inet bypass {{ chain prerouting {{ type filter hook prerouting priority raw;
            udp dport {PORT} notrack log group 5 prefix "flowkin:untracked by hand"; }}
}}""")
        udp_shot(net.client, net.SERVER[4], PORT)
        record = flowkin.wait_action("packet-invalid")
        flowkin.stop()
    assert record["conntrack"]["packet"]["state"] == "untracked"
    assert not {"uid", "id", "mark"} & set(record["conntrack"])
    assert not flowkin.find(matching(event__action="flow-start", destination__port=PORT))


def test_every_mark_that_a_forwarded_packet_had_survives_the_rules_that_send_the_id(watch):
    with scene(watch, "id") as (net, flowkin):
        net.router.nft(f"""
table inet routing_marks {{
    chain before {{ type filter hook prerouting priority -150; iifname "wan" meta mark set 0x7; }}
    chain after {{ type filter hook postrouting priority 0;
        oifname "lan" meta l4proto icmp meta mark 0x7 counter comment "error"
        oifname "lan" tcp flags & rst == rst meta mark 0x7 counter comment "reset"
        iifname "wan" meta mark != 0x7 counter comment "lost"
        iifname "lan" tcp flags & rst == rst meta mark 0 counter comment "unmarked"
        iifname "lan" meta mark != 0 counter comment "left behind"
    }}
}}
""")
        udp_shot(net.client, net.SERVER[4], PORT)
        flowkin.wait_action("packet-error")
        for end in (0, 1):
            with tcp_connection(net, PORT) as both:
                both[end].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                both[end].close()
                flowkin.wait_action("packet-reset", count=end + 1)
        table = net.router.run("nft", "list", "table", "inet", "routing_marks").stdout
    counted = {comment: int(packets) for packets, comment in
               re.findall(r'counter packets (\d+) bytes \d+ comment "(.+?)"', table)}
    assert counted["lost"] == counted["left behind"] == 0
    assert min(counted["error"], counted["reset"], counted["unmarked"]) >= 1


@pytest.mark.parametrize("rules", ("prefix", "id"))
def test_the_shipped_rules_leave_the_operators_own_as_they_were(rules):
    with Topology(TRACKING) as net:
        before = net.router.run("nft", "list", "ruleset").stdout
        net.router.run(*RULES[rules])
        assert net.router.run("nft", "list", "table", "inet", "tracking").stdout == before
        net.router.run("nft", "delete", "table", "inet", "flowkin_packets")
        assert net.router.run("nft", "list", "ruleset").stdout == before


def test_a_packet_that_a_rule_cuts_short_is_told_as_far_as_it_goes(watch):
    with scene(watch, "") as (net, flowkin):
        net.router.nft(f"""table inet cuts {{ chain forward {{ type filter hook forward priority 0;
            udp dport {PORT} log group 5 prefix "addresses" snaplen 20
            udp dport {PORT} log group 5 prefix "hardly anything" snaplen 10
            udp dport {PORT} log group 5 prefix "whole"
        }}
}}""")
        udp_shot(net.client, net.SERVER[4], PORT)
        flowkin.wait_action("packet-logged", conntrack__packet__prefix="whole")
        cut, whole = flowkin.wait_action("packet-logged", count=2)
        lost = flowkin.wait_action("events-lost")
    assert cut["conntrack"]["packet"]["prefix"] == "addresses"
    assert (cut["source"], cut["destination"]) == ({"ip": net.CLIENT[4]}, {"ip": net.SERVER[4]})
    assert "community_id" not in cut["network"] and "community_id" in whole["network"]
    assert (lost["conntrack"]["loss"]["where"], lost["conntrack"]["loss"]["count"]) == ("decoder", 1)
    assert len(flowkin.find(matching(event__action="events-lost"))) == 1  # at the socket nothing was


def test_a_packet_that_is_none_of_ip_is_passed_over_and_not_lost(watch):
    with scene(watch, "") as (net, flowkin):
        net.router.nft("""table arp asked { chain input { type filter hook input priority 0
            log group 5 prefix "arp"
        }
}
table ip others { chain forward { type filter hook forward priority 0; udp dport 7001 log group 5 prefix "ip"; }
}""")
        for count in (1, 2):
            net.client.run("ip", "neighbour", "flush", "dev", "eth0")
            udp_shot(net.client, net.SERVER[4], PORT)
            flowkin.wait_action("packet-logged", count=count)
        flowkin.stop()
    assert len(flowkin.find(is_packet)) == 2
    assert not flowkin.find(matching(event__action="events-lost"))


def test_a_prefix_may_hold_any_bytes(watch, tmp_path):
    rules = tmp_path / "odd.nft"
    rules.write_bytes(b"""table inet odd { chain forward { type filter hook forward priority 0;
        udp dport 7001 log group 5 prefix "caf\xc3\xa9 \xff\x01\\\\ {}'"; }
}
""")
    with scene(watch, "") as (net, flowkin):
        net.router.run("nft", "-f", rules)
        udp_shot(net.client, net.SERVER[4], PORT)
        record = flowkin.wait_action("packet-logged")
    assert record["conntrack"]["packet"]["prefix"] == "caf\u00e9 \ufffd\x01\\\\ {}'"
