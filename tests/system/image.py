# SPDX-License-Identifier: GPL-2.0-or-later
"""What guests boot from: made once by recipe/build.sh, and kept outside of the tree for the next test runs.

The folder's name is a hash of the recipe and of the packages, so a changed list makes a new image. Runs side by side
share it: one builds, the others wait; and as long as somebody uses an image nobody removes it.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import time

from flowkin import BUILD

HERE = pathlib.Path(__file__).resolve().parent
RECIPE = HERE / "recipe"
CACHE = pathlib.Path(os.environ.get("FLOWKIN_TEST_CACHE", "/var/cache/flowkin-tests"))
BUILD_DEADLINE_S = 900
UNUSED_DAYS = 14

# What tests use inside a guest. What the built programs are linked with comes to it by itself.
PACKAGES = ("systemd", "systemd-sysv", "udev", "kmod", "iproute2", "procps", "util-linux", "ethtool", "nftables",
            "iptables", "conntrack", "libnetfilter-queue1", "netcat-openbsd", "curl", "jq", "python3", "logrotate")


class NoImage(Exception):
    """The image cannot be made; says why."""


def _programs():
    return [path for path in sorted(BUILD.iterdir()) if path.is_file() and os.access(path, os.X_OK)]


@functools.cache
def linked_packages():
    """The packages of the libraries that the built programs are linked with."""
    libraries = set()
    for program in _programs():
        told = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        libraries |= set(re.findall(r"=> (/\S+)", told))
    packages = set()
    for library in sorted(libraries):
        # The package may know the file by the path without /usr.
        for path in (library, library.removeprefix("/usr"), "/usr" + library):
            owner = subprocess.run(["dpkg", "--search", path], capture_output=True, text=True, check=False)
            if owner.returncode == 0:
                packages.add(owner.stdout.split(":")[0])
                break
    return packages


def _key(packages):
    digest = hashlib.sha256("\n".join(packages).encode())
    for part in sorted(RECIPE.iterdir()):
        digest.update(part.read_bytes())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def locked(name, shared=False):
    """The lock of that name in the cache, for as long as the context lasts."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{name}.lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


def _remove_unused(but):
    """Removes images that nobody has used for a while."""
    for image in CACHE.iterdir():
        if not image.is_dir() or image == but or time.time() - image.stat().st_mtime < UNUSED_DAYS * 86_400:
            continue
        with open(CACHE / f"{image.name}.lock", "w", encoding="ascii") as file:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(image, ignore_errors=True)


def _build(image, packages):
    new = image.with_name(image.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    with open(CACHE / "build.log", "w+b") as log:
        try:
            subprocess.run([RECIPE / "build.sh", new, *packages], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                           check=True, timeout=BUILD_DEADLINE_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as failure:
            shutil.rmtree(new, ignore_errors=True)
            log.seek(0)
            told = log.read().decode(errors="replace").strip().splitlines()[-15:]
            raise NoImage("\n".join([str(failure), *told])) from failure
    new.rename(image)


@contextlib.contextmanager
def guest_image():
    """The folder of the image, which is there for as long as the context lasts."""
    packages = sorted({*PACKAGES, *linked_packages()})
    image = CACHE / _key(packages)
    with locked(image.name, shared=True):
        if not image.is_dir():
            with locked("build"):
                if not image.is_dir():
                    _build(image, packages)
                    _remove_unused(but=image)
        os.utime(image)
        yield image
