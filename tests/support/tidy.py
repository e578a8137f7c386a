#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs clang-tidy over the project's sources, and over none twice: a file whose preprocessed text and whose checks are
the same as when it was found clean is clean, in whatever clone of the project that was.

usage: tidy.py BUILD_DIR JOBS [PATTERN]
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
KNOWN = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"), "flowkin-tidy")
ROOMS = ("lib", "daemon", "ctl", "tests", "examples")


def project_files(build, pattern):
    """{file: its compile command} for the files below the rooms that the pattern finds."""
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = pathlib.Path(entry["file"])
        if file.is_relative_to(ROOT) and file.relative_to(ROOT).parts[0] in ROOMS and re.search(pattern, str(file)):
            commands[file] = entry
    return commands


def checks_for(file):
    """The text of the .clang-tidy files that a source stands under."""
    folders = [folder for folder in file.parents if folder.is_relative_to(ROOT)]
    return b"".join(path.read_bytes() for folder in folders if (path := folder / ".clang-tidy").exists())


def fingerprint(file, entry):
    """Of all that clang-tidy looks at: the text with its headers and comments, and the checks."""
    words = shlex.split(entry["command"])
    words = [word for word in words if word not in ("-c", "ccache") and not word.endswith((".o", "g++", "c++"))]
    words = [word for word in words if word != "-o"]
    text = subprocess.run(["clang++-14", "-E", "-C", "-P", *words], cwd=entry["directory"], capture_output=True, check=True)
    return hashlib.sha256(text.stdout + checks_for(file)).hexdigest()


def check(build, file, entry):
    """Seconds it took and what was found; None where it was known to be clean."""
    known = KNOWN / fingerprint(file, entry)
    if known.exists():
        return None
    began = time.monotonic()
    # The analyzer walks every path, which takes two thirds of the time. A test is one path, and it is run; in the daemon
    # it follows coroutines into Asio's frames, and finds pointers there that are null only to it.
    checks = [] if file.is_relative_to(ROOT / "lib") else ["-checks=-clang-analyzer-*"]
    found = subprocess.run(["clang-tidy-14", "-quiet", *checks, "-p", str(build), str(file)], capture_output=True,
                           text=True, check=False)
    if found.returncode == 0:
        known.touch()
    return time.monotonic() - began, found.returncode, found.stdout


def main():
    build, jobs = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2])
    KNOWN.mkdir(parents=True, exist_ok=True)
    files = project_files(build, sys.argv[3] if len(sys.argv) > 3 else "")
    known = failed = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(check, build, file, entry): file for file, entry in sorted(files.items())}
        for done in concurrent.futures.as_completed(running):
            result = done.result()
            if result is None:
                known += 1
                continue
            seconds, status, told = result
            failed += status != 0
            print(f"{os.path.relpath(running[done], ROOT)}: {seconds:.0f} s{told and ':'}", flush=True)
            print(told, end="", flush=True)
    print(f"{len(files)} files, {known} of them known to be clean, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
