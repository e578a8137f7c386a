# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket and flowkinctl: what an operator asks a running flowkin, and has it do."""

import contextlib
import json
import os
import pathlib
import resource
import shutil
import socket
import stat
import tempfile
import time

import pytest
from control import FLOWKINCTL, Client, flowkinctl
from ctnetlink import set_mark
from flowkin import matching, rotated, run
from net import Topology
from test_families import HELPERS, MASQUERADE, is_child
from traffic import FtpClient, ftp_server, ping, tcp_connection, udp_exchange

REFUSED, NO_DAEMON, MAY_NOT, BAD_CONFIG, USAGE = 1, 74, 77, 78, 64


@pytest.fixture
def control():
    """The path of a socket, in a folder that others may pass through."""
    with tempfile.TemporaryDirectory(prefix="flowkin-control-") as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder) / "control.sock"


@pytest.fixture
def watched(watch, control):
    """watched(namespace, ...): a Flowkin with a control socket."""
    def start(namespace, config=None, **options):
        return watch(namespace, config={"control": {"socket": str(control)}, **(config or {})}, **options)
    return start


def uids(flows):
    return {flow["conntrack"]["uid"] for flow in flows}


def test_a_status_tells_run_losses_buffers_table_and_settings(watched, control):
    with Topology() as net, watched(net.router) as flowkin:
        with tcp_connection(net, 8000):
            flowkin.wait_action("flow-start", destination__port=8000)
            with Client(control) as client:
                _, answer = client.ask("status")
            shown = flowkinctl(control, "status")
    status = answer["status"]
    start = flowkin.records[0]["conntrack"]["monitor"]
    assert status["run"] == start["run"]
    assert status["state"] == "running"
    assert status["settings"] == {"acct": 1, "timestamp": 1, "events": 1}
    assert status["table"]["flows"] == status["kernel_table"]["flows"] == 1
    assert status["table"]["capacity"] >= status["table"]["flows"]
    assert status["totals"]["flows_opened"] == 1
    assert status["totals"]["lost_kernel_socket"] == status["totals"]["lost_sink_lines"] == 0
    assert status["receive_buffer"]["capacity"] == start["receive_buffer"]
    assert status["queue"]["capacity"] == 64 << 20
    assert status["warnings"] == start.get("warnings", [])
    assert shown.returncode == 0, shown.stderr
    assert start["run"] in shown.stdout
    assert "acct 1, timestamp 1, events 1" in shown.stdout
    assert len(shown.stdout.splitlines()) < 24


def test_a_status_shows_a_setting_that_was_changed_since_the_start(watched, control):
    with Topology() as net, watched(net.router):
        net.router.sysctl(net__netfilter__nf_conntrack_acct=0)
        with Client(control) as client:
            _, answer = client.ask("status")
    assert answer["status"]["settings"]["acct"] == 0
    assert any("nf_conntrack_acct=1" in warning for warning in answer["status"]["warnings"])


