# SPDX-License-Identifier: GPL-2.0-or-later
"""Tells flowkin's records in one short line each: when, which flow of which family, what, and what is known of it."""

import datetime
import os
import sys

_COLOURS = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35",
            "cyan": "36"}
_FAMILY_COLOURS = ("cyan", "magenta", "yellow", "blue")
_ACTIONS = {
    "flow-start": ("begins", "green"),
    "flow-seen": ("was there", "green"),
    "flow-update": ("changes", "yellow"),
    "flow-mark-changed": ("new mark", "yellow"),
    "flow-active": ("lives on", "dim"),
    "flow-end": ("ends", "red"),
    "expectation-created": ("expects", "blue"),
    "expectation-fulfilled": ("has come", "blue"),
    "expectation-ended": ("never came", "blue"),
}


def amount(number_bytes):
    for unit in ("B", "kB", "MB"):
        if number_bytes < 1000:
            break
        number_bytes /= 1000
    return f"{number_bytes:.0f} {unit}" if unit == "B" else f"{number_bytes:.1f} {unit}"


def seconds(timestamp):
    whole, fraction = timestamp.rstrip("Z").split(".")
    return datetime.datetime.fromisoformat(whole + "+00:00").timestamp() + int(fraction) / 1e9


class Narrator:
    """`names` maps addresses to what people call them."""

    def __init__(self, names, out=sys.stdout):
        self.names = names
        self.out = out
        self.colourful = out.isatty() and "NO_COLOR" not in os.environ
        self._numbers = {}  # uid: (1,) for the first family, (1, 2) for its second child
        self._children = {}  # uid: how many
        self._began = None

    def paint(self, text, *styles):
        if not self.colourful or not styles:
            return text
        return f"\033[{';'.join(_COLOURS[style] for style in styles)}m{text}\033[0m"

    def heading(self, text, note=""):
        print(f"\n{self.paint(text, 'bold')}  {self.paint(note, 'dim')}", file=self.out, flush=True)

    def tell(self, record):
        word = _ACTIONS.get(record["event"]["action"])
        if word is None:
            return
        is_flow = record["event"]["dataset"] == "flowkin.flow"
        number = self._number(record) if is_flow else self._parent_number(record)
        colour = _FAMILY_COLOURS[(number[0] - 1) % len(_FAMILY_COLOURS)] if number else "dim"
        depth = len(number) - 1 if is_flow else len(number)
        indent = "   " * (depth - 1) + "└─ " if depth else ""
        label = "#" + ".".join(map(str, number)) if number and is_flow else ""
        flow = f"{indent}{record['network']['transport']} {self._ends(record)}"
        facts = self._flow_facts(record) if is_flow else []
        print(f"  {self.paint(self._moment(record), 'dim')}  {self.paint(f'{label:<5}', colour, 'bold')}"
              f"{self.paint(f'{flow:<42}', colour)} {self.paint(f'{word[0]:<10}', word[1])} "
              f"{self.paint(' · ', 'dim').join(facts)}".rstrip(), file=self.out, flush=True)

    def _moment(self, record):
        now = seconds(record["@timestamp"])
        self._began = now if self._began is None else self._began
        return f"{now - self._began:6.3f} s"

    def _number(self, record):
        uid = record["conntrack"]["uid"]
        if uid not in self._numbers:
            self._numbers[uid] = self._next_child(record["conntrack"].get("parent", {}).get("uid"))
        return self._numbers[uid]

    def _next_child(self, parent):
        number = self._children[parent] = self._children.get(parent, 0) + 1
        return (*self._numbers.get(parent, ()), number)

    def _parent_number(self, record):
        return self._numbers.get(record["conntrack"].get("parent", {}).get("uid"), ())

    def _ends(self, record):
        return f"{self._end(record['source'])} → {self._end(record['destination'])}"

    def _end(self, side):
        name = self.names.get(side["ip"], side["ip"])
        if "port" not in side:
            return name
        return f"[{name}]:{side['port']}" if ":" in name else f"{name}:{side['port']}"

    def _flow_facts(self, record):
        name, flow, facts = record["event"]["action"], record["conntrack"], []
        if name == "flow-end":
            facts.append(record["event"]["reason"])
            if "bytes" in record["source"]:
                facts.append(f"{amount(record['source']['bytes'])} out, {amount(record['destination']['bytes'])} back")
            if "duration" in record["event"]:
                facts.append(f"{record['event']['duration'] / 1e9:.3f} s")
        if name == "flow-update":
            facts.append("assured" if "status" in flow["changed"] else ", ".join(flow["changed"]))
        if name in ("flow-start", "flow-seen"):
            facts += [f"as {self._end(record[side]['nat'])}" for side in ("source", "destination")
                      if "nat" in record[side]]
            facts += [f"helper {flow['helper']}"] if "helper" in flow else []
        if flow["mark"] and name != "flow-update" or name == "flow-mark-changed":
            facts.append(self.paint(f"mark {flow['mark']:#x} {flow.get('mark_origin', '')}".rstrip(), "yellow"))
        return facts
