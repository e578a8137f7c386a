# SPDX-License-Identifier: GPL-2.0-or-later
"""rsyslog and syslog-ng follow flowkin's log through floods and rotations: each line arrives, once, in its order."""

import json
import os
import pathlib

import net
import pytest
import shippers
from flowkin import BUILD, ROOT, UDP_FLOOD, Flowkin, action, matching, read_log, rotated

FLOW_MAKER = BUILD / "tests/flow_maker"
HERE, THERE = "127.0.0.1", "127.0.0.2"
TRACK_AND_DROP = """
table inet tracking {
    chain input { type filter hook input priority 0; ct state new udp dport 20000-40000 drop; }
}
"""
ROUNDS = 8
FLOWS = 600  # begin and end in some 900 kB, so that no round fills more than one file

pytestmark = pytest.mark.xdist_group("load")

both = pytest.mark.parametrize("shipper", [shippers.Rsyslog, shippers.SyslogNg], ids=lambda shipper: shipper.name)


def flood_and_end(net_, flowkin, number):
    """A round: flows begin as fast as they can, and end all at once. The last record of it."""
    net_.run(UDP_FLOOD, HERE, THERE, FLOWS)
    net_.flush()
    return flowkin.wait_for(lambda record: action(record) == "flow-end", timeout=60,
                            count=FLOWS * number, what=f"the ends of round {number}")[-1]


def assert_all_arrived(collector, log_records):
    """Once each, and the records of a flow in the order they were written."""
    written = [record["event"]["id"] for record in log_records]
    arrived = [record["event"]["id"] for record in collector.records]
    assert len(set(arrived)) == len(arrived), "a line arrived twice"
    assert set(written) == set(arrived)
    last = {}
    for record in collector.records:
        uid = record["conntrack"].get("uid")
        assert record["event"]["sequence"] > last.get(uid, 0), f"{uid} is out of order"
        if uid:
            last[uid] = record["event"]["sequence"]
    by_id = {record["event"]["id"]: record for record in collector.records}
    assert all(by_id[record["event"]["id"]] == record for record in log_records), "a line was altered"


@both
def test_each_line_of_a_rotating_log_arrives_once_and_in_order(shipper, tmp_path):
    config = {"output": {"rotate_size": "1MiB", "rotate_keep": 100}}
    log = tmp_path / "flow.ndjson"
    with shippers.Collector() as collector, shipper(tmp_path, log, collector.port) as follower, \
            net.Topology(TRACK_AND_DROP) as topology, \
            Flowkin(tmp_path, topology.router, to="file", config=config) as flowkin:
        for number in range(1, ROUNDS + 1):
            last = flood_and_end(topology.router, flowkin, number)
            # It follows one name: before the next file is full it has taken this one up.
            collector.wait_for_id(last["event"]["id"])
        flowkin.stop()
        collector.wait_for_id(flowkin.records[-1]["event"]["id"])
        assert len(rotated(log)) > ROUNDS // 2
        assert_all_arrived(collector, read_log(*rotated(log)))
    assert not follower.refused()


def test_both_keep_up_with_a_flood_that_does_not_pause(tmp_path):
    """At 200 flows a second a file is full after some four seconds: one would have to sleep so long to miss it."""
    config = {"output": {"rotate_size": "1MiB", "rotate_keep": 100}}
    log = tmp_path / "flow.ndjson"
    with shippers.Collector() as first, shippers.Collector() as second, \
            shippers.Rsyslog(tmp_path, log, first.port), shippers.SyslogNg(tmp_path, log, second.port), \
            net.Topology(TRACK_AND_DROP) as topology, \
            Flowkin(tmp_path, topology.router, to="file", config=config) as flowkin:
        topology.router.run(FLOW_MAKER, 200, 18, 1)
        flowkin.stop()
        for collector in (first, second):
            collector.wait_for_id(flowkin.records[-1]["event"]["id"])
        assert len(rotated(log)) > 3
        for collector in (first, second):
            assert_all_arrived(collector, read_log(*rotated(log)))


