# SPDX-License-Identifier: GPL-2.0-or-later
"""The unit under systemd 252: start and ready, status, reload, kills, the watchdog, and failures that no restart mends."""

import datetime
import re

import pytest
from flowkin import action, field
from installed import CONFIG, LOG, UNIT, runs

TO_FILE = {"output": {"destination": "file", "path": LOG}, "state": {"interval": "1s"}}
OPENINGS = ("flow-start", "flow-seen")


def moment(text):
    """A timestamp of a record, or of systemctl with --timestamp=us+utc."""
    if text.endswith("UTC"):
        return datetime.datetime.strptime(text, "%a %Y-%m-%d %H:%M:%S.%f %Z").replace(tzinfo=datetime.UTC)
    return datetime.datetime.fromisoformat(text[:26] + "+00:00")


def when(installed, name):
    return moment(installed.systemctl("show", "--timestamp=us+utc", "--value", f"--property={name}", UNIT).stdout.strip())


def notifications(installed):
    """The datagrams that systemd had of the unit, as it tells with log-level debug."""
    told = installed.journal()
    return [line.split(", ") for line in re.findall(r"Got notification message from PID \d+ \((.*)\)$", told, re.MULTILINE)]


def told_of(records, port):
    """What the records say of the flow to that port: [(action, uid)]."""
    return [(action(record), record["conntrack"]["uid"]) for record in records
            if field(record, "destination.port") == port and action(record).startswith("flow-")]


def assert_one_life(records, *ports):
    """Each of these flows was opened once and ended once, under one uid."""
    for port in ports:
        told = told_of(records, port)
        assert [name for name, _ in told if name in OPENINGS] == ["flow-start"], (port, told)
        assert [name for name, _ in told].count("flow-end") == 1, (port, told)
        assert len({uid for _, uid in told}) == 1, (port, told)


def verify(installed):
    """As an operator does."""
    installed.guest.run(f"flowkin --verify $(ls -tr {LOG}*)")


# ---- start


def test_the_service_is_ready_when_the_kernels_table_is_read_and_not_before(installed):
    for port in range(5001, 5011):
        installed.make_flow(port)
    installed.configure(TO_FILE)
    installed.start()
    assert installed.show("ActiveState") == "active"
    resync = installed.wait_action("resync-completed", LOG)
    assert resync["conntrack"]["resync"]["dumped"] >= 10
    begun, ready = (when(installed, name) for name in ("ExecMainStartTimestamp", "ActiveEnterTimestamp"))
    assert begun <= moment(resync["@timestamp"]) <= ready


def test_the_service_is_its_own_user_with_one_capability(installed):
    installed.start()
    status = installed.guest.get(f"/proc/{installed.pid()}/status").decode()
    assert re.search(r"^CapEff:\s+0000000000001000$", status, re.MULTILINE)  # CAP_NET_ADMIN, number 12
    assert re.search(r"^CapBnd:\s+0000000000001000$", status, re.MULTILINE)
    assert installed.guest.run(f"ps -o user:32=,group:32= -p {installed.pid()}").stdout.split() == ["flowkin", "flowkin"]


def test_the_status_says_how_many_flows_live_within_ten_seconds(installed):
    installed.start()
    assert "0 flows live" in installed.show("StatusText")
    installed.make_flow(5001)
    installed.wait_action("flow-start")
    installed.guest.wait_until(f"systemctl show --value --property=StatusText {UNIT} | grep -q '^1 flows live'", timeout=30)


def test_a_stop_says_so_and_writes_its_last_line(installed):
    installed.systemctl("log-level", "debug")
    installed.configure(TO_FILE)
    installed.start()
    installed.stop()
    assert ["STOPPING=1"] in notifications(installed)
    assert (installed.show("Result"), installed.show("ExecMainStatus")) == ("success", "0")
    assert action(installed.lines(LOG)[-1]) == "monitor-stop"


# ---- reload


def test_a_reload_applies_the_new_configuration_and_is_done_when_it_is(installed):
    installed.systemctl("log-level", "debug")
    installed.start()
    pid = installed.pid()
    installed.configure({"output": {"updates": "all"}})
    installed.reload()
    assert installed.show("ActiveState") == "active"
    assert installed.pid() == pid
    reload = installed.wait_action("monitor-reload")
    assert reload["conntrack"]["monitor"]["changed"] == ["output.updates"]
    # Type=notify-reload, which systemd 252 does not know yet, takes both in one datagram.
    begun, = [said for said in notifications(installed) if "RELOADING=1" in said]
    assert re.fullmatch(r"MONOTONIC_USEC=\d+", *[word for word in begun if word != "RELOADING=1"])
    assert "READY=1" in next(said for said in notifications(installed)[notifications(installed).index(begun) + 1:]
                             if "WATCHDOG=1" not in said)


def test_a_reload_of_a_bad_configuration_fails_and_the_old_one_runs_on(installed):
    installed.start()
    pid = installed.pid()
    installed.configure({"output": {"updates": "some"}})
    done = installed.reload(check=False)
    assert done.returncode != 0
    assert (installed.show("ActiveState"), installed.pid()) == ("active", pid)
    assert f"{CONFIG}:2:" in installed.journal()
    installed.make_flow(5001)
    installed.wait_action("flow-start")
    assert "monitor-reload" not in {action(record) for record in installed.lines()}


