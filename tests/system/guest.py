# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines to test on, which are gone with the end of the test: a `Container` is Debian 12 with systemd and journald as
they are, on the running kernel, up in a second; a `VirtualMachine` is the same on Debian's own kernel, emulated.

Both do what their common class says. A guest is asked over a channel (recipe/agent.py answers it there), so a test drives
it from outside, command by command, and judges on the host.
"""

import base64
import contextlib
import io
import itertools
import json
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time

import net

HERE = pathlib.Path(__file__).resolve().parent
CONTAINER_BOOT_DEADLINE_S = 60
MACHINE_BOOT_DEADLINE_S = 300
ANSWER_GRACE_S = 30

_counter = itertools.count(1)
_PREFIX = "flowkin-test"


class CannotRun(Exception):
    """This machine cannot run such a guest; says why."""


class CommandFailed(Exception):
    """A command in the guest failed, or took longer than it may."""


class Guest(contextlib.AbstractContextManager):
    """A machine that is on inside the context."""

    boot_deadline_s = 0

    def __init__(self, image):
        self.image = pathlib.Path(image)
        self.name = f"{_PREFIX}-{os.getpid()}-{next(_counter)}"
        self.up_s = None  # how long its kernel had been up when it first answered; a container's kernel is the host's
        self._socket = self._answers = self.program = None

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.name}-"))  # short: a socket lies in it
        try:
            self._console = open(self.folder / "console", "w+b")  # pylint: disable=consider-using-with
            self.program = self._boot()
            self._connect()
        except BaseException:
            self.off()
            raise
        return self

    def __exit__(self, *_):
        self.off()

    def run(self, *command, input=b"", timeout=60, check=True):
        """Runs a program to its end; gives a subprocess.CompletedProcess with its output as text. A single argument with
        blanks is for the shell."""
        words = [str(word) for word in command]
        if len(words) == 1 and len(shlex.split(words[0])) > 1:
            words = ["bash", "-c", words[0]]
        done = self._ask(words, input.encode() if isinstance(input, str) else input, timeout)
        done = subprocess.CompletedProcess(words, done.returncode, done.stdout.decode(errors="replace"),
                                           done.stderr.decode(errors="replace"))
        if check and done.returncode != 0:
            raise CommandFailed(f"{self.name}: {shlex.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def put(self, source, path):
        """Copies into the guest: text or bytes as the file `path`, or a folder or file of the host as `path`. Owned by
        root. Folders above are made."""
        if isinstance(source, str | bytes):
            content = source.encode() if isinstance(source, str) else source
            made = self._ask(["bash", "-c", 'mkdir -p "$(dirname "$0")" && cat >"$0"', str(path)], content, 60)
        else:
            made = self._ask(["tar", "--extract", "--no-overwrite-dir", "--directory=/"], _tar(source, path), 120)
        if made.returncode != 0:
            raise CommandFailed(f"{self.name}: {path}: {made.stderr.decode(errors='replace')}")

    def get(self, path):
        """The bytes of a file in the guest."""
        done = self._ask(["cat", str(path)], b"", 120)
        if done.returncode != 0:
            raise CommandFailed(f"{self.name}: {path}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def wait_until(self, command, timeout=30):
        """Waits until the command succeeds, and gives what it says then."""
        deadline = time.monotonic() + timeout
        while True:
            done = self.run(command, check=False)
            if done.returncode == 0:
                return done.stdout
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: {command} did not come true in {timeout} s: {done.stdout}{done.stderr}")
            time.sleep(0.1)

    def console(self):
        """What it said on its console."""
        self._console.flush()
        return (self.folder / "console").read_text(errors="replace")

    def off(self):
        """As if the power failed. Nothing of the guest is left on the host."""
        for part in (self._answers, self._socket):
            if part:
                part.close()
        if self.program:
            self._kill()
            self.program = None
        self._console.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _boot(self):
        """Starts it, as a net.Background."""
        raise NotImplementedError

    def _kill(self):
        self.program.popen.kill()
        self.program.popen.wait()

    def _connect(self):
        deadline = time.monotonic() + self.boot_deadline_s
        address = str(self.folder / "agent")
        try:
            while self._socket is None:
                stream = socket.socket(socket.AF_UNIX)
                try:
                    stream.connect(address)
                    self._socket = stream
                except (FileNotFoundError, ConnectionRefusedError):
                    stream.close()
                    self._wait_a_little(deadline)
            self._answers = self._socket.makefile("rb")
            self.up_s = self._answer(max(1.0, deadline - time.monotonic()))["up_s"]
        except (TimeoutError, ConnectionError) as failure:
            told = self.console().strip().splitlines()[-5:]
            raise CannotRun("\n".join([f"the {type(self).__name__} did not come up in {self.boot_deadline_s} s: {failure}",
                                       *told])) from failure

    def _wait_a_little(self, deadline):
        if self.program.popen.poll() is not None:
            raise ConnectionError(f"it ended with {self.program.popen.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError("it does not answer")
        time.sleep(0.02)

    def _answer(self, timeout):
        self._socket.settimeout(timeout)
        line = self._answers.readline()
        if not line:
            raise ConnectionError("it hung up")
        return json.loads(line)

    def _ask(self, words, content, timeout):
        request = {"command": words, "input": base64.b64encode(content).decode("ascii"), "timeout_s": timeout}
        self._socket.settimeout(timeout + ANSWER_GRACE_S)
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            answer = self._answer(timeout + ANSWER_GRACE_S)
        except (TimeoutError, ConnectionError) as failure:
            raise CommandFailed(f"{self.name}: {shlex.join(words)}: {failure}\n{self.console()[-2000:]}") from failure
        out, errors = (base64.b64decode(answer.get(stream, "")) for stream in ("out", "errors"))
        if answer["status"] is None:
            raise CommandFailed(f"{self.name}: {shlex.join(words)}: not done in {timeout} s\n"
                                f"{(out + errors).decode(errors='replace')[-2000:]}")
        return subprocess.CompletedProcess(words, answer["status"], out, errors)


def _tar(source, path):
    def as_root(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        return entry

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.add(source, arcname=str(path).strip("/") or ".", filter=as_root)
    return content.getvalue()


class Container(Guest):
    """systemd as the first process, in namespaces of its own. /guest is `shared` on the host."""

    boot_deadline_s = CONTAINER_BOOT_DEADLINE_S

    def _boot(self):
        if os.geteuid() != 0:
            raise CannotRun("a container takes root")
        if not shutil.which("systemd-nspawn"):
            raise CannotRun("there is no systemd-nspawn")
        try:
            self._groups = [hierarchy / self.name for hierarchy in _hierarchies()]
            for group in self._groups:
                group.mkdir()
        except OSError as failure:
            raise CannotRun(f"no control group can be made: {failure}") from failure
        return net.Background([HERE / "container.sh", self.image / "root", self.folder, self.name, *self._groups],
                              stdin=subprocess.DEVNULL, stdout=self._console, stderr=self._console)

    def _kill(self):
        deadline = time.monotonic() + 20
        while True:
            for group in self._groups:
                _kill_all(group)
            self.program.popen.poll()
            if all(_remove(group) for group in self._groups) or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        super()._kill()
        with contextlib.suppress(OSError):
            os.rmdir(f"/run/systemd/nspawn/propagate/{self.name}")


class VirtualMachine(Guest):
    """A machine with a disk that forgets, and no network but what a test makes inside."""

    boot_deadline_s = MACHINE_BOOT_DEADLINE_S
    memory_mib = 1024

    def _boot(self):
        emulator = shutil.which("qemu-system-x86_64")
        if not emulator:
            raise CannotRun("there is no qemu-system-x86_64")
        acceleration = os.environ.get("FLOWKIN_TEST_ACCEL", "tcg,thread=multi")
        return net.Background(
            [emulator, "-accel", acceleration, "-cpu", "host,-arch-capabilities" if acceleration.startswith("kvm") else "max",
             "-machine", "q35", "-m", self.memory_mib, "-smp", "2", "-nodefaults", "-no-user-config", "-display", "none",
             "-no-reboot", "-kernel", self.image / "vmlinuz", "-initrd", self.image / "initramfs",
             "-drive", f"file={self.image / 'root.ext4'},format=raw,if=virtio,snapshot=on",
             "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
             "-chardev", f"socket,id=agent,path={self.folder / 'agent'},server=on,wait=off",
             "-device", "virtserialport,chardev=agent,name=agent", "-serial", "stdio",
             "-append", "console=ttyS0 quiet systemd.show_status=0 panic=-1 reboot=t mitigations=off random.trust_cpu=on "
                        "audit=0 apparmor=0 selinux=0"],
            stdin=subprocess.DEVNULL, stdout=self._console, stderr=self._console,
            env={**os.environ, "TMPDIR": str(self.folder)})


# ---- control groups


def _hierarchies():
    """Where this process stands in the hierarchies that systemd uses: the second version, and the first one's own."""
    mounts = {}
    with open("/proc/self/mounts", encoding="utf-8") as file:
        for line in file:
            _, point, kind, options, *_ = line.split()
            if kind == "cgroup2":
                mounts[""] = point
            elif kind == "cgroup" and "name=systemd" in options.split(","):
                mounts["name=systemd"] = point
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        places = dict(line.rstrip("\n").split(":", 2)[1:] for line in file)
    return [pathlib.Path(point + places[name]) for name, point in mounts.items() if name in places]


def _kill_all(group):
    for processes in group.rglob("cgroup.procs") if group.exists() else ():
        with contextlib.suppress(OSError):
            for process in processes.read_text(encoding="ascii").split():
                os.kill(int(process), signal.SIGKILL)


def _remove(group):
    """True where it is gone. A group goes when nobody is left in it."""
    for below in sorted(group.rglob("*/"), reverse=True) if group.exists() else ():
        if below.is_dir():
            with contextlib.suppress(OSError):
                below.rmdir()
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


def sweep():
    """Removes the control groups and folders of test runs that are no more."""
    for hierarchy in _hierarchies():
        for group in hierarchy.glob(f"{_PREFIX}-*"):
            if not os.path.exists(f"/proc/{group.name.split('-')[2]}"):
                _kill_all(group)
                _remove(group)
    for folder in pathlib.Path(tempfile.gettempdir()).glob(f"{_PREFIX}-*"):
        if not os.path.exists(f"/proc/{folder.name.split('-')[2]}"):
            shutil.rmtree(folder, ignore_errors=True)
