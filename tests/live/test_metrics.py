# SPDX-License-Identifier: GPL-2.0-or-later
"""Metrics: what a scrape says against what the log says, who may ask, and what nobody can do to flowkin by asking."""

import collections
import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
import urllib.parse
import urllib.request

import flowkin as tool
import pytest
import scrape
from flowkin import ROOT, UDP_FLOOD, DidNotStart, action, field
from net import Topology
from small_disk import SmallDisk
from traffic import tcp_life, udp_exchange, udp_shot

ALERTS = ROOT / "config/prometheus/alerts.yml"
DASHBOARD = ROOT / "config/grafana/flowkin.json"
CONNECTIONS_MOST = 16


@pytest.fixture
def measured(watch, tmp_path):
    """measured(namespace, ...): a flowkin whose metrics are at its `socket`."""
    def make(namespace, config=None, **options):
        path = tmp_path / "metrics.sock"
        flowkin = watch(namespace, config={**(config or {}), "metrics": {"listen": str(path)}}, **options)
        flowkin.socket = path
        return flowkin
    return make


def eventually(look, timeout=15):
    """The first true answer of look()."""
    deadline = time.monotonic() + timeout
    while not (answer := look()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return answer


def promtool(*arguments, **options):
    return subprocess.run([scrape.program("promtool"), *map(str, arguments)], capture_output=True, text=True,
                          check=False, timeout=60, **options)


def test_a_scrape_agrees_with_the_log_and_promtool_finds_no_fault_with_it(measured):
    with Topology() as net, measured(net.router, to="file", config={"output": {"updates": "all"}}) as flowkin:
        tcp_life(net, 8000)
        udp_exchange(net, 53)
        net.router.flush()
        flowkin.wait_action("flow-end", count=2)
        told = eventually(lambda: (now := scrape.metrics(flowkin.socket))
                          and now["flowkin_written_lines_total"] == now["flowkin_lines_total"] and now)
        status, headers, page = scrape.request(flowkin.socket)
        log_bytes = flowkin.path.stat().st_size
        actions = collections.Counter(map(action, flowkin.records))
        start = flowkin.wait_action("monitor-start")["conntrack"]["monitor"]
        resync = flowkin.wait_action("resync-completed")["conntrack"]["resync"]
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert told['flowkin_events_total{type="new"}'] == actions["flow-start"] == 2
    assert told['flowkin_events_total{type="destroy"}'] == actions["flow-end"] == 2
    assert told['flowkin_events_total{type="update"}'] >= actions["flow-update"]
    assert told["flowkin_lines_total"] == sum(actions.values())
    assert told["flowkin_written_bytes_total"] == log_bytes
    assert told["flowkin_flows_opened_total"] == told["flowkin_flows_ended_total"] == 2
    assert {place for place in told if "flowkin_lost_total" in place} == {
        f'flowkin_lost_total{{place="{place}"}}'
        for place in ("kernel-socket", "packets", "decoder", "sink-queue", "sink-write")}
    assert not sum(value for series, value in told.items() if "flowkin_lost_total" in series)
    assert told["flowkin_table_flows"] == 0 and told["flowkin_table_capacity_flows"] >= 65536
    assert told["flowkin_kernel_table_flows"] == 0 and told["flowkin_kernel_table_flows_max"] > 0
    assert told["flowkin_receive_buffer_bytes"] == start["receive_buffer"]
    assert told["flowkin_reconcile_seconds"] == pytest.approx(resync["duration"] / 1e9)
    assert told["flowkin_sink_write_seconds_count"] >= 1
    assert abs(told["flowkin_last_event_timestamp_seconds"] - time.time()) < 60
    assert told[f'flowkin_build_info{{version="{start["version"]}"}}'] == 1
    assert told[f'flowkin_run_info{{run="{start["run"]}"}}'] == 1
    checked = promtool("check", "metrics", input=page)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_what_was_not_yet_has_no_sample(measured):
    with Topology() as net, measured(net.router) as flowkin:
        assert "flowkin_last_event_timestamp_seconds" not in scrape.metrics(flowkin.socket)
        udp_exchange(net, 53)
        eventually(lambda: "flowkin_last_event_timestamp_seconds" in scrape.metrics(flowkin.socket))


def test_a_loss_is_counted_at_its_place_as_the_log_declares_it(measured):
    small = {"conntrack": {"receive_buffer": "64KiB"}}
    with Topology() as net, measured(net.router, to="file", config=small, keeps_all=False) as flowkin:
        flowkin.send(signal.SIGSTOP)
        net.router.run(UDP_FLOOD, "127.0.0.1", "127.0.0.2", 5000, 50_000)
        flowkin.send(signal.SIGCONT)
        flowkin.wait_action("events-lost")
        lost = eventually(
            lambda: scrape.metrics(flowkin.socket)['flowkin_lost_total{place="kernel-socket"}'])
    declared = [field(record, "conntrack.loss.count") for record in flowkin.records
                if action(record) == "events-lost" and field(record, "conntrack.loss.where") == "kernel-socket"]
    assert lost and lost == sum(declared)


def test_a_log_that_cannot_be_written_shows_while_it_cannot(measured, tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    with Topology() as net, SmallDisk(folder, "1m") as disk:
        config = {"output": {"path": str(folder / "log"), "queue": "1MiB", "rotate_size": "off"}}
        flowkin = measured(net.router, to="file", config=config, keeps_all=False, wrapper=disk.wrapper)
        flowkin.path = disk.seen_from_outside / "log"
        with flowkin:
            assert scrape.metrics(flowkin.socket)["flowkin_sink_failing"] == 0
            net.router.run(UDP_FLOOD, "127.0.0.1", "127.0.0.2", 10_000, 20_000)
            told = eventually(lambda: (now := scrape.metrics(flowkin.socket))
                              and now['flowkin_lost_total{place="sink-write"}'] and now)
            assert told["flowkin_sink_failing"] == 1 and told["flowkin_sink_write_errors_total"] >= 1
            assert 0 < told["flowkin_queue_bytes"] <= told["flowkin_queue_capacity_bytes"] == 1 << 20
            disk.resize("200m")
            eventually(lambda: scrape.metrics(flowkin.socket)["flowkin_sink_failing"] == 0)


def test_a_refused_reload_shows_until_one_is_taken(measured):
    with Topology() as net, measured(net.router) as flowkin:
        before = scrape.metrics(flowkin.socket)
        good = flowkin.config_file.read_text()
        flowkin.config_file.write_text("[output]\nupdates = 5\n")
        flowkin.send(signal.SIGHUP)
        flowkin.wait_action("monitor-reload")
        refused = scrape.metrics(flowkin.socket)
        flowkin.config_file.write_text(good)
        flowkin.send(signal.SIGHUP)
        flowkin.wait_action("monitor-reload", count=2)
        taken = scrape.metrics(flowkin.socket)
    successful, since = "flowkin_config_last_reload_successful", "flowkin_config_last_reload_success_timestamp_seconds"
    assert [told[successful] for told in (before, refused, taken)] == [1, 0, 1]
    assert before[since] == refused[since] < taken[since]


# ---- Prometheus itself

@contextlib.contextmanager
def prometheus(namespace, folder, target):
    """Debian's Prometheus in the namespace, with our alerts; gives a function that asks its HTTP interface."""
    config = folder / "prometheus.yml"
    config.write_text(f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{ALERTS}]\n"
                      f"scrape_configs:\n- job_name: flowkin\n  static_configs: [{{targets: ['{target}']}}]\n")
    command = [scrape.program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
               "--web.listen-address=127.0.0.1:9090", "--log.level=warn"]

    def ask(path, **parameters):
        with namespace, urllib.request.urlopen(
                f"http://127.0.0.1:9090/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
            return json.load(answer)["data"]

    with open(folder / "prometheus.log", "wb") as log, namespace.background(*command, stdout=log, stderr=log):
        yield ask


@pytest.mark.parametrize("listen", ("127.0.0.1:9464", "[::1]:9464"))
def test_prometheus_scrapes_it_where_flowkin_was_started_though_it_watches_another_namespace(watch, tmp_path, listen):
    with Topology() as net, net.client:  # started here, it watches the router
        with watch(net.router, config={"metrics": {"listen": listen}}) as flowkin, \
                prometheus(net.client, tmp_path, listen) as ask:
            udp_exchange(net, 53)
            flowkin.wait_action("flow-start")

            def value(query):
                with contextlib.suppress(OSError):  # it is not up yet
                    found = ask("query", query=query)["result"]
                    return found and float(found[0]["value"][1])

            eventually(lambda: value('flowkin_events_total{type="new"}') == 1, timeout=60)
            assert value('up{job="flowkin"}') == 1
            assert value("count(flowkin_lost_total)") == 5
            targets = ask("targets")["activeTargets"]
            assert [(target["health"], target["lastError"]) for target in targets] == [("up", "")]
            rules = eventually(lambda: (found := ask("rules")["groups"][0]["rules"])
                               and all(rule["health"] == "ok" for rule in found) and found, timeout=60)
            assert {rule["state"] for rule in rules} == {"inactive"}, rules


def test_each_alert_fires_when_it_should_and_not_when_it_should_not():
    tested = promtool("test", "rules", ROOT / "tests/live/alerts_test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    alerts = set(re.findall(r"alert: (\w+)", ALERTS.read_text()))
    cases = (ROOT / "tests/live/alerts_test.yml").read_text()
    for alert in alerts:
        blocks = re.findall(rf"alertname: {alert}\b(.*?)(?=\n      - |\Z)", cases, re.DOTALL)
        assert any("exp_alerts" in block for block in blocks), f"{alert} is never seen to fire"
        assert any("exp_alerts" not in block for block in blocks), f"{alert} is never seen not to fire"


def dashboard_expressions():
    dashboard = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_alerts_and_dashboard_and_manual_name_only_metrics_that_there_are(measured, tmp_path):
    with Topology() as net, measured(net.router) as flowkin:
        udp_exchange(net, 53)
        flowkin.wait_action("flow-start")
        there = scrape.names(scrape.request(flowkin.socket)[2])
    series = re.compile(r"\b(?:flowkin|process)_\w+")
    asked = {ALERTS: re.findall(r"expr: (.+)", ALERTS.read_text()), DASHBOARD: dashboard_expressions()}
    for file, expressions in asked.items():
        assert len(expressions) > 5
        wanted = {name for expression in expressions for name in series.findall(expression)}
        assert wanted <= there, f"{file.name}: {wanted - there}"
    manual = set(re.findall(r"^\| `(\w+)", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    parts = {f"flowkin_sink_write_seconds_{part}" for part in ("bucket", "sum", "count")}
    assert there - parts == manual - {"flowkin_sink_write_seconds"}


def test_the_dashboard_is_one_that_grafana_takes(tmp_path):
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = collections.Counter(
        (x, y) for panel in panels for at in (panel["gridPos"],)
        for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"]))
    assert max(cells.values()) == 1 and max(x for x, _ in cells) < 24
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    for panel in panels:
        assert panel["title"] and panel["description"] and panel["type"] in ("stat", "timeseries")
        assert panel["datasource"]["uid"] == "${datasource}"
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard))) - {"__rate_interval"}
    assert used == variables
    rules = [{"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "1m")}
             for number, expression in enumerate(dashboard_expressions())]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    checked = promtool("check", "rules", file)
    assert checked.returncode == 0, checked.stdout + checked.stderr


# ---- who asks

def test_the_socket_is_for_owner_and_group_and_goes_with_flowkin(measured):
    with Topology() as net, measured(net.router) as flowkin:
        mode = os.lstat(flowkin.socket).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660
    assert not flowkin.socket.exists()


def test_the_socket_of_a_dead_flowkin_is_replaced_and_that_of_a_living_one_is_not(measured, tmp_path):
    with Topology() as net:
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(str(tmp_path / "metrics.sock"))
        dead.close()
        with measured(net.router) as flowkin:
            second = tool.run("--config", flowkin.config_file, "--netns", net.router.name)
            assert scrape.metrics(flowkin.socket)["flowkin_lines_total"]
    assert second.returncode == 74
    assert second.stderr == f"flowkin: error: cannot listen on {flowkin.socket}: another program listens there\n"


@pytest.mark.parametrize("make, why", (
    (lambda path: path.write_text("precious"), "there is something else; move it away"),
    (lambda path: path.symlink_to("/tmp"), "there is something else; move it away"),
    (lambda path: None, "No such file or directory")), ids=("file", "link", "no-folder"))
def test_a_socket_that_cannot_be_made_is_one_line_and_exit_74(tmp_path, make, why):
    path = tmp_path / "sock" if why.startswith("there") else tmp_path / "missing/sock"
    make(path)
    refused = tool.run("--set", f"metrics.listen={path}", "--set", "log.level=error")
    assert refused.returncode == 74
    assert refused.stderr == f"flowkin: error: cannot listen on {path}: {why}\n"
    assert not path.is_file() or path.read_text() == "precious"


def test_a_port_that_is_taken_is_one_line_and_exit_74(watch):
    with Topology() as net, net.client, socket.socket() as taken:
        taken.bind(("127.0.0.1", 9464))
        taken.listen()
        with pytest.raises(DidNotStart) as refused:
            with watch(net.router, config={"metrics": {"listen": "127.0.0.1:9464"}}):
                pass
    assert refused.value.status == 74
    assert refused.value.stderr == (
        "flowkin: error: cannot listen on 127.0.0.1:9464: Address already in use\n")


# ---- what nobody can do to it

def raw_exchange(path, request, timeout=20):
    """What comes back until flowkin closes."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(timeout)
        client.connect(str(path))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(request)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := client.recv(65536):
                answer += part
    return answer


def test_requests_that_are_not_understood_are_answered_and_change_nothing(measured):
    with Topology() as net, measured(net.router) as flowkin:
        assert scrape.request(flowkin.socket, "/")[0] == 404
        assert scrape.request(flowkin.socket, method="POST")[0] == 405
        status, headers, body = scrape.request(flowkin.socket, method="HEAD")
        assert (status, body) == (200, "") and int(headers["Content-Length"]) > 1000
        assert raw_exchange(flowkin.socket, b"\x16\x03\x01 gibberish\r\n\r\n").startswith(b"HTTP/1.1 400")
        assert raw_exchange(flowkin.socket, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000)[:12] in (
            b"", b"HTTP/1.1 400")
        assert raw_exchange(flowkin.socket, b"GET /metrics HTTP/1.1\r\nContent-Length: 9\r\n\r\n123456789"
                            ).startswith(b"HTTP/1.1 400")
        assert raw_exchange(flowkin.socket, b"GET /metrics HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200")
        two = raw_exchange(flowkin.socket, b"GET / HTTP/1.1\r\n\r\nGET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert [part[:3] for part in two.split(b"HTTP/1.1 ")[1:]] == [b"404", b"200"]
        assert scrape.metrics(flowkin.socket)["flowkin_lines_total"]


def test_a_request_that_is_never_finished_is_not_waited_for(measured):
    with Topology() as net, measured(net.router) as flowkin:
        began = time.monotonic()
        assert raw_exchange(flowkin.socket, b"GET /met", timeout=30) == b""
        assert time.monotonic() - began > 2
        assert scrape.metrics(flowkin.socket)["flowkin_lines_total"]


def test_connections_are_bounded_and_free_again_when_their_clients_go(measured):
    with Topology() as net, measured(net.router) as flowkin:
        with contextlib.ExitStack() as clients:
            for _ in range(CONNECTIONS_MOST):
                client = clients.enter_context(contextlib.closing(scrape.UnixConnection(flowkin.socket)))
                client.request("GET", "/metrics")
                assert client.getresponse().read()
            with pytest.raises((http_error, OSError)):
                scrape.metrics(flowkin.socket)
            client.request("GET", "/metrics")  # one that is in goes on
            assert client.getresponse().status == 200
            udp_exchange(net, 53)
            flowkin.wait_action("flow-start")
        eventually(lambda: not isinstance(attempt(flowkin.socket), Exception))


http_error = scrape.http.client.HTTPException


def attempt(path):
    try:
        return scrape.metrics(path)
    except (http_error, OSError) as failure:
        return failure


def test_clients_that_never_read_slow_nothing_and_are_thrown_out(measured):
    with Topology() as net, measured(net.router) as flowkin, contextlib.ExitStack() as clients:
        for _ in range(CONNECTIONS_MOST):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(str(flowkin.socket))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(2000):
                    client.send(b"GET /metrics HTTP/1.1\r\n\r\n")
        for number in range(20):
            began = time.monotonic()
            udp_shot(net.client, net.SERVER[4], 9000 + number)
            flowkin.wait_action("flow-start", destination__port=9000 + number)
            assert time.monotonic() - began < 5
        eventually(lambda: not isinstance(attempt(flowkin.socket), Exception), timeout=60)