@both
def test_each_line_arrives_where_logrotate_moves_the_log(shipper, tmp_path):
    config = {"output": {"rotate_size": "off"}}
    log = tmp_path / "flow.ndjson"
    with shippers.Collector() as collector, shipper(tmp_path, log, collector.port), \
            net.Topology(TRACK_AND_DROP) as topology, \
            Flowkin(tmp_path, topology.router, to="file", config=config) as flowkin:
        for number in range(1, 4):
            last = flood_and_end(topology.router, flowkin, number)
            collector.wait_for_id(last["event"]["id"])
            done = shippers.rotate(tmp_path, log, flowkin.program.pid, number)
            assert done.returncode == 0, done.stderr
            # The signal is the reload's too, and its record is the first line of the new file.
            flowkin.wait_for(lambda record: action(record) == "monitor-reload", count=number, what="the reload")
            collector.wait_for_id(flowkin.find(matching(event__action="monitor-reload"))[-1]["event"]["id"])
        flowkin.stop()
        collector.wait_for_id(flowkin.records[-1]["event"]["id"])
        files = rotated(log)
        assert len(files) == 4
        assert_all_arrived(collector, read_log(*files))


@both
def test_a_shipper_that_was_stopped_goes_on_where_it_was(shipper, tmp_path):
    log = tmp_path / "flow.ndjson"
    with shippers.Collector() as collector, net.Topology(TRACK_AND_DROP) as topology, \
            Flowkin(tmp_path, topology.router, to="file") as flowkin:
        with shipper(tmp_path, log, collector.port):
            last = flood_and_end(topology.router, flowkin, 1)
            collector.wait_for_id(last["event"]["id"])
        last = flood_and_end(topology.router, flowkin, 2)
        with shipper(tmp_path, log, collector.port):
            collector.wait_for_id(last["event"]["id"])
            flowkin.stop()
            collector.wait_for_id(flowkin.records[-1]["event"]["id"])
        assert_all_arrived(collector, read_log(log))


@both
def test_each_line_arrives_though_the_collector_came_late(shipper, tmp_path):
    log = tmp_path / "flow.ndjson"
    port = 10_000 + os.getpid() % 20_000  # below those that the kernel gives to others meanwhile
    with shipper(tmp_path, log, port), net.Topology(TRACK_AND_DROP) as topology, \
            Flowkin(tmp_path, topology.router, to="file") as flowkin:
        flood_and_end(topology.router, flowkin, 1)
        with shippers.Collector(port) as collector:
            flood_and_end(topology.router, flowkin, 2)
            flowkin.stop()
            collector.wait_for_id(flowkin.records[-1]["event"]["id"], timeout=120)
            assert_all_arrived(collector, read_log(log))


@both
def test_a_line_that_is_none_of_flowkins_is_put_aside_and_the_others_arrive(shipper, tmp_path):
    log = tmp_path / "flow.ndjson"
    lines = (ROOT / "tests/golden/lines/reject.ndjson").read_text().splitlines(keepends=True)
    log.write_text("".join([*lines[:3], '{"torn": "li\n', *lines[3:]]))
    with shippers.Collector() as collector, shipper(tmp_path, log, collector.port) as follower:
        collector.wait_for_id(json.loads(lines[-1])["event"]["id"])
    # It has ended, and so has written what it had.
    assert collector.records == [json.loads(line) for line in lines]
    assert follower.refused() == '{"torn": "li\n'


@both
def test_the_shipped_file_is_accepted_by_the_shipper_itself(shipper, tmp_path):
    checked = shipper(tmp_path, "/var/log/flowkin/flow.ndjson", 601).check()
    assert checked.returncode == 0, checked.stderr
    assert "error" not in checked.stderr.lower()


@both
def test_the_shipper_would_refuse_a_broken_file(shipper, tmp_path):
    broken = shipper(tmp_path, "/var/log/flowkin/flow.ndjson", 601)
    broken.text = broken.text.replace('type="mmjsonparse"', 'type="mmjson"').replace("json-parser(", "json(")
    checked = broken.check()
    assert checked.returncode != 0


def test_the_shipped_logrotate_file_never_copies_and_truncates():
    text = (shippers.CONFIG / "logrotate/flowkin").read_text()
    directives = [line.split()[0] for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert "copytruncate" not in directives
    assert "nocreate" in directives
    assert pathlib.Path(shippers.LOGROTATE).exists()