def test_a_sighup_with_a_bad_configuration_is_refused_by_the_daemon_itself(installed):
    installed.start()
    pid = installed.pid()
    installed.configure({"output": {"updates": "some"}})
    installed.send("HUP")
    reload = installed.wait_action("monitor-reload")
    assert f"{CONFIG}:2:" in reload["conntrack"]["monitor"]["refused"]
    installed.wait_shown("ActiveState", "active")
    assert installed.pid() == pid


# ---- the socket outlives the process


@pytest.mark.parametrize("end", ("a kill", "a restart"))
def test_over_a_kill_and_over_a_restart_no_event_is_lost_and_none_told_twice(installed, end):
    installed.configure(TO_FILE)
    installed.drop_in("slow", "[Service]\nRestartSec=2s\nExecStartPre=/bin/sleep 1\n")
    installed.start()
    for port in (5001, 5002):
        installed.make_flow(port)
    installed.wait_action("flow-start", LOG, count=2)
    # A snapshot that knows of both: saved every second.
    known = "test $(stat -c %Y /var/lib/flowkin/flows.state) -gt {}".format(installed.guest.run("date +%s").stdout.strip())
    installed.guest.wait_until(known)
    pid = installed.pid()
    if end == "a kill":
        installed.send("KILL")
    else:
        installed.systemctl("restart", "--no-block", UNIT)
    installed.guest.wait_until(f"! test -e /proc/{pid}")
    installed.delete_flow(5001)
    for port in (5003, 5004):
        installed.make_flow(port)
    installed.delete_flow(5003)
    installed.wait_action("monitor-start", LOG, count=2)
    installed.wait_shown("ActiveState", "active")
    for port in (5002, 5004):
        installed.delete_flow(port)
    installed.wait_action("flow-end", LOG, destination__port=5004)
    installed.stop()

    records = installed.lines(LOG)
    start = runs(records)[1][0]
    assert start["conntrack"]["monitor"]["state"] == "inherited-socket"
    assert_one_life(records, 5001, 5002, 5003, 5004)
    assert {field(record, "conntrack.observed") for record in records if action(record) == "flow-end"} == {"event"}
    # Of a kill nobody knows what was read and not yet written; of the socket everything is known.
    assert not [record for record in records if field(record, "conntrack.loss.where") == "kernel-socket"]
    verify(installed)


def test_a_stop_forgets_the_socket_and_the_next_start_says_that_nobody_listened(installed):
    installed.configure(TO_FILE)
    installed.start()
    installed.stop()
    installed.start()
    start = runs(installed.lines(LOG))[1][0]
    assert start["conntrack"]["monitor"]["state"] == "restored"
    installed.wait_action("events-lost", LOG, conntrack__loss__where="kernel-socket")


# ---- the watchdog


def test_a_daemon_that_hangs_is_killed_by_the_watchdog_and_the_next_one_reads_what_was_queued(installed):
    installed.configure(TO_FILE)
    installed.drop_in("watchdog", "[Service]\nWatchdogSec=6s\nTimeoutAbortSec=2s\n")
    installed.start()
    installed.make_flow(5001)
    installed.wait_action("flow-start", LOG)
    installed.guest.wait_until("test -e /var/lib/flowkin/flows.state")  # without one the next run starts afresh
    installed.send("STOP")
    installed.make_flow(5002)
    installed.wait_shown("NRestarts", "1")
    installed.wait_shown("ActiveState", "active")
    assert "Watchdog timeout" in installed.journal()
    installed.wait_action("flow-start", LOG, destination__port=5002)
    assert runs(installed.lines(LOG))[1][0]["conntrack"]["monitor"]["state"] == "inherited-socket"


def test_the_watchdog_is_fed_for_as_long_as_all_is_well(installed):
    installed.drop_in("watchdog", "[Service]\nWatchdogSec=6s\n")
    installed.start()
    pid = installed.pid()
    fed = installed.show("WatchdogTimestampMonotonic")
    installed.guest.run("sleep 8")
    assert installed.show("WatchdogTimestampMonotonic") != fed
    assert (installed.pid(), installed.show("NRestarts")) == (pid, "0")


# ---- failures


@pytest.mark.parametrize("what, status, said", (
    ("a bad configuration", 78, f"{CONFIG}:2:"),
    ("a wrong command line", 64, "--no-such-option"),
    ("a missing capability", 77, "CAP_NET_ADMIN"),
))
def test_what_does_not_mend_itself_is_said_once_and_not_started_again(installed, what, status, said):
    if what == "a bad configuration":
        installed.configure({"output": {"updates": "some"}})
    elif what == "a wrong command line":
        installed.drop_in("wrong", "[Service]\nExecStart=\nExecStart=/usr/sbin/flowkin --no-such-option\n")
    else:
        installed.drop_in("wrong", "[Service]\nAmbientCapabilities=\nCapabilityBoundingSet=\n")
    assert installed.start(check=False).returncode != 0
    installed.guest.run("sleep 2")  # a restart would be tried after one
    assert installed.show("ActiveState") == "failed"
    assert (installed.show("ExecMainStatus"), installed.show("NRestarts")) == (str(status), "0")
    assert len([line for line in installed.journal().splitlines() if said in line]) == 1, installed.journal()


def test_what_may_mend_itself_is_tried_again(installed):
    installed.configure({"output": {"destination": "file", "path": "/var/log/flowkin/later/flow.ndjson"}})
    installed.start(check=False)
    installed.guest.wait_until(f"test $(systemctl show --value --property=NRestarts {UNIT}) -ge 1")
    installed.guest.run("install -d -o flowkin -g flowkin /var/log/flowkin/later")
    installed.wait_shown("ActiveState", "active")
