# SPDX-License-Identifier: GPL-2.0-or-later
"""What a running program has used of the processor and of memory, all its threads together."""

import dataclasses
import os
import pathlib

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True)
class Usage:
    """Seconds of the processor."""
    user_s: float = 0.0
    system_s: float = 0.0

    @property
    def total_s(self):
        return self.user_s + self.system_s

    def __sub__(self, earlier):
        return Usage(self.user_s - earlier.user_s, self.system_s - earlier.system_s)


def usage(pid):
    """The kernel counts the whole in nanoseconds and its two parts in ticks: the parts are scaled to the whole."""
    process = pathlib.Path(f"/proc/{pid}")
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    user_s, system_s = int(fields[11]) * _TICK_S, int(fields[12]) * _TICK_S
    whole_s = 0.0
    for task in (process / "task").iterdir():
        try:
            whole_s += int((task / "schedstat").read_text().split()[0]) / 1e9
        except FileNotFoundError:  # a thread that has just ended
            return usage(pid)
    share = user_s / (user_s + system_s) if user_s + system_s else 0.5
    return Usage(whole_s * share, whole_s * (1 - share))


def _status(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise KeyError(key)


def peak_bytes(pid):
    return _status(pid, "VmHWM") * 1024


def resident_bytes(pid):
    return _status(pid, "VmRSS") * 1024


def waits(pid, task=None):
    """How often its threads, or this one of them, have gone to sleep since they began."""
    tasks = os.listdir(f"/proc/{pid}/task") if task is None else [task]
    return sum(_status(f"{pid}/task/{each}", "voluntary_ctxt_switches") for each in tasks)
