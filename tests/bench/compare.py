#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""compare.py [ROUNDS]: what an event costs those who read it: a bare recvmmsg(2), a plain recv(2), flowkin, ulogd2 and
conntrack, by turns in one run, in the same namespace, under the same load. Writes the table of docs/performance.md."""

import pathlib
import statistics
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent),
                str(pathlib.Path(__file__).resolve().parents[1] / "support")]

import loads  # noqa: E402
import readers  # noqa: E402
import report  # noqa: E402
from net import sweep  # noqa: E402

ROUNDS = 3
HEADS = ("reader", "events", "lost", "user µs", "system µs", "µs an event", "of the floor", "peak MiB", "lines", "MB written")


def median_of(rounds, value):
    """The median of what is known; None where nothing is."""
    known = [value(reading) for reading in rounds]
    known = [number for number in known if number is not None]
    return statistics.median(known) if known else None


def complete(reading, made):
    """Who does not say how many it read, or how many it lost, has the others' sum to tell it."""
    if reading.seen is None:
        reading.seen = made - reading.lost
    if reading.lost is None:
        reading.lost = made - reading.seen
    return reading


def measure(load, rounds, folder, kinds=readers.ALL):
    """{kind: its readings, one a round}."""
    readings = {kind: [] for kind in kinds}
    for number in range(rounds):
        made = None
        for kind in kinds:
            with loads.tracked_namespace("bench") as namespace:
                with kind(pathlib.Path(folder) / f"{load.name}-{number}-{kind.__name__}", namespace) as reader:
                    load.run(namespace)
                    reading = reader.finish()
            if made is None:
                made = reading.seen + reading.lost
            readings[kind].append(complete(reading, made))
            print(f"{load.name}, round {number + 1}, {kind.name}: {us_an_event(reading):.2f} µs", file=sys.stderr)
    return readings


def us_an_event(reading):
    return reading.used.total_s / max(reading.seen, 1) * 1e6


def ratios(readings, kind, to):
    """Of each round, for the machine is not the same from one to the next."""
    return [us_an_event(mine) / us_an_event(its) for mine, its in zip(readings[kind], readings[to])]


def row(kind, readings, floor):
    rounds = readings[kind]
    lines = median_of(rounds, lambda reading: reading.lines)
    return (kind.name,
            f"{median_of(rounds, lambda reading: reading.seen):,.0f}",
            f"{median_of(rounds, lambda reading: reading.lost):,.0f}",
            f"{median_of(rounds, lambda reading: reading.used.user_s / reading.seen) * 1e6:.2f}",
            f"{median_of(rounds, lambda reading: reading.used.system_s / reading.seen) * 1e6:.2f}",
            f"{median_of(rounds, us_an_event):.2f}",
            f"{statistics.median(ratios(readings, kind, floor)):.2f}",
            f"{median_of(rounds, lambda reading: reading.peak_bytes) / (1 << 20):.1f}",
            f"{lines:,.0f}" if lines else "–",
            f"{median_of(rounds, lambda reading: reading.written_bytes) / 1e6:.0f}" if lines else "–")


def text_of(load, readings):
    floor = next(iter(readings))
    return f"**{load.name}**, {load.flows:,} flows:\n\n" + report.table(
        HEADS, [row(kind, readings, floor) for kind in readings])


def goals_text(readings):
    """The goals that hold for the flood."""
    def line(what, kind, to, goal):
        measured = statistics.median(ratios(readings, kind, to))
        return what, goal, f"{measured:.2f}"
    return report.table(("processor time an event, flowkin under the flood", "goal", "measured"), [
        line("of the floor", readers.Flowkin, readers.Floor, "≤ 2.0"),
        line("of the floor, both from a full buffer", readers.FlowkinFull, readers.Floor, "≤ 2.0"),
        line("of a plain recv()", readers.Flowkin, readers.Plain, "≤ 1.2, aim < 1.0"),
        line("of ulogd2", readers.Flowkin, readers.Ulogd, "≤ 0.25")])


def main():
    sweep()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    texts = []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        flood = loads.flood(100_000)
        readings = measure(flood, rounds, folder)
        texts = [goals_text(readings), text_of(flood, readings)]
        for load in (loads.connect_storm(30_000), loads.batches(100_000)):
            texts.append(text_of(load, measure(load, max(rounds // 2, 1), folder)))
    text = f"Medians of {rounds} rounds (the two other loads: {max(rounds // 2, 1)}), ratios within a round. " \
           f"{report.machine()}.\n\n" + "\n\n".join(texts)
    report.put("comparison", text)
    print(text)


if __name__ == "__main__":
    main()
