# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines and diagnostics in a real journald, and what becomes of them when it is slow, stopped, killed or gone."""

import re

import pytest
from flowkin import ROOT, UDP_FLOOD, action, field
from installed import LINES_OF_THE_JOURNAL, runs

JOURNALD = "systemd-journald"
# Where the system keeps the journal in memory: room for what a test writes.
ROOMY = "[Journal]\nStorage=volatile\nRuntimeMaxUse=3G\nRuntimeMaxFileSize=512M\nRuntimeKeepFree=64M\n"


def flood(installed, flows, per_second, destination="127.0.0.2"):
    """Flows over lo, one packet each."""
    installed.guest.put(UDP_FLOOD, "/run/udp_flood")
    installed.guest.run("/run/udp_flood", "127.0.0.1", destination, flows, per_second, timeout=300)


def set_up_journald(installed, text, unit="journald"):
    installed.guest.put(text, f"/etc/systemd/{unit}.conf.d/test.conf")
    installed.systemctl("restart", JOURNALD)


def sequences(installed):
    """The numbers of the lines in the journal, in their order."""
    told = installed.guest.run(LINES_OF_THE_JOURNAL + " | grep -o '\"sequence\":[0-9]*'", timeout=300).stdout
    return [int(word) for word in re.findall(r"\d+", told)]


def assert_whole(installed):
    """Each line is there once, and in order."""
    numbers = sequences(installed)
    assert numbers == list(range(1, len(numbers) + 1))
    return len(numbers)


# ---- reading it


def test_a_warning_has_its_priority(installed):
    installed.configure({"conntrack": {"receive_buffer": "64KiB"}})
    installed.start()
    installed.configure({"conntrack": {"receive_buffer": "1MiB"}})
    installed.reload()
    told = installed.guest.wait_until("journalctl -u flowkin -p warning -o cat --grep 'needs a restart'")
    assert "conntrack.receive_buffer" in told
    assert "flow-start" not in installed.guest.run("journalctl -u flowkin -p warning -o cat").stdout


def test_jq_reads_the_journal_to_its_last_line_with_the_diagnostics_in_it(installed):
    installed.start()
    installed.make_flow(5001)
    installed.reload()
    installed.wait_action("flow-start")
    installed.stop()
    told = installed.guest.wait_until(f"{LINES_OF_THE_JOURNAL} | grep 'ended by SIGTERM'")
    assert '"flowkin.diagnostics"' in told
    lines = installed.guest.run(LINES_OF_THE_JOURNAL).stdout.splitlines()
    actions = installed.guest.run(LINES_OF_THE_JOURNAL + " | jq -r .event.action").stdout.split()
    assert len(actions) == len(lines)
    assert {"monitor-start", "flow-start", "monitor-reload", "monitor-stop", "diagnostic"} <= set(actions)


# ---- all of it


def test_two_hundred_thousand_lines_are_all_stored(installed):
    """journald's own limit would leave some ten thousand of them."""
    set_up_journald(installed, ROOMY)
    installed.drop_in("room", "[Service]\nMemoryHigh=infinity\nMemoryMax=infinity\n")
    installed.configure({"output": {"queue": "1GiB"}})
    installed.guest.run("sysctl -qw net.netfilter.nf_conntrack_udp_timeout=600")
    installed.start()
    flood(installed, 100_000, 20_000)
    installed.guest.run("conntrack", "-F")
    installed.guest.wait_until(f"{LINES_OF_THE_JOURNAL} -n 20 | grep -E '\"sequence\":2[0-9]{{5}}'", timeout=300)
    assert assert_whole(installed) >= 200_000
    assert "Suppressed" not in installed.guest.run("journalctl -u systemd-journald -o cat").stdout


def test_a_log_namespace_has_the_lines_to_itself(installed):
    installed.guest.put((ROOT / "config/systemd/10-namespace.conf").read_text(),
                        "/etc/systemd/system/flowkin.service.d/10-namespace.conf")
    installed.guest.put((ROOT / "config/systemd/journald@flowkin.conf").read_text(), "/etc/systemd/journald@flowkin.conf")
    installed.systemctl("daemon-reload")
    installed.start()
    installed.make_flow(5001)
    there = "journalctl --namespace=flowkin -t flowkin -o cat _TRANSPORT=stdout"
    assert "5001" in installed.guest.wait_until(f"{there} | grep flow-start")
    assert not installed.lines()
    installed.stop()
    installed.guest.wait_until(f"{there} | grep monitor-stop")


