# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel could not give us is counted exactly, and a reconcile finds what is left of it."""

import time

import ledger
import pytest
from flowkin import UDP_FLOOD, action
from net import TRACKING_SYSCTLS, Namespace
from supervisor import Unit
from test_load import HERE, THERE, TRACK_AND_DROP, flood

# They load the machine: one after the other, on one worker.
pytestmark = pytest.mark.xdist_group("load")

MODES = pytest.mark.parametrize("no_enobufs", (True, False), ids=("no-enobufs", "enobufs"))


@pytest.fixture(name="host")
def host_fixture():
    host = Namespace("loss")
    host.sysctl(**TRACKING_SYSCTLS, net__netfilter__nf_conntrack_udp_timeout=600)
    host.nft(TRACK_AND_DROP)
    yield host
    host.delete()


@pytest.fixture(name="unit")
def unit_fixture(tmp_path, host):
    with Unit(tmp_path, host, config={"conntrack": {"receive_buffer": "64KiB"}}) as unit:
        yield unit


def losses(unit):
    """Those of this life that are counted: where nobody listened there is no count."""
    found = [record["conntrack"]["loss"] for record in unit.find("events-lost", unit.life)]
    assert all(loss["where"] == "kernel-socket" for loss in found), found
    return [loss for loss in found if "count" in loss]


def flows_of(records):
    return {(record["source"]["port"], record["destination"]["port"]) for record in records}


def each_is_told_once(unit, flows):
    opened = [record for record in unit.records if action(record) in ledger.OPENINGS]
    ended = unit.find("flow-end")
    assert len(opened) == len(flows_of(opened)) == len(ended) == len(flows_of(ended)) == flows


def start_with(unit, no_enobufs):
    unit.stop()
    unit.configure({"conntrack": {"no_enobufs": no_enobufs}})
    unit.start()


@MODES
def test_messages_made_are_messages_read_and_messages_declared_lost(unit, host, no_enobufs):
    flows = 5_000
    start_with(unit, no_enobufs)
    before = time.time()
    with unit.paused():
        flood(host, flows)
    found = unit.wait_action("resync-completed", conntrack__resync__cause="overrun")["conntrack"]["resync"]
    heard = len(unit.find("flow-start"))
    loss, = losses(unit)
    assert 0 < heard < flows
    assert heard + loss["count"] == flows
    assert found["discovered"] == flows - heard == len(unit.find("flow-seen"))
    assert loss["since"] < loss["until"]
    assert before - 1 < timestamp(loss["since"]) < timestamp(loss["until"]) < time.time()
    host.flush()
    settle(unit)
    unit.stop()
    each_is_told_once(unit, flows)
    unit.verify()


def timestamp(text):
    whole, fraction = text.rstrip("Z").split(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone + float("0." + fraction)


def settle(unit):
    """Until every loss so far is mended: as many reconciles after one as there were."""
    deadline = time.monotonic() + 15
    while True:
        unit.read()
        order = [action(record) for record in unit.life if action(record) in ("events-lost", "resync-completed")]
        live = len(ledger.live(unit.records))
        if order[-1] == "resync-completed" and live == 0:
            return
        assert time.monotonic() < deadline, (order, live)
        time.sleep(0.05)


@MODES
def test_flows_whose_end_was_lost_are_ended_by_the_reconcile_and_say_so(unit, host, no_enobufs):
    flows = 2_000
    unit.stop()
    unit.configure({"conntrack": {"receive_buffer": "8MiB", "no_enobufs": no_enobufs}})
    unit.start()
    flood(host, flows)
    unit.wait_action("flow-start", count=flows)
    unit.stop()
    unit.configure({"conntrack": {"receive_buffer": "64KiB"}})
    unit.start()
    with unit.paused():
        host.flush()
    unit.wait_action("resync-completed", conntrack__resync__cause="overrun")
    loss, = losses(unit)
    ends = unit.find("flow-end")
    vanished = [record for record in ends if record["event"]["reason"] == "vanished"]
    assert len(vanished) == loss["count"] > 0
    assert len(ends) == flows
    for record in vanished:
        earliest, latest = record["conntrack"]["end_window"]
        assert earliest <= latest == record["@timestamp"]
        assert {"end-time-unknown", "updates-lost"} <= set(record["conntrack"]["gaps"])
    unit.stop()
    unit.verify()


@MODES
def test_two_bursts_are_two_records_each_with_its_own_count(unit, host, no_enobufs):
    start_with(unit, no_enobufs)
    made = 0
    for number in range(2):
        with unit.paused():
            host.run(UDP_FLOOD, HERE, f"127.0.0.{2 + number}", 1_000)
        made += 1_000
        unit.wait_action("resync-completed", count=number + 1, conntrack__resync__cause="overrun")
    first, second = losses(unit)
    assert first["count"] + second["count"] + len(unit.find("flow-start")) == made
    assert first["until"] <= second["since"]
    unit.stop()
    unit.verify()


def test_a_buffer_that_holds_the_burst_loses_nothing(unit, host):
    flows = 5_000
    unit.stop()
    unit.configure({"conntrack": {"receive_buffer": "16MiB"}})
    unit.start()
    with unit.paused():
        flood(host, flows)
        host.flush()
    unit.wait_action("flow-end", count=flows)
    assert not losses(unit)
    unit.stop()
    each_is_told_once(unit, flows)
    unit.verify()


def test_flows_that_live_through_a_loss_say_that_updates_may_be_missing(unit, host):
    flood(host, 10)
    unit.wait_action("flow-start", count=10)
    with unit.paused():
        host.run(UDP_FLOOD, HERE, "127.0.0.3", 2_000)
    unit.wait_action("resync-completed", conntrack__resync__cause="overrun")
    with host:
        host.run("conntrack", "-D", "--orig-dst", THERE)
    ends = unit.wait_action("flow-end", count=10, destination__ip=THERE)
    assert all("updates-lost" in record["conntrack"]["gaps"] for record in ends)
    unit.stop()
    unit.verify()
