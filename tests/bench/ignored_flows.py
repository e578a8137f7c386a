#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ignored_flows.py [ROUNDS]: what do flows cost that nobody wants to hear of, told and ignored? The figures of
docs/decisions/0004-filter-in-the-kernel.md.

A flood of UDP flows at a steady rate, and the processor time that flowkin takes meanwhile; with a receive buffer as small as
it can be, so that what takes room in it is lost."""

import os
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from flowkin import UDP_FLOOD  # noqa: E402
from net import TRACKING_SYSCTLS, Namespace, sweep  # noqa: E402
from supervisor import Unit  # noqa: E402

FLOWS = 200_000
PER_SECOND = 40_000
RULES = """
table inet tracking {
    chain input { type filter hook input priority 0; ct state new udp dport 20000-40000 drop; }
}
"""


def processor_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def a_round(ignore):
    """Processor seconds, events lost, bytes of log."""
    host = Namespace("ignored")
    try:
        host.sysctl(**TRACKING_SYSCTLS)
        host.nft(RULES)
        config = {"conntrack": {"receive_buffer": "64KiB"}, "filter": {"ignore": ignore}}
        with tempfile.TemporaryDirectory() as folder, Unit(folder, host, config=config) as unit:
            before = processor_s(unit.program.pid)
            host.run(UDP_FLOOD, "127.0.0.1", "127.0.0.2", FLOWS, PER_SECOND)
            time.sleep(2)
            spent = processor_s(unit.program.pid) - before
            unit.stop()
            lost = sum(record["conntrack"]["loss"].get("count", 0) for record in unit.find("events-lost"))
            return spent, lost, unit.path.stat().st_size
    finally:
        host.delete()


def main():
    sweep()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"| filter.ignore | flowkin's processor time for {FLOWS} flows, s | events lost | log |")
    print("|---|---|---|---|")
    results = {(): [], ("udp",): []}
    for _ in range(rounds):  # by turns, for what else the machine does
        for ignore, found in results.items():
            found.append(a_round(list(ignore)))
    for ignore, found in results.items():
        spent, lost, log = (statistics.median(column) for column in zip(*found))
        print(f"| {list(ignore)} | {spent:.2f} | {lost:.0f} | {log / 1e6:.1f} MB |", flush=True)


if __name__ == "__main__":
    main()
