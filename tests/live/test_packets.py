# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets that rules log: refused ones and their answers, RSTs of endpoints, ICMP errors, packets of no flow. The rules
are those that are shipped, as they are."""

import contextlib
import re
import socket
import struct

import pytest
from flowkin import ROOT, action, matching
from net import TRACKING, Topology
from traffic import open_socket, tcp_connection, udp_shot

SHIPPED = ROOT / "config/nftables/flowkin-packets.nft"
SHIPPED_ID = ROOT / "config/nftables/flowkin-packets-id.nft"
IPTABLES = ROOT / "config/iptables/flowkin-packets.sh"
GROUPS = {"packets": {"groups": [5]}}
PORT = 7001
UNREACHABLE = {4: {"type": 3, "code": 3}, 6: {"type": 1, "code": 4}}
PROTOCOLS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def is_packet(record):
    return action(record).startswith("packet-")


@contextlib.contextmanager
def scene(watch, rules=SHIPPED, **options):
    """The topology, its router watched, the shipped rules loaded. flowkin is the first to be there."""
    with Topology(TRACKING) as net, watch(net.router, config=GROUPS, **options) as flowkin:
        if rules:
            net.router.run("nft", "-f", rules)
        yield net, flowkin


def ends(net, hook, version):
    """Who speaks, and to whom, so that its packets pass the hook on the router."""
    return {"input": (net.client, net.ROUTER[version], net.router),
            "forward": (net.client, net.SERVER[version], net.server),
            "output": (net.router, net.SERVER[version], net.server)}[hook]


def refuse(net, hook, protocol, log=""):
    answer = "with tcp reset" if protocol == "tcp" else ""
    net.router.nft(f"""
table inet refusals {{
    chain {hook} {{ type filter hook {hook} priority 0; {protocol} dport {PORT} {log} reject {answer}; }}
}}
""")


def assert_answer(record, net, hook, protocol, version, port):
    """The record of a REJECT's answer to what came from `port`."""
    _, address, _ = ends(net, hook, version)
    packet = record["conntrack"]["packet"]
    assert record["event"]["type"] == ["connection", "denied"]
    assert record["event"]["outcome"] == "failure"
    assert (packet["state"], packet["direction"], packet["hook"]) == ("related", "reply", "output")
    assert packet["prefix"] == "flowkin:rejected"
    assert packet["out"] == ("lo" if hook == "output" else "lan") and "in" not in packet
    if protocol == "tcp":
        assert "rst" in packet["tcp_flags"]
        assert (record["source"], record["destination"]["port"]) == ({"ip": address, "port": PORT}, port)
    else:
        assert packet["icmp"] == UNREACHABLE[version]
        assert packet["about"]["transport"] == "udp"
        assert packet["about"]["source"]["port"] == port
        assert packet["about"]["destination"] == {"ip": address, "port": PORT}


def assert_unreachable(namespace, address, protocol, version):
    """Has the first packet refused, and gives the port it came from."""
    with open_socket(namespace, PROTOCOLS[protocol], version) as near:
        near.bind(("", 0))
        port = near.getsockname()[1]
        with pytest.raises(OSError):
            near.connect((address, PORT))
            near.send(b"ask")
            near.recv(10)
    return port


@pytest.mark.parametrize("version", (4, 6))
@pytest.mark.parametrize("protocol", ("tcp", "udp"))
@pytest.mark.parametrize("hook", ("input", "forward", "output"))
def test_a_flow_that_is_refused_at_its_first_packet_has_that_one_record(watch, hook, protocol, version):
    with scene(watch) as (net, flowkin):
        refuse(net, hook, protocol)
        speaker, address, _ = ends(net, hook, version)
        port = assert_unreachable(speaker, address, protocol, version)
        record = flowkin.wait_action("packet-rejected")
        flowkin.stop()
        flows = flowkin.find(lambda record: action(record).startswith("flow-"))

    assert_answer(record, net, hook, protocol, version, port)
    assert record["conntrack"]["confirmed"] is False
    assert "uid" not in record["conntrack"]
    assert not [flow for flow in flows if flow["destination"].get("port") == PORT]
    assert {action(packet) for packet in flowkin.find(is_packet)} == {"packet-rejected"}


@contextlib.contextmanager
def conversation(net, hook, protocol, version):
    """Both ends, once each has heard the other."""
    speaker, address, listener = ends(net, hook, version)
    with contextlib.ExitStack() as sockets:
        far = sockets.enter_context(open_socket(listener, PROTOCOLS[protocol], version, bind=(address, PORT)))
        near = sockets.enter_context(open_socket(speaker, PROTOCOLS[protocol], version))
        if protocol == "tcp":
            far.listen()
            near.connect((address, PORT))
            far = sockets.enter_context(far.accept()[0])
            near.send(b"ask")
            assert far.recv(10) == b"ask"
        else:
            near.connect((address, PORT))
            near.send(b"ask")
            _, peer = far.recvfrom(10)
            far.connect(peer)
        far.send(b"answer")
        assert near.recv(10) == b"answer"
        yield near, far


