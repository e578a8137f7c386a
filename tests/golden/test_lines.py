# SPDX-License-Identifier: GPL-2.0-or-later
"""The lines of the captures are such as log shippers take."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import shipper_rules  # noqa: E402

LINES = sorted((pathlib.Path(__file__).parent / "lines").glob("*.ndjson"))


@pytest.mark.parametrize("path", LINES, ids=lambda path: path.stem)
def test_log_shippers_take_each_line_of_the_capture(path):
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines
    assert not [(number, violation) for number, raw in enumerate(lines, 1)
                for violation in shipper_rules.line_violations(raw)]
