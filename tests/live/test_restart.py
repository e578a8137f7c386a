# SPDX-License-Identifier: GPL-2.0-or-later
"""What a flow is to flowkin outlives flowkin: stops, kills, and state files that are not to be believed."""

import signal
import time

import ledger
import pytest
from ctnetlink import set_mark
from flowkin import UDP_FLOOD, action, field
from net import TRACKING, TRACKING_SYSCTLS, Namespace, Topology
from supervisor import Supervisor, Unit
from test_families import HELPERS
from traffic import FtpClient, ftp_server, udp_shot

HERE = "127.0.0.1"


def make_host(label):
    host = Namespace(label)
    host.sysctl(**TRACKING_SYSCTLS, net__netfilter__nf_conntrack_udp_timeout=600)
    host.nft(TRACKING)
    return host


@pytest.fixture(name="host")
def host_fixture():
    host = make_host("host")
    yield host
    host.delete()


@pytest.fixture(name="supervisor")
def supervisor_fixture(tmp_path):
    with Supervisor(tmp_path) as supervisor:
        yield supervisor


def open_flow(host, port):
    udp_shot(host, HERE, port)


def end_flow(host, port):
    host.run("conntrack", "-D", "-p", "udp", "--dport", port)


def openings(unit, port):
    return [record for record in unit.records
            if action(record) in ledger.OPENINGS and field(record, "destination.port") == port]


def ends(unit, port):
    return unit.find("flow-end", destination__port=port)


def start_record(unit):
    return unit.find("monitor-start", unit.life)[0]


def losses(records, where):
    return [record["conntrack"]["loss"] for record in records
            if action(record) == "events-lost" and record["conntrack"]["loss"]["where"] == where]


def finish(unit, *ports):
    """Ends all flows, stops, and asks for each port: opened once, ended once, under one uid; and the law holds."""
    unit.namespace.flush()
    for port in ports:
        if not ends(unit, port):
            unit.wait_action("flow-end", destination__port=port)
    unit.stop()
    for port in ports:
        told = [record for record in unit.records
                if field(record, "destination.port") == port and action(record).startswith("flow-")]
        assert len(openings(unit, port)) == 1, told
        assert len(ends(unit, port)) == 1, told
        assert len({record["conntrack"]["uid"] for record in told}) == 1, told
    unit.verify()


# ---- a stop in order


def test_a_flow_keeps_its_uid_over_a_stop_and_a_start_and_is_opened_once(tmp_path, host):
    with Unit(tmp_path, host) as unit:
        open_flow(host, 5001)
        opened = unit.wait_action("flow-start")
        unit.stop()
        unit.start()
        start = start_record(unit)
        assert start["conntrack"]["monitor"]["state"] == "restored"
        assert start["conntrack"]["monitor"]["previous_run"] == opened["event"]["id"][:16]
        assert start["conntrack"]["monitor"]["run"] != opened["event"]["id"][:16]
        assert unit.wait_action("resync-completed")["conntrack"]["resync"]["unchanged"] == 1
        end_flow(host, 5001)
        end = unit.wait_action("flow-end")
        assert end["conntrack"]["uid"] == opened["conntrack"]["uid"]
        assert end["event"]["reason"] == "deleted"
        assert end["event"]["start"] <= opened["@timestamp"]
        finish(unit, 5001)


def test_what_ended_and_what_began_while_flowkin_was_down_is_told_at_the_start(tmp_path, host):
    with Unit(tmp_path, host) as unit:
        open_flow(host, 5001)
        open_flow(host, 5002)
        unit.wait_action("flow-start", count=2)
        unit.stop()
        stopped = unit.records[-1]["@timestamp"]
        end_flow(host, 5001)
        open_flow(host, 5003)
        unit.start()
        end = unit.find("flow-end", unit.life)[0]
        assert end["event"]["reason"] == "vanished"
        assert end["conntrack"]["observed"] == "reconcile"
        assert "end-time-unknown" in end["conntrack"]["gaps"]
        earliest, latest = end["conntrack"]["end_window"]
        assert openings(unit, 5001)[0]["@timestamp"] <= earliest <= latest == end["@timestamp"]
        seen = unit.find("flow-seen", unit.life)
        assert [record["destination"]["port"] for record in seen] == [5003]
        nobody_listened, = losses(unit.life, "kernel-socket")
        assert "count" not in nobody_listened
        assert nobody_listened["since"] <= stopped <= nobody_listened["until"]
        assert not losses(unit.life, "sink-queue")
        finish(unit, 5001, 5002, 5003)


