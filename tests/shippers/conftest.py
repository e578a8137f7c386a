# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of what comes after flowkin: the files for log shippers in config/, and real shippers that follow its log.

The shippers lie unpacked in build/shippers, where `./dev test shippers` puts them: as packages rsyslog and syslog-ng-core
exclude each other, and each would make itself this machine's system log.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
