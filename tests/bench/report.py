# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/performance.md: the parts of it that a program writes stand between marks, each under a name."""

import os
import pathlib
import platform
import re
import subprocess

import flowkin as tool

PAGE = tool.ROOT / "docs/performance.md"


def table(heads, rows):
    """A table of Markdown; each row a sequence of as many cells as heads."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def put(name, text, page=PAGE):
    """Replaces what stands between `<!-- name -->` and `<!-- end of name -->`."""
    opening, closing = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, opened, rest = page.read_text().partition(opening + "\n")
    _, closed, after = rest.partition(closing)
    if not opened or not closed:
        raise KeyError(f"{page}: no part {name}")
    page.write_text(f"{before}{opening}\n{text.strip()}\n{closing}{after}")


def _package(name):
    shown = subprocess.run(["dpkg-query", "--show", "--showformat=${Version}", name], capture_output=True, text=True,
                           check=False)
    return f"{name} {shown.stdout}" if shown.returncode == 0 else f"no {name}"


def _processor():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    found = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def machine():
    """What the figures were measured on, in one line."""
    compiler = subprocess.run(["g++", "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    with open("/proc/meminfo", encoding="ascii") as memory:
        memory_gib = int(memory.readline().split()[1]) / (1 << 20)
    return ", ".join([f"{os.cpu_count()} × {_processor()} (virtual)", f"{memory_gib:.0f} GiB", f"Linux {platform.release()}",
                      f"g++ {compiler} -O2", *map(_package, ("ulogd2", "conntrack"))])
