# SPDX-License-Identifier: GPL-2.0-or-later
"""Listings of a large table: they stream, and whoever reads them slowly makes nobody wait."""

import contextlib
import pathlib
import threading

import ledger
import pytest
from control import Client
from flowkin import UDP_FLOOD, matching
from net import Topology
from test_control import control, uids, watched  # noqa: F401 (fixtures)
from test_load import HERE, THERE, TRACK_AND_DROP

# They load the machine: one after the other, on one worker.
pytestmark = pytest.mark.xdist_group("load")

READERS = 20
ELSEWHERE = "127.0.0.3"


def resident_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0])


class SlowReader:
    """Reads an answer a few lines at a time, until it is told to hurry."""

    def __init__(self, client):
        self.client = client
        self.flows = []
        self.answer = None
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while (line := self.client.line()) is not None and "result" not in line:
            self.flows.append(line)
            self._hurry.wait(0.005)
        self.answer = line

    def finish(self):
        self._hurry.set()
        self._thread.join()
        return self.flows, self.answer


def test_slow_readers_of_listings_cost_no_event_and_little_memory(watched, control):  # noqa: F811
    first, later = 40_000, 15_000
    with Topology(TRACK_AND_DROP, net__netfilter__nf_conntrack_udp_timeout=3600) as net, \
            watched(net.router, to="file") as flowkin:
        net.router.run(UDP_FLOOD, HERE, THERE, first, 40_000)
        started = flowkin.wait_action("flow-start", count=first, timeout=240)
        before = resident_kib(flowkin.program.pid)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(control)) for _ in range(READERS)]
            for client in clients:  # of most listings not a byte is read
                client.send(b'{"command":"flows"}\n')
            slow = SlowReader(clients[0])
            flood = threading.Thread(target=net.router.run, args=(UDP_FLOOD, ELSEWHERE, THERE, later, 10_000))
            flood.start()
            with Client(control) as quick:
                assert quick.ask("status")[1]["result"] == "done"  # in the middle of it
            flood.join()
            flowkin.wait_action("flow-start", count=first + later, timeout=240)
            grown = resident_kib(flowkin.program.pid) - before
            listed, answer = slow.finish()
        with Client(control) as client:
            everything, _ = client.ask("flows")
        net.router.flush()
        flowkin.wait_action("flow-end", count=first + later, timeout=240)
    # More flows are 5 MB, lines that wait for the file at most 128. Twenty listings in memory were 560.
    assert grown < 250_000
    assert answer == {"result": "done", "flows": len(listed)}
    assert len(uids(listed)) == len(listed)  # none twice
    assert uids(started) <= uids(listed)  # who lived all the time is there
    assert len(everything) == len(uids(everything)) == first + later
    assert not flowkin.find(matching(event__action="events-lost"))
    assert not ledger.gaps(flowkin.records)
