# SPDX-License-Identifier: GPL-2.0-or-later
"""Full speed, slow readers, full disks, rotation: what is written is whole, and what is not is declared."""

import signal
import threading
import time

import ledger
import pytest
from flowkin import UDP_FLOOD, Flowkin, action, matching, read_log, rotated
from net import Topology
from small_disk import SmallDisk
from traffic import udp_shot

# They load the machine: one after the other, on one worker.
pytestmark = pytest.mark.xdist_group("load")

HERE, THERE = "127.0.0.1", "127.0.0.2"
# Nothing answers the flood, not even an ICMP error.
TRACK_AND_DROP = """
table inet tracking {
    chain input { type filter hook input priority 0; ct state new udp dport 20000-40000 drop; }
}
"""


def flood(namespace, flows, per_second=0):
    namespace.run(UDP_FLOOD, HERE, THERE, flows, per_second)


def test_a_hundred_thousand_flows_at_full_speed_are_all_told(watch):
    flows = 100_000
    with Topology(TRACK_AND_DROP) as net, watch(net.router, to="file") as flowkin:
        flood(net.router, flows)
        net.router.flush()
        flowkin.wait_action("flow-end", count=flows, timeout=60)
    assert len(flowkin.find(matching(event__action="flow-start"))) == flows
    assert len(flowkin.find(matching(event__action="flow-end"))) == flows
    assert not flowkin.find(matching(event__action="events-lost"))
    assert not ledger.gaps(flowkin.records)
    assert not ledger.live(flowkin.records)


def test_rotation_under_load_loses_no_line(watch, tmp_path):
    flows = 20_000
    config = {"output": {"rotate_size": "2MiB", "rotate_keep": 100}}
    with Topology(TRACK_AND_DROP) as net, watch(net.router, to="file", config=config) as flowkin:
        flood(net.router, flows, 20_000)
        net.router.flush()
        flowkin.wait_action("flow-end", count=flows, timeout=60)
    files = rotated(flowkin.path)
    assert len(files) > 5
    records = read_log(*files)
    assert not ledger.gaps(records)
    assert not ledger.violations(records)
    assert sum(action(record) == "flow-end" for record in records) == flows
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o640
        assert file.stat().st_size < (2 << 20) + (1 << 20)


def test_rotation_keeps_as_many_files_as_asked(watch):
    config = {"output": {"rotate_size": "1MiB", "rotate_keep": 2}}
    with Topology(TRACK_AND_DROP) as net, watch(net.router, to="file", config=config, keeps_all=False) as flowkin:
        flood(net.router, 10_000, 20_000)
        flowkin.wait_action("flow-start", count=5_000, timeout=30)
        flowkin.send(signal.SIGTERM)
        assert flowkin.wait_exit() == 0
    files = rotated(flowkin.path)
    assert len(files) == 3
    assert len(ledger.gaps(read_log(*files))) == 1  # only what was before the oldest file


def test_a_log_that_logrotate_moves_is_reopened_without_a_lost_line(watch):
    flows = 20_000
    with Topology(TRACK_AND_DROP) as net, watch(net.router, to="file") as flowkin:
        moved = []
        with net.router.background(UDP_FLOOD, HERE, THERE, flows, 10_000) as program:
            for number in range(5):
                time.sleep(0.3)
                moved.append(flowkin.path.with_name(f"moved.{number}"))
                flowkin.path.rename(moved[-1])
                flowkin.send(signal.SIGHUP)
            assert program.popen.wait(20) == 0
        net.router.flush()
        flowkin.wait_action("flow-end", count=flows, timeout=60)
    records = read_log(*moved, flowkin.path)
    assert not ledger.gaps(records)
    assert sum(action(record) == "flow-end" for record in records) == flows


class SlowReader(Flowkin):
    """A reader of standard output that can be made to stop."""

    def __init__(self, *words, **options):
        super().__init__(*words, **options)
        self.reads = threading.Event()
        self.reads.set()

    def _take(self, records):
        self.reads.wait()
        super()._take(records)

    def _kill(self):
        self.reads.set()
        super()._kill()


