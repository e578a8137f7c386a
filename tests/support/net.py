# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces to test in: real ones, each test its own.

    client --- router --- server
    10.1.0.2   10.1.0.1   10.2.0.2
    fd01::2    10.2.0.1   fd02::2

The router tracks connections; flowkin watches it. `with namespace:` moves the calling thread there: sockets made and
programs started inside belong to that namespace for good, wherever the thread goes afterwards. So a test speaks with
both ends of a connection from one place.

Names hold the process id, so tests run side by side, and what a killed run left behind is swept by the next one.
"""

import contextlib
import ctypes
import fcntl
import itertools
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_SIOCGIFFLAGS = 0x8913
_IFF_RUNNING = 0x40

_counter = itertools.count(1)
_PREFIX = "fkt"


def _enter(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(descriptor)


def die_with_parent():
    """For preexec_fn: a test run that is killed takes its programs with it."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def sweep():
    """Removes the namespaces of test runs that are no more."""
    for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else ():
        owner = re.fullmatch(rf"{_PREFIX}(\d+)-.*", name)
        if owner and not os.path.exists(f"/proc/{owner[1]}"):
            subprocess.run(["ip", "netns", "delete", name], check=False)


class Background:
    """A program that runs beside the test and is ended with it."""

    def __init__(self, command, **options):
        self.command = [str(word) for word in command]
        self.popen = subprocess.Popen(self.command, preexec_fn=die_with_parent, **options)
        self.pid = self.popen.pid

    def end(self, number=signal.SIGTERM, timeout=10):
        """Signals it and gives its exit status; one that does not go is killed, and that is an error."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        for stream in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if stream:
                stream.close()


class Namespace:
    """One network namespace, gone with the end of the test."""

    def __init__(self, label):
        self.name = f"{_PREFIX}{os.getpid()}-{next(_counter)}{label}"
        self.path = f"/run/netns/{self.name}"
        self._entered = threading.local()
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.run("ip", "link", "set", "lo", "up")

    def __enter__(self):
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._homes().append(home)
        _enter(self.path)
        return self

    def __exit__(self, *_):
        home = self._homes().pop()
        _enter(f"/proc/self/fd/{home}")
        os.close(home)

    def _homes(self):
        if not hasattr(self._entered, "homes"):
            self._entered.homes = []
        return self._entered.homes

    def run(self, *command, check=True, **options):
        """Runs a program in here to its end; its output is in the result."""
        with self:
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False,
                                  **options)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: {done.returncode}: {done.stderr.strip()}")
        return done

    def background(self, *command, **options):
        with self:
            return Background(command, **options)

    def sysctl(self, **values):
        """sysctl(net_ipv4__ip_forward=1): two underscores for a dot."""
        with self:
            for key, value in values.items():
                with open("/proc/sys/" + key.replace("__", "/"), "w", encoding="ascii") as file:
                    file.write(str(value))

    def wait_running(self, link):
        """Until then the kernel drops what is sent by the link, and says nothing: a work queue of its own brings a link
        into service some time after it is up."""
        request, deadline = struct.pack("16sH14x", link.encode(), 0), time.monotonic() + 10
        with self, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            while not struct.unpack_from("H", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request), 16)[0] & _IFF_RUNNING:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{link} of {self.name} does not come into service")
                time.sleep(0.001)

    def nft(self, rules):
        """Loads rules beside those that are there."""
        self.run("nft", "-f", "-", input=rules)

    def tracked(self):
        """How many flows the kernel holds here."""
        return int(self.run("conntrack", "-C").stdout)

    def flush(self):
        """Deletes all flows, as a tool does."""
        self.run("conntrack", "-F")

    def reap(self):
        """Has the kernel destroy what has expired now: a dump does, the garbage collector would take half a minute."""
        self.run("conntrack", "-L")

    def delete(self):
        subprocess.run(["ip", "netns", "delete", self.name], check=False)


# A namespace tracks nothing until a rule asks for the state of a connection.
TRACKING = """
table inet tracking {
    chain forward { type filter hook forward priority 0; ct state new,established,related,untracked accept; }
    chain input { type filter hook input priority 0; ct state new,established,related,untracked accept; }
}
"""

# Children of an FTP control connection, and of a TFTP request.
HELPERS = TRACKING + """
table inet helpers {
    ct helper ftp { type "ftp" protocol tcp; }
    ct helper tftp { type "tftp" protocol udp; }
    chain prerouting {
        type filter hook prerouting priority -150;
        tcp dport 21 ct helper set "ftp"
        udp dport 69 ct helper set "tftp"
    }
}
"""

# Accounting and timestamps for every flow, and events for it whether or not somebody listened when it was born.
# Short timeouts, for tests that see a flow through to its end.
TRACKING_SYSCTLS = {
    "net__netfilter__nf_conntrack_acct": 1,
    "net__netfilter__nf_conntrack_timestamp": 1,
    "net__netfilter__nf_conntrack_events": 1,
    "net__netfilter__nf_conntrack_tcp_timeout_time_wait": 1,
    "net__netfilter__nf_conntrack_tcp_timeout_close": 1,
}


class Topology(contextlib.ExitStack):
    """client - router - server, both address families, forwarding on, tracked on the router."""

    CLIENT = {4: "10.1.0.2", 6: "fd01::2"}
    ROUTER = {4: "10.1.0.1", 6: "fd01::1"}  # its side to the client
    ROUTER_WAN = {4: "10.2.0.1", 6: "fd02::1"}
    SERVER = {4: "10.2.0.2", 6: "fd02::2"}

    def __init__(self, rules=TRACKING, **sysctls):
        super().__init__()
        self.rules = rules
        self.sysctls = {**TRACKING_SYSCTLS, **sysctls}

    def __enter__(self):
        super().__enter__()
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def _namespace(self, label):
        namespace = Namespace(label)
        self.callback(namespace.delete)
        return namespace

    def _build(self):
        self.client = self._namespace("c")
        self.router = self._namespace("r")
        self.server = self._namespace("s")
        router = self.router
        self._link(self.client, "eth0", router, "lan", "10.1.0", "fd01:")
        self._link(self.server, "eth0", router, "wan", "10.2.0", "fd02:")
        router.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1, **self.sysctls)
        if self.rules:
            router.nft(self.rules)

    @staticmethod
    def _link(end, end_link, router, router_link, net4, net6):
        # With one index at both ends the kernel would not hurry to bring the link into service, and take a second.
        subprocess.run(["ip", "link", "add", end_link, "index", "100", "address", "02:00:00:00:00:02", "netns", end.name,
                        "type", "veth", "peer", "name", router_link, "address", "02:00:00:00:00:01",
                        "netns", router.name], check=True)
        for namespace, link, host, other in ((end, end_link, 2, 1), (router, router_link, 1, 2)):
            # Good at once: nothing waits for duplicate address detection or the first neighbour advertisement.
            namespace.sysctl(**{f"net__ipv6__conf__{link}__accept_dad": 0})
            commands = [f"address add {net4}.{host}/24 dev {link}",
                        f"address add {net6}:{host}/64 dev {link} nodad",
                        f"link set {link} up",
                        f"neighbour add {net6}:{other} lladdr 02:00:00:00:00:0{other} dev {link} nud permanent"]
            if host == 2:
                commands += [f"route add default via {gateway}" for gateway in (f"{net4}.1", f"{net6}:1")]
            namespace.run("ip", "-batch", "-", input="\n".join(commands))
            namespace.run("ethtool", "-K", link, "tx", "off", check=False)
        for namespace, link in ((end, end_link), (router, router_link)):
            namespace.wait_running(link)
