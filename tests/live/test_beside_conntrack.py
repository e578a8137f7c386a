# SPDX-License-Identifier: GPL-2.0-or-later
"""flowkin and `conntrack -E` listen to the same kernel: they must tell the same."""

import collections
import random
import time

import pytest
from conntrack import ConntrackEvents
from flowkin import action, flow_of
from net import Topology
from test_families import MASQUERADE
from traffic import FtpClient, ftp_server, open_socket, ping, tcp_life, tftp_get, tftp_server, udp_exchange

EVENT_OF = {"flow-start": "NEW", "flow-update": "UPDATE", "flow-mark-changed": "UPDATE", "flow-end": "DESTROY"}


def by_flow(events):
    """{flow: its events in order}."""
    flows = collections.defaultdict(list)
    for event, flow in events:
        flows[flow].append(event)
    return flows


def told_by(flowkin):
    return [(EVENT_OF[action(record)], flow_of(record)) for record in flowkin.records if action(record) in EVENT_OF]


def settle(witness, flowkin, destroyed, timeout=15):
    """Waits until both have told of so many ends."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        ends = [sum(event == "DESTROY" for event, _ in events) for events in (witness.events, told_by(flowkin))]
        if min(ends) >= destroyed:
            return
        time.sleep(0.1)
    raise TimeoutError(f"{ends[0]} and {ends[1]} of {destroyed} ends")


def test_mixed_traffic_gives_the_same_events_ids_and_order_for_each_flow(watch):
    seed = random.randrange(1 << 32)
    pick = random.Random(seed)
    with Topology(MASQUERADE) as net, watch(net.router, config={"output": {"updates": "all"}}) as flowkin, \
            ConntrackEvents(net.router) as witness, ftp_server(net), tftp_server(net):
        def ftp():
            with FtpClient(net, passive=pick.random() < 0.5) as client, client.transfer():
                pass
        kinds = [lambda: tcp_life(net, 8000, pick.choice((4, 6))),
                 lambda: udp_exchange(net, 53, pick.choice((4, 6)), rounds=pick.randint(1, 4)),
                 lambda: ping(net, pick.choice((4, 6)), identifier=pick.randrange(65536)),
                 lambda: tftp_get(net), ftp]
        for _ in range(60):
            pick.choice(kinds)()
        live = net.router.tracked()
        net.router.flush()
        settle(witness, flowkin, live)
        told, witnessed = by_flow(told_by(flowkin)), by_flow(witness.events)
    assert len(witnessed) >= 60
    assert told == witnessed, f"seed {seed}"


def test_flows_that_come_again_with_the_same_ports_give_the_same_events_and_ids(watch):
    ports, rounds = range(10_000, 10_050), 20
    with Topology() as net, watch(net.router, config={"output": {"updates": "all"}}) as flowkin, \
            ConntrackEvents(net.router) as witness:
        for port in [*ports] * rounds:
            with open_socket(net.client, bind=(net.CLIENT[4], port)) as near:
                with pytest.raises(ConnectionRefusedError):  # a flow that ends as soon as it began
                    near.connect((net.SERVER[4], 81))
            time.sleep(0.001)  # the witness's buffer is small
        settle(witness, flowkin, len(ports) * rounds)
        told, witnessed = by_flow(told_by(flowkin)), by_flow(witness.events)
    assert len(witnessed) > len(ports)  # most lives have an id of their own, some have one that was there before
    assert told == witnessed
