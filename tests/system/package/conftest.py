# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of the Debian packages that `./dev deb` has put into build/deb."""

import pathlib
import subprocess
import sys

import pytest
from flowkin import BUILD

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from router import Router  # noqa: E402


@pytest.fixture(scope="session")
def packages():
    """The folder of what was built."""
    folder = BUILD.parent / "deb"
    if not [*folder.glob("*.changes")]:
        pytest.exit(f"there is no package in {folder}: run ./dev deb", returncode=1)
    return folder


@pytest.fixture(scope="session")
def deb(packages):
    """The package of the daemon."""
    (found,) = packages.glob("flowkin_*.deb")
    return found


@pytest.fixture(scope="session")
def later_deb(deb, tmp_path_factory):
    """The same with a higher version."""
    folder = tmp_path_factory.mktemp("later")
    subprocess.run(["dpkg-deb", "--raw-extract", deb, folder / "tree"], check=True)
    control = folder / "tree/DEBIAN/control"
    lines = control.read_text().splitlines()
    control.write_text("".join(line + ("+later\n" if line.startswith("Version:") else "\n") for line in lines))
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", folder / "tree", folder / "later.deb"], check=True,
                   capture_output=True)
    return folder / "later.deb"


@pytest.fixture
def router(container, deb, later_deb):
    """A Router with both packages at hand, neither of them installed."""
    router = Router(container, deb, later_deb)
    yield router
    print(router.journal())  # pytest shows it where the test failed
