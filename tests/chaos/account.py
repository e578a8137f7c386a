# SPDX-License-Identifier: GPL-2.0-or-later
"""A log held against the account of who made the flows.

Each flow of the account is opened once and ended once in the log, or what is missing lies in a declared loss: one
without a count covers whatever lies in its time; one with a count covers so many events and no more."""

import bisect
import collections
import csv
import dataclasses
import datetime
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "support")]

import shipper_rules  # noqa: E402
from cover import Missing, uncovered  # noqa: E402
from ledger import OPENINGS  # noqa: E402

# How long before its line was dropped an event may have been: the longest pause, and what was queued before.
SINK_LAG_NS = 5_000_000_000
# What a killed run leaves undeclared of the kernel's losses is no older than this.
UNDECLARED_NS = 1_100_000_000


def nanoseconds(text):
    whole, fraction = text.rstrip("Z").split(".")
    when = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return int(when.timestamp()) * 1_000_000_000 + int(fraction)


@dataclasses.dataclass(frozen=True)
class Made:
    """One flow of the account: its beginning and its end each lie between two moments."""
    ports: tuple
    began: tuple
    ended: tuple  # zeros: the kernel did not know it


@dataclasses.dataclass
class Loss:
    where: str
    since: int
    until: int
    room: float  # events that it may cover
    line: int = 0


@dataclasses.dataclass
class Life:
    """One uid in the log."""
    line: int
    opening: str
    ended: bool = False


def read_account(path):
    with open(path, encoding="ascii", newline="") as file:
        for row in csv.reader(file):
            numbers = [int(word) for word in row]
            yield Made(tuple(numbers[:2]), tuple(numbers[2:4]), tuple(numbers[4:6]))


class Log:
    """What a log says: the lives of each pair of ports, the losses, and the starts that knew nothing of before."""

    def __init__(self, path):
        self.lives = collections.defaultdict(dict)  # ports: {uid: Life}
        self.losses = []
        self.fresh_starts = []  # their line numbers
        self.fresh_began = []   # and times
        self.starts = collections.Counter()
        self.actions = collections.Counter()
        self.violations = []
        self._heard_until = 0
        self._reconciles = []  # (began, done)
        with open(path, "rb") as file:
            for number, raw in enumerate(file, 1):
                self._take(number, shipper_rules.parse(raw))

    def _take(self, number, record):
        action = record["event"]["action"]
        self.actions[action] += 1
        if record["event"]["dataset"] == "flowkin.flow":
            self._take_flow(number, action, record)
        elif action == "events-lost":
            loss = record["conntrack"]["loss"]
            until = nanoseconds(loss["until"])
            since = nanoseconds(loss["since"])
            if loss["where"].startswith("sink"):
                since = self._oldest_untold_end(since, SINK_LAG_NS)
            self.losses.append(Loss(loss["where"], since, until, loss.get("count", float("inf")), number))
        elif action == "resync-completed":
            done = nanoseconds(record["@timestamp"])
            self._reconciles.append((done - record["conntrack"]["resync"]["duration"], done))
        elif action == "monitor-start":
            state = record["conntrack"]["monitor"]["state"]
            self.starts[state] += 1
            if state == "fresh":
                began = nanoseconds(record["@timestamp"])
                self.fresh_starts.append(number)
                self.fresh_began.append(began)
                if self._heard_until:
                    since = self._oldest_untold_end(self._heard_until, UNDECLARED_NS)
                    self.losses.append(Loss("fresh-start", since, began, float("inf"), number))

    def _take_flow(self, number, action, record):
        if record["conntrack"]["observed"] == "event":
            self._heard_until = max(self._heard_until, nanoseconds(record["@timestamp"]))
        if record["network"]["transport"] != "udp":
            return
        lives = self.lives[record["source"]["port"], record["destination"]["port"]]
        uid = record["conntrack"]["uid"]
        if action in OPENINGS:
            if uid in lives:
                self.violations.append(f"line {number}: uid {uid} is opened twice")
            lives[uid] = Life(number, action)
        elif action == "flow-end":
            life = lives.setdefault(uid, Life(number, "unseen"))
            if life.ended:
                self.violations.append(f"line {number}: uid {uid} is ended twice")
            life.ended = True

    def _oldest_untold_end(self, since, lag):
        """Of lines that are missing from `since` on. A reconcile tells of ends that the kernel was silent about: they are
        as old as the silences since the reconcile before it."""
        mended = max([began for began, done in self._reconciles if done < since], default=0)
        silences = [loss.since for loss in self.losses if loss.where == "kernel-socket" and loss.until >= mended]
        return min([since - lag, *silences])

    def fresh_between(self, first, last):
        at = bisect.bisect_left(self.fresh_starts, first)
        return at < len(self.fresh_starts) and self.fresh_starts[at] < last

    def fresh_after(self, line, until):
        """True where a run that knew nothing of before began after that line and by that time."""
        at = bisect.bisect_left(self.fresh_starts, line)
        return at < len(self.fresh_began) and self.fresh_began[at] <= until


def judge(account_path, log_path):
    """(summary, violations)"""
    log = Log(log_path)
    violations = list(log.violations)
    counts = collections.Counter()
    missing = []
    for made in read_account(account_path):
        counts["flows made"] += 1
        lives = sorted(log.lives.pop(made.ports, {}).values(), key=lambda life: life.line)
        if made.ended == (0, 0):
            counts["unknown to the kernel"] += 1
            continue
        for earlier, later in zip(lives, lives[1:]):
            if earlier.ended or not log.fresh_between(earlier.line, later.line):
                violations.append(f"{made.ports} is opened twice: {lives}")
        if not lives:
            counts["not told"] += 1
            missing.append(Missing(*made.began, f"the beginning of {made} is not told, and no declared loss covers it"))
            missing.append(Missing(*made.ended, f"the end of {made} is not told, and no declared loss covers it"))
            continue
        counts["told"] += 1
        counts[f"opened by {lives[-1].opening}"] += 1
        if not lives[-1].ended:
            # The kernel's silence is no excuse where the flow is known: a reconcile ends what is no longer there.
            counts["end not told"] += 1
            missing.append(Missing(*made.ended, f"{made.ports} is not ended: {lives}, {made}",
                                   of_lines=not log.fresh_after(lives[-1].line, made.ended[1])))
    violations += [event.text for event in uncovered(log.losses, missing)]
    violations += [f"{ports} is in the log and was never made" for ports in list(log.lives)[:10]]
    summary = dict(counts)
    for where in sorted({loss.where for loss in log.losses}):
        summary[f"losses: {where}"] = sum(loss.where == where for loss in log.losses)
    summary |= {f"starts: {state}": number for state, number in log.starts.items()}
    summary["lines"] = sum(log.actions.values())
    return summary, violations