def test_flows_are_listed_as_the_log_names_them_and_each_filter_finds_its_own(watched, control):
    with Topology(MASQUERADE) as net, watched(net.router) as flowkin:
        with tcp_connection(net, 8000), tcp_connection(net, 8001, version=6):
            udp_exchange(net, 53)
            ping(net)
            started = flowkin.wait_action("flow-start", count=4)
            by_port = {record["destination"].get("port"): record for record in started}
            set_mark(net.router, by_port[8000], 0x1234)
            flowkin.wait_action("flow-mark-changed")
            with Client(control) as client:
                def found(**wanted):
                    flows, answer = client.ask("flows", filter=wanted)
                    assert answer == {"result": "done", "flows": len(flows)}
                    return uids(flows)

                client.ask("reconcile")  # the kernel tells counters of a living flow in a dump only
                everything, _ = client.ask("flows")
                tcp = uids([by_port[8000]])
                assert found() == uids(started) == uids(everything)
                assert found(protocol="tcp") == uids([by_port[8000], by_port[8001]])
                assert found(protocol=17) == uids([by_port[53]])
                assert found(protocol="icmp") == uids([by_port[None]])
                assert found(port=8000) == tcp
                assert found(port=8002) == set()
                assert found(address=net.SERVER[6]) == uids([by_port[8001]])
                assert found(address=net.ROUTER_WAN[4]) == uids(started) - uids([by_port[8001]])  # as NAT has it
                assert found(mark=0x1234) == found(mark=0x34, mark_mask=0xff) == tcp
                assert found(mark=0x34) == set()
                assert found(zone=0) == uids(started)
                assert found(zone=1) == set()
                assert found(protocol="tcp", address=net.SERVER[4], port=8000) == tcp
            shown = flowkinctl(control, "flows", "--mark", "0x34/0xff")
            as_json = flowkinctl(control, "flows", "--json", "--port", 8000)
    listed = next(flow for flow in everything if uids([flow]) == tcp)
    start = by_port[8000]
    assert listed["network"] == {**start["network"], "packets": listed["network"]["packets"],
                                 "bytes": listed["network"]["bytes"]}
    assert listed["source"]["nat"] == start["source"]["nat"]
    assert listed["source"]["packets"] > 0
    assert listed["conntrack"]["id"] == start["conntrack"]["id"]
    assert listed["conntrack"]["mark_origin"] == "rule"
    assert listed["conntrack"]["tcp"]["state"] == "ESTABLISHED"
    assert listed["event"]["start"] <= listed["@timestamp"]
    head, row = shown.stdout.splitlines()
    assert head.split()[:4] == ["UID", "PROTOCOL", "SOURCE", "DESTINATION"]
    assert row.split()[1:6] == ["tcp", f"{net.CLIENT[4]}:{start['source']['port']}", f"{net.SERVER[4]}:8000",
                                "ESTABLISHED", "0x1234"]
    assert uids([json.loads(as_json.stdout)]) == tcp


def test_a_zone_is_a_filter(watched, control):
    zoned = HELPERS + """
table inet zones {
    chain prerouting {
        type filter hook prerouting priority raw
        udp dport 5000 ct zone set 7
        udp sport 5000 ct zone set 7
    }
}
"""
    with Topology(zoned) as net, watched(net.router) as flowkin:
        udp_exchange(net, 5000)
        udp_exchange(net, 5001)
        start = flowkin.wait_action("flow-start", destination__port=5000)
        flowkin.wait_action("flow-start", destination__port=5001)
        with Client(control) as client:
            flows, _ = client.ask("flows", filter={"zone": 7})
    assert uids(flows) == uids([start])


def test_a_family_is_listed_from_any_member_and_shown_as_a_tree(watched, control):
    with Topology(HELPERS) as net, watched(net.router) as flowkin, ftp_server(net):
        with FtpClient(net) as ftp, ftp.transfer(), tcp_connection(net, 8000):
            parent = flowkin.wait_action("flow-start", destination__port=21)
            child = flowkin.wait_for(is_child)
            flowkin.wait_action("flow-start", destination__port=8000)
            parent_uid, child_uid = (record["conntrack"]["uid"] for record in (parent, child))
            with Client(control) as client:
                for member in (parent_uid, child_uid):
                    flows, answer = client.ask("family", uid=member)
                    assert answer == {"result": "done", "flows": 2, "root": parent_uid}
                    assert uids(flows) == {parent_uid, child_uid}
                by_parent, _ = client.ask("flows", filter={"parent": parent_uid})
            tree = flowkinctl(control, "family", child_uid)
            unknown = flowkinctl(control, "family", "0" * 31 + "1")
    assert uids(by_parent) == {child_uid}
    assert by_parent[0]["conntrack"]["mark_origin"] == "inherited"
    root, below = tree.stdout.splitlines()
    assert root.startswith(parent_uid) and "helper ftp" in root
    assert below.startswith(f"└─ {child_uid}") and "mark 0x11 inherited" in below
    assert unknown.returncode == REFUSED
    assert unknown.stderr == "flowkinctl: no flow of that family lives\n"