@pytest.mark.parametrize("version", (4, 6))
@pytest.mark.parametrize("protocol", ("tcp", "udp"))
@pytest.mark.parametrize("hook", ("input", "forward", "output"))
def test_a_flow_that_is_refused_in_mid_stream_says_so_at_once_and_at_its_end(watch, hook, protocol, version):
    with scene(watch) as (net, flowkin):
        with conversation(net, hook, protocol, version) as (near, _):
            port = near.getsockname()[1]
            flow = flowkin.wait_action("flow-start", destination__port=PORT)
            refuse(net, hook, protocol)
            with contextlib.suppress(OSError):
                near.send(b"more")
            record = flowkin.wait_action("packet-rejected")
        net.router.flush()
        end = flowkin.wait_action("flow-end", conntrack__uid=flow["conntrack"]["uid"])

    assert_answer(record, net, hook, protocol, version, port)
    assert record["conntrack"]["uid"] == flow["conntrack"]["uid"]
    assert record["conntrack"]["id"] == flow["conntrack"]["id"]
    assert "confirmed" not in record["conntrack"]
    assert end["event"]["outcome"] == "failure"


@pytest.mark.parametrize("version", (4, 6))
def test_a_refused_packet_that_is_logged_too_stands_in_the_record_of_its_answer(watch, version):
    with scene(watch) as (net, flowkin):
        refuse(net, "forward", "tcp", 'log group 5 prefix "flowkin:refused by hand"')
        assert_unreachable(net.client, net.SERVER[version], "tcp", version)
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
    with scene(watch, SHIPPED_ID) as (net, flowkin):
        net.router.nft("""
table inet routing_marks {
    chain before { type filter hook output priority -300; tcp flags & rst == rst meta mark set 0x7; }
    chain after { type filter hook postrouting priority 0;
        meta mark 0x7 counter; tcp flags & rst == rst meta mark != 0x7 counter; }
}
""")
        for _ in range(4):  # by then the byte order is learnt, from flows that are known by their tuple
            with conversation(net, "forward", "tcp", 4) as (near, _):
                refuse(net, "forward", "tcp")
                near.send(b"more")
                record = flowkin.wait_for(lambda record, port=near.getsockname()[1]:
                                          action(record) == "packet-rejected" and
                                          record["destination"]["port"] == port)
                net.router.run("nft", "delete", "table", "inet", "refusals")
        refuse(net, "forward", "tcp")
        assert_unreachable(net.client, net.SERVER[4], "tcp", 4)
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
    with scene(watch, rules=None) as (net, flowkin):
        for _ in range(2):
            net.router.run("sh", IPTABLES, "on")
        refuse(net, "forward", "tcp")
        assert_unreachable(net.client, net.SERVER[4], "tcp", 4)
        rejected = flowkin.wait_action("packet-rejected")
        net.router.run("nft", "delete", "table", "inet", "refusals")
        udp_shot(net.client, net.SERVER[6], PORT, 6)
        flowkin.wait_action("packet-error")
        net.router.run("sh", IPTABLES, "off")
        rules = net.router.run("iptables", "-t", "mangle", "-S").stdout
    assert rejected["conntrack"]["packet"]["prefix"] == "flowkin:rejected"
    assert "FLOWKIN" not in rules


def test_rules_loaded_twice_log_once(watch):
    with scene(watch) as (net, flowkin):
        net.router.run("nft", "-f", SHIPPED)
        refuse(net, "forward", "tcp")
        assert_unreachable(net.client, net.SERVER[4], "tcp", 4)
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


def test_packets_that_are_lost_are_counted_exactly_and_flows_are_not_touched(watch):
    shots = 100_000
    with scene(watch, rules=None, keeps_all=True) as (net, flowkin):
        net.router.nft("""table inet flood { chain prerouting { type filter hook prerouting priority -400;
            udp dport 7002 log group 5 prefix "flood" drop; }
}""")
        flowkin.send(19)  # SIGSTOP: nobody reads
        with open_socket(net.client, socket.SOCK_DGRAM) as near:
            for _ in range(shots):
                near.sendto(b"x", (net.SERVER[4], 7002))
        flowkin.send(18)
        loss = flowkin.wait_for(matching(event__action="events-lost"), timeout=30)
        flowkin.stop()
    counted = sum(record["conntrack"]["loss"]["count"] for record in
                  flowkin.find(matching(event__action="events-lost")))
    assert loss["conntrack"]["loss"]["where"] == "kernel-socket"
    assert loss["conntrack"]["loss"]["source"] == "packets"
    assert counted + len(flowkin.find(matching(event__action="packet-logged"))) == shots
