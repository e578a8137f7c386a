# SPDX-License-Identifier: GPL-2.0-or-later
"""How flowkin starts, what it finds, why it refuses, how it ends."""

import os
import re
import signal
import time

import flowkin as tool
import ledger
import pytest
from flowkin import UDP_FLOOD, DidNotStart, Flowkin, action, field, matching, toml
from net import TRACKING, Topology
from traffic import tcp_connection, udp_exchange, udp_shot


def refusal(error):
    """The one line with which it refused."""
    lines = error.stderr.strip().splitlines()
    assert len(lines) == 1, error.stderr
    return lines[0]


@pytest.mark.parametrize("timestamps", (1, 0), ids=("timestamps", "no-timestamps"))
def test_a_flow_that_was_there_before_is_seen_once_with_its_start_where_the_kernel_knows_it(watch, timestamps):
    with Topology(net__netfilter__nf_conntrack_timestamp=timestamps) as net, tcp_connection(net, 8000) as (near, _):
        with watch(net.router) as flowkin:
            seen = flowkin.wait_action("flow-seen")
            net.router.flush()
            end = flowkin.wait_action("flow-end")
            assert len(flowkin.find(matching(event__action="flow-seen"))) == 1
        assert seen["source"]["port"] == near.getsockname()[1]
    assert seen["conntrack"]["observed"] == "dump"
    assert seen["conntrack"]["tcp"]["state"] == "ESTABLISHED"
    for record in (seen, end):
        assert ("start" in record["event"]) == bool(timestamps)
        assert ("start-unseen" in record["conntrack"].get("gaps", [])) != bool(timestamps)
    assert end["conntrack"]["uid"] == seen["conntrack"]["uid"]


def test_flows_that_begin_during_the_first_dump_are_opened_once_each(watch):
    flows = 40_000
    with Topology() as net, net.router.background(UDP_FLOOD, "127.0.0.1", "127.0.0.2", flows, 20_000) as flood:
        time.sleep(0.5)
        with watch(net.router, to="file") as flowkin:
            assert flood.popen.wait(20) == 0
            net.router.flush()
            flowkin.wait_action("flow-end", count=flows, timeout=20)
        openings = flowkin.find(lambda record: action(record) in ledger.OPENINGS)
    how = {action(record) for record in openings}
    assert how == {"flow-seen", "flow-start"}, "the flood was over before flowkin looked, or began after"
    assert len(openings) == flows
    assert len({(record["source"]["port"], record["destination"]["port"]) for record in openings}) == flows


def test_monitor_start_tells_version_kernel_settings_and_the_receive_buffer(watch):
    with Topology() as net, watch(net.router, config={"conntrack": {"receive_buffer": "8MiB"}}) as flowkin:
        start = flowkin.wait_action("monitor-start")
    monitor = start["conntrack"]["monitor"]
    assert start["event"]["sequence"] == 1
    assert start["event"]["id"].startswith(monitor["run"])
    assert monitor["kernel"] == os.uname().release
    assert monitor["state"] == "fresh"
    assert monitor["settings"] == {"acct": 1, "timestamp": 1, "events": 1}
    assert monitor["receive_buffer"] >= 8 << 20


def test_a_namespace_that_tracks_nothing_is_a_warning_with_the_command_that_changes_it(watch):
    with Topology(rules=None) as net, watch(net.router) as flowkin:
        start = flowkin.wait_action("monitor-start")
        udp_exchange(net, 53)
    warnings = " ".join(start["conntrack"]["monitor"]["warnings"])
    assert "track" in warnings and "nft" in warnings
    assert not flowkin.find(matching(event__action="flow-start"))


def test_accounting_and_timestamps_that_are_off_are_warnings_with_their_commands(watch):
    off = {"net__netfilter__nf_conntrack_acct": 0, "net__netfilter__nf_conntrack_timestamp": 0}
    with Topology(**off) as net, watch(net.router) as flowkin:
        start = flowkin.wait_action("monitor-start")
    warnings = "\n".join(start["conntrack"]["monitor"]["warnings"])
    assert re.search(r"sysctl.*nf_conntrack_acct", warnings)
    assert re.search(r"sysctl.*nf_conntrack_timestamp", warnings)


