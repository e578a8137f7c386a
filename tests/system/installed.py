# SPDX-License-Identifier: GPL-2.0-or-later
"""flowkin on a guest, as an operator has it: installed below /usr, a unit of systemd, a config file, and its lines in the
journal or in a file."""

import json
import time

import net
from flowkin import action, matching, parse_line, toml

UNIT = "flowkin.service"
CONFIG = "/etc/flowkin/flowkin.toml"
LOG = "/var/log/flowkin/flow.ndjson"
EXAMPLES = "/usr/share/doc/flowkin/examples"
LINES_OF_THE_JOURNAL = "journalctl -t flowkin -o cat --all _TRANSPORT=stdout"


class Installed:
    """Installed, not started. `guest` is where."""

    def __init__(self, guest, package):
        self.guest = guest
        guest.put(package, "/")
        guest.run("systemd-sysusers")
        guest.put(net.TRACKING, "/run/tracking.nft")
        guest.run("nft", "-f", "/run/tracking.nft")
        guest.run("sysctl", "--quiet", "--write",
                  *(f"{key.replace('__', '.')}={value}" for key, value in net.TRACKING_SYSCTLS.items()))
        self.systemctl("daemon-reload")

    def configure(self, tables):
        """Writes the config file: {table: {key: value}}."""
        self.guest.put(toml(tables), CONFIG)

    def drop_in(self, name, text):
        """A drop-in of the unit."""
        self.guest.put(text, f"/etc/systemd/system/flowkin.service.d/{name}.conf")
        self.systemctl("daemon-reload")

    def systemctl(self, *arguments, **options):
        return self.guest.run("systemctl", *arguments, **options)

    def start(self, **options):
        """Done when it is ready; a start that fails is an error."""
        return self.systemctl("start", UNIT, **options)

    def stop(self):
        return self.systemctl("stop", UNIT)

    def reload(self, **options):
        return self.systemctl("reload", UNIT, **options)

    def show(self, name):
        """A property of the unit, as systemctl shows it."""
        return self.systemctl("show", "--value", f"--property={name}", UNIT).stdout.strip()

    def pid(self):
        return int(self.show("MainPID"))

    def send(self, signal):
        """As `systemctl kill` does, to the daemon alone."""
        self.systemctl("kill", "--kill-whom=main", f"--signal={signal}", UNIT)

    def wait_shown(self, name, value, timeout=30):
        self.guest.wait_until(f'test "$(systemctl show --value --property={name} {UNIT})" = "{value}"', timeout)

    def journal(self, *arguments):
        """What systemd and flowkin told of it."""
        return self.guest.run("journalctl", "--no-pager", "-u", "flowkin", "-o", "short-precise", "--all", "-n", "500",
                              *arguments, check=False).stdout

    def lines(self, path=None):
        """The records in the journal, or in a file. Those of the ledger: in the journal stand diagnostics as well."""
        if path:
            return [parse_line(line) for line in self.guest.get(path).splitlines(keepends=True)]
        raw = self.guest.run(LINES_OF_THE_JOURNAL, timeout=120).stdout.encode()
        records = [parse_line(line) for line in raw.splitlines(keepends=True) if line.startswith(b"{")]
        return [record for record in records if "sequence" in record.get("event", {})]

    def wait_action(self, name, path=None, timeout=30, count=1, **wanted):
        """Waits for records; gives the first, or, with count, all of them."""
        accepted = matching(event__action=name, **wanted)
        deadline = time.monotonic() + timeout
        while True:
            records = self.lines(path)
            found = [record for record in records if accepted(record)]
            if len(found) >= count:
                return found[0] if count == 1 else found
            if time.monotonic() > deadline:
                told = "\n".join(json.dumps(record) for record in records[-5:])
                raise TimeoutError(f"no {name} {wanted} in {timeout} s ({len(found)} of {count}); the last of "
                                   f"{len(records)} lines:\n{told}")
            time.sleep(0.1)

    # ---- flows, as a tool makes and deletes them

    def make_flow(self, port):
        self.guest.run("conntrack", "-I", "-p", "udp", "-s", "192.0.2.1", "-d", "192.0.2.2", "--sport", 1000, "--dport", port,
                       "--timeout", 600)

    def delete_flow(self, port):
        self.guest.run("conntrack", "-D", "-p", "udp", "--dport", port)


def runs(records):
    """The records of each run of flowkin, in order of time."""
    lives = []
    for record in records:
        if action(record) == "monitor-start":
            lives.append([])
        lives[-1].append(record)
    return lives
