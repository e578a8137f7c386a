#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""no_enobufs.py [ROUNDS]: which loses less under the same load, NETLINK_NO_ENOBUFS or the kernel's own way? The figures of
docs/decisions/0002-no-enobufs.md.

New flows at a steady rate, while flowkin is stopped and continued by turns, as on a machine that has no time for it.
What was lost is what flowkin declared, and what it read and what it lost must be all that was made."""

import pathlib
import signal
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from flowkin import UDP_FLOOD  # noqa: E402
from net import TRACKING_SYSCTLS, Namespace, sweep  # noqa: E402
from supervisor import Unit  # noqa: E402

FLOWS = 200_000
PER_SECOND = 60_000
STOPPED_S, RUNNING_S = 0.25, 0.1
RULES = """
table inet tracking {
    chain input { type filter hook input priority 0; ct state new udp dport 20000-40000 drop; }
}
"""


def lost_in_a_round(receive_buffer, no_enobufs):
    host = Namespace("burst")
    try:
        host.sysctl(**TRACKING_SYSCTLS)
        host.nft(RULES)
        config = {"conntrack": {"receive_buffer": receive_buffer, "no_enobufs": no_enobufs}}
        with tempfile.TemporaryDirectory() as folder, Unit(folder, host, config=config) as unit:
            with host.background(UDP_FLOOD, "127.0.0.1", "127.0.0.2", FLOWS, PER_SECOND) as flood:
                while flood.popen.poll() is None:
                    unit.send(signal.SIGSTOP)
                    time.sleep(STOPPED_S)
                    unit.send(signal.SIGCONT)
                    time.sleep(RUNNING_S)
            time.sleep(1)
            unit.stop()
            lost = sum(record["conntrack"]["loss"]["count"] for record in unit.find("events-lost"))
            stop, = unit.find("monitor-stop")
            heard = stop["conntrack"]["monitor"]["totals"]["new"]
            assert heard + lost == FLOWS, (heard, lost)
            return lost, len(unit.find("events-lost"))
    finally:
        host.delete()


def main():
    sweep()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"| receive_buffer | no_enobufs | lost of {FLOWS}, each round | median | events-lost records |")
    print("|---|---|---|---|---|")
    for receive_buffer in ("1MiB", "8MiB"):
        results = {True: [], False: []}
        for _ in range(rounds):  # by turns, for what else the machine does
            for no_enobufs, found in results.items():
                found.append(lost_in_a_round(receive_buffer, no_enobufs))
        for no_enobufs, found in results.items():
            losses = [lost for lost, _ in found]
            print(f"| {receive_buffer} | {str(no_enobufs).lower()} | {', '.join(map(str, losses))} | "
                  f"{statistics.median(losses):.0f} | {statistics.median(records for _, records in found):.0f} |",
                  flush=True)


if __name__ == "__main__":
    main()
