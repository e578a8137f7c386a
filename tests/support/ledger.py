# SPDX-License-Identifier: GPL-2.0-or-later
"""The log held against the conservation law of the event format: what one run may and may not say."""

OPENINGS = ("flow-start", "flow-seen")


def gaps(records):
    """The ranges of sequences that are missing: [(first, last)]."""
    missing, expected = [], 1
    for record in records:
        sequence = record["event"]["sequence"]
        if sequence != expected:
            missing.append((expected, sequence - 1))
        expected = sequence + 1
    return missing


def declared_losses(records):
    """The ranges that events-lost records name: [(first, last)]."""
    losses = [record["conntrack"]["loss"] for record in records if record["event"]["action"] == "events-lost"]
    return [(loss["first_sequence"], loss["last_sequence"]) for loss in losses if "first_sequence" in loss]


def violations(records):
    """What breaks the law, in words; empty where it holds. Flows whose opening lies in a declared loss are excused."""
    found = []
    opened, ended, ids = set(), set(), set()
    lost = declared_losses(records)
    for first, last in gaps(records):
        if last < first:
            found.append(f"sequence goes back from {first} to {last + 1}")
        elif not any(low <= first and last <= high for low, high in lost):
            found.append(f"sequences {first} to {last} are missing and no events-lost names them")
    for record in records:
        name, sequence = record["event"]["action"], record["event"]["sequence"]
        if record["event"]["id"] in ids:
            found.append(f"line {sequence}: event.id {record['event']['id']} is used twice")
        ids.add(record["event"]["id"])
        if record["event"]["dataset"] != "flowkin.flow":
            continue
        flow = record["conntrack"]
        uid = flow["uid"]
        if uid in ended:
            found.append(f"line {sequence}: {name} of {uid} after its end")
        if name in OPENINGS:
            if uid in opened:
                found.append(f"line {sequence}: {uid} is opened twice")
            opened.add(uid)
        elif uid not in opened and not lost:
            found.append(f"line {sequence}: {name} of {uid}, which was not opened")
        if name == "flow-end":
            ended.add(uid)
        for kin in (flow.get("parent", {}).get("uid"), flow.get("lineage", {}).get("root")):
            if kin and kin not in opened and not lost:
                found.append(f"line {sequence}: kin {kin} was not opened before")
    return found


def live(records):
    """Uids that were opened and not ended."""
    opened = {record["conntrack"]["uid"] for record in records if record["event"]["action"] in OPENINGS}
    return opened - {record["conntrack"]["uid"] for record in records if record["event"]["action"] == "flow-end"}
