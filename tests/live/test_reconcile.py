# SPDX-License-Identifier: GPL-2.0-or-later
"""The table held against the kernel's: on request, on a timer, for flows that stay mute, and while all is in motion."""

import signal
import time

import ledger
import pytest
from conntrack import ConntrackEvents
from ctnetlink import set_mark
from flowkin import UDP_FLOOD, action, matching
from net import TRACKING_SYSCTLS, Namespace
from supervisor import Unit
from test_load import HERE, THERE, TRACK_AND_DROP, flood
from traffic import udp_shot


@pytest.fixture(name="host")
def host_fixture():
    host = Namespace("reconcile")
    host.sysctl(**TRACKING_SYSCTLS, net__netfilter__nf_conntrack_udp_timeout=600)
    host.nft(TRACK_AND_DROP)
    yield host
    host.delete()


def resync(unit, cause, count=1, timeout=15):
    found = unit.wait_action("resync-completed", count=count, timeout=timeout, conntrack__resync__cause=cause)
    return (found if count == 1 else found[-1])["conntrack"]["resync"]


def test_a_request_compares_the_tables_and_counts_what_it_found(tmp_path, host):
    with Unit(tmp_path, host) as unit:
        flood(host, 100)
        unit.wait_action("flow-start", count=100)
        unit.send(signal.SIGUSR1)
        found = resync(unit, "request")
        assert found["duration"] > 0
        assert {name: found[name] for name in ("dumped", "discovered", "ended", "unchanged")} == {
            "dumped": 100, "discovered": 0, "ended": 0, "unchanged": 100}
        unit.stop()
        unit.verify()


def test_the_timer_reconciles_too(tmp_path, host):
    with Unit(tmp_path, host, config={"conntrack": {"reconcile_interval": "10s"}}) as unit:
        began = time.monotonic()
        resync(unit, "timer", timeout=20)
        assert time.monotonic() - began > 9
        unit.stop()


def test_requests_that_come_in_a_burst_are_all_served_and_none_hangs(tmp_path, host):
    with Unit(tmp_path, host) as unit:
        for _ in range(20):
            unit.send(signal.SIGUSR1)
        resync(unit, "request")
        time.sleep(0.3)
        unit.send(signal.SIGUSR1)
        unit.wait_action("resync-completed", count=2, conntrack__resync__cause="request")
        unit.stop()
        unit.verify()


# The kernel's flag "somebody listens" is one for the machine: what else runs here decides whether a flow is mute.
def test_a_mute_flow_that_was_born_while_nobody_listened_is_ended_by_a_reconcile(tmp_path, host):
    host.sysctl(net__netfilter__nf_conntrack_events=2)
    udp_shot(host, HERE, 19999, source_port=19998)
    with ConntrackEvents(host) as witness, Unit(tmp_path, host) as unit:
        seen = unit.wait_action("flow-seen")
        set_mark(host, seen, 5)
        host.run("conntrack", "-D", "-p", "udp", "--dport", "19999")
        time.sleep(0.3)
        if witness.events:
            pytest.skip("another listener on this machine was there when the flow was born: it is not mute")
        assert not unit.find("flow-end")
        unit.send(signal.SIGUSR1)
        end = unit.wait_action("flow-end")
        assert end["event"]["reason"] == "vanished"
        assert end["conntrack"]["uid"] == seen["conntrack"]["uid"]
        assert end["conntrack"]["end_window"][0] <= end["conntrack"]["end_window"][1]
        unit.stop()
        unit.verify()


def test_the_mark_of_a_mute_flow_is_learnt_at_the_next_reconcile(tmp_path, host):
    """With events off a flow is mute for certain, whoever listens."""
    host.sysctl(net__netfilter__nf_conntrack_events=0)
    udp_shot(host, HERE, 19999, source_port=19998)
    with Unit(tmp_path, host) as unit:
        seen = unit.wait_action("flow-seen")
        set_mark(host, seen, 5)
        unit.send(signal.SIGUSR1)
        change = unit.wait_action("flow-mark-changed")
        assert change["conntrack"]["observed"] == "reconcile"
        assert change["conntrack"]["mark"] == 5
        host.flush()
        unit.send(signal.SIGUSR1)
        end = unit.wait_action("flow-end")
        assert end["event"]["reason"] == "vanished"
        assert end["conntrack"]["mark"] == 5
        unit.stop()
        unit.verify()


def ports(record):
    return record["source"]["port"], record["destination"]["port"]


@pytest.mark.xdist_group("load")
def test_under_churn_while_reconciles_run_every_flow_is_opened_and_ended_once(tmp_path, host):
    flows = 20_000
    with Unit(tmp_path, host) as unit:
        with host.background(UDP_FLOOD, HERE, THERE, flows, 10_000) as program:
            while program.popen.poll() is None:
                unit.send(signal.SIGUSR1)
                host.run("conntrack", "-D", "-p", "udp", check=False)  # all that live now, one by one
        host.run("conntrack", "-D", "-p", "udp", check=False)
        host.flush()
        unit.wait_action("flow-end", count=flows, timeout=30)
        unit.send(signal.SIGUSR1)
        time.sleep(0.5)
        unit.stop()
        unit.verify()
        dumps = unit.find("resync-completed")
        assert len(dumps) > 5 and any(record["conntrack"]["resync"]["dumped"] > 0 for record in dumps)
        opened = [ports(record) for record in unit.records if action(record) in ledger.OPENINGS]
        ended = [ports(record) for record in filter(matching(event__action="flow-end"), unit.records)]
        assert len(opened) == len(set(opened)) == flows
        assert sorted(opened) == sorted(ended)
        # Nothing was lost, so no end is a guess.
        assert {record["event"]["reason"] for record in unit.find("flow-end")} == {"deleted"}


@pytest.mark.xdist_group("load")
def test_the_same_tuples_born_again_and_again_while_reconciles_run_have_a_uid_for_each_life(tmp_path, host):
    lives, flows = 40, 50
    with Unit(tmp_path, host) as unit:
        for _ in range(lives):
            flood(host, flows)
            unit.send(signal.SIGUSR1)
            host.flush()
        unit.wait_action("flow-end", count=lives * flows, timeout=30)
        time.sleep(0.3)
        unit.stop()
        unit.verify()
        opened = [record["conntrack"]["uid"] for record in unit.records if action(record) in ledger.OPENINGS]
        assert len(opened) == len(set(opened)) == lives * flows
        assert len(unit.find("flow-end")) == lives * flows