# ---- when it fails


def test_a_journald_that_is_restarted_or_killed_costs_no_line(installed):
    installed.start()
    pid = installed.pid()
    installed.make_flow(5001)
    installed.systemctl("restart", JOURNALD)
    installed.make_flow(5002)
    installed.systemctl("kill", "--signal=KILL", JOURNALD)
    installed.make_flow(5003)
    installed.guest.wait_until(f"systemctl is-active {JOURNALD}")
    installed.make_flow(5004)
    installed.wait_action("flow-start", destination__port=5004)
    assert (installed.pid(), installed.show("NRestarts")) == (pid, "0")
    assert [field(record, "destination.port") for record in installed.lines() if action(record) == "flow-start"] == [
        5001, 5002, 5003, 5004]


def test_a_journald_that_was_stopped_has_closed_the_stream_and_the_next_flowkin_goes_on(installed):
    installed.start()
    installed.make_flow(5001)
    installed.wait_action("flow-start")
    pid = installed.pid()
    sockets = [f"{JOURNALD}{suffix}.socket" for suffix in ("", "-dev-log", "-audit")]
    installed.systemctl("stop", *sockets, f"{JOURNALD}.service", check=False)
    installed.systemctl("start", f"{JOURNALD}.service")
    installed.make_flow(5002)
    installed.guest.wait_until(f"! test -e /proc/{pid}")
    installed.wait_shown("ActiveState", "active")
    assert installed.show("NRestarts") == "1"
    assert "standard output was closed by its reader" in installed.guest.wait_until(
        "journalctl -t flowkin -o cat -p err | grep .")
    assert "status=74" in installed.journal()
    # The event that met the closed stream is the first that the next one must account for.
    installed.make_flow(5003)
    installed.wait_action("flow-start", destination__port=5003)
    assert len(runs(installed.lines())) == 2


def test_a_journald_that_hangs_stops_nothing_but_the_writing(installed):
    """Events are read all the time, none is lost in the kernel, and the lines that found no room are declared."""
    set_up_journald(installed, ROOMY)
    installed.configure({"output": {"queue": "1MiB"}})
    installed.drop_in("watchdog", "[Service]\nWatchdogSec=6s\n")
    installed.start()
    pid = installed.pid()
    installed.systemctl("kill", "--kill-whom=main", "--signal=STOP", JOURNALD)
    try:
        flood(installed, 30_000, 5_000)
        # The status goes to systemd, not to the journal.
        status = "systemctl show --value --property=StatusText flowkin"
        installed.guest.wait_until(f"{status} | grep -E '^30[0-9]{{3}} flows live.*[1-9][0-9]* lines dropped'")
        for _ in range(20):
            installed.send("HUP")  # what it says of each must neither stop it nor fall into a line
        installed.guest.run("sleep 8")  # longer than the watchdog waits
        assert (installed.pid(), installed.show("NRestarts")) == (pid, "0")
        assert " 0 events lost" in installed.show("StatusText")
    finally:
        installed.systemctl("kill", "--kill-whom=main", "--signal=CONT", JOURNALD)
    loss = installed.wait_action("events-lost", timeout=60, conntrack__loss__where="sink-queue")
    assert loss["conntrack"]["loss"]["count"] > 1_000
    installed.stop()
    installed.guest.wait_until(f"{LINES_OF_THE_JOURNAL} -n 5 | grep monitor-stop")
    records = installed.lines()
    assert not [record for record in records if field(record, "conntrack.loss.where") == "kernel-socket"]
    missing = set(range(1, records[-1]["event"]["sequence"] + 1)) - {record["event"]["sequence"] for record in records}
    declared = set()
    for record in records:
        if action(record) == "events-lost":
            loss = record["conntrack"]["loss"]
            declared |= set(range(loss["first_sequence"], loss["last_sequence"] + 1))
    assert missing and missing <= declared


@pytest.mark.parametrize("level", ("info", "error"))
def test_a_failure_at_the_start_is_told_under_the_units_name(installed, level):
    installed.configure({"output": {"destination": "file", "path": "/nowhere/flow.ndjson"}, "log": {"level": level}})
    installed.start(check=False)
    assert "/nowhere" in installed.guest.run("journalctl -u flowkin -o cat -p err -t flowkin").stdout
