# SPDX-License-Identifier: GPL-2.0-or-later
"""Those that read conntrack's events, one after the other under the same load: the floor, and what people use."""

import abc
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import flowkin as tool
import processor

BARE_READER = tool.BUILD / "tests/bench/bare_reader"
RECEIVE_BUFFER = 64 << 20    # each gets what flowkin asks for by default
FULL_BUFFER = (1 << 30) - 1  # holds a whole load before anybody reads


@dataclasses.dataclass
class Reading:
    """What a reader did with a load."""
    seen: int | None = None  # events it read; None: it does not say
    lost: int | None = None  # events that did not fit into its socket; None: not known
    used: processor.Usage = processor.Usage()
    peak_bytes: int = 0
    lines: int = 0
    written_bytes: int = 0


@dataclasses.dataclass
class _Socket:
    queued_bytes: int
    drops: int


def _event_socket(pid):
    """The socket that is joined to conntrack's groups in the namespace of this process; None before there is one."""
    netlink_netfilter = "12"
    for line in pathlib.Path(f"/proc/{pid}/net/netlink").read_text().splitlines()[1:]:
        _, protocol, _, groups, queued, _, _, _, drops, _ = line.split()
        if protocol == netlink_netfilter and int(groups, 16) & 0b111:
            return _Socket(int(queued), int(drops))
    return None


def until(condition, what, timeout=60):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not in {timeout} s")
        time.sleep(0.02)


def _count_lines(path):
    lines = 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            lines += chunk.count(b"\n")
    return lines


class Reader(contextlib.AbstractContextManager):
    """A program that reads events: `with reader:` it is ready for a load; finish() gives what it did with it."""

    name = ""
    remark = ""

    def __init__(self, folder, namespace):
        self.folder = pathlib.Path(folder)
        self.namespace = namespace
        self.path = self.folder / "lines"
        self.program = None
        self.ready_usage = processor.Usage()

    @abc.abstractmethod
    def command(self):
        """The words of its command line."""

    @abc.abstractmethod
    def finish(self):
        """After the load: waits until all of it is read, ends the program and gives the Reading."""

    def outputs(self):
        return {"stdout": subprocess.DEVNULL}

    def is_ready(self):
        return _event_socket(self.program.pid) is not None

    def __enter__(self):
        self.folder.mkdir(parents=True)
        with open(self.folder / "stderr", "wb") as errors:
            self.program = self.namespace.background(*self.command(), stdin=subprocess.PIPE, stderr=errors,
                                                     **self.outputs())
        try:
            until(self.is_ready, f"{self.name} is ready")
            time.sleep(0.2)
            self.ready_usage = processor.usage(self.program.pid)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.program.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)

    def used(self):
        return processor.usage(self.program.pid) - self.ready_usage

    def settle(self):
        """Until nothing is queued and the program has come to rest."""
        last_s = -1.0

        def rests():
            nonlocal last_s
            time.sleep(0.25)
            before_s, last_s = last_s, self.used().total_s
            return _event_socket(self.program.pid).queued_bytes == 0 and last_s - before_s < 0.002
        until(rests, f"{self.name} has read all")


class _Bare(Reader):
    way = ""
    buffer_bytes = 0

    def command(self):
        return [BARE_READER, self.way, self.buffer_bytes]

    def outputs(self):
        return {"stdout": subprocess.PIPE}

    def is_ready(self):
        return self.program.popen.stdout.readline() == b"ready\n"

    def told(self):
        words = json.loads(self.program.popen.stdout.readline())
        peak_bytes = processor.peak_bytes(self.program.pid)
        self.program.popen.stdin.close()
        self.program.popen.wait(10)
        return Reading(words["datagrams"], words["lost"], processor.Usage(words["user_s"], words["system_s"]), peak_bytes)


class Floor(_Bare):
    """recvmmsg(2) of what is queued already: the least that reading an event can cost."""
    name = "recvmmsg, full buffer (the floor)"
    way, buffer_bytes = "drain", FULL_BUFFER

    def finish(self):
        self.program.popen.stdin.write(b"\n")
        self.program.popen.stdin.flush()
        return self.told()


class Plain(_Bare):
    """One blocking recv(2) for each event, as it comes."""
    name = "recv, one by one"
    way, buffer_bytes = "recv", RECEIVE_BUFFER

    def finish(self):
        self.settle()
        self.program.popen.send_signal(signal.SIGTERM)
        return self.told()


