# SPDX-License-Identifier: GPL-2.0-or-later
"""flowkin under test, as an operator runs it: the built program, a config file, signals, and the lines it writes."""

import collections
import contextlib
import functools
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

import ledger
import net
import schema_check
import shipper_rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("FLOWKIN_BUILD", "build/release")
BINARY = BUILD / "flowkin"
UDP_FLOOD = BUILD / "tests/udp_flood"



def toml(tables):
    """A config file's text from {table: {key: value}}."""
    lines = []
    for table, keys in tables.items():
        lines.append(f"[{table}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def parse_line(raw):
    """A line as its record; a line that breaks the format's rules for lines is an error."""
    try:
        return shipper_rules.parse(raw)
    except ValueError as error:
        raise AssertionError(f"{error}: {raw!r}") from None


def read_log(*paths):
    """The records of log files, in the order given."""
    violations = [*shipper_rules.file_violations(paths)]
    assert not violations, violations
    records = []
    for path in paths:
        with open(path, "rb") as file:
            records += [parse_line(raw) for raw in file]
    return records


def rotated(path):
    """A log and its rotated files that are there, the oldest first."""
    path = pathlib.Path(path)
    return [*sorted(path.parent.glob(path.name + ".*")), path]


def field(record, path, default=None):
    """field(record, "conntrack.parent.uid"): a nested field, or the default."""
    for name in path.split("."):
        if not isinstance(record, dict) or name not in record:
            return default
        record = record[name]
    return record


def action(record):
    return record["event"]["action"]


def matching(**wanted):
    """A predicate: matching(event__action="flow-end", destination__port=80)."""
    paths = [(name.replace("__", "."), value) for name, value in wanted.items()]
    return lambda record: all(field(record, path) == value for path, value in paths)


def flow_of(record):
    """A flow as both flowkin and conntrack name it: id, protocol and the original tuple."""
    icmp = field(record, "conntrack.icmp", {})
    return (record["conntrack"]["id"], int(record["network"]["iana_number"]), record["source"]["ip"],
            record["destination"]["ip"], record["source"].get("port", icmp.get("id")),
            record["destination"].get("port", icmp.get("type")))


@functools.cache
def _schema():
    return schema_check.Schema()


def format_violations(records, of_each_action=200):
    """What breaks the event format. The schema is held against some of each action: a hundred thousand records of one
    kind have one shape."""
    seen = collections.Counter()
    for record in records:
        name = action(record)
        yield from schema_check.rule_violations(record)
        seen[name] += 1
        if seen[name] <= of_each_action:
            yield from (f"{name}: {violation}" for violation in _schema().violations(record, name))


class DidNotStart(Exception):
    def __init__(self, status, stderr):
        super().__init__(f"exit {status}: {stderr.strip()}")
        self.status = status
        self.stderr = stderr


class Flowkin(contextlib.AbstractContextManager):
    """A running flowkin that watches one namespace. Inside the context its lines gather in `records`; a clean end of
    the context stops it and holds the whole log against the format and the conservation law.

    `to`: "stdout", or "file" (then `path` is the log). `config` adds to the config file, as {table: {key: value}}.
    `wrapper` stands before the command, for example to give up a privilege."""

    def __init__(self, folder, namespace, to="stdout", config=None, options=(), wrapper=(), keeps_all=True):
        self.folder = pathlib.Path(folder)
        self.namespace = namespace
        self.to = to
        self.config = {table: dict(keys) for table, keys in (config or {}).items()}
        self.config.setdefault("output", {})["destination"] = to
        self.path = pathlib.Path(self.config["output"].setdefault("path", str(self.folder / "flow.ndjson")))
        self.config_file = self.folder / "flowkin.toml"
        self.options = options
        self.wrapper = wrapper
        self.keeps_all = keeps_all
        self.records = []
        self.bad_lines = []
        self.torn = b""
        self.stderr = ""
        self.status = None
        self._arrived = threading.Condition()
        self._ended = threading.Event()
        self._threads = []

    def write_config(self, config=None):
        if config is not None:
            self.config = config
        self.config_file.write_text(toml(self.config))
        self.config_file.chmod(0o644)

    def command(self):
        watched = ["--netns", self.namespace.name] if self.namespace else []
        return [*self.wrapper, BINARY, "--config", self.config_file, *watched, *self.options]

    def __enter__(self):
        self.write_config()
        self.program = net.Background(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE)
        self._start(self._read_stderr)
        self._start(self._read_stdout if self.to == "stdout" else self._follow_file)
        try:
            self.wait_for(lambda record: action(record) == "resync-completed" or None, what="its start")
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.status is None:
                self.stop()
        finally:
            self._kill()
        # However it ended: what it wrote are lines. Only a killed one may leave a part of one, in a pipe.
        assert kind or not self.bad_lines, self.bad_lines[:10]

    def _start(self, body):
        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _kill(self):
        if self.program.popen.poll() is None:
            self.program.popen.kill()
        self.program.popen.wait()
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self.program.popen.stdout.close()
        self.program.popen.stderr.close()

    def _parse(self, lines):
        records = []
        for raw in lines:
            try:
                records.append(parse_line(raw))
                self.bad_lines += shipper_rules.record_violations(records[-1])
            except AssertionError as error:  # for the test to hear of, whose thread this is not
                self.bad_lines.append(str(error))
        self._take(records)

    def _take(self, records):
        with self._arrived:
            self.records += records
            self._arrived.notify_all()

    def _read_stdout(self):
        for raw in self.program.popen.stdout:
            if raw.endswith(b"\n"):
                self._parse([raw])
            else:
                self.torn = raw

    def _read_stderr(self):
        for raw in self.program.popen.stderr:
            self.stderr += raw.decode(errors="replace")

    def _follow_file(self):
        """Reads whole lines as they come, from one rotated file to the next."""
        file, rest = None, b""
        while True:
            ended = self._ended.is_set()
            if file is None:
                file = self._open_after(None)
            # Once there is a file after it, nothing more comes to this one.
            after = file and self._open_after(os.fstat(file.fileno()).st_ino)
            rest += file.read() if file else b""
            *whole, rest = rest.split(b"\n")
            self._parse([raw + b"\n" for raw in whole])
            if after:
                file.close()
                file = after
            elif ended:
                break
            elif not whole:
                time.sleep(0.02)
        if file:
            file.close()

    def _open_after(self, inode):
        """The file that follows the one with this inode; the oldest where that is gone, none where it is the last."""
        for _ in range(20):
            files = []
            try:
                files = [open(path, "rb") for path in rotated(self.path) if path.is_file()]
            except FileNotFoundError:  # renamed in between
                continue
            inodes = [os.fstat(file.fileno()).st_ino for file in files]
            # A listing made in the middle of a rename shows the file under neither name.
            gone = inode is not None and inode not in inodes
            follows = inodes.index(inode) + 1 if inode in inodes else 0
            for number, file in enumerate(files):
                if gone or number != follows:
                    file.close()
            if not gone:
                return files[follows] if follows < len(files) else None
            time.sleep(0.005)
        return self._oldest()

    def _oldest(self):
        """What is left where files were removed faster than they were read."""
        for path in rotated(self.path):
            with contextlib.suppress(FileNotFoundError):
                return open(path, "rb")
        return None

    def find(self, predicate):
        with self._arrived:
            return [record for record in self.records if predicate(record)]

    def wait_for(self, predicate, timeout=10, count=1, what="a record"):
        """The first record that the predicate accepts (or, with count, all of them once there are so many)."""
        deadline = time.monotonic() + timeout
        with self._arrived:
            seen, found = 0, []
            while True:
                assert not self.bad_lines, self.bad_lines[:10]
                found += [record for record in self.records[seen:] if predicate(record)]
                seen = len(self.records)
                if len(found) >= count:
                    return found[0] if count == 1 else found
                gone = self.program.popen.poll()
                if gone is not None:
                    time.sleep(0.05)
                    raise DidNotStart(gone, self.stderr)
                if time.monotonic() > deadline:
                    told = "\n".join(json.dumps(record) for record in self.records[-5:])
                    raise TimeoutError(f"no {what} in {timeout} s ({len(found)} of {count}); the last of "
                                       f"{len(self.records)} lines:\n{told}\nstderr:\n{self.stderr}")
                self._arrived.wait(0.1)

    def wait_action(self, name, timeout=10, count=1, **wanted):
        return self.wait_for(matching(event__action=name, **wanted), timeout, count, f"{name} {wanted}")

    def send(self, number):
        os.kill(self.program.pid, number)

    def wait_exit(self, timeout=10):
        """Waits until it ends by itself, and gives its status."""
        self.status = self.program.popen.wait(timeout)
        self._ended.set()
        for thread in self._threads:
            thread.join()
        return self.status

    def stop(self, number=signal.SIGTERM):
        """Ends it as systemd does, and judges the log."""
        self.send(number)
        status = self.wait_exit()
        assert status == 0, f"exit {status}: {self.stderr}"
        assert action(self.records[-1]) == "monitor-stop"
        self.judge()

    def judge(self):
        assert not self.torn, f"torn line: {self.torn!r}"
        violations = [*self.bad_lines, *format_violations(self.records), *ledger.violations(self.records)]
        if self.to == "file":
            violations += shipper_rules.file_violations(rotated(self.path))
        assert not violations, violations[:10]
        if self.keeps_all:
            assert not ledger.gaps(self.records)


def run(*options, namespace=None, timeout=30, wrapper=(), **popen):
    """Runs flowkin to its end: for what refuses to start and what needs no kernel."""
    command = [*map(str, wrapper), str(BINARY), *map(str, options)]
    with namespace or contextlib.nullcontext():
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False,
                              stdin=subprocess.DEVNULL, **popen)
