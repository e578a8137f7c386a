# SPDX-License-Identifier: GPL-2.0-or-later
"""flowkin as a service, without systemd: one config, one log, one state file, and many lives; and systemd's side of
sd_notify(3) and of the store of descriptors, as far as flowkin speaks with it."""

import array
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import flowkin as tool
import net

# What systemd does between fork and exec: the stored descriptors are 3, 4, …, and LISTEN_PID is the program's own.
_GIVE_DESCRIPTORS = 'exec 3<&"$0"; export LISTEN_PID=$$; exec "$@"'


class Supervisor(contextlib.AbstractContextManager):
    """Hears what a service says, and keeps the one descriptor that it stores."""

    def __init__(self, folder, watchdog_s=None):
        self.path = pathlib.Path(folder) / "notify.sock"
        self.watchdog_s = watchdog_s
        self.stored = None  # the descriptor
        self.said = []      # (when, assignment), as (12.5, "READY=1")
        self._changed = threading.Condition()

    def __enter__(self):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._listener.join()
        self._socket.close()
        self.empty_store()
        self.path.unlink()

    def _listen(self):
        while True:
            text, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(16))
            if not text:
                return
            descriptors = array.array("i")
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors.frombytes(content)
            with self._changed:
                self._take(text.decode().splitlines(), list(descriptors))
                self._changed.notify_all()

    def _take(self, assignments, descriptors):
        self.said += [(time.monotonic(), assignment) for assignment in assignments]
        store = {"FDSTORE=1", "FDNAME=conntrack", "FDPOLL=0"} <= set(assignments)
        if store and descriptors:
            self.empty_store()
            self.stored = descriptors.pop(0)
        elif "FDSTOREREMOVE=1" in assignments:
            self.empty_store()
        for unwanted in descriptors:
            os.close(unwanted)

    def empty_store(self):
        """As `systemctl stop` does."""
        if self.stored is not None:
            os.close(self.stored)
            self.stored = None

    def environment(self):
        variables = {"NOTIFY_SOCKET": str(self.path)}
        if self.watchdog_s is not None:
            variables["WATCHDOG_USEC"] = str(int(self.watchdog_s * 1_000_000))
        if self.stored is not None:
            variables |= {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "conntrack"}
        return variables

    def command(self, command):
        return command if self.stored is None else ["bash", "-c", _GIVE_DESCRIPTORS, str(self.stored), *command]

    def wait_said(self, assignment, after=0.0, timeout=10):
        """When the service first said it after that moment of time.monotonic()."""
        with self._changed:
            def first():
                return next((when for when, said in self.said if said == assignment and when >= after), None)
            self._changed.wait_for(first, timeout)
            assert first() is not None, f"it never said {assignment}: {self.said}"
            return first()


class Unit(contextlib.AbstractContextManager):
    """A flowkin that is started, stopped, killed and started again, with its log in one file. `records` holds the whole
    log, `life` what it said since it was started last. The end of the context kills it."""

    def __init__(self, folder, namespace, supervisor=None, config=None, wrapper=()):
        self.folder = pathlib.Path(folder)
        self.namespace = namespace
        self.supervisor = supervisor
        self.path = self.folder / "flow.ndjson"
        self.state = self.folder / "flows.state"
        self.config = {"output": {"destination": "file", "path": str(self.path), "rotate_size": "off"},
                       "state": {"path": str(self.state), "interval": "1h"}}
        self.configure(config or {})
        self.wrapper = list(wrapper)
        self.program = None
        self.records = []
        self.began = 0
        self._read_bytes = 0

    def configure(self, config):
        for table, keys in config.items():
            self.config.setdefault(table, {}).update(keys)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.runs():
            self.kill()

    def runs(self):
        return self.program is not None and self.program.popen.poll() is None

    def start(self, wait=True):
        config_file = self.folder / "flowkin.toml"
        config_file.write_text(tool.toml(self.config))
        config_file.chmod(0o644)
        self.read()
        self.began = len(self.records)
        command = [*self.wrapper, tool.BINARY, "--config", config_file, "--netns", self.namespace.name]
        options = {"env": dict(os.environ)}
        if self.supervisor:
            options["env"].update(self.supervisor.environment())
            command = self.supervisor.command(command)
            options["pass_fds"] = [self.supervisor.stored] if self.supervisor.stored is not None else []
        with open(self.folder / "stderr", "ab") as errors, self.open_output() as output:
            self.program = net.Background(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, **options)
        if wait:
            self.wait_action("resync-completed", conntrack__resync__cause="start")
        return self

    def open_output(self):
        """Where its standard output goes: to the log, where flowkin does not write that itself."""
        to_file = self.config["output"]["destination"] == "file"
        return open(os.devnull if to_file else self.path, "ab")

    def send(self, number):
        os.kill(self.program.pid, number)

    def stop(self):
        status = self.program.end(timeout=20)
        assert status == 0, f"exit {status}: {self.stderr()}"
        self.read()

    def kill(self):
        self.send(signal.SIGKILL)
        self.program.popen.wait()
        self.read()

    @contextlib.contextmanager
    def paused(self):
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def stderr(self):
        return (self.folder / "stderr").read_text(errors="replace")

    # ---- its log

    @property
    def life(self):
        return self.records[self.began:]

    def read(self):
        """Takes what is new in the log, whole lines only."""
        if not self.path.exists():
            return
        with open(self.path, "rb") as file:
            file.seek(self._read_bytes)
            new = file.read()
        whole = new[:new.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        self.records += [tool.parse_line(raw) for raw in whole.splitlines(keepends=True)]

    def find(self, name, records=None, **wanted):
        accepted = tool.matching(event__action=name, **wanted)
        return [record for record in (self.records if records is None else records) if accepted(record)]

    def wait_action(self, name, count=1, timeout=15, **wanted):
        """The first such record of this life; with count, all of them once there are so many."""
        accepted = tool.matching(event__action=name, **wanted)
        deadline = time.monotonic() + timeout
        seen, found = self.began, []
        while True:
            gone = self.program.popen.poll()
            self.read()
            found += [record for record in self.records[seen:] if accepted(record)]
            seen = len(self.records)
            if len(found) >= count:
                return found[0] if count == 1 else found
            if gone is not None or time.monotonic() > deadline:
                told = "\n".join(json.dumps(record) for record in self.records[-5:])
                raise TimeoutError(f"no {name} {wanted} ({len(found)} of {count}, exit {gone}); the last of "
                                   f"{len(self.records)} lines:\n{told}\nstderr:\n{self.stderr()}")
            time.sleep(0.02)

    def wait_saved(self, timeout=10):
        """Until the state file is a newer one than now."""
        def inode():
            return self.state.stat().st_ino if self.state.exists() else None
        before, deadline = inode(), time.monotonic() + timeout
        while inode() == before:
            assert time.monotonic() < deadline, "the state was not saved"
            time.sleep(0.02)

    def verify(self):
        """Holds the whole log against the conservation law, as an operator does."""
        verdict = tool.run("--verify", *tool.rotated(self.path), timeout=300)
        assert verdict.returncode == 0, verdict.stdout + verdict.stderr
        return verdict.stdout
