# SPDX-License-Identifier: GPL-2.0-or-later
"""Live tests: the built flowkin, the running kernel, real traffic; each test in network namespaces of its own."""

import gc
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import net  # noqa: E402
from flowkin import BINARY, Flowkin  # noqa: E402


def pytest_sessionstart():
    if os.geteuid() != 0:
        pytest.exit("the live tests make network namespaces: run them as root", returncode=77)
    if not BINARY.exists():
        pytest.exit(f"{BINARY} is not built", returncode=1)
    net.sweep()
    gc.disable()  # hundreds of thousands of records, and no cycle in them


@pytest.fixture
def watch(tmp_path):
    """watch(namespace, ...): a Flowkin whose files lie in the test's own folder."""
    return lambda namespace, **options: Flowkin(tmp_path, namespace, **options)
