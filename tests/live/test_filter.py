# SPDX-License-Identifier: GPL-2.0-or-later
"""[filter] ignore: what nobody wants to hear of costs no room in the socket, makes no record and no loss, and is in no
table; everything else is told as before."""

import signal

import pytest
from flowkin import UDP_FLOOD, action, field, matching
from net import TRACKING, TRACKING_SYSCTLS, Namespace, Topology
from supervisor import Supervisor, Unit
from test_families import HELPERS
from traffic import FtpClient, ftp_server, ping, tcp_life, udp_exchange, udp_shot

HERE, THERE = "127.0.0.1", "127.0.0.2"
SMALL_BUFFER = {"conntrack": {"receive_buffer": "64KiB"}}


def ignoring(*entries, **tables):
    return {"filter": {"ignore": list(entries)}, **tables}


def about_flows(flowkin):
    return flowkin.find(lambda record: action(record).startswith(("flow-", "expectation-")))


def dropped(namespace):
    """What the kernel could not put into a netfilter socket there, over all of them."""
    table = namespace.run("cat", "/proc/net/netlink").stdout.splitlines()[1:]
    return sum(int(line.split()[8]) for line in table if line.split()[1] == "12")


def test_a_flood_of_ignored_flows_takes_no_room_and_leaves_no_trace(watch):
    flows = 20_000
    config = ignoring("udp", **SMALL_BUFFER)
    with Topology() as net, watch(net.router, config=config) as flowkin:
        # While it does not read: 64 KiB have room for some fifty events.
        flowkin.send(signal.SIGSTOP)
        net.router.run(UDP_FLOOD, HERE, THERE, flows, 0)
        port = tcp_life(net, 80)
        tracked = net.router.tracked()
        drops = dropped(net.router)
        flowkin.send(signal.SIGCONT)
        flowkin.wait_action("flow-start", source__port=port)
        flowkin.send(signal.SIGUSR1)
        compared = flowkin.wait_action("resync-completed", conntrack__resync__cause="request")
        flowkin.stop()

    assert tracked >= flows
    assert drops == 0
    assert not flowkin.find(matching(event__action="events-lost"))
    assert {record["network"]["transport"] for record in about_flows(flowkin)} == {"tcp"}
    assert compared["conntrack"]["resync"]["discovered"] == 0
    assert flowkin.records[0]["conntrack"]["monitor"]["ignore"] == ["udp"]
    # The table holds the one connection at most, which may have ended.
    assert flowkin.records[-1]["conntrack"]["monitor"]["totals"]["flows_live"] <= 1


def test_the_same_flood_overruns_a_socket_without_a_filter(watch):
    with Topology() as net, watch(net.router, config=SMALL_BUFFER, keeps_all=False) as flowkin:
        flowkin.send(signal.SIGSTOP)
        net.router.run(UDP_FLOOD, HERE, THERE, 2_000, 0)
        drops = dropped(net.router)
        flowkin.send(signal.SIGCONT)
        flowkin.wait_action("events-lost")
    assert drops > 1_000
    assert "ignore" not in flowkin.records[0]["conntrack"]["monitor"]


@pytest.mark.parametrize("entries", (("10.1.0.0/16", "fd01::/16"), ("10.2.0.2", "fd02::2"), ("udp/7000", "icmp", "ipv6-icmp"),
                                     ("7000", "icmp", "ipv6-icmp")), ids=" ".join)
def test_each_kind_of_entry_holds_for_events_and_for_dumps(watch, entries):
    with Topology() as net:
        udp_exchange(net, 7000)  # known by a dump alone
        with watch(net.router, config=ignoring(*entries)) as flowkin:
            for version in (4, 6):
                udp_exchange(net, 7000, version)
                ping(net, version)
            # A flow of the router with itself is none of these.
            told = udp_shot(net.router, HERE, 7001)
            flowkin.wait_action("flow-start", source__port=told)
            net.router.flush()
            flowkin.wait_action("flow-end", source__port=told)
    assert {record["source"]["ip"] for record in about_flows(flowkin)} == {HERE}


def test_loopback_is_both_families(watch):
    with Topology() as net, watch(net.router, config=ignoring("loopback")) as flowkin:
        udp_shot(net.router, HERE, 7001)
        udp_shot(net.router, "::1", 7001, version=6)
        port = udp_exchange(net, 7000)
        flowkin.wait_action("flow-start", source__port=port)
    assert {record["destination"]["port"] for record in about_flows(flowkin)} == {7000}


def test_the_children_of_an_ignored_flow_are_told_without_what_was_ignored(watch):
    with Topology(HELPERS) as net, watch(net.router, config=ignoring("tcp/21")) as flowkin:
        with ftp_server(net), FtpClient(net) as client, client.transfer():
            child = flowkin.wait_for(lambda record: action(record) == "flow-start")
    assert child["conntrack"]["parent"]["tuple"]["destination"] == {"ip": net.SERVER[4], "port": 21}
    assert not flowkin.find(lambda record: action(record).startswith("expectation-"))
    assert all(field(record, "destination.port") != 21 for record in about_flows(flowkin))


def test_a_socket_that_was_kept_over_a_restart_gets_the_filter_and_loses_it(tmp_path):
    host = Namespace("host")
    try:
        host.sysctl(**TRACKING_SYSCTLS, net__netfilter__nf_conntrack_udp_timeout=600)
        host.nft(TRACKING)
        with Supervisor(tmp_path) as supervisor, Unit(tmp_path, host, supervisor) as unit:
            udp_shot(host, HERE, 7001)
            unit.wait_action("flow-start", destination__port=7001)
            unit.stop()
            udp_shot(host, HERE, 7002)  # queued in the socket, before it has a filter

            unit.configure(ignoring("udp"))
            unit.start()
            assert unit.find("monitor-start", unit.life)[0]["conntrack"]["monitor"]["state"] == "inherited-socket"
            # What was known is no longer looked for.
            unit.wait_action("flow-end", destination__port=7001, event__reason="vanished")
            udp_shot(host, HERE, 7003)
            unit.send(signal.SIGUSR1)
            unit.wait_action("resync-completed", conntrack__resync__cause="request")
            unit.stop()
            assert not unit.find("flow-start", unit.life) and not unit.find("flow-seen", unit.life)

            unit.configure(ignoring())
            unit.start()
            udp_shot(host, HERE, 7004)
            unit.wait_action("flow-start", destination__port=7004)
            assert {record["destination"]["port"] for record in unit.find("flow-seen", unit.life)} == {
                7001, 7002, 7003}
            host.flush()
            unit.wait_action("flow-end", count=4)
            unit.stop()
            unit.verify()
    finally:
        host.delete()