def test_an_id_of_the_kernels_gives_the_flow_with_its_lineage_and_mark(watched, control):
    with Topology(HELPERS) as net, watched(net.router) as flowkin, ftp_server(net):
        with FtpClient(net) as ftp, ftp.transfer():
            child = flowkin.wait_for(is_child)
            with Client(control) as client:
                flows, _ = client.ask("id", id=child["conntrack"]["id"])
            shown = flowkinctl(control, "id", hex(child["conntrack"]["id"]))
            taken = {record["conntrack"]["id"] for record in flowkin.records if "id" in record["conntrack"]}
            nobody = flowkinctl(control, "id", next(free for free in range(100) if free not in taken))
    assert [flow["conntrack"]["uid"] for flow in flows] == [child["conntrack"]["uid"]]
    assert flows[0]["conntrack"]["lineage"] == child["conntrack"]["lineage"]
    assert flows[0]["conntrack"]["mark"] == 0x11
    assert child["conntrack"]["uid"] in shown.stdout
    assert (nobody.returncode, nobody.stdout) == (REFUSED, "")


def test_a_reconcile_is_waited_for_and_says_what_it_found(watched, control):
    with Topology() as net, watched(net.router) as flowkin:
        udp_exchange(net, 53)
        flowkin.wait_action("flow-start")
        with Client(control) as client:
            _, answer = client.ask("reconcile")
        shown = flowkinctl(control, "reconcile")
        flowkin.wait_action("resync-completed", conntrack__resync__cause="request", count=2)
    resync = flowkin.find(matching(conntrack__resync__cause="request"))[0]["conntrack"]["resync"]
    assert answer == {"result": "done", "resync": resync}
    assert shown.stdout == "reconciled: 1 flows in the kernel's table, 0 discovered, 0 ended\n"


def test_a_log_file_is_rotated_on_request_and_standard_output_is_not(watched, control):
    with Topology() as net:
        with watched(net.router, to="file") as flowkin:
            done = flowkinctl(control, "rotate")
            udp_exchange(net, 53)
            flowkin.wait_action("flow-start")
            assert len(rotated(flowkin.path)) == 2
        with watched(net.router):
            refused = flowkinctl(control, "rotate")
    assert done.returncode == 0, done.stderr
    assert refused.returncode == REFUSED
    assert "standard output" in refused.stderr


def test_a_reload_answers_whether_it_was_good_and_why_not(watched, control):
    with Topology() as net, watched(net.router) as flowkin:
        flowkin.config["output"]["updates"] = "all"
        flowkin.config["table"] = {"capacity": 1000}
        flowkin.write_config()
        good = flowkinctl(control, "reload")
        with Client(control) as client:
            flowkin.config_file.write_text('[output]\nupdates = "some"\n')
            bad = flowkinctl(control, "reload")
            _, answer = client.ask("reload")
        first, second, _ = flowkin.wait_action("monitor-reload", count=3)
    assert good.returncode == 0, good.stderr
    assert good.stdout == "reloaded: 1 keys changed\noutput.updates\ntable.capacity needs a restart\n"
    assert first["conntrack"]["monitor"]["applied"]
    assert bad.returncode == BAD_CONFIG
    assert bad.stderr == f"flowkinctl: {second['conntrack']['monitor']['refused']}\n"
    assert answer == {"result": "failed", "reason": second["conntrack"]["monitor"]["refused"]}


def test_several_requests_go_over_one_connection_in_order(watched, control):
    with Topology() as net, watched(net.router), Client(control) as client:
        client.send(b'{"command":"status"}\n{"command":"flows"}\n{"command":"id","id":1}\n')
        answers = [client.answer()[1] for _ in range(3)]
    assert "status" in answers[0]
    assert [answer.get("flows") for answer in answers[1:]] == [0, 0]


def test_who_has_no_right_is_refused_by_the_files_mode_and_by_the_daemon(watched, control):
    with Topology() as net, watched(net.router):
        assert stat.S_IMODE(control.stat().st_mode) == 0o660
        binary = shutil.copy(FLOWKINCTL, control.parent)  # the tree may lie where nobody may look

        def status_as(*wrapper):
            return flowkinctl(control, "status", wrapper=["setpriv", "--reuid", 65534, *wrapper], binary=binary)

        nobody = ("--regid", 65534, "--clear-groups")
        by_mode = status_as(*nobody)
        control.chmod(0o666)
        by_daemon = status_as(*nobody)
        # The daemon's group, as one's own and beside one's own.
        ours = os.getegid()
        own = status_as("--regid", ours, "--clear-groups")
        beside = status_as("--regid", 65534, "--groups", f"65534,{ours}")
    for refused, why in ((by_mode, "Permission denied"), (by_daemon, "members of the group")):
        assert refused.returncode == MAY_NOT, refused.stderr
        assert why in refused.stderr
        assert refused.stderr.count("\n") == 1
    assert own.returncode == beside.returncode == 0, own.stderr + beside.stderr


