#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""growth.py: how flowkin grows, and whether it holds its goals: with the flows that live, with the rate of events, in
memory, over a minute of flood, and while it holds a million flows against the kernel's. Writes the tables of
docs/performance.md and the plots beside it."""

import contextlib
import json
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent),
                str(pathlib.Path(__file__).resolve().parents[1] / "support")]

import flowkin as tool  # noqa: E402
import loads  # noqa: E402
import plot  # noqa: E402
import processor  # noqa: E402
import readers  # noqa: E402
import report  # noqa: E402
from net import sweep  # noqa: E402

LIVE = (1_000, 10_000, 100_000, 1_000_000)
RATES = (1_000, 10_000, 50_000)
MILLION = 1_000_000
TABLE_GROWTH = tool.BUILD / "tests/bench/table_growth"
LINE_LATENCY = tool.BUILD / "tests/bench/line_latency"


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- in memory: decode, table, encode


def table_growth(tuples, live, events=400_000):
    done = subprocess.run([TABLE_GROWTH, tuples, str(live), str(events)], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    say(f"{tuples}, {live} live: {told['ns_an_event']} ns")
    return told


def median_ns(tuples, live, events=400_000, rounds=3):
    return statistics.median(table_growth(tuples, live, events)["ns_an_event"] for _ in range(rounds))


def tables():
    """How an event's cost grows with the flows that live, and that nobody can make it grow."""
    costs = {live: median_ns("random", live) for live in LIVE}
    few, events = 20_000, 20_000  # of 1,000 tuples one collides: they take their time to find
    random_ns, hostile_ns = median_ns("random", few, events), median_ns("hostile", few, events)
    known_ns = table_growth("hostile-known", few, 4_000)["ns_an_event"]
    return costs, {"random": random_ns, "hostile": hostile_ns, "known": known_ns}


# ---- a daemon