def test_tracking_and_settings_that_are_right_are_no_warnings(watch):
    with Topology() as net, watch(net.router) as flowkin:
        start = flowkin.wait_action("monitor-start")
    assert not start["conntrack"]["monitor"].get("warnings")


def test_without_the_capability_it_names_it_and_exits_77(watch):
    wrapper = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    with Topology() as net, pytest.raises(DidNotStart) as refused:
        with watch(net.router, wrapper=wrapper):
            pass
    assert refused.value.status == 77
    assert "CAP_NET_ADMIN" in refusal(refused.value)


def test_a_namespace_that_does_not_exist_is_one_line_and_exit_78(tmp_path):
    config = tmp_path / "flowkin.toml"
    config.write_text(toml({}))
    for name in ("no-such-namespace", "/run/netns/no-such-namespace", "/etc/passwd"):
        refused = tool.run("--config", config, "--netns", name)
        assert refused.returncode == 78, refused.stderr
        assert name in refusal(refused)


def test_a_config_that_others_can_write_is_refused(tmp_path):
    config = tmp_path / "flowkin.toml"
    config.write_text(toml({}))
    config.chmod(0o666)
    refused = tool.run("--config", config)
    assert refused.returncode == 78
    assert str(config) in refusal(refused)


@pytest.mark.parametrize("make", (os.mkdir, lambda path: os.symlink("/dev/null", path)), ids=("folder", "link"))
def test_an_output_path_that_is_no_file_is_one_line_and_exit_74(watch, tmp_path, make):
    path = tmp_path / "log"
    make(path)
    with Topology() as net, pytest.raises(DidNotStart) as refused:
        with watch(net.router, to="file", config={"output": {"path": str(path)}}):
            pass
    assert refused.value.status == 74
    assert str(path) in refusal(refused.value)


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT))
def test_a_signal_to_end_drains_and_writes_monitor_stop(watch, number):
    with Topology() as net, watch(net.router) as flowkin:
        udp_exchange(net, 53)
        flowkin.stop(number)
    assert flowkin.status == 0
    assert flowkin.find(matching(event__action="flow-start")), "what came before the signal was not drained"
    assert flowkin.records[-1]["event"]["action"] == "monitor-stop"
    assert field(flowkin.records[-1], "conntrack.monitor")


def test_a_reader_that_closes_the_pipe_ends_it_with_a_message_and_exit_74(tmp_path):
    with Topology() as net:
        flowkin = Flowkin(tmp_path, net.router)
        flowkin.write_config()
        read_end, write_end = os.pipe()
        with net.router.background(*flowkin.command(), stdout=write_end, stderr=-1, text=True) as program:
            os.close(write_end)
            os.read(read_end, 65536)
            os.close(read_end)
            deadline = time.monotonic() + 10
            while program.popen.poll() is None and time.monotonic() < deadline:
                udp_shot(net.client, net.SERVER[4], 9000)
                time.sleep(0.05)
            assert program.popen.poll() == 74
            assert "standard output" in program.popen.stderr.read()


def test_two_flowkins_in_one_namespace_tell_the_same_flows(tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with Topology() as net, Flowkin(folders[0], net.router) as one, Flowkin(folders[1], net.router) as two:
        udp_exchange(net, 53)
        starts = [flowkin.wait_action("flow-start") for flowkin in (one, two)]
    assert starts[0]["conntrack"]["id"] == starts[1]["conntrack"]["id"]
    assert starts[0]["conntrack"]["uid"] != starts[1]["conntrack"]["uid"]
    assert starts[0]["event"]["id"] != starts[1]["event"]["id"]


def test_it_runs_in_the_namespace_it_is_started_in_where_none_is_named(tmp_path):
    config = tmp_path / "flowkin.toml"
    config.write_text(toml({"output": {"destination": "file", "path": str(tmp_path / "log")}}))
    with Topology(TRACKING) as net:
        with net.router.background(tool.BINARY, "--config", config, stdout=-1, stderr=-1) as program:
            log = tmp_path / "log"
            deadline = time.monotonic() + 10
            while b"resync-completed" not in (log.read_bytes() if log.exists() else b""):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            udp_exchange(net, 53)
            time.sleep(0.5)
            assert program.end() == 0
    assert any(action(record) == "flow-start" for record in tool.read_log(tmp_path / "log"))
