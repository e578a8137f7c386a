# SPDX-License-Identifier: GPL-2.0-or-later
"""How often flowkin is awake: for each event that comes alone, for many at once where they come in a stream, and hardly
where nothing comes."""

import pathlib
import sys
import time

import pytest
from flowkin import UDP_FLOOD, action
from net import Topology
from traffic import udp_shot

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))

import processor  # noqa: E402

pytestmark = pytest.mark.xdist_group("load")

HERE, THERE = "127.0.0.1", "127.0.0.2"
TRACK_AND_DROP = """
table inet tracking {
    chain input { type filter hook input priority 0; ct state new udp dport 19000-40000 drop; }
}
"""


def test_where_nothing_happens_it_wakes_at_most_twice_a_second(watch):
    with Topology(TRACK_AND_DROP) as net, watch(net.router, to="file") as flowkin:
        time.sleep(2)  # what belongs to its start
        before, began = processor.waits(flowkin.program.pid), time.monotonic()
        time.sleep(8)
        woken, seconds = processor.waits(flowkin.program.pid) - before, time.monotonic() - began
        assert woken <= 2 * seconds, f"{woken} in {seconds} s"


def test_in_a_stream_of_events_the_loop_sleeps_while_several_gather(watch):
    flows = 6_000
    with Topology(TRACK_AND_DROP) as net, watch(net.router, to="file") as flowkin:
        loop = flowkin.program.pid
        before = processor.waits(loop, loop)
        net.router.run(UDP_FLOOD, HERE, THERE, flows, 1_999)  # one every half of a millisecond
        flowkin.wait_for(lambda record: action(record) == "flow-start" or None, count=flows, timeout=60)
        slept = processor.waits(loop, loop) - before
        assert slept < flows / 2, f"{slept} times for {flows} events"


def test_after_a_stream_a_lone_event_is_still_told(watch):
    with Topology(TRACK_AND_DROP) as net, watch(net.router, to="file") as flowkin:
        for port in (19001, 19002, 19003):
            net.router.run(UDP_FLOOD, HERE, THERE, 2_000 * (port - 19000), 20_000)
            time.sleep(0.3)  # the stream is over, and the loop waits for the socket again
            udp_shot(net.router, THERE, port)
            flowkin.wait_action("flow-start", destination__port=port)
