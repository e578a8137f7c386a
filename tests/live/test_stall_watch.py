# SPDX-License-Identifier: GPL-2.0-or-later
"""Flows that the kernel has and does not tell of: when flowkin says so, and when it has no reason to."""

import signal
import time

import pytest
import scrape
from flowkin import UDP_FLOOD, field, matching
from net import Topology
from traffic import tcp_connection, udp_exchange, udp_shot

EAGER = {"conntrack": {"stall_after": "2s", "reconcile_interval": "off"}}


def warnings(flowkin, code):
    return [record["conntrack"]["monitor"]["text"]
            for record in flowkin.find(matching(event__action="monitor-warning", conntrack__monitor__code=code))]


def make_flows_until(net, flowkin, code, ports, meanwhile=lambda: None, timeout=60):
    """New flows, ten a second, until flowkin warns."""
    deadline = time.monotonic() + timeout
    while not warnings(flowkin, code):
        assert time.monotonic() < deadline, f"no {code}: {flowkin.stderr}"
        udp_shot(net.client, net.SERVER[4], next(ports))
        meanwhile()
        time.sleep(0.1)
    return warnings(flowkin, code)[0]


def test_events_that_are_switched_off_are_told_once_and_their_return_too(watch, tmp_path):
    config = {**EAGER, "metrics": {"listen": str(tmp_path / "sock")}}
    ports = iter(range(2000, 60_000))
    with Topology() as net, watch(net.router, config=config, keeps_all=False) as flowkin:
        udp_exchange(net, 53)
        flowkin.wait_action("flow-start")
        assert scrape.metrics(tmp_path / "sock")["flowkin_stalled"] == 0
        net.router.sysctl(net__netfilter__nf_conntrack_events=0)
        text = make_flows_until(net, flowkin, "events-stalled", ports)
        assert scrape.metrics(tmp_path / "sock")["flowkin_stalled"] == 1
        assert "sysctl -w net.netfilter.nf_conntrack_events=1" in text and text in flowkin.stderr
        assert flowkin.find(matching(event__action="resync-completed", conntrack__resync__cause="request"))
        assert flowkin.find(matching(event__action="flow-seen")), "the comparison finds what was not told"
        until = time.monotonic() + 4
        while time.monotonic() < until:  # it goes on, and is not told again
            udp_shot(net.client, net.SERVER[4], next(ports))
            time.sleep(0.1)
        net.router.sysctl(net__netfilter__nf_conntrack_events=1)
        make_flows_until(net, flowkin, "events-resumed", ports)
        assert scrape.metrics(tmp_path / "sock")["flowkin_stalled"] == 0
        assert len(warnings(flowkin, "events-stalled")) == len(warnings(flowkin, "events-resumed")) == 1


def test_a_rule_that_leaves_beginnings_out_is_named_where_ends_are_told(watch):
    rules = """
    table inet quiet {
        chain forward { type filter hook forward priority -10; ct event set destroy; }
    }
    """
    ports = iter(range(2000, 60_000))
    with Topology() as net, watch(net.router, config=EAGER, keeps_all=False) as flowkin:
        net.router.nft(rules)

        def one_ends():
            port = next(ports)
            udp_shot(net.client, net.SERVER[4], port)
            net.router.run("conntrack", "-D", "-p", "udp", "--dport", port)

        text = make_flows_until(net, flowkin, "events-stalled", ports, one_ends)
        assert "ct event set" in text and "ends of flows are told" in text, text
        assert not flowkin.find(matching(event__action="flow-start"))
        assert flowkin.find(matching(event__action="flow-end"))


def test_traffic_that_is_told_and_flows_that_only_live_are_no_stall(watch):
    eager = {"conntrack": {"stall_after": "1s", "reconcile_interval": "off"}}
    with Topology() as net, watch(net.router, to="file", config=eager) as flowkin:
        with tcp_connection(net, 8000):
            net.router.run(UDP_FLOOD, "127.0.0.1", "127.0.0.2", 12_000, 3000)
            flowkin.wait_action("flow-start", count=12_001, timeout=60)
            time.sleep(4)  # nothing but living
            net.router.flush()
            flowkin.wait_action("flow-end", count=12_000, timeout=60)
            time.sleep(2)
        assert not flowkin.find(matching(event__action="monitor-warning"))


def test_a_flowkin_that_was_halted_while_flows_came_does_not_blame_the_kernel(watch):
    eager = {"conntrack": {"stall_after": "1s", "reconcile_interval": "off"}}
    with Topology() as net, watch(net.router, to="file", config=eager) as flowkin:
        flowkin.send(signal.SIGSTOP)
        net.router.run(UDP_FLOOD, "127.0.0.1", "127.0.0.2", 4000, 1000)
        flowkin.send(signal.SIGCONT)
        flowkin.wait_action("flow-start", count=4000, timeout=60)
        time.sleep(3)
        assert not flowkin.find(matching(event__action="monitor-warning"))


@pytest.mark.parametrize("stall_after", ("off", "1h"))
def test_without_the_watch_or_before_its_time_nothing_is_said(watch, stall_after):
    with Topology(net__netfilter__nf_conntrack_events=0) as net:
        with watch(net.router, config={"conntrack": {"stall_after": stall_after}}) as flowkin:
            for port in range(2000, 2030):
                udp_shot(net.client, net.SERVER[4], port)
                time.sleep(0.1)
            assert net.router.tracked() >= 30
            assert not flowkin.find(lambda record: field(record, "conntrack.monitor.code"))