def test_counters_are_the_last_known_where_the_end_was_missed(tmp_path, host):
    with Unit(tmp_path, host) as unit:
        for _ in range(3):
            udp_shot(host, HERE, 5001, source_port=4001)
        unit.wait_action("flow-start")
        unit.send(signal.SIGUSR1)
        unit.wait_action("resync-completed", conntrack__resync__cause="request")
        unit.stop()
        end_flow(host, 5001)
        unit.start()
        end = unit.wait_action("flow-end")
        assert end["source"]["packets"] == 3
        finish(unit, 5001)


# ---- a kill


def test_after_a_kill_the_log_tells_what_the_snapshot_does_not_know(tmp_path, host):
    with Unit(tmp_path, host, config={"state": {"interval": "1s"}}) as unit:
        for port in (5001, 5002, 5003):
            open_flow(host, port)
        marked = unit.wait_action("flow-start", destination__port=5003)
        set_mark(host, marked, 7)
        unit.wait_action("flow-mark-changed")
        unit.wait_saved()
        unit.wait_saved()  # this one was begun after the mark
        unit.stop()
        unit.configure({"state": {"interval": "1h"}})
        unit.start()
        end_flow(host, 5001)
        set_mark(host, marked, 8)
        open_flow(host, 5004)
        unit.wait_action("flow-end", destination__port=5001)
        unit.wait_action("flow-mark-changed")
        unit.wait_action("flow-start", destination__port=5004)
        unit.kill()
        unit.start()
        assert start_record(unit)["conntrack"]["monitor"]["state"] == "restored"
        assert unit.wait_action("resync-completed")["conntrack"]["resync"] | {"duration": 0} == {
            "cause": "start", "dumped": 3, "discovered": 0, "ended": 0, "unchanged": 3, "duration": 0}
        for where in ("kernel-socket", "sink-queue"):
            loss, = losses(unit.life, where)
            assert "count" not in loss
        set_mark(host, marked, 9)
        change = unit.wait_action("flow-mark-changed")
        assert change["conntrack"]["mark_previous"] == 8
        assert change["conntrack"]["mark_changes"] == 3
        finish(unit, 5001, 5002, 5003, 5004)


def test_a_run_that_was_killed_before_it_saved_anything_is_not_forgotten(tmp_path, host):
    """The state file is then that of a run before it: the log tells of both."""
    with Unit(tmp_path, host) as unit:
        for port in (5001, 5002):
            open_flow(host, port)
        unit.wait_action("flow-start", count=2)
        unit.stop()
        unit.state.with_name("flows.state.new").mkdir()  # where it would write it
        for port in (5003, 5004):
            unit.start()
            end_flow(host, port - 2)
            open_flow(host, port)
            unit.wait_action("flow-end", destination__port=port - 2)
            unit.wait_action("flow-start", destination__port=port)
            unit.kill()
        unit.start()
        assert start_record(unit)["conntrack"]["monitor"]["state"] == "restored"
        assert not unit.find("flow-seen")
        unit.state.with_name("flows.state.new").rmdir()
        finish(unit, 5001, 5002, 5003, 5004)


def test_a_run_that_was_killed_before_it_said_anything_leaves_the_state_as_it_was(tmp_path, host):
    with Unit(tmp_path, host) as unit:
        open_flow(host, 5001)
        unit.wait_action("flow-start")
        unit.stop()
        unit.start(wait=False)
        unit.kill()
        unit.start()
        assert start_record(unit)["conntrack"]["monitor"]["state"] == "restored"
        finish(unit, 5001)