@contextlib.contextmanager
def room_in_the_kernel(flows):
    """Room for so many flows in the kernel's table, which is one limit for all namespaces."""
    limit = pathlib.Path("/proc/sys/net/netfilter/nf_conntrack_max")
    buckets = pathlib.Path("/proc/sys/net/netfilter/nf_conntrack_buckets")
    before = [(file, file.read_text()) for file in (limit, buckets)]
    try:
        limit.write_text(str(max(int(before[0][1]), flows)))
        buckets.write_text(str(max(int(before[1][1]), flows // 4)))
        yield
    finally:
        for file, text in before:
            file.write_text(text)


def has_reconciled(path, start):
    """Whether the log says so from this byte on."""
    with open(path, "rb") as file:
        file.seek(start)
        return b'"resync-completed"' in file.read()


@contextlib.contextmanager
def latency_of(path):
    """Gives a list that holds, after the context, what line_latency told."""
    told = []
    with subprocess.Popen([LINE_LATENCY, path], stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout.readline() == "ready\n"
            yield told
            time.sleep(0.2)
        finally:
            program.send_signal(signal.SIGTERM)
        told.append(json.loads(program.stdout.readline()))


def at_rate(folder, per_second, seconds):
    """(µs an event, what line_latency told) of new flows at a steady rate."""
    with loads.tracked_namespace("rate") as namespace, readers.Flowkin(folder, namespace, rotate_size="off") as reader:
        flows = per_second * seconds
        with latency_of(reader.path) as told:
            before = processor.usage(reader.program.pid)
            namespace.run(tool.UDP_FLOOD, "127.0.0.1", "127.0.0.2", flows, per_second)
            reader.settle()
            used = processor.usage(reader.program.pid) - before
        assert told[0]["lines"] == flows, told
    say(f"{per_second} a second: {used.total_s / flows * 1e6:.2f} µs, {told[0]}")
    return used.total_s / flows * 1e6, told[0]


def idle_wakes(folder, seconds=10):
    with loads.tracked_namespace("idle") as namespace, readers.Flowkin(folder, namespace) as reader:
        time.sleep(2)
        before = processor.waits(reader.program.pid)
        time.sleep(seconds)
        return (processor.waits(reader.program.pid) - before) / seconds


def million(folder):
    """Memory at each size of the table, and a reconcile of the largest beside a bare reading of the dump."""
    with room_in_the_kernel(MILLION + 200_000), loads.tracked_namespace("million") as namespace, \
            readers.Flowkin(folder, namespace, rotate_size="off") as reader:
        pid = reader.program.pid
        at_start = processor.resident_bytes(pid)
        resident, made = {}, 0
        for live in LIVE:
            namespace.run(loads.FLOW_BATCHES, live - made, made)
            made = live
            reader.settle()
            resident[live] = processor.resident_bytes(pid)
            say(f"{live} live: {resident[live] / (1 << 20):.1f} MiB")
        bare_s, own_s = [], []
        for number in range(3):
            done = namespace.run(readers.BARE_READER, "dump", 0, stdin=subprocess.DEVNULL).stdout
            told = json.loads(done)
            bare_s.append(told["user_s"] + told["system_s"])
            before = processor.usage(pid)
            log_bytes = reader.path.stat().st_size
            with latency_of(reader.path) as latency:
                with namespace.background(tool.UDP_FLOOD, f"127.0.1.{number + 1}", "127.0.0.2", 3_000, 1_000) as flood:
                    reader.program.popen.send_signal(signal.SIGUSR1)
                    readers.until(lambda start=log_bytes: has_reconciled(reader.path, start), "a reconcile")
                    own_s.append((processor.usage(pid) - before).total_s)
                    flood.popen.wait(30)
            say(f"dump {bare_s[-1]:.2f} s, reconcile {own_s[-1]:.2f} s, {latency[0]}")
        ratio = statistics.median(own / bare for own, bare in zip(own_s, bare_s))
        return at_start, resident, statistics.median(bare_s), statistics.median(own_s), ratio, latency[0]


def sustained(folder, flows=200_000, rounds=50):
    """One flood after the other, two minutes on end: (flows, lost, µs an event, RSS after each)."""
    with loads.tracked_namespace("flood") as namespace:
        reader = readers.Flowkin(folder, namespace)
        with reader:
            pid = reader.program.pid
            resident = []
            for number in range(rounds):
                loads.flood(flows).run(namespace)
                resident.append(processor.resident_bytes(pid))
                say(f"flood {number + 1}: {resident[-1] >> 20} MiB")
            reader.settle()
            reading = reader.finish()
        assert reading.seen + reading.lost == rounds * flows * 2, (reading, rounds)
        return rounds * flows, reading.lost, reading.used.total_s / reading.seen * 1e6, resident


# ---- the page


def held(measured, goal):
    return "held" if measured <= goal else "**missed**"


def report_tables(costs, tuples, at_start, resident):
    few, many = LIVE[0], LIVE[-1]
    rows = [(f"{live:,}", f"{costs[live]:.0f}", f"{costs[live] / costs[few]:.2f}", f"{resident[live] / (1 << 20):.1f}",
             f"{(resident[live] - at_start) / live:.0f}") for live in LIVE]
    a_flow = resident[many] / many
    report.put("growth with flows", "\n\n".join([
        report.table(("flows that live", "ns an event", "of that at 1,000", "RSS, MiB", "bytes a flow"), rows),
        f"RSS before the first flow: {at_start / (1 << 20):.1f} MiB.",
        report.table(("tuples, 20,000 flows", "ns an event"), [
            ("random", f"{tuples['random']:.0f}"), ("chosen to collide, the seed not known", f"{tuples['hostile']:.0f}"),
            ("chosen to collide, the seed known", f"{tuples['known']:,.0f}")]),
        report.table(("goal", "at most", "measured", ""), [
            ("cost at 1,000,000 flows, of that at 1,000", "1.5", f"{costs[many] / costs[few]:.2f}",
             held(costs[many] / costs[few], 1.5)),
            ("hostile tuples, of random ones", "1.1", f"{tuples['hostile'] / tuples['random']:.2f}",
             held(tuples["hostile"] / tuples["random"], 1.1)),
            ("bytes a flow at 1,000,000, all of the process included", "256", f"{a_flow:.0f}", held(a_flow, 256))])]))
    plot.line(report.PAGE.with_name("performance-flows.svg"), "what an event costs, by the flows that live",
              "flows", "ns an event", [(live, costs[live]) for live in LIVE])


def report_rates(rates, idle, wakes):
    rows = [(f"{rate:,}", f"{cost:.2f}", *(f"{told[key]:.2f}" for key in ("p50_ms", "p99_ms", "longest_ms")))
            for rate, (cost, told) in rates.items()]
    rows.insert(0, ("10, one by one", "–", *(f"{idle[key]:.2f}" for key in ("p50_ms", "p99_ms", "longest_ms"))))
    p99_ms = rates[10_000][1]["p99_ms"]
    report.put("growth with the rate", "\n\n".join([
        report.table(("events a second", "µs an event", "ms to the file, median", "p99", "longest"), rows),
        report.table(("goal", "at most", "measured", ""), [
            ("event to line in the file, p99 at 10,000 a second", "5 ms", f"{p99_ms:.2f} ms", held(p99_ms, 5)),
            ("the same where events come alone", "1 ms", f"{idle['p99_ms']:.2f} ms", held(idle["p99_ms"], 1)),
            ("wake-ups a second where nothing comes", "2", f"{wakes:.1f}", held(wakes, 2))])]))
    plot.line(report.PAGE.with_name("performance-rate.svg"), "what an event costs, by how many come",
              "events a second", "µs an event", [(rate, cost) for rate, (cost, _) in rates.items()])


def report_endurance(bare_s, own_s, ratio, latency, flood):
    flows, lost, cost, resident = flood
    warm = len(resident) // 3  # by then its buffers have met the greatest burst
    grown = max(resident[warm:]) / max(resident[:warm])
    report.put("endurance", report.table(("goal", "at most", "measured", ""), [
        ("200,000 flows at full speed, fifty times on end: events lost", "0",
         f"{lost:,} of {2 * flows:,}, at {cost:.2f} µs", held(lost, 0)),
        ("RSS over the last two thirds of these ten million flows, of that over the first", "1.05",
         f"{grown:.2f} ({max(resident) >> 20} MiB)", held(grown, 1.05)),
        ("reconcile of 1,000,000 flows, of reading the dump", "1.5", f"{ratio:.2f} ({own_s:.2f} s, {bare_s:.2f} s)",
         held(ratio, 1.5)),
        ("how long events wait meanwhile: longest, event to file", "20 ms", f"{latency['longest_ms']:.1f} ms",
         held(latency["longest_ms"], 20))]))


def main():
    sweep()
    wanted = sys.argv[1:] or ["flows", "rate", "endurance"]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        folder = pathlib.Path(folder)
        if "flows" in wanted or "endurance" in wanted:
            at_start, resident, *reconcile = million(folder / "million")
        if "flows" in wanted:
            report_tables(*tables(), at_start, resident)
        if "rate" in wanted:
            rates = {rate: at_rate(folder / f"{rate}", rate, 5) for rate in RATES}
            report_rates(rates, at_rate(folder / "idle", 10, 5)[1], idle_wakes(folder / "wakes"))
        if "endurance" in wanted:
            report_endurance(*reconcile, sustained(folder / "flood"))


if __name__ == "__main__":
    main()
