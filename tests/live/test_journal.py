# SPDX-License-Identifier: GPL-2.0-or-later
"""Where standard output and standard error lead to the journal: what stands there, line by line.

journald itself is in tests/system; here a socket stands in its place, that JOURNAL_STREAM names as systemd does.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import flowkin as tool
import pytest
import scrape
import shipper_rules
from flowkin import BINARY, UDP_FLOOD, action, field, toml
from net import Background, Topology
from traffic import udp_exchange, udp_shot


def stream_name(end):
    status = os.fstat(end.fileno())
    return f"{status.st_dev}:{status.st_ino}"


class Journal(contextlib.AbstractContextManager):
    """A socket that reads like journald: lines, a priority taken off the front of each."""

    def __init__(self):
        self.reader, self.end = socket.socketpair()
        self.entries = []  # (priority or None, text)
        self._arrived = threading.Condition()

    def __enter__(self):
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.end.close()
        self.reader.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.reader.close()

    def _read(self):
        with self.reader.makefile("rb") as lines:
            for raw in lines:
                assert raw.endswith(b"\n")
                priority, text = re.fullmatch(rb"(?:<(\d)>)?(.*)\n", raw, re.DOTALL).groups()
                with self._arrived:
                    self.entries.append((int(priority) if priority else None, text.decode()))
                    self._arrived.notify_all()

    def wait(self, accepted, timeout=20):
        deadline = time.monotonic() + timeout
        with self._arrived:
            while True:
                for priority, text in self.entries:
                    if accepted(priority, text):
                        return priority, text
                assert time.monotonic() < deadline, self.entries
                self._arrived.wait(0.1)

    def wait_action(self, name, timeout=20, **wanted):
        def accepted(_, text):
            return text.startswith("{") and tool.matching(event__action=name, **wanted)(json.loads(text))
        return json.loads(self.wait(accepted, timeout)[1])


@pytest.fixture
def command(tmp_path):
    """command(namespace, config): what starts flowkin."""
    def make(namespace, config=None):
        file = tmp_path / "flowkin.toml"
        file.write_text(toml(config or {}))
        return [BINARY, "--config", file, "--netns", namespace.name]
    return make


@contextlib.contextmanager
def running(command, stdout, stderr, stream):
    """flowkin with its streams, from its first reconcile to an end in order."""
    environment = {**os.environ, "JOURNAL_STREAM": stream}
    with Background(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environment) as program:
        yield program
        if program.popen.poll() is None:
            assert program.end() == 0


def is_diagnostic(record):
    return record["event"]["dataset"] == "flowkin.diagnostics"


def test_events_and_diagnostics_are_one_stream_of_json_to_the_last_line(command):
    with Topology() as net, Journal() as journal:
        with running(command(net.router), journal.end, journal.end, stream_name(journal.end)):
            journal.wait_action("resync-completed")
            udp_exchange(net, 53)
            journal.wait_action("flow-start")
        journal.wait(lambda _, text: "ended by SIGTERM" in text)
        entries = list(journal.entries)
    records = [shipper_rules.parse(text.encode() + b"\n") for _, text in entries]
    assert not [violation for record in records for violation in shipper_rules.SHIPPER_MEMBERS & record.keys()]
    diagnostics = [record for record in records if is_diagnostic(record)]
    assert "run" in diagnostics[0]["conntrack"]["diagnostic"]["text"]
    assert diagnostics[-1]["conntrack"]["diagnostic"]["text"] == "ended by SIGTERM"
    for (priority, _), record in zip(entries, records):
        assert priority == (record["event"]["severity"] if is_diagnostic(record) else None)
        assert ("sequence" in record["event"]) != is_diagnostic(record)
        assert record["ecs"]["version"] == "8.17.0" and record["host"]["name"] == os.uname().nodename
    assert not [*tool.format_violations([record for record in records if not is_diagnostic(record)])]
    seen = subprocess.run(["jq", "-c", ".event.action"], input="\n".join(text for _, text in entries), text=True,
                          capture_output=True, check=True).stdout.splitlines()
    assert len(seen) == len(entries) and set(seen) >= {'"diagnostic"', '"flow-start"', '"monitor-stop"'}


def test_a_diagnostic_bears_the_level_it_has(command):
    with Topology(net__netfilter__nf_conntrack_acct=0) as net, Journal() as journal:
        with running(command(net.router), journal.end, journal.end, stream_name(journal.end)):
            priority, text = journal.wait(lambda _, text: "accounting is off" in text and "diagnostic" in text)
    record = json.loads(text)
    assert priority == record["event"]["severity"] == 4
    assert record["conntrack"]["diagnostic"]["level"] == "warning" and record["event"]["type"] == ["info"]


@pytest.mark.parametrize("to", ("pipe", "file"))
def test_where_the_events_go_elsewhere_diagnostics_are_text_with_their_priority(command, tmp_path, to):
    config = {"output": {"destination": "file", "path": str(tmp_path / "log")}} if to == "file" else {}
    with Topology(net__netfilter__nf_conntrack_acct=0) as net, Journal() as journal:
        stdout = journal.end if to == "file" else subprocess.PIPE
        with running(command(net.router, config), stdout, journal.end, stream_name(journal.end)):
            journal.wait(lambda priority, text: priority == 4 and text.startswith("accounting is off"))
            assert not [text for _, text in journal.entries if text.startswith("{")]


def test_a_stream_that_is_not_named_is_no_journal(command):
    with Topology() as net, Journal() as journal:
        with running(command(net.router), journal.end, journal.end, "1:2"):
            journal.wait(lambda priority, text: priority is None and text.startswith("flowkin: info: run "))


def test_a_refusal_under_the_journal_is_one_record(tmp_path):
    file = tmp_path / "flowkin.toml"
    file.write_text("[output]\nupdates = 5\n")
    with Journal() as journal:
        done = subprocess.run([BINARY, "--config", file], stdin=subprocess.DEVNULL, stdout=journal.end, stderr=journal.end,
                              env={**os.environ, "JOURNAL_STREAM": stream_name(journal.end)}, check=False, timeout=30)
        priority, text = journal.wait(lambda _, text: True)
        assert len(journal.entries) == 1
    record = json.loads(text)
    assert done.returncode == 78 and priority == 3
    assert record["event"]["type"] == ["error"]
    assert record["conntrack"]["diagnostic"]["text"].startswith(f"{file}:2:1: output.updates: ")


def test_more_lines_than_the_journal_is_good_for_are_warned_of_once(command):
    config = {"output": {"journal_rate": 100, "updates": "all"}}
    with Topology() as net, Journal() as journal:
        with running(command(net.router, config), journal.end, journal.end, stream_name(journal.end)):
            journal.wait_action("resync-completed")
            for _ in range(2):
                with net.router.background(UDP_FLOOD, "127.0.0.1", "127.0.0.2", 6000, 1000) as flood:
                    assert flood.popen.wait(60) == 0
                net.router.flush()
            warning = journal.wait_action("monitor-warning", conntrack__monitor__code="journal-rate")
        assert 'destination = "file"' in warning["conntrack"]["monitor"]["text"]
        records = [json.loads(text) for _, text in journal.entries]
        assert len([record for record in records
                    if field(record, "conntrack.monitor.code") == "journal-rate"]) == 1
        assert [record for record in records if is_diagnostic(record)
                and record["conntrack"]["diagnostic"]["text"] == warning["conntrack"]["monitor"]["text"]]


def test_as_many_lines_to_a_pipe_or_with_the_limit_off_are_not_warned_of(command):
    for stream, limit in (("1:2", 100), (None, "off")):
        with Topology() as net, Journal() as journal:
            command_line = command(net.router, {"output": {"journal_rate": limit}})
            with running(command_line, journal.end, journal.end, stream or stream_name(journal.end)):
                journal.wait_action("resync-completed")
                with net.router.background(UDP_FLOOD, "127.0.0.1", "127.0.0.2", 7000, 1000) as flood:
                    assert flood.popen.wait(60) == 0
                udp_shot(net.client, net.SERVER[4], 9999)
                journal.wait_action("flow-start", destination__port=9999)
            assert not [text for _, text in journal.entries if "journal-rate" in text]


def test_a_journal_that_goes_away_ends_flowkin_with_74(command):
    with Topology() as net:
        reader, end = socket.socketpair()
        with running(command(net.router), end, end, stream_name(end)) as program:
            end.close()
            reader.recv(65536)
            reader.close()
            deadline = time.monotonic() + 20
            while program.popen.poll() is None and time.monotonic() < deadline:
                udp_shot(net.client, net.SERVER[4], 9000)
                time.sleep(0.05)
            assert program.popen.poll() == 74


def test_a_standard_error_that_nobody_reads_halts_nothing_and_what_was_dropped_is_counted(command, tmp_path):
    sock = tmp_path / "metrics.sock"
    with Topology() as net, Journal() as journal:
        reader, end = socket.socketpair()
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
        with reader, running(command(net.router, {"metrics": {"listen": str(sock)}}), journal.end, end,
                             stream_name(end)) as program:
            journal.wait_action("resync-completed")
            for number in range(40):  # each says a line or two
                os.kill(program.pid, signal.SIGHUP)
                deadline = time.monotonic() + 20
                while len([text for _, text in journal.entries if '"monitor-reload"' in text]) <= number:
                    assert time.monotonic() < deadline, "the loop waits for its standard error"
                    time.sleep(0.01)
            assert scrape.metrics(sock)["flowkin_config_last_reload_successful"] == 1
            said = b""
            reader.settimeout(1)
            with contextlib.suppress(TimeoutError):
                while part := reader.recv(65536):
                    said += part
            os.kill(program.pid, signal.SIGHUP)
            with contextlib.suppress(TimeoutError):
                while b"reloaded" not in said.split(b"dropped")[-1] or b"dropped" not in said:
                    said += reader.recv(65536)
            end.close()
    assert re.search(rb"<4>\d+ diagnostics were dropped", said), said
    assert all(re.fullmatch(rb"<\d>.+", line) for line in said.splitlines())