class Flowkin(Reader):
    """Both lines of each flow, to a file; all else as shipped."""
    name = "**flowkin**"

    def __init__(self, folder, namespace, **output):
        super().__init__(folder, namespace)
        self.output = output

    def config(self):
        return {"output": {"destination": "file", "path": str(self.path), **self.output}}

    def command(self):
        config_file = self.folder / "flowkin.toml"
        config_file.write_text(tool.toml(self.config()))
        return [tool.BINARY, "--config", config_file]

    def is_ready(self):
        return self.path.exists() and b'"resync-completed"' in self.path.read_bytes()

    def finish(self):
        self.settle()
        reading = Reading(used=self.used(), peak_bytes=processor.peak_bytes(self.program.pid))
        status = self.program.end(timeout=30)
        if status != 0:
            raise RuntimeError(f"flowkin: {status}: {(self.folder / 'stderr').read_text()}")
        for path in tool.rotated(self.path):
            reading.lines += _count_lines(path)
            reading.written_bytes += path.stat().st_size
        with open(self.path, "rb") as file:
            file.seek(-4096, os.SEEK_END)
            totals = json.loads(file.read().splitlines()[-1])["conntrack"]["monitor"]["totals"]
        reading.seen = totals["new"] + totals["update"] + totals["destroy"]
        reading.lost = totals["lost_kernel_socket"]
        assert totals["lost_sink_lines"] == 0, totals
        return reading


class FlowkinFull(Flowkin):
    """The same, of what is queued already: beside the floor, like with like."""
    name = "**flowkin**, full buffer"

    def config(self):
        config = super().config()
        config["conntrack"] = {"receive_buffer": "1023MiB"}
        return config

    def __enter__(self):
        super().__enter__()
        self.program.popen.send_signal(signal.SIGSTOP)
        return self

    def finish(self):
        self.program.popen.send_signal(signal.SIGCONT)
        return super().finish()


class Ulogd(Reader):
    """ulogd2 with its JSON output, one record for both events of a flow."""
    name = "ulogd2, JSON"

    def command(self):
        plugins = pathlib.Path("/usr/lib/x86_64-linux-gnu/ulogd")
        if not plugins.is_dir():
            plugins, = pathlib.Path("/usr/lib").glob("*/ulogd")
        names = ("inpflow_NFCT", "filter_IP2STR", "output_JSON")
        config_file = self.folder / "ulogd.conf"
        config_file.write_text("\n".join([
            "[global]", f'logfile="{self.folder / "ulogd.log"}"', "loglevel=5",
            *(f'plugin="{plugins / f"ulogd_{name}.so"}"' for name in names),
            "stack=ct1:NFCT,ip2str1:IP2STR,json1:JSON",
            "[ct1]", f"netlink_socket_buffer_size={RECEIVE_BUFFER}",
            f"netlink_socket_buffer_maxsize={RECEIVE_BUFFER}", "netlink_resync_timeout=600", "hash_enable=1",
            "hash_buckets=262144", "hash_max_entries=1048576", "event_mask=0x00000007",
            "[json1]", "sync=0", f'file="{self.path}"', ""]))
        return ["/usr/sbin/ulogd", "-c", config_file]

    def finish(self):
        self.settle()
        socket = _event_socket(self.program.pid)
        reading = Reading(lost=socket.drops, used=self.used(), peak_bytes=processor.peak_bytes(self.program.pid))
        self.program.end(timeout=30)
        reading.lines, reading.written_bytes = _count_lines(self.path), self.path.stat().st_size
        return reading


class Conntrack(Reader):
    """conntrack -E: text, until it meets its first overrun, where it exits."""
    name = "conntrack -E -o id,timestamp"

    def command(self):
        return ["/usr/sbin/conntrack", "-E", "-o", "id,timestamp", "-b", RECEIVE_BUFFER]

    def outputs(self):
        return {"stdout": open(self.path, "wb")}

    def finish(self):
        reading = Reading()
        try:
            self.settle()
            reading.peak_bytes = processor.peak_bytes(self.program.pid)
            reading.used = self.used()
            self.program.popen.send_signal(signal.SIGTERM)
        except (AttributeError, FileNotFoundError, KeyError, ProcessLookupError):
            pass  # it has exited: what it used is what the kernel kept of it
        _, status, kept = os.wait4(self.program.pid, 0)
        self.program.popen.returncode = os.waitstatus_to_exitcode(status)
        if not reading.peak_bytes:
            reading.used = processor.Usage(kept.ru_utime, kept.ru_stime) - self.ready_usage
            reading.peak_bytes = kept.ru_maxrss * 1024
        reading.lines = reading.seen = _count_lines(self.path)
        reading.written_bytes = self.path.stat().st_size
        return reading


ALL = (Floor, FlowkinFull, Plain, Flowkin, Ulogd, Conntrack)