def test_where_nobody_listens_flowkinctl_says_so_in_a_line(tmp_path, control):
    missing = flowkinctl(control, "status")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(control))
    gone = flowkinctl(control, "status")
    for done in (missing, gone):
        assert done.returncode == NO_DAEMON
        assert done.stderr.startswith(f"flowkinctl: no flowkin listens at {control};")
        assert done.stderr.count("\n") == 1
    assert flowkinctl(control, "stauts").returncode == USAGE


@pytest.mark.parametrize("hostile", [
    b"\n", b"garbage\n", b"\xff\xfe\x00\n", b"GET / HTTP/1.1\r\n\r\n", b'{"command":"flows","filter":{"what":1}}\n',
    b"[" * 4000 + b"\n", b'{"command":"family","uid":5}\n',
], ids=range(7))
def test_a_request_that_is_none_is_refused_in_a_line_and_the_connection_ends(watched, control, hostile):
    with Topology() as net, watched(net.router):
        with Client(control) as client:
            client.send(hostile)
            _, answer = client.answer()
            assert answer["result"] == "invalid" and answer["reason"]
            with contextlib.suppress(ConnectionResetError):  # what it sent behind that was never read
                assert client.line() is None
        with Client(control) as client:
            assert client.ask("status")[1]["result"] == "done"


def test_a_request_without_an_end_is_bounded_in_size_and_in_time(watched, control):
    with Topology() as net, watched(net.router):
        with Client(control) as endless, Client(control) as hanging, Client(control) as half:
            hanging.send(b'{"command":')
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for _ in range(1000):
                    endless.send(b"x" * 4096)
            assert "4096 bytes" in endless.answer()[1]["reason"]
            half.send(b'{"command":"status"}')
            half.socket.shutdown(socket.SHUT_WR)
            assert "newline" in half.answer()[1]["reason"]
            assert "10 s" in hanging.answer()[1]["reason"]
            assert hanging.line() is None
        with Client(control) as client:
            assert client.ask("status")[1]["result"] == "done"


@pytest.fixture
def many_descriptors():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_thousand_connections_cost_a_few_and_the_rest_are_told(watched, control, many_descriptors):
    with Topology() as net, watched(net.router) as flowkin:
        descriptors = f"/proc/{flowkin.program.pid}/fd"
        before = len(os.listdir(descriptors))
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(control)) for _ in range(1000)]
            # Those that were admitted wait for a request; the last one, far behind them, is told.
            assert clients[-1].answer()[1]["result"] == "busy"
            assert len(os.listdir(descriptors)) <= before + 32 + 4
            udp_exchange(net, 53)
            flowkin.wait_action("flow-start")
        deadline = time.monotonic() + 30
        result = "busy"
        while result == "busy":  # until all who have hung up are gone
            assert time.monotonic() < deadline
            with Client(control) as client, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                result = client.ask("status")[1]["result"]
        assert result == "done"


def test_a_socket_that_a_dead_process_left_is_replaced_and_the_own_is_removed(watched, control):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(control))
    with Topology() as net:
        with watched(net.router):
            assert flowkinctl(control, "status").returncode == 0
        assert not control.exists()


def test_what_stands_in_the_sockets_way_is_left_alone_and_told(watched, control, tmp_path):
    def start():
        return run("--config", tmp_path / "flowkin.toml", namespace=net.router)

    with Topology() as net:
        with watched(net.router):
            second = start()
            assert flowkinctl(control, "status").returncode == 0
        control.write_text("precious")
        file = start()
        assert control.read_text() == "precious"
        control.unlink()
        control.symlink_to(tmp_path / "elsewhere")
        link = start()
        assert control.is_symlink() and not (tmp_path / "elsewhere").exists()
        control.unlink()
        control.parent.chmod(0o777)
        open_folder = start()
    for done, status, why in ((second, 74, "another program listens"), (file, 74, "something else"),
                              (link, 74, "something else"), (open_folder, 77, "chmod go-w")):
        assert done.returncode == status, done.stderr
        told = [line for line in done.stderr.splitlines() if "control socket" in line]
        assert len(told) == 1 and why in told[0]
