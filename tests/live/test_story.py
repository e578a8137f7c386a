# SPDX-License-Identifier: GPL-2.0-or-later
"""What --story tells of real traffic: who was behind an address of ours, and what became of a connection."""

import json
import os
import pty
import subprocess

import flowkin as tool
import pytest
from flowkin import BINARY, action
from net import TRACKING, Topology
from test_families import MASQUERADE, is_child
from test_packets import GROUPS, PORT, SHIPPED, refuse
from traffic import FtpClient, ftp_server, open_socket, udp_exchange


def end_text(side):
    return f"{side['ip']}:{side['port']}"


def told(*options):
    done = tool.run("--story", *options)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.parametrize("passive", (True, False), ids=("passive", "active"))
def test_the_client_behind_a_masqueraded_transfer_is_told_by_the_translated_port_and_the_time(watch, passive):
    with Topology(MASQUERADE) as net, watch(net.router, to="file") as flowkin:
        for source_port in range(2000, 2020):  # below the ports that the transfer is given
            udp_exchange(net, 53, source_port=source_port)
        with ftp_server(net), FtpClient(net, passive) as client, client.transfer():
            child = flowkin.wait_for(is_child)
        flowkin.wait_action("expectation-fulfilled")
        net.router.flush()
        flowkin.wait_action("flow-end", destination__port=21)
        flowkin.wait_action("flow-end", conntrack__uid=child["conntrack"]["uid"])

    # Seen from outside, the client is the router.
    outside = child["source"]["nat"] if passive else child["destination"]
    assert outside["ip"] == net.ROUTER_WAN[4]
    answer = json.loads(told(end_text(outside), flowkin.path, "--at", child["@timestamp"][:19] + "Z", "--json"))
    assert answer["matches"] == 1
    (story,) = answer["stories"]
    control, transfer = story["flows"]
    assert control["source"]["ip"] == net.CLIENT[4]
    assert (control["helper"], control["destination"]["port"]) == ("ftp", 21)
    assert (transfer["parent"], transfer["asked_for"]) == (control["uid"], True)
    assert transfer["uid"] == child["conntrack"]["uid"]
    assert transfer["reason"] == "deleted"
    assert {"expectation-created", "expectation-fulfilled", "flow-start", "flow-end"} <= {
        action(record) for record in story["records"]}
    # Each record is the log's own.
    lines = [json.loads(line) for line in flowkin.path.read_text().splitlines()]
    assert all(record in lines for record in story["records"])

    for what in (child["conntrack"]["uid"], child["conntrack"]["id"], child["network"]["community_id"],
                 control["community_id"]):
        text = told(what, flowkin.path)
        assert "#1    tcp 10.1.0.2:" in text and "\n#1.1  tcp " in text
        assert "mark 0x11, inherited from #1" in text and "#1      has a child #1.1" in text

    late = tool.run("--story", end_text(outside), flowkin.path, "--at", "2020-01-01")
    assert (late.returncode, late.stdout) == (1, "")
    assert late.stderr.endswith(f"nothing about {end_text(outside)} at 2020-01-01 in {len(lines)} lines\n")


def test_a_connection_that_was_refused_at_its_first_packet_has_a_story(watch):
    with Topology(TRACKING) as net, watch(net.router, to="file", config=GROUPS) as flowkin:
        net.router.run("nft", "-f", SHIPPED)
        refuse(net, ["forward"], "tcp")
        with open_socket(net.client) as near:
            near.bind((net.CLIENT[4], 0))
            port = near.getsockname()[1]
            with pytest.raises(ConnectionRefusedError):
                near.connect((net.SERVER[4], PORT))
        flowkin.wait_action("packet-rejected")
    text = told(f"{net.CLIENT[4]}:{port}-{net.SERVER[4]}:{PORT}", flowkin.path)
    assert f"tcp {net.CLIENT[4]}:{port} → {net.SERVER[4]}:{PORT}" in text
    assert "refused at its first packet: no flow came of it" in text
    assert "by a rule here, with a RST" in text


def test_a_story_is_coloured_on_a_terminal_and_plain_in_a_pipe(watch):
    with Topology() as net, watch(net.router, to="file") as flowkin:
        port = udp_exchange(net, 53)
        flowkin.wait_action("flow-start", source__port=port)
    command = [BINARY, "--story", f"{net.CLIENT[4]}:{port}", flowkin.path]
    plain = subprocess.run(command, capture_output=True, check=True).stdout
    assert b"\x1b" not in plain

    def on_a_terminal(**variables):
        near, far = pty.openpty()
        try:
            subprocess.run(command, stdout=far, check=True, env={"PATH": os.environ["PATH"], **variables})
        finally:
            os.close(far)
        with open(near, "rb", buffering=0) as terminal:
            output = b""
            try:
                while chunk := terminal.read(65536):
                    output += chunk
            except OSError:  # the other end is closed, and all of it is read
                pass
        return output

    assert b"\x1b[" in on_a_terminal()
    assert on_a_terminal(NO_COLOR="1").replace(b"\r\n", b"\n") == plain

    with open(flowkin.path, "rb") as log:
        piped = subprocess.run([*command[:-1], "-"], stdin=log, capture_output=True, check=True).stdout
    with subprocess.Popen(["cat", flowkin.path], stdout=subprocess.PIPE) as cat:
        through_a_pipe = subprocess.run([*command[:-1], "-"], stdin=cat.stdout, capture_output=True, check=True)
    assert piped == through_a_pipe.stdout == plain
