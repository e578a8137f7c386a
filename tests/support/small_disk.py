# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that is soon full."""

import contextlib
import os
import pathlib
import subprocess

import net


class SmallDisk(contextlib.AbstractContextManager):
    """A tmpfs that exists only for the programs started in it."""

    def __init__(self, folder, size):
        self.folder = folder
        self.size = size

    def __enter__(self):
        script = f'mount -t tmpfs -o size={self.size} tmpfs "$1" && echo mounted && exec sleep infinity'
        self._holder = net.Background(
            ["unshare", "--mount", "sh", "-c", script, "sh", self.folder], stdout=subprocess.PIPE)
        assert self._holder.popen.stdout.readline() == b"mounted\n"
        self.wrapper = ["nsenter", "--mount", "--target", self._holder.pid]
        self.seen_from_outside = pathlib.Path(f"/proc/{self._holder.pid}/root{self.folder}")
        return self

    def __exit__(self, *_):
        self._holder.__exit__()

    def resize(self, size):
        subprocess.run([*map(str, self.wrapper), "mount", "-o", f"remount,size={size}", self.folder], check=True)

    def is_full(self):
        disk = os.statvfs(self.seen_from_outside)
        return disk.f_bavail * disk.f_frsize < 8192
