#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""chaos.py MINUTES [--seed N] [--rate FLOWS_PER_SECOND] [--keep]: flowkin in a bad week.

Flows are made and deleted at a steady rate, with an account of each. Meanwhile flowkin is killed, stopped and continued,
restarted with and without its stored socket and with buffers that are far too small; its disk fills and empties, the
reader of its standard output stalls, dumps and reloads are asked for. Then the log is held against the conservation law
(flowkin --verify) and against the account. Exit 0 where nothing is violated. The same seed makes the same faults, not
the same moments."""

import argparse
import collections
import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

SUPPORT = pathlib.Path(__file__).resolve().parents[1] / "support"
sys.path[:0] = [str(SUPPORT), str(SUPPORT.parent / "chaos")]

import account  # noqa: E402
import flowkin as tool  # noqa: E402
from net import TRACKING_SYSCTLS, Background, Namespace, sweep  # noqa: E402
from supervisor import Supervisor, Unit  # noqa: E402

FLOW_MAKER = tool.BUILD / "tests/flow_maker"
RULES = """
table inet tracking {
    chain input { type filter hook input priority 0; ct state new udp dport 20000-60000 drop; }
}
"""
ROOMY = "8g"


class Disk:
    """A small file system, in a mount namespace of this process."""

    def __init__(self, folder):
        self.folder = folder
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOMY}", "tmpfs", folder], check=True)

    def fill(self):
        used = os.statvfs(self.folder)
        used_bytes = (used.f_blocks - used.f_bfree) * used.f_frsize
        self._resize(str(used_bytes + 16_384))

    def empty(self):
        self._resize(ROOMY)

    def _resize(self, size):
        subprocess.run(["mount", "-o", f"remount,size={size}", self.folder], check=False)


class Reader:
    """Takes what flowkin writes to standard output to the log, whole lines only, as a shipper does; may be stalled."""

    def __init__(self, path):
        self.path = path
        self.reads = threading.Event()
        self.reads.set()
        self._thread = None

    def pipe(self):
        """The end to write to. What an earlier flowkin left in its own pipe is taken first."""
        self.finish()
        readable, writable = os.pipe()
        self._thread = threading.Thread(target=self._copy, args=(readable,), daemon=True)
        self._thread.start()
        return writable

    def finish(self):
        self.reads.set()
        if self._thread:
            self._thread.join()
            self._thread = None

    def _copy(self, readable):
        rest = b""
        with open(readable, "rb", buffering=0) as source:
            while True:
                self.reads.wait()
                chunk = source.read(65536)
                if not chunk:
                    return
                *lines, rest = (rest + chunk).split(b"\n")
                self._write(b"".join(line + b"\n" for line in lines))

    def _write(self, text):
        while text:
            with contextlib.suppress(OSError), open(self.path, "ab", buffering=0) as log:
                size = log.tell()
                try:
                    log.write(text) == len(text) or os.truncate(self.path, size)
                except OSError:
                    os.truncate(self.path, size)
                if os.path.getsize(self.path) == size + len(text):
                    return
            time.sleep(0.05)  # the disk is full


class ChaoticUnit(Unit):
    def __init__(self, *words, **options):
        super().__init__(*words, **options)
        self.reader = Reader(self.path)

    def open_output(self):
        if self.config["output"]["destination"] == "file":
            self.reader.finish()
            return super().open_output()
        return open(self.reader.pipe(), "wb")

    def read(self):
        """Nothing: the log is read at the end."""

    def is_ready(self, timeout=20):
        with contextlib.suppress(AssertionError):
            self.supervisor.wait_said("READY=1", after=self.started, timeout=timeout)
            return True
        return False

    def start(self, wait=True):
        self.started = time.monotonic()
        super().start(wait=False)
        return self


class Chaos:
    def __init__(self, unit, disk, seed):
        self.unit = unit
        self.disk = disk
        self.random = random.Random(seed)
        self.faults = collections.Counter()
        self.violations = []

    FAULTS = {"kill": 4, "kill_and_lose_the_socket": 2, "kill_at_the_start": 1, "restart": 2,
              "restart_and_lose_the_socket": 2, "pause": 6, "fill_the_disk": 3, "stall_the_reader": 3, "request_a_dump": 4,
              "reload": 3}

    def run_until(self, deadline):
        while time.monotonic() < deadline:
            time.sleep(self.random.uniform(0.05, 1.5))
            name, = self.random.choices(list(self.FAULTS), self.FAULTS.values())
            if self.unit.program.popen.poll() is not None:
                self.violations.append(f"flowkin ended by itself ({self.unit.program.popen.returncode}) before {name}")
                self.start()
            self.faults[name.replace("_", " ")] += 1
            getattr(self, name)()

    # ---- lives

    def settings(self):
        choose = self.random.choice
        return {"conntrack": {"receive_buffer": choose(["64KiB", "256KiB", "8MiB"]), "no_enobufs": choose([True, False]),
                              "reconcile_interval": "10s"},
                "output": {"destination": choose(["file", "file", "file", "stdout"]), "queue": choose(["1MiB", "16MiB"])},
                "state": {"interval": choose(["1s", "3s"])}}

    def start(self):
        self.unit.configure(self.settings())
        self.unit.start()

    def restart(self):
        self.unit.program.end(timeout=30)
        time.sleep(self.random.uniform(0, 0.3))
        self.start()

    def restart_and_lose_the_socket(self):
        self.unit.program.end(timeout=30)
        self.unit.supervisor.empty_store()
        time.sleep(self.random.uniform(0, 0.5))
        self.start()

    def kill(self):
        self.unit.kill()
        time.sleep(self.random.uniform(0, 0.5))
        self.start()

    def kill_and_lose_the_socket(self):
        self.unit.kill()
        self.unit.supervisor.empty_store()
        time.sleep(self.random.uniform(0, 0.5))
        self.start()

    def kill_at_the_start(self):
        self.unit.kill()
        self.start()
        time.sleep(self.random.uniform(0, 0.05))
        self.unit.kill()
        self.start()

    # ---- troubles

    def pause(self):
        with self.unit.paused():
            time.sleep(self.random.uniform(0.05, 2))

    def fill_the_disk(self):
        self.disk.fill()
        try:
            time.sleep(self.random.uniform(0.2, 2))
            if self.random.random() < 0.3:
                self.unit.kill()
                if self.unit.config["output"]["destination"] == "stdout":
                    self.disk.empty()  # the reader has lines to write before the next life's
                self.start()
                time.sleep(self.random.uniform(0.2, 1))
        finally:
            self.disk.empty()

    def stall_the_reader(self):
        self.unit.reader.reads.clear()
        time.sleep(self.random.uniform(0.2, 2))
        self.unit.reader.reads.set()

    def request_a_dump(self):
        if self.unit.is_ready(0.5):
            self.unit.send(signal.SIGUSR1)

    def reload(self):
        if self.unit.is_ready(0.5):
            self.unit.send(signal.SIGHUP)

    # ---- the end

    def settle(self):
        """A last life without troubles, which ends what is still open."""
        self.unit.configure({"conntrack": {"receive_buffer": "16MiB"}, "output": {"destination": "file"}})
        self.unit.program.end(timeout=30)
        self.unit.start()
        assert self.unit.is_ready(), self.unit.stderr()
        time.sleep(3)
        self.unit.send(signal.SIGUSR1)
        time.sleep(2)
        status = self.unit.program.end(timeout=30)
        if status != 0:
            self.violations.append(f"exit {status} at the end")


def run(minutes, seed, rate, folder):
    seconds = max(1, int(minutes * 60))
    (folder / "disk").mkdir()
    disk = Disk(folder / "disk")
    sweep()
    host = Namespace("chaos")
    try:
        host.sysctl(**TRACKING_SYSCTLS, net__netfilter__nf_conntrack_udp_timeout=600)
        host.nft(RULES)
        with Supervisor(folder) as supervisor, ChaoticUnit(folder / "disk", host, supervisor) as unit:
            chaos = Chaos(unit, disk, seed)
            with open(folder / "account.csv", "wb") as rows, \
                    host.background(FLOW_MAKER, rate, seconds, seed, stdout=rows) as maker:
                chaos.run_until(time.monotonic() + seconds)
                if maker.popen.wait(120) != 0:
                    chaos.violations.append(f"the flow maker failed: {maker.popen.returncode}")
            chaos.settle()
            unit.reader.finish()
            verdict = tool.run("--verify", unit.path, timeout=3600)
            summary, violations = account.judge(folder / "account.csv", unit.path)
            violations = chaos.violations + violations
            if verdict.returncode != 0:
                violations.append("--verify: " + verdict.stdout[-3000:])
            return chaos.faults, verdict.stdout, summary, violations
    finally:
        host.delete()


def report(seed, seconds, faults, verdict, summary, violations):
    print(verdict)
    print(f"seed {seed}, {seconds:.0f} s, {sum(faults.values())} faults: "
          + ", ".join(f"{number} {name}" for name, number in sorted(faults.items())))
    for name, number in summary.items():
        print(f"  {name}: {number}")
    print(f"violations: {len(violations)}")
    for violation in violations[:20]:
        print("  " + violation)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--keep", action="store_true", help="leave the log, the account and the rest where they are told")
    options = parser.parse_args()
    if "FLOWKIN_CHAOS_MOUNTS" not in os.environ:  # its disk is to be seen by nobody else
        os.environ["FLOWKIN_CHAOS_MOUNTS"] = "own"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 31)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="flowkin-chaos-"))
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    try:
        faults, verdict, summary, violations = run(options.minutes, seed, options.rate, folder)
        report(seed, time.monotonic() - began, faults, verdict, summary, violations)
        if options.keep or violations:
            kept = pathlib.Path(tempfile.mkdtemp(prefix="flowkin-chaos-kept-"))
            for file in [folder / "account.csv", *(folder / "disk").iterdir()]:
                if file.is_file():
                    shutil.copy(file, kept)
            print(f"kept in {kept}")
    finally:
        subprocess.run(["umount", "--lazy", folder / "disk"], check=False)
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
