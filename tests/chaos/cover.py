# SPDX-License-Identifier: GPL-2.0-or-later
"""Which missing events no declared loss has room for.

Losses overlap in time, so which loss an event is charged to is a choice; a wrong one would accuse a sound log. Hence a
maximum flow: from the events, in groups that the same losses cover, to the losses with the room that their counts give."""

import bisect
import collections
import dataclasses


@dataclasses.dataclass(frozen=True)
class Missing:
    """An event of the account that the log does not tell: between which moments it was, and what to say of it.
    `of_lines`: only the loss of lines that were made excuses it, not the kernel's silence."""
    earliest: int
    latest: int
    text: str
    of_lines: bool = False


def uncovered(losses, events):
    """The events that are left when as many as possible are covered."""
    groups = _groups(losses, events)
    covering = {key: {number for number, loss in enumerate(losses) if _covers(loss, group[0])}
                for key, group in groups.items()}
    room = [loss.room for loss in losses]
    charged = collections.defaultdict(collections.Counter)  # loss: {group: how many of its events}
    left = {key: len(group) for key, group in groups.items()}
    for key, numbers in covering.items():
        if any(room[number] == float("inf") for number in numbers):
            left[key] = 0
            continue
        while left[key] and (path := _path_to_room(key, covering, charged, room)):
            _charge(path, left, charged, room)
    return [event for key, group in groups.items() for event in group[len(group) - left[key]:]]


def _covers(loss, event):
    return (loss.since <= event.latest and event.earliest <= loss.until
            and not (event.of_lines and loss.where == "kernel-socket"))


def _groups(losses, events):
    """Events between the same beginnings and ends of losses are covered by the same losses."""
    sinces, untils = sorted(loss.since for loss in losses), sorted(loss.until for loss in losses)
    groups = collections.defaultdict(list)
    for event in events:
        groups[bisect.bisect_right(sinces, event.latest), bisect.bisect_left(untils, event.earliest),
               event.of_lines].append(event)
    return groups


def _path_to_room(start, covering, charged, room):
    """[group, loss, group, loss…]: each group may move to the next loss, and the last loss has room."""
    came_from = {("group", start): None}
    waiting = collections.deque([start])
    while waiting:
        group = waiting.popleft()
        for loss in covering[group]:
            if ("loss", loss) in came_from:
                continue
            came_from["loss", loss] = ("group", group)
            if room[loss]:
                path, step = [], ("loss", loss)
                while step:
                    path.append(step[1])
                    step = came_from[step]
                return path[::-1]
            for other, number in charged[loss].items():
                if number and ("group", other) not in came_from:
                    came_from["group", other] = ("loss", loss)
                    waiting.append(other)
    return None


def _charge(path, left, charged, room):
    groups, losses = path[::2], path[1::2]
    number = min([left[groups[0]], room[losses[-1]]]
                 + [charged[loss][group] for loss, group in zip(losses, groups[1:])])
    left[groups[0]] -= number
    room[losses[-1]] -= number
    for group, loss in zip(groups, losses):
        charged[loss][group] += number
    for loss, group in zip(losses, groups[1:]):
        charged[loss][group] -= number
