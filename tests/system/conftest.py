# SPDX-License-Identifier: GPL-2.0-or-later
"""System tests: flowkin as it is installed, under a real systemd and journald, and on Debian's own kernel. README.md beside
this file says how to add one."""

import fcntl
import os
import pathlib
import subprocess
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "support")]

import guest as guests  # noqa: E402
import image as images  # noqa: E402
from flowkin import BINARY, BUILD  # noqa: E402
from installed import Installed  # noqa: E402


def pytest_sessionstart():
    if os.geteuid() != 0:
        pytest.exit("the system tests boot guests: run them as root", returncode=77)
    if not BINARY.exists():
        pytest.exit(f"{BINARY} is not built", returncode=1)
    guests.sweep()


@pytest.fixture(name="image", scope="session")
def image_fixture():
    """The folder that guests boot from."""
    with images.guest_image() as folder:
        yield folder


@pytest.fixture(name="package", scope="session")
def package_fixture(tmp_path_factory):
    """A folder with what `cmake --install` installs below /."""
    folder = tmp_path_factory.mktemp("package")
    with open(BUILD / ".install.lock", "w", encoding="ascii") as lock:  # it writes the unit into the build folder
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["cmake", "--install", BUILD, "--strip", "--prefix", "/usr"], check=True, capture_output=True,
                       env={**os.environ, "DESTDIR": str(folder)})
    return folder


def _boot(kind, image):
    """A guest that is up, or a test that is skipped, and why. A bare image tells nothing about flowkin yet."""
    machine = kind(image)
    try:
        return machine.__enter__()
    except guests.CannotRun as reason:
        pytest.skip(str(reason))


@pytest.fixture
def container(image):
    """A Container, without flowkin."""
    machine = _boot(guests.Container, image)
    yield machine
    machine.off()


@pytest.fixture
def installed(container, package):
    """flowkin, installed in a container of the test's own."""
    flowkin = Installed(container, package)
    yield flowkin
    print(flowkin.journal())  # pytest shows it where the test failed


@pytest.fixture(scope="session")
def virtual_machine(image, package):
    """flowkin, installed in a VirtualMachine that all tests share: mark each with `on_the_virtual_machine`."""
    machine = _boot(guests.VirtualMachine, image)
    yield Installed(machine, package)
    machine.off()
