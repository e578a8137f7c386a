# SPDX-License-Identifier: GPL-2.0-or-later
"""The short form of chaos.py."""

import pathlib
import subprocess
import sys

import pytest

CHAOS = pathlib.Path(__file__).with_name("chaos.py")


@pytest.mark.xdist_group("load")
def test_three_quarters_of_a_minute_of_chaos_violate_nothing():
    ended = subprocess.run([sys.executable, CHAOS, "0.6"], capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