def test_a_slow_reader_costs_lines_and_their_exact_range_is_declared(tmp_path):
    flows = 20_000
    with Topology(TRACK_AND_DROP) as net:
        with SlowReader(tmp_path, net.router, config={"output": {"queue": "1MiB"}}, keeps_all=False) as flowkin:
            flowkin.reads.clear()
            flood(net.router, flows)
            time.sleep(0.5)  # the queue is full now, and the table right all the same
            flowkin.reads.set()
            lost = flowkin.wait_action("events-lost")
            udp_shot(net.router, THERE, 19999)
            flowkin.wait_action("flow-start", destination__port=19999)  # lines come again
    assert lost["conntrack"]["loss"]["where"] == "sink-queue"
    assert lost["event"]["kind"] == "pipeline_error"
    assert_losses_are_exact(flowkin.records)


def test_a_stop_while_the_queue_is_full_declares_the_loss_and_ends_the_log_whole(tmp_path):
    with Topology(TRACK_AND_DROP) as net:
        with SlowReader(tmp_path, net.router, config={"output": {"queue": "1MiB"}}, keeps_all=False) as flowkin:
            flowkin.reads.clear()
            flood(net.router, 20_000)
            time.sleep(0.5)
            flowkin.send(signal.SIGTERM)
            time.sleep(0.2)
            flowkin.reads.set()
            assert flowkin.wait_exit() == 0
    assert action(flowkin.records[-1]) == "monitor-stop"
    assert_losses_are_exact(flowkin.records)


def assert_losses_are_exact(records):
    """Every range that is declared begins and ends with a missing line, and counts the missing ones in it."""
    missing = {sequence for first, last in ledger.gaps(records) for sequence in range(first, last + 1)}
    assert missing
    losses = [record["conntrack"]["loss"] for record in records if action(record) == "events-lost"]
    for loss in losses:
        declared = range(loss["first_sequence"], loss["last_sequence"] + 1)
        assert declared[0] in missing and declared[-1] in missing
        assert loss["count"] == len(missing.intersection(declared))
        assert loss["since"] <= loss["until"]
    assert sum(loss["count"] for loss in losses) == len(missing)


def until(condition, timeout=10):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)


@pytest.mark.parametrize("queue, flows", (("64MiB", 10_000), ("1MiB", 10_000)), ids=("deep-queue", "small-queue"))
def test_a_full_disk_leaves_no_torn_line_and_mends_by_itself(tmp_path, queue, flows):
    disk_folder = tmp_path / "disk"
    disk_folder.mkdir()
    with Topology(TRACK_AND_DROP) as net, SmallDisk(disk_folder, "1m") as disk:
        log = disk.seen_from_outside / "flow.ndjson"
        flowkin = Flowkin(tmp_path, net.router, to="file", wrapper=disk.wrapper, keeps_all=False,
                          config={"output": {"path": str(disk_folder / "flow.ndjson"), "queue": queue}})
        flowkin.path = log
        with flowkin:
            flood(net.router, flows)
            until(disk.is_full)
            time.sleep(0.5)
            whole = log.read_bytes()
            assert whole.endswith(b"}\n")
            assert "space" in flowkin.stderr.lower()
            disk.resize("200m")
            if queue == "1MiB":
                flowkin.wait_action("events-lost")
            udp_shot(net.router, THERE, 19999)
            flowkin.wait_action("flow-start", destination__port=19999)  # lines come again
            if queue == "64MiB":
                net.router.flush()
                flowkin.wait_action("flow-end", count=flows + 1, timeout=30)
        records = read_log(log)
    assert action(records[-1]) == "monitor-stop"
    assert not ledger.violations(records)
    if queue == "64MiB":
        assert not ledger.gaps(records)
        assert sum(action(record) == "flow-end" for record in records) == flows + 1
    else:
        assert_losses_are_exact(records)
        where = {record["conntrack"]["loss"]["where"] for record in records if action(record) == "events-lost"}
        assert where <= {"sink-queue", "sink-write"}


def test_a_small_receive_buffer_under_a_flood_is_declared_with_an_exact_count(watch):
    flows = 50_000
    with Topology(TRACK_AND_DROP) as net:
        with watch(net.router, to="file", config={"conntrack": {"receive_buffer": "256KiB"}}) as flowkin:
            flowkin.send(signal.SIGSTOP)
            flood(net.router, flows)
            flowkin.send(signal.SIGCONT)
            lost = flowkin.wait_action("events-lost")
            net.router.flush()
            until(lambda: net.router.tracked() == 0)
            time.sleep(0.5)
        starts = len(flowkin.find(lambda record: action(record) == "flow-start"))
    assert lost["conntrack"]["loss"]["where"] == "kernel-socket"
    assert starts < flows
    assert lost["conntrack"]["loss"]["count"] == flows - starts
