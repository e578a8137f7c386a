# SPDX-License-Identifier: GPL-2.0-or-later
"""A new configuration while running, and a captured run told again without a kernel."""

import json
import signal

import flowkin as tool
from flowkin import action, matching, parse_line
from net import Topology
from test_families import MASQUERADE
from traffic import FtpClient, ftp_server, ping, tcp_connection, tcp_life, tftp_get, tftp_server, udp_exchange


def test_a_reload_changes_what_can_change_and_names_what_needs_a_restart(watch):
    with Topology() as net, watch(net.router, config={"output": {"updates": "none"}}) as flowkin:
        tcp_life(net, 8000)
        net.router.flush()
        flowkin.wait_action("flow-end", destination__port=8000)  # all of it was told under the old configuration
        flowkin.config["output"]["updates"] = "all"
        flowkin.config["conntrack"] = {"receive_buffer": "2MiB"}
        flowkin.write_config()
        flowkin.send(signal.SIGHUP)
        reload = flowkin.wait_action("monitor-reload")
        tcp_life(net, 8001)
        flowkin.wait_action("flow-update", destination__port=8001)
    told = json.dumps(reload["conntrack"]["monitor"])
    assert "output.updates" in told and "conntrack.receive_buffer" in told
    assert not flowkin.find(matching(event__action="flow-update", destination__port=8000))


def test_a_bad_config_changes_nothing_and_says_what_is_wrong(watch):
    with Topology() as net, watch(net.router) as flowkin:
        flowkin.config_file.write_text('[output]\nupdates = "some"\n')
        flowkin.send(signal.SIGHUP)
        reload = flowkin.wait_action("monitor-reload")
        udp_exchange(net, 53)
        flowkin.wait_action("flow-start", destination__port=53)
    assert "output.updates" in json.dumps(reload["conntrack"]["monitor"])
    assert "output.updates" in flowkin.stderr


def flow_lines(records):
    """The records of flows and expectations without what says which log they stand in, and where."""
    lines = []
    for record in records:
        if record["event"]["dataset"] in ("flowkin.flow", "flowkin.expectation"):
            lines.append({**record, "host": {}, "event": {key: value for key, value in record["event"].items()
                                              if key not in ("id", "sequence")}})
    return lines


def test_a_captured_run_replays_to_the_same_flow_lines(watch, tmp_path):
    capture = tmp_path / "run.pcap"
    with Topology(MASQUERADE) as net, tcp_connection(net, 9000), \
            watch(net.router, config={"output": {"updates": "all"}}, options=["--capture", capture]) as flowkin, \
            ftp_server(net), tftp_server(net):
        with FtpClient(net, passive=False) as client, client.transfer():
            tcp_life(net, 8000, version=6)
        tftp_get(net)
        ping(net)
        udp_exchange(net, 53)
        live = net.router.tracked()
        net.router.flush()
        flowkin.wait_action("flow-end", count=live)
    run = flowkin.records[0]["conntrack"]["monitor"]["run"]
    told = tool.run("--config", flowkin.config_file, "--replay", capture, "--run-id", run)
    assert told.returncode == 0, told.stderr
    replayed = [parse_line(line.encode() + b"\n") for line in told.stdout.splitlines()]
    assert any(action(record) == "flow-seen" for record in replayed)
    assert flow_lines(replayed) == flow_lines(flowkin.records)


def test_a_replay_is_the_same_each_time(watch, tmp_path):
    capture = tmp_path / "run.pcap"
    with Topology() as net, watch(net.router, options=["--capture", capture]) as flowkin:
        tcp_life(net, 8000)
        flowkin.wait_action("flow-start")
    first, second = (tool.run("--config", flowkin.config_file, "--replay", capture) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert '"uid":"0000000000000000' in first.stdout
