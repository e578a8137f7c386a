# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/operations.md tells the truth: its arithmetic, its rows for what flowkin can say, its commands."""

import pathlib
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import tomllib

import net as network
import pytest
from flowkin import BINARY, ROOT, UDP_FLOOD

OPERATIONS = (ROOT / "docs/operations.md").read_text()
SOURCES = "\n".join(path.read_text() for folder in ("daemon", "lib") for path in (ROOT / folder).rglob("*.?pp"))
CHARGED_BYTES = 1_280  # by the kernel, for a queued event
TRACK_AND_DROP = """
table inet tracking {
    chain input { type filter hook input priority 0; ct state new udp dport 20000-40000 drop; }
}
"""


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", OPERATIONS, re.MULTILINE | re.DOTALL)[1]


def rows(title):
    """The cells of each row of a section's first table, its head left out."""
    table = re.search(r"((?:^\|.*\n)+)", section(title), re.MULTILINE)[1]
    return [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in table.splitlines()[2:]]


def test_each_warning_of_the_program_has_a_row():
    codes = set(re.findall(r'(?:\bwarn\(\{|MonitorWarning\{|\bcode = )\s*(?:now,\s*)?"([a-z]+(?:-[a-z]+)+)"', SOURCES))
    assert {"table-full", "dump-failed", "packets-ended"} <= codes
    told = section("When something is amiss")
    assert not {code for code in codes if f"`{code}`" not in told}


def test_each_place_of_a_loss_has_a_row():
    words = re.search(r"\{where: ((?:\"[a-z-]+\"\|?)+)", (ROOT / "docs/event-format.md").read_text())[1]
    places = {word.strip('"') for word in words.split("|")}
    assert len(places) >= 4
    assert places <= {re.match(r"`([a-z-]+)`", row[0])[1] for row in rows("What was lost")}


def test_the_table_of_receive_buffers_follows_from_its_formula():
    assert f"**{CHARGED_BYTES:,} bytes**" in section("The receive buffer")
    table = rows("The receive buffer")
    assert len(table) >= 4
    for size, events, *slacks in table:
        number, unit = re.match(r"(\d+)(MiB|GiB)", size).groups()
        fitting = int(number) * {"MiB": 1 << 20, "GiB": 1 << 30}[unit] * 2 / CHARGED_BYTES
        assert abs(int(events.replace(",", "")) - fitting) < 10
        for slack, rate in zip(slacks, (10_000, 50_000, 100_000), strict=True):
            assert float(slack.removesuffix(" s")) == pytest.approx(fitting / rate, rel=0.06)
    default = tomllib.loads((ROOT / "config/flowkin.toml").read_text())["conntrack"]["receive_buffer"]
    assert any(row[0] == f"{default} (default)" for row in table)


def test_this_kernel_charges_for_a_queued_event_what_the_table_says():
    events = 500
    with network.Topology(TRACK_AND_DROP) as topology:
        with topology.router, socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as queue:  # NETLINK_NETFILTER
            queue.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE
            queue.bind((0, 1))  # the group of NEW
            topology.router.run(UDP_FLOOD, "127.0.0.1", "127.0.0.2", events)
            charged, granted, *_, drops = struct.unpack("9I", queue.getsockopt(socket.SOL_SOCKET, 55, 36))  # SO_MEMINFO
    assert drops == 0
    assert granted == 8 << 20
    assert charged / events == pytest.approx(CHARGED_BYTES, rel=0.2)


def test_retention_is_reckoned_right():
    text = section("How much, how long")
    bytes_a_flow = {row[0]: int(row[2].replace(",", "")) for row in rows("How much, how long")}
    assert bytes_a_flow['the same, `"significant"` (the default)'] == 2_560
    a_day = 500 * 86_400 * 2_560
    assert f"= {a_day / 1e9:.0f} GB a day" in text
    assert (4 << 30) * (180 + 1) == pytest.approx(7 * a_day, rel=0.01)
    output = tomllib.loads((ROOT / "config/flowkin.toml").read_text())["output"]
    assert f"defaults, {output['rotate_size']} and {output['rotate_keep']}," in text
    kept = (256 << 20) * (output["rotate_keep"] + 1)
    assert f"keep {kept / 1e9:.1f} GB: {kept / a_day * 24 * 60:.0f} minutes" in text


def test_the_commands_that_compress_and_remove_take_rotated_files_alone(tmp_path):
    compress, remove = re.search(r"```sh\n(find .*)\n(find .*)\n```", section("How much, how long")).groups()
    names = ["flow.ndjson", "flow.ndjson.20261123T045534Z-000123", "flow.ndjson.20261123T045534Z-1234567",
             "flow.ndjson.20261123T045534Z-000001.gz", "flowkin.toml"]
    for name in names:
        (tmp_path / name).write_text("x")

    def found(command):
        command = command.replace("/var/log/flowkin", str(tmp_path)).replace("-mmin +60 ", "").replace("-mtime +90 ", "")
        command = re.sub(r"-exec .*|-delete", "-printf '%f\\\\n'", command)
        return set(subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout.split())

    assert found(compress) == set(names[1:3])
    assert found(remove) == {names[3]}


def test_the_command_that_runs_it_unprivileged_does():
    command = re.search(r"```sh\n(setpriv .*?)\n```", section("Running it unprivileged"), re.DOTALL)[1]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="flowkin-unprivileged-"))  # where another user may go
    try:
        folder.chmod(0o755)
        program = folder / "flowkin"
        shutil.copy(BINARY, program)
        command = command.replace("\\\n", "").replace("--reuid flowkin --regid flowkin", "--reuid nobody --regid nogroup")
        command = command.replace(" flowkin --config /etc/flowkin/flowkin.toml", f" {program}")
        with network.Topology() as topology:
            with topology.router.background(*command.split(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=subprocess.DEVNULL) as running:
                assert b'"action":"monitor-start"' in running.popen.stdout.readline()
                with open(f"/proc/{running.pid}/status", encoding="ascii") as status:
                    told = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
                assert running.end() == 0
        assert told["Uid"].split()[0] != "0"
        assert int(told["CapEff"], 16) == int(told["CapBnd"], 16) == 1 << 12  # CAP_NET_ADMIN
    finally:
        shutil.rmtree(folder)
