# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine whose administrator installs flowkin's package."""

import net
from flowkin import parse_line

LOG = "/var/log/flowkin/flow.ndjson"
CONFIG = "/etc/flowkin/flowkin.toml"

# One UDP flow after the other, each from a port of its own, until /run/enough is there; then how many they were.
TRAFFIC = """
import os, socket, time
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 9999))
sent = 0
for port in range(10000, 60000):
    if port == 9999 or os.path.exists("/run/enough"):
        break
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", port))
        sender.sendto(b"hello", ("127.0.0.1", 9999))
    receiver.recv(16)
    sent += 1
    if sent == 100:
        open("/run/flowing", "w").close()
    time.sleep(0.002)
with open("/run/sent.new", "w") as file:
    file.write(str(sent))
os.rename("/run/sent.new", "/run/sent")
"""


class Router:
    """It tracks connections. The packages lie in /, not installed."""

    def __init__(self, guest, deb, later_deb):
        self.guest = guest
        self.run = guest.run
        guest.put(deb, "/flowkin.deb")
        guest.put(later_deb, "/later.deb")
        guest.put(net.TRACKING, "/run/tracking.nft")
        self.run("nft", "-f", "/run/tracking.nft")
        self.run("sysctl", "--quiet", "--write", "net.netfilter.nf_conntrack_events=1")

    def apt_get(self, verb, package):
        return self.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", verb, "--yes", package, timeout=180)

    def install(self, package="/flowkin.deb"):
        """Done when systemd has started the service, or could not."""
        return self.apt_get("install", package)

    def version(self):
        return self.run("dpkg-query", "--show", "--showformat=${Version}", "flowkin").stdout

    def has(self, path):
        return self.run("test", "-e", path, check=False).returncode == 0

    def log_to_file(self):
        """The operator's configuration, applied."""
        self.guest.put('[output]\ndestination = "file"\n', CONFIG)
        self.run("systemctl", "restart", "flowkin")

    def show(self, name):
        """A property of the unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", "flowkin").stdout.strip()

    def lines(self):
        """The records of the log file."""
        return [parse_line(line) for line in self.guest.get(LOG).splitlines(keepends=True)]

    def journal(self):
        return self.run("journalctl", "--no-pager", "-u", "flowkin", check=False).stdout

    def start_traffic(self):
        self.guest.put(TRAFFIC, "/run/traffic.py")
        self.run("systemd-run", "--quiet", "--unit=traffic", "python3", "/run/traffic.py")
        self.guest.wait_until("test -e /run/flowing")

    def stop_traffic(self):
        """How many flows there were."""
        self.guest.put("", "/run/enough")
        return int(self.guest.wait_until("cat /run/sent"))
