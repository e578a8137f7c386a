# SPDX-License-Identifier: GPL-2.0-or-later
"""Real log shippers in the foreground, with the files of config/ as they are installed: only paths and the collector's
address are others. What they send is gathered by a Collector."""

import contextlib
import os
import pathlib
import socket
import subprocess
import threading
import time

import net
import shipper_rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"
UNPACKED = ROOT / "build/shippers"
_LIBRARIES = UNPACKED / "usr/lib"
RSYSLOGD = UNPACKED / "usr/sbin/rsyslogd"
SYSLOG_NG = UNPACKED / "usr/sbin/syslog-ng"
LOGROTATE = UNPACKED / "usr/sbin/logrotate"


class Collector(contextlib.AbstractContextManager):
    """Takes lines over TCP, from whoever connects, and keeps them as records in the order of their arrival."""

    def __init__(self, port=0):
        self.port = port

    def __enter__(self):
        self.records = []
        self.bad_lines = []
        self._arrived = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._connections = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        # Wakes the threads that wait in accept() and recv(); close() alone does not.
        for connection in [self._listener, *self._connections]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for connection in [self._listener, *self._connections]:
            connection.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._threads.append(threading.Thread(target=self._read, args=(connection,), daemon=True))
            self._threads[-1].start()

    def _read(self, connection):
        rest = b""
        while True:
            try:
                received = connection.recv(1 << 20)
            except OSError:
                return
            if not received:
                return
            *whole, rest = (rest + received).split(b"\n")
            with self._arrived:
                for raw in whole:
                    try:
                        self.records.append(shipper_rules.parse(raw + b"\n"))
                    except ValueError as error:  # for the test to hear of, whose thread this is not
                        self.bad_lines.append(f"{error}: {raw!r}")
                self._arrived.notify_all()

    def wait_for_id(self, wanted, timeout=60):
        """Until the record with this event.id has come."""
        deadline = time.monotonic() + timeout
        seen = 0
        with self._arrived:
            while True:
                assert not self.bad_lines, self.bad_lines[:10]
                if any(record["event"]["id"] == wanted for record in self.records[seen:]):
                    return
                seen = len(self.records)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{wanted} did not come in {timeout} s; there are {seen} records")
                self._arrived.wait(0.5)


def adapted(name, replaced):
    """The text of a file of config/ with other paths and addresses; each of those must stand in it."""
    text = (CONFIG / name).read_text()
    for before, after in replaced.items():
        assert before in text, f"{name} has no {before}"
        text = text.replace(before, str(after))
    return text


class _Shipper(contextlib.AbstractContextManager):
    """Follows a log and sends it to a port of this host. `text` is the shipped file, adapted."""

    def __init__(self, folder, log, port):
        self.work = pathlib.Path(folder) / self.name
        self.work.mkdir(exist_ok=True)
        self.config = self.work / "shipper.conf"
        self.text = adapted(self.shipped, {
            "/var/log/flowkin/flow.ndjson": log, "/var/log/flowkin-refused.log": self.work / "refused.log",
            "logs.example.net": "127.0.0.1", self.port_text.format(601): self.port_text.format(port)})

    def _run(self, how, *options):
        self.config.write_text(self.prologue.format(work=self.work) + self.text)
        return how([self.program, *self.arguments(), *options], env={**os.environ, **self.environment},
                   stdin=subprocess.DEVNULL)

    def check(self):
        """The finished process of its own check of the file."""
        return self._run(lambda command, **options: subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, **options), self.check_option)

    def __enter__(self):
        self.running = self._run(net.Background, *self.foreground)
        return self

    def __exit__(self, kind, *_):
        status = self.running.end(timeout=60)
        assert kind or status == 0, f"{self.name}: exit {status}"

    def refused(self):
        """What it could not parse."""
        path = self.work / "refused.log"
        return path.read_text() if path.exists() else ""


class Rsyslog(_Shipper):
    name = "rsyslog"
    program = RSYSLOGD
    shipped = "rsyslog/flowkin.conf"
    prologue = 'global(workDirectory="{work}")\n'
    port_text = 'port="{}"'
    environment = {}
    check_option = "-N1"
    foreground = ["-n"]

    def arguments(self):
        return ["-f", self.config, "-i", self.work / "pid", "-M", next(_LIBRARIES.glob("*-linux-gnu*/rsyslog"))]


class SyslogNg(_Shipper):
    name = "syslog-ng"
    program = SYSLOG_NG
    shipped = "syslog-ng/flowkin.conf"
    prologue = "@version: 3.38\n"
    port_text = "port({})"
    environment = {"LD_LIBRARY_PATH": str(_LIBRARIES / "syslog-ng")}
    check_option = "--syntax-only"
    foreground = ["--foreground"]

    def arguments(self):
        return ["--cfgfile", self.config, "--module-path", next(_LIBRARIES.glob("syslog-ng/3*")), "--no-caps",
                "--persist-file", self.work / "persist", "--control", self.work / "control",
                "--pidfile", self.work / "pid"]


def rotate(folder, log, pid, number):
    """Runs logrotate with the shipped file on a log, however small, and has it signal the process. The number tells
    apart what is rotated within one second."""
    config = pathlib.Path(folder) / "logrotate.conf"
    config.write_text(adapted("logrotate/flowkin", {
        "/var/log/flowkin/flow.ndjson": log, "su flowkin flowkin": "su root root",
        "dateformat .%Y%m%d-%s": f"dateformat .%Y%m%d-%s-{number}",
        "systemctl kill --signal=HUP --kill-who=main flowkin.service": f"kill -HUP {pid}"}))
    config.chmod(0o644)
    return subprocess.run([LOGROTATE, "--force", "--verbose", "--state", pathlib.Path(folder) / "logrotate.state",
                           config], capture_output=True, text=True, timeout=60, check=False)
