# SPDX-License-Identifier: GPL-2.0-or-later
"""REJECT rules on the router, the packets that they answer, and the rules that log the answers, as they are shipped."""

import contextlib
import socket

from flowkin import ROOT, action
from net import TRACKING, Topology
from traffic import open_socket

SHIPPED = ROOT / "config/nftables/flowkin-packets.nft"
SHIPPED_ID = ROOT / "config/nftables/flowkin-packets-id.nft"
IPTABLES = ROOT / "config/iptables/flowkin-packets.sh"
RULES = {"prefix": ("nft", "-f", SHIPPED), "id": ("nft", "-f", SHIPPED_ID), "iptables": ("sh", IPTABLES, "on")}
GROUPS = {"packets": {"groups": [5]}}
PORT = 7001
UNREACHABLE = {4: {"type": 3, "code": 3}, 6: {"type": 1, "code": 4}}
PROTOCOLS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
HOOKS = ("input", "forward", "output")
# What a rule may answer to which protocol.
ANSWERS = {"tcp-by-rst": ("tcp", "tcp reset"), "tcp-by-icmp": ("tcp", "icmpx port-unreachable"),
           "udp-by-icmp": ("udp", "icmpx port-unreachable")}


def is_packet(record):
    return action(record).startswith("packet-")


@contextlib.contextmanager
def scene(watch, rules="prefix", **options):
    """The topology, its router watched, the shipped rules loaded. flowkin is the first to be there."""
    with Topology(TRACKING) as net, watch(net.router, config=GROUPS, **options) as flowkin:
        if rules:
            net.router.run(*RULES[rules])
        yield net, flowkin


def ends(net, hook, version):
    """Who speaks, and to whom, so that its packets pass the hook on the router."""
    return {"input": (net.client, net.ROUTER[version], net.router),
            "forward": (net.client, net.SERVER[version], net.server),
            "output": (net.router, net.SERVER[version], net.server)}[hook]


def refuse(net, hooks, protocol, answer="", log=""):
    """Refuses what goes to PORT. Without an answer it is the usual one of the protocol."""
    reject = f"reject with {answer}" if answer else "reject with tcp reset" if protocol == "tcp" else "reject"
    chains = "".join(f"""
    chain {hook} {{ type filter hook {hook} priority 0; {protocol} dport {PORT} {log} {reject}; }}
""" for hook in hooks)
    net.router.nft(f"table inet refusals {{ {chains} }}\n")


def refuse_no_more(net):
    net.router.run("nft", "delete", "table", "inet", "refusals")


def first_packet(net, hook, protocol, version):
    """Sends a first packet, once, and gives the port it came from."""
    speaker, address, _ = ends(net, hook, version)
    with open_socket(speaker, PROTOCOLS[protocol], version) as near:
        near.bind(("", 0))
        near.setblocking(False)
        with contextlib.suppress(OSError):
            near.connect((address, PORT))
            near.send(b"ask")
        return near.getsockname()[1]


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
            with far as listener:
                far = sockets.enter_context(listener.accept()[0])
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


def answer_to(flowkin, port, version):
    """The record of the answer to what came from a port."""
    def fits(record):
        about = record["conntrack"]["packet"].get("about")
        asked = about["source"]["port"] if about else record["destination"].get("port")
        return asked == port and record["network"]["type"] == f"ipv{version}"
    return flowkin.wait_for(lambda record: action(record) == "packet-rejected" and fits(record),
                            what=f"packet-rejected of IPv{version} to port {port}")


def assert_answer(record, net, hook, protocol, version, port, by_rst):
    """Holds the record of a REJECT's answer against what was refused."""
    _, address, _ = ends(net, hook, version)
    packet = record["conntrack"]["packet"]
    assert record["event"]["type"] == ["connection", "denied"]
    assert record["event"]["outcome"] == "failure"
    assert (packet["state"], packet["direction"], packet["hook"]) == ("related", "reply", "output")
    assert packet["prefix"] == "flowkin:rejected"
    assert packet["out"] == ("lo" if hook == "output" else "lan") and "in" not in packet
    if by_rst:
        assert "rst" in packet["tcp_flags"]
        assert (record["source"], record["destination"]["port"]) == ({"ip": address, "port": PORT}, port)
    else:
        assert packet["icmp"] == UNREACHABLE[version]
        assert packet["about"]["transport"] == protocol
        assert packet["about"]["source"]["port"] == port
        assert packet["about"]["destination"] == {"ip": address, "port": PORT}
