# SPDX-License-Identifier: GPL-2.0-or-later
"""What log shippers, Filebeat's ndjson parser first, demand of a log, as docs/event-format.md promises it.

Of a line: below 4,096 bytes, UTF-8, one JSON object, no member twice, no dotted name, no number but integers of 64 bits,
a timestamp that Go reads as RFC 3339, no name at the top that a shipper writes itself. Of files: each begins in 256 bytes
that no other has.
"""

import datetime
import functools
import json
import re

LINE_LONGEST = 4095
FINGERPRINT_BYTES = 256
TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{9}Z", re.ASCII)
SHIPPER_MEMBERS = frozenset({"type", "message", "error", "log", "agent", "input", "@metadata"})


def _object_of(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"stands twice: {next(name for name in names if names.count(name) > 1)}")
    for name in members:
        if "." in name or not name:
            raise ValueError(f"a dotted name: {name!r}")
    return members


def _integer_of(text):
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"beyond int64: {text}")
    return value


def _refuse_number(text):
    raise ValueError(f"no integer: {text}")


_STRICT = json.JSONDecoder(object_pairs_hook=_object_of, parse_int=_integer_of, parse_float=_refuse_number,
                           parse_constant=_refuse_number)


def parse(raw):
    """A line's record; ValueError says which rule of JSON the line breaks."""
    if len(raw) > LINE_LONGEST:
        raise ValueError(f"{len(raw)} bytes")
    if not raw.endswith(b"\n"):
        raise ValueError("no newline at its end")
    record = _STRICT.decode(raw[:-1].decode())
    if not isinstance(record, dict):
        raise ValueError("no JSON object")
    return record


@functools.lru_cache(maxsize=64)
def _is_date(text):
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def record_violations(record):
    """What is wrong with a record whose line parse() accepts."""
    timestamp = record.get("@timestamp")
    read = TIMESTAMP.fullmatch(timestamp) if isinstance(timestamp, str) else None
    if not read or not _is_date(read[1]):
        yield f"@timestamp: {timestamp!r} is not RFC 3339 with nine digits and Z"
    if not SHIPPER_MEMBERS.isdisjoint(record):
        yield from (f"{name}: a shipper's own name at the top" for name in sorted(SHIPPER_MEMBERS & record.keys()))


def line_violations(raw):
    """What is wrong with a line, given as bytes with its newline."""
    try:
        record = parse(raw)
    except ValueError as error:
        yield str(error)
        return
    yield from record_violations(record)


def file_violations(paths):
    """What is wrong with the beginnings of files that lie beside each other; one without a line yet has none."""
    seen = {}
    for path in paths:
        with open(path, "rb") as file:
            head = file.read(FINGERPRINT_BYTES)
        if not head:
            continue
        if len(head) < FINGERPRINT_BYTES or b"\n" in head:
            yield f"{path}: its first line has fewer than {FINGERPRINT_BYTES} bytes"
        if head in seen:
            yield f"{path}: begins as {seen[head]} does"
        seen.setdefault(head, path)
