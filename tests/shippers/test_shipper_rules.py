# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge of what shippers demand, tests/support/shipper_rules.py, finds what is wrong with a line and with files."""

import json
import pathlib
import time

import pytest
import shipper_rules

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden/lines"
GOOD = (GOLDEN / "ftp_passive.ndjson").read_bytes().splitlines(keepends=True)[2]


def line(**changed):
    """A good line with other members at its top; None takes one away."""
    record = {**json.loads(GOOD), **changed}
    record = {name: value for name, value in record.items() if value is not None}
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def with_text(before, after):
    assert GOOD.count(before) >= 1
    return GOOD.replace(before, after, 1)


def told(raw):
    return [*shipper_rules.line_violations(raw)]


def test_a_good_line_has_no_violation():
    assert not told(GOOD)
    assert not told(line())


@pytest.mark.parametrize("value", [
    "2024-02-29T23:59:59.000000000Z",  # a leap day
    "2026-12-31T00:00:00.000000000Z",
])
def test_a_timestamp_that_go_reads_is_good(value):
    assert not told(line(**{"@timestamp": value}))


@pytest.mark.parametrize("value", [
    "2026-11-23T18:48:37.008469045+0000",  # Go's RFC 3339 wants a colon
    "2026-11-23T18:48:37.008469045",
    "2026-11-23 18:48:37.008469045Z",
    "2026-11-23T18:48:37.008Z",  # not the nine digits that the format promises
    "2026-11-23T24:00:00.000000000Z",
    "2026-11-23T23:60:00.000000000Z",
    "2026-11-23T23:59:60.000000000Z",  # Go knows no leap second
    "2026-13-01T00:00:00.000000000Z",
    "2025-02-29T00:00:00.000000000Z",
    "２026-11-23T18:48:37.008469045Z",  # a digit, but not of ASCII
    "2026-11-23T18:48:37.008469045Z\n",
    1764000000,
    ["2026-11-23T18:48:37.008469045Z"],
    None,
])
def test_a_timestamp_that_go_does_not_read_is_found(value):
    violations = told(line(**{"@timestamp": value}))
    assert len(violations) == 1
    assert violations[0].startswith("@timestamp:")


@pytest.mark.parametrize("name", ["type", "message", "error", "log", "agent", "input", "@metadata"])
def test_a_name_that_filebeat_writes_itself_is_found_at_the_top_and_only_there(name):
    assert told(line(**{name: {"x": "y"}})) == [f"{name}: a shipper's own name at the top"]
    assert not told(line(labels={name: "y"}))


@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775809", "18446744073709551615"])
def test_an_integer_beyond_64_bits_is_found(number):
    assert told(with_text(b'"sequence":3', b'"sequence":' + number.encode())) == [f"beyond int64: {number}"]


@pytest.mark.parametrize("number", ["9223372036854775807", "-9223372036854775808", "0"])
def test_an_integer_of_64_bits_is_good(number):
    assert not told(with_text(b'"sequence":3', b'"sequence":' + number.encode()))


@pytest.mark.parametrize("number", ["3.0", "3e2", "NaN", "Infinity"])
def test_a_number_that_is_no_integer_is_found(number):
    assert told(with_text(b'"sequence":3', b'"sequence":' + number.encode())) == [f"no integer: {number}"]


def test_a_number_in_a_string_is_no_number():
    assert not told(line(labels={"note": "99999999999999999999, 1.5, [1e9]"}))


@pytest.mark.parametrize("name", ["host.ip", ".", "a.b:c", ""])
def test_a_dotted_or_empty_name_is_found_at_any_depth(name):
    assert told(line(**{name: "x"})) == [f"a dotted name: {name!r}"]
    assert told(line(labels={"deep": [{name: "x"}]})) == [f"a dotted name: {name!r}"]


def test_a_member_that_stands_twice_is_found_at_any_depth():
    assert told(with_text(b'{"@timestamp"', b'{"host":{},"@timestamp"')) == ["stands twice: host"]
    assert told(with_text(b'"sequence":3', b'"sequence":3,"sequence":3')) == ["stands twice: sequence"]


def test_a_line_of_4096_bytes_is_found_and_one_of_4095_is_good():
    room = 4095 - len(line(labels={"note": ""}))
    assert not told(line(labels={"note": "x" * room}))
    assert told(line(labels={"note": "x" * (room + 1)})) == ["4096 bytes"]


def test_a_torn_line_is_found():
    assert told(GOOD[:-1]) == ["no newline at its end"]
    assert len(told(GOOD[:300] + b"\n")) == 1


@pytest.mark.parametrize("raw", [b"\n", b"[]\n", b"null\n", b'"x"\n', b"3\n"])
def test_a_line_that_is_no_object_is_found(raw):
    assert len(told(raw)) == 1


def test_two_objects_in_one_line_are_found():
    assert len(told(GOOD[:-1] + GOOD)) == 1
    assert len(told(GOOD[:-1] + b" {}\n")) == 1


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x00", b"\x1f", b"\t"])
def test_bytes_that_are_no_utf8_or_not_escaped_are_found(bad):
    assert len(told(with_text(b'"kind":"', b'"kind":"' + bad))) == 1


def files(tmp_path, *contents):
    paths = [tmp_path / f"flow.ndjson.{number}" for number in range(len(contents))]
    for path, content in zip(paths, contents):
        path.write_bytes(content)
    return paths


def test_files_that_begin_differently_are_good_and_an_empty_one_is(tmp_path):
    other = with_text(b'"sequence":3', b'"sequence":4')
    assert not [*shipper_rules.file_violations(files(tmp_path, GOOD * 2, b"", other * 2))]


def test_files_that_begin_alike_are_found(tmp_path):
    later = GOOD[:256] + b"0" + GOOD[256:]
    violations = [*shipper_rules.file_violations(files(tmp_path, GOOD, later))]
    assert len(violations) == 1
    assert "flow.ndjson.1: begins as" in violations[0]


def test_a_first_line_that_is_too_short_to_tell_the_file_by_is_found(tmp_path):
    short = b'{"@timestamp":"2026-11-23T18:48:37.008469045Z"}\n'
    violations = [*shipper_rules.file_violations(files(tmp_path, short + GOOD))]
    assert len(violations) == 1
    assert "fewer than 256 bytes" in violations[0]


def test_twenty_thousand_lines_are_judged_in_seconds():
    lines = 20_000
    began = time.process_time()
    for _ in range(lines):
        assert not told(GOOD)
    assert time.process_time() - began < 10  # a third of a second, where nothing else runs