def test_a_kill_under_load_opens_and_ends_every_flow_once(tmp_path, host):
    flows = 30_000
    with Unit(tmp_path, host, config={"state": {"interval": "1s"}}) as unit:
        with host.background(UDP_FLOOD, HERE, "127.0.0.2", flows, 10_000) as flood:
            for _ in range(3):
                time.sleep(0.7)
                unit.kill()
                unit.start()
            assert flood.popen.wait(30) == 0
        host.flush()
        unit.send(signal.SIGUSR1)
        unit.wait_action("resync-completed", conntrack__resync__cause="request")
        unit.stop()
        unit.verify()
        opened = [flow_ports(record) for record in unit.records if action(record) in ledger.OPENINGS]
        ended = [flow_ports(record) for record in unit.records if action(record) == "flow-end"]
        assert len(opened) == len(set(opened)) == len(ended)
        assert set(opened) == set(ended)


def flow_ports(record):
    return record["source"]["port"], record["destination"]["port"]


def test_after_a_kill_a_log_on_standard_output_cannot_be_read_back_and_the_start_is_fresh(tmp_path, host):
    with Unit(tmp_path, host, config={"output": {"destination": "stdout"}, "state": {"interval": "1s"}}) as unit:
        open_flow(host, 5001)
        unit.wait_saved()
        unit.kill()
        unit.configure({"output": {"destination": "file"}})
        unit.start()
        monitor = start_record(unit)["conntrack"]["monitor"]
        assert monitor["state"] == "fresh"
        assert "previous_run" in monitor
        assert any("cannot be read back" in warning for warning in monitor["warnings"])
        assert [action(record) for record in openings(unit, 5001)] == ["flow-start", "flow-seen"]
        unit.stop()
        unit.verify()


# ---- the socket outlives the process


def test_events_of_the_pause_wait_in_the_stored_socket_and_none_is_told_twice(tmp_path, host, supervisor):
    with Unit(tmp_path, host, supervisor) as unit:
        open_flow(host, 5001)
        open_flow(host, 5002)
        unit.wait_action("flow-start", count=2)
        unit.stop()
        end_flow(host, 5001)
        open_flow(host, 5003)
        end_flow(host, 5003)
        open_flow(host, 5004)
        unit.start()
        start = start_record(unit)
        assert start["conntrack"]["monitor"]["state"] == "inherited-socket"
        unit.wait_action("flow-end", destination__port=5003)
        assert ends(unit, 5001)[0]["event"]["reason"] == "deleted"
        assert action(openings(unit, 5003)[0]) == "flow-start"
        assert not unit.find("events-lost")
        finish(unit, 5001, 5002, 5003, 5004)


def test_a_kill_with_the_stored_socket_loses_at_most_what_was_read_and_not_written(tmp_path, host, supervisor):
    with Unit(tmp_path, host, supervisor, config={"state": {"interval": "1s"}}) as unit:
        open_flow(host, 5001)
        unit.wait_action("flow-start")
        unit.wait_saved()
        unit.kill()
        open_flow(host, 5002)
        end_flow(host, 5001)
        open_flow(host, 5003)
        end_flow(host, 5003)
        unit.start()
        assert start_record(unit)["conntrack"]["monitor"]["state"] == "inherited-socket"
        unit.wait_action("flow-end", destination__port=5003)
        assert action(openings(unit, 5002)[0]) == action(openings(unit, 5003)[0]) == "flow-start"
        assert not losses(unit.life, "kernel-socket")
        assert len(losses(unit.life, "sink-queue")) == 1
        finish(unit, 5001, 5002, 5003)


def test_a_stored_socket_that_overran_says_how_many_events_it_lost(tmp_path, host, supervisor):
    flows = 6_000
    with Unit(tmp_path, host, supervisor, config={"conntrack": {"receive_buffer": "64KiB"}}) as unit:
        unit.stop()
        host.run(UDP_FLOOD, HERE, "127.0.0.2", flows)
        unit.start()
        lost = unit.wait_action("events-lost")["conntrack"]["loss"]
        unit.wait_action("resync-completed", conntrack__resync__cause="overrun")
        started = len(unit.find("flow-start"))
        assert lost["where"] == "kernel-socket"
        assert started + lost["count"] == flows
        assert len(unit.find("flow-seen")) == flows - started
        unit.stop()
        unit.start()
        assert not unit.find("events-lost", unit.life)  # it is counted once
        unit.stop()
        unit.verify()


def test_an_inherited_socket_without_a_state_is_a_fresh_start(tmp_path, host, supervisor):
    with Unit(tmp_path, host, supervisor) as unit:
        open_flow(host, 5001)
        unit.wait_action("flow-start")
        unit.stop()
        unit.state.unlink()
        unit.start()
        assert start_record(unit)["conntrack"]["monitor"]["state"] == "fresh"
        unit.stop()
        unit.verify()


