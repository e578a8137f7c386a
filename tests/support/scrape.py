# SPDX-License-Identifier: GPL-2.0-or-later
"""flowkin's metrics as a scraper sees them, and Debian's Prometheus to see them with."""

import http.client
import os
import re
import shutil
import socket

import pytest
from flowkin import ROOT

# `./dev test` unpacks the package instead of installing it, which would start a service.
_UNPACKED = ROOT / "build/prometheus/usr/bin"


def program(name):
    """prometheus or promtool; a test that needs what is not there is skipped."""
    path = shutil.which(name, path=f"{_UNPACKED}:{os.environ['PATH']}")
    return path or pytest.skip(f"there is no {name}")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=10):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def request(path, target="/metrics", method="GET"):
    """One request to the unix socket: (status, headers, body)."""
    connection = UnixConnection(path)
    try:
        connection.request(method, target)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def samples(page):
    """{name: value}, or {name{label="value"}: value}, as they stand on the page."""
    found = {}
    for line in page.splitlines():
        if not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            assert series not in found, f"twice: {series}"
            found[series] = float(value)
    return found


def metrics(path):
    status, _, page = request(path)
    assert status == 200
    return samples(page)


def names(page):
    """What may be asked for: the names of the samples, and so those of a histogram's parts."""
    return {re.match(r"\w+", series)[0] for series in samples(page)}
