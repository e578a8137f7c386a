#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""micro.py: what an event costs in each room, without kernel and disk, as pipeline_bench has it. Writes the table of
docs/performance.md."""

import json
import pathlib
import subprocess
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent),
                str(pathlib.Path(__file__).resolve().parents[1] / "support")]

import flowkin as tool  # noqa: E402
import report  # noqa: E402

ROOMS = {
    "decode": "decode",
    "decode_and_table": "decode, and the flow table",
    "encode": "encode one line",
    "whole_pipeline": "the whole pipeline, from datagram to line",
}
GOAL_NS = 700


def main():
    done = subprocess.run([tool.BUILD / "tests/bench/pipeline_bench", "--benchmark_format=json", "--benchmark_repetitions=3",
                           "--benchmark_report_aggregates_only=true"], capture_output=True, text=True, check=True)
    told = {}
    for result in json.loads(done.stdout)["benchmarks"]:
        if result["aggregate_name"] == "median":
            told[result["run_name"].split("/")[0]] = result["ns/event"]
    rows = [(what, f"{told[name]:.0f}") for name, what in ROOMS.items()]
    whole_ns = told["whole_pipeline"]
    text = report.table(("what", "ns an event"), rows) + "\n\n" + (
        f"The goal for the whole pipeline, {GOAL_NS} ns, is {'held' if whole_ns <= GOAL_NS else '**missed**'}.")
    report.put("rooms", text)
    print(text)


if __name__ == "__main__":
    main()
