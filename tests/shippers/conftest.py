# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of what comes after flowkin: the files for log shippers in config/, and real shippers that follow its log.

The shippers lie unpacked in build/shippers, where `./dev test shippers` puts them: as packages rsyslog and syslog-ng-core
exclude each other, and each would make itself this machine's system log.
"""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import net  # noqa: E402
import shippers  # noqa: E402
from flowkin import BINARY  # noqa: E402


def pytest_sessionstart():
    if os.geteuid() != 0:
        pytest.exit("these tests make network namespaces: run them as root", returncode=77)
    for program in (BINARY, shippers.RSYSLOGD, shippers.SYSLOG_NG, shippers.LOGROTATE):
        if not program.exists():
            pytest.exit(f"{program} is not there: ./dev test shippers puts it there", returncode=1)
    net.sweep()
