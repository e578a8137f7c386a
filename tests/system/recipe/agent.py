#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Inside a guest: runs what the host asks for, one program after the other. A request and its answer are a line of JSON each;
what a program reads and writes stands in them as base64. The first line says that the guest is up."""

import base64
import glob
import json
import os
import pathlib
import signal
import socket
import subprocess

CONTAINER_CHANNEL = "/guest/agent"
MACHINE_CHANNEL = "/dev/vport*p1"


def channel():
    """The stream to the host, for reading and for writing."""
    for port in glob.glob(MACHINE_CHANNEL):
        descriptor = os.open(port, os.O_RDWR | os.O_CLOEXEC)
        return os.fdopen(descriptor, "rb", closefd=False), os.fdopen(descriptor, "wb")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(CONTAINER_CHANNEL)
    listener.listen()
    stream, _ = listener.accept()
    return stream.makefile("rb"), stream.makefile("wb")


def text(raw):
    return base64.b64encode(raw or b"").decode("ascii")


def carry_out(request):
    # Files, not pipes: a program that leaves another one running does not keep us waiting.
    with open("/run/guest-out", "w+b") as out, open("/run/guest-errors", "w+b") as errors:
        try:
            program = subprocess.Popen(request["command"], stdin=subprocess.PIPE, stdout=out, stderr=errors,
                                       start_new_session=True, cwd="/")
        except OSError as failure:
            return {"status": 127, "errors": text(str(failure).encode())}
        status = None
        try:
            program.communicate(base64.b64decode(request["input"]), timeout=request["timeout_s"])
            status = program.returncode
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()
        return {"status": status, "out": text(pathlib.Path(out.name).read_bytes()),
                "errors": text(pathlib.Path(errors.name).read_bytes())}


def main():
    requests, answers = channel()
    answer = {"up_s": float(pathlib.Path("/proc/uptime").read_text(encoding="ascii").split()[0])}
    while True:
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()
        line = requests.readline()
        if not line:
            return
        answer = carry_out(json.loads(line))


main()