# ---- state files that are not to be believed


def cut_off(unit):
    content = unit.state.read_bytes()
    unit.state.write_bytes(content[:-10])


def altered(unit):
    content = bytearray(unit.state.read_bytes())
    content[len(content) // 2] ^= 0x10
    unit.state.write_bytes(content)


def other_version(unit):
    content = bytearray(unit.state.read_bytes())
    content[8] += 1
    unit.state.write_bytes(content)


def empty(unit):
    unit.state.write_bytes(b"")


def writable_by_others(unit):
    unit.state.chmod(0o666)


def symbolic_link(unit):
    elsewhere = unit.state.with_name("elsewhere")
    unit.state.rename(elsewhere)
    unit.state.symlink_to(elsewhere)


def other_namespace(unit):
    other = make_host("other")
    try:
        unit.namespace, home = other, unit.namespace
        unit.state.unlink()
        unit.start()
        unit.stop()
        unit.namespace = home
    finally:
        other.delete()


SPOILT = {cut_off: "cut off", altered: "altered", other_version: "version", empty: "cut off",
          writable_by_others: "others", symbolic_link: "symbolic link", other_namespace: "namespace"}


@pytest.mark.parametrize("spoil, why", SPOILT.items(), ids=[spoil.__name__ for spoil in SPOILT])
def test_a_state_file_that_is_not_to_be_believed_is_kept_aside_and_the_start_is_fresh(tmp_path, host, spoil, why):
    with Unit(tmp_path, host) as unit:
        open_flow(host, 5001)
        unit.wait_action("flow-start")
        unit.stop()
        spoil(unit)
        heard = len(unit.stderr())
        unit.start()
        monitor = start_record(unit)["conntrack"]["monitor"]
        assert monitor["state"] == "fresh"
        warning, = monitor["warnings"]
        assert why in warning and f"{unit.state}.rejected" in warning
        assert unit.stderr()[heard:].count("state file") == 1
        rejected = unit.state.with_name("flows.state.rejected")
        assert rejected.is_symlink() or rejected.exists()
        assert action(openings(unit, 5001)[-1]) == "flow-seen"
        unit.stop()
        unit.verify()


def test_a_state_that_cannot_be_saved_is_a_warning_and_no_end(tmp_path, host):
    (tmp_path / "flows.state.new").mkdir()
    with Unit(tmp_path, host, config={"state": {"interval": "1s"}}) as unit:
        time.sleep(1.5)
        assert "flows.state.new" in unit.stderr()
        open_flow(host, 5001)
        unit.wait_action("flow-start")
        finish(unit, 5001)


# ---- families


def test_children_keep_their_parent_and_root_over_restarts(tmp_path):
    with Topology(HELPERS) as net, Unit(tmp_path, net.router, config={"state": {"interval": "1s"}}) as unit, \
            ftp_server(net):
        with FtpClient(net) as client, client.transfer():
            parent = unit.wait_action("flow-start", destination__port=21)
            unit.wait_action("expectation-fulfilled")
            child, = [record for record in unit.find("flow-start") if "parent" in record["conntrack"]]
            kin = {name: child["conntrack"][name] for name in ("parent", "lineage", "mark_origin")}
            assert kin["parent"]["uid"] == parent["conntrack"]["uid"]
            unit.stop()
            unit.start()
            set_mark(net.router, parent, 0x99)
            unit.wait_action("flow-mark-changed", conntrack__uid=parent["conntrack"]["uid"])
            unit.wait_saved()
            unit.kill()
            unit.start()
        net.router.flush()
        end = unit.wait_action("flow-end", conntrack__uid=child["conntrack"]["uid"])
        assert end["conntrack"]["parent"] == kin["parent"]
        assert end["conntrack"]["lineage"] == kin["lineage"]
        assert end["conntrack"]["mark_origin"] == "diverged"  # its parent's mark changed in the life between
        unit.wait_action("flow-end", conntrack__uid=parent["conntrack"]["uid"])
        unit.stop()
        assert not unit.find("flow-seen")
        unit.verify()
