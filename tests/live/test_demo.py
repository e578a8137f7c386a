# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo, as ./dev demo runs it."""

import os
import re
import signal
import subprocess
import time

import pytest
from flowkin import ROOT
from net import Background

COMMAND = ["/usr/bin/python3", ROOT / "demo/demo.py"]


def leftovers(pid):
    """Its namespaces and temporary folders."""
    namespaces = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    return [name for name in namespaces if name.startswith(f"fkt{pid}-")]


def test_the_demo_tells_a_family_a_refusal_and_a_line_and_takes_under_fifteen_seconds():
    began = time.monotonic()
    told = subprocess.run(COMMAND, capture_output=True, text=True, check=True, timeout=30)
    assert time.monotonic() - began < 15
    assert told.stderr == ""
    assert "\033" not in told.stdout, "colour outside a terminal"
    assert re.search(r"#1 +udp client:\d+ → server:53 +ends +timeout", told.stdout)
    assert re.search(r"#2 +tcp client:\d+ → server:23 +ends +tcp-reset", told.stdout)
    assert re.search(r"#3 +tcp client:\d+ → server:21 +begins .*helper ftp · mark 0x11 rule", told.stdout)
    for child in ("#3.1", "#3.2"):
        assert re.search(rf"{child} └─ tcp .* begins .*mark 0x11 inherited", told.stdout)
        assert re.search(rf"{child} └─ tcp .* ends +tcp-close", told.stdout)
    assert '"parent":{"uid":' in told.stdout.splitlines()[-1]


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_the_demo_cleans_up_when_it_is_interrupted(number):
    with Background(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                    start_new_session=True) as demo:
        for line in demo.popen.stdout:
            if "#1" in line:
                break
        assert leftovers(demo.pid)
        os.killpg(demo.pid, number)  # a terminal's Ctrl-C reaches every program of the group
        assert demo.popen.wait(10) in (130, 143)
        assert "Traceback" not in demo.popen.stderr.read()
        assert not leftovers(demo.pid)
