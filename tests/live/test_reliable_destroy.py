# SPDX-License-Identifier: GPL-2.0-or-later
"""Reliable DESTROY: no end is lost, and a flowkin that hangs does not take the machine's connections with it for long."""

import signal
import time

import pytest
from flowkin import UDP_FLOOD
from net import TRACKING_SYSCTLS, Namespace
from supervisor import Supervisor, Unit
from test_load import HERE, THERE, TRACK_AND_DROP, flood
from traffic import udp_shot

# They fill tables: one after the other, on one worker. The limit of the table is the machine's, but each namespace is
# held against it for itself.
pytestmark = pytest.mark.xdist_group("load")

SETTINGS = {"conntrack": {"reliable_destroy": True, "reliable_destroy_limit": 80, "receive_buffer": "64KiB"}}


@pytest.fixture(name="host")
def host_fixture():
    host = Namespace("reliable")
    host.sysctl(**TRACKING_SYSCTLS, net__netfilter__nf_conntrack_udp_timeout=600)
    host.nft(TRACK_AND_DROP)
    yield host
    host.delete()


@pytest.fixture(name="supervisor")
def supervisor_fixture(tmp_path):
    with Supervisor(tmp_path, watchdog_s=5) as supervisor:
        yield supervisor


def table_size(host):
    with host, open("/proc/sys/net/netfilter/nf_conntrack_count", encoding="ascii") as file:
        return int(file.read())


def table_limit():
    with open("/proc/sys/net/netfilter/nf_conntrack_max", encoding="ascii") as file:
        return int(file.read())


def connections_work(host):
    try:
        udp_shot(host, HERE, 19999)
        return True
    except PermissionError:  # the kernel's table is full, and it drops the packet
        return False


def until(condition, timeout):
    """Seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout, f"not in {timeout} s"
        time.sleep(0.05)
    return time.monotonic() - began


def warnings(unit, code):
    return unit.find("monitor-warning", unit.life, conntrack__monitor__code=code)


def test_without_the_watchdog_it_stays_off_and_says_so(tmp_path, host):
    with Unit(tmp_path, host, config=SETTINGS) as unit:
        warning, = unit.find("monitor-warning")
        assert "watchdog" in str(warning["conntrack"]).lower()
        with unit.paused():
            flood(host, 2_000)
            host.flush()
            assert until(lambda: table_size(host) == 0, 5) < 5  # nothing waits for flowkin
        unit.stop()
        unit.verify()


def test_every_end_is_heard_however_small_the_buffer(tmp_path, host, supervisor):
    flows = 20_000
    with Unit(tmp_path, host, supervisor, config=SETTINGS) as unit:
        with unit.paused():
            flood(host, flows)
            host.flush()
            time.sleep(0.5)
            assert table_size(host) > flows * 0.9  # they wait to be heard
        ends = unit.wait_action("flow-end", count=flows, timeout=60)
        assert {record["event"]["reason"] for record in ends} == {"deleted"}
        assert len({(record["source"]["port"], record["destination"]["port"]) for record in ends}) == flows
        until(lambda: table_size(host) == 0, 10)
        unit.stop()
        unit.verify()


def test_above_the_limit_it_is_off_until_there_is_room_again(tmp_path, host, supervisor):
    limited = {"conntrack": {**SETTINGS["conntrack"], "reliable_destroy_limit": 20}}
    with Unit(tmp_path, host, supervisor, config=limited) as unit:
        flood(host, table_limit() // 4)
        off = unit.wait_action("monitor-warning")
        assert off["conntrack"] == warnings(unit, "reliable-destroy-off")[0]["conntrack"]
        with unit.paused():
            host.flush()
            until(lambda: table_size(host) < 1_000, 10)  # nothing waits for flowkin
        unit.wait_action("monitor-warning", count=2)
        assert len(warnings(unit, "reliable-destroy-on")) == 1
        unit.stop()
        unit.verify()


@pytest.mark.parametrize("rescue", (signal.SIGCONT, signal.SIGKILL), ids=("it-resumes", "it-dies"))
def test_a_hung_flowkin_fills_the_table_and_connections_work_within_seconds_of(tmp_path, host, supervisor, rescue):
    with Unit(tmp_path, host, supervisor, config=SETTINGS) as unit:
        unit.send(signal.SIGSTOP)
        with host.background(UDP_FLOOD, HERE, THERE, table_limit() + 5_000) as program:
            program.popen.wait(60)  # it ends early where the kernel refuses its packets
        host.flush()
        assert table_size(host) > table_limit() * 0.95
        with host.background(UDP_FLOOD, HERE, "127.0.0.3", table_limit() // 10) as program:
            program.popen.wait(60)
        assert not connections_work(host), "the table is not full: nothing is shown"
        unit.send(rescue)
        assert until(lambda: connections_work(host), 20) < 10
        if rescue == signal.SIGCONT:
            unit.wait_action("monitor-warning", timeout=30, conntrack__monitor__code="reliable-destroy-off")
        until(lambda: table_size(host) < table_limit() // 5, 30)


def test_the_socket_is_not_left_in_the_store_where_nobody_would_read_it(tmp_path, host, supervisor):
    with Unit(tmp_path, host, supervisor) as unit:
        assert supervisor.stored is not None
        unit.stop()
        unit.configure(SETTINGS)
        unit.start()
        supervisor.wait_said("FDSTOREREMOVE=1")
        assert supervisor.stored is None
        unit.stop()


def test_the_watchdog_is_fed_and_a_stop_is_announced(tmp_path, host, supervisor):
    with Unit(tmp_path, host, supervisor) as unit:
        ready = supervisor.wait_said("READY=1")
        fed = supervisor.wait_said("WATCHDOG=1", after=ready)
        assert supervisor.wait_said("WATCHDOG=1", after=fed + 0.1) - fed < supervisor.watchdog_s
        with unit.paused():
            stopped = time.monotonic() + 0.1
            time.sleep(2)
            assert not [when for when, said in supervisor.said if said == "WATCHDOG=1" and when > stopped]
        supervisor.wait_said("WATCHDOG=1", after=time.monotonic())
        unit.stop()
        supervisor.wait_said("STOPPING=1")
