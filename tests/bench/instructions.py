#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""instructions.py [record]: how many instructions an event takes from its bytes to its line, as callgrind counts them in
pipeline_replay: the same number each time, whatever else the machine does. It is held against the recorded one
(instructions.json, quoted in docs/performance.md), so that it does not creep; `record` records the present one.

SHA-1 is left out, for valgrind knows nothing of the processor's instructions for it: what it would count is the portable
way, which no such processor goes. glibc is told to choose the same functions on every processor."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent),
                str(pathlib.Path(__file__).resolve().parents[1] / "support")]

import flowkin as tool  # noqa: E402
import report  # noqa: E402

RECORD = pathlib.Path(__file__).with_name("instructions.json")
TOLERANCE = 0.05
ROOMS = {"netlink": "decode", "flow": "table", "json": "encode", "pipeline": "between them"}


def count(program=tool.BUILD / "tests/bench/pipeline_replay"):
    """{room: instructions an event}, with all of them under "event"."""
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/callgrind"
        tunables = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX,-ERMS,-FSRM"
        ran = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
                              "--toggle-collect=measured_turn", str(program)],
                             env={**os.environ, "GLIBC_TUNABLES": tunables}, capture_output=True, text=True, check=True)
        events = int(ran.stdout)
        told = subprocess.run(["callgrind_annotate", "--auto=no", "--threshold=100", out], capture_output=True, text=True,
                              check=True).stdout
    rooms = {name: 0 for name in (*ROOMS.values(), "the standard libraries")}
    for line in told.splitlines():
        found = re.match(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+(\S+?):(\S.*)", line)
        if not found or "sha1_portable" in found[3]:
            continue
        # Inlined code is told by the file of the function that it stands in.
        room = re.search(r"lib/(\w+)/", found[2])
        name = ROOMS.get(room[1]) if room else "the standard libraries"
        rooms[name or "the standard libraries"] += int(found[1].replace(",", ""))
    assert rooms["encode"], told
    counted = {name: round(instructions / events) for name, instructions in rooms.items()}
    return {"event": round(sum(rooms.values()) / events), **counted}


def record(counted):
    RECORD.write_text(json.dumps(counted, indent=4) + "\n")
    rows = [("an event, from datagram to line" if name == "event" else f"– {name}", f"{number:,}")
            for name, number in counted.items()]
    report.put("instructions", report.table(("what", "instructions"), rows))


def main():
    counted = count()
    print(json.dumps(counted, indent=4))
    if sys.argv[1:] == ["record"]:
        record(counted)
        return 0
    recorded = json.loads(RECORD.read_text())["event"]
    change = counted["event"] / recorded - 1
    print(f"{counted['event']} instructions an event, {recorded} recorded: {change:+.1%}")
    if abs(change) > TOLERANCE:
        print(f"more than {TOLERANCE:.0%} apart: find out why, and where it is meant to be so, "
              "record it: ./dev bench instructions record", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
