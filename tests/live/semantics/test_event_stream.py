# SPDX-License-Identifier: GPL-2.0-or-later
"""Which flows have events, counters and times, and when their end is told. Each test's docstring is a statement of
docs/conntrack-semantics.md."""

import contextlib
import socket
import time

import pytest
from kernel_events import Events, entry, listeners
from net import TRACKING, Topology
from scenes import PORT, open_socket, scene
from traffic import udp_exchange

ACCT, STAMPS = "net__netfilter__nf_conntrack_acct", "net__netfilter__nf_conntrack_timestamp"
EVENTS, TIMEOUT = "net__netfilter__nf_conntrack_events", "net__netfilter__nf_conntrack_udp_timeout"


def test_accounting_is_for_flows_that_begin_later():
    """Accounting (nf_conntrack_acct) is for flows that begin after it was turned on: one that lives then is never
    counted."""
    with scene(**{ACCT: 0}) as (net, events, _):
        udp_exchange(net, PORT, source_port=4711)
        net.router.sysctl(**{ACCT: 1})
        udp_exchange(net, PORT, source_port=4711)
        udp_exchange(net, PORT + 1)
        net.router.flush()
        older, younger = (events.wait("DESTROY", port=port) for port in (PORT, PORT + 1))
    assert older.sent is None and younger.sent[0] == 1


def test_timestamps_are_for_flows_that_begin_later():
    """So are timestamps (nf_conntrack_timestamp)."""
    with scene(**{STAMPS: 0}) as (net, events, _):
        udp_exchange(net, PORT, source_port=4711)
        net.router.sysctl(**{STAMPS: 1})
        udp_exchange(net, PORT, source_port=4711)
        udp_exchange(net, PORT + 1)
        net.router.flush()
        older, younger = (events.wait("DESTROY", port=port) for port in (PORT, PORT + 1))
    assert (older.start, older.at) == (None, None)
    assert younger.start < younger.stop <= younger.at


def test_a_flow_that_was_there_has_no_new():
    """A flow that was there before one listened has no NEW for the newcomer, but UPDATE and DESTROY, where
    nf_conntrack_events is 1."""
    with Topology() as net:
        with open_socket(net.server, socket.SOCK_DGRAM, bind=(net.SERVER[4], PORT)) as far, \
                open_socket(net.client, socket.SOCK_DGRAM) as near:
            near.sendto(b"ask", (net.SERVER[4], PORT))
            _, peer = far.recvfrom(10)
            with Events(net.router) as events:
                far.sendto(b"answer", peer)
                events.wait("UPDATE", port=PORT)
                net.router.flush()
                events.wait("DESTROY", port=PORT)
    assert not events.of("NEW", port=PORT)


def test_a_flow_that_was_born_mute_stays_mute():
    """A flow that began while nf_conntrack_events was 0 has no event ever, whatever becomes of the setting."""
    with scene(**{EVENTS: 0}) as (net, events, _):
        udp_exchange(net, PORT, source_port=4711)
        net.router.sysctl(**{EVENTS: 1})
        udp_exchange(net, PORT, source_port=4711, rounds=2)
        net.router.flush()
        events.settled()
    assert not [message for message in events.messages if PORT == message.original.destination_port]


def heard_later(birth_heard_by=None):
    """Whether a flow that began under nf_conntrack_events = 2 has an event for who listens from then on."""
    with Topology(**{EVENTS: 2}) as net, contextlib.ExitStack() as stack:
        if birth_heard_by:
            stack.enter_context(Events(getattr(net, birth_heard_by)))
        udp_exchange(net, PORT, source_port=4711)
        with Events(net.router) as events:
            udp_exchange(net, PORT, source_port=4711)
            net.router.flush()
            events.settled()
            return bool(events.of("UPDATE", "DESTROY", port=PORT))


def test_a_flow_that_nobody_heard_is_mute():
    """The default, nf_conntrack_events = 2, saves the work where nobody listens: a flow that began unheard has no UPDATE
    and no DESTROY, also for who listens later."""
    for _ in range(30):
        before = listeners()
        heard = heard_later()
        if not heard:
            return
        if before or listeners():
            pytest.skip("something else on this machine listens for conntrack events, and one listener is enough")
    pytest.fail("a flow that nobody heard at its birth had events")


def test_one_listener_is_enough_for_all_namespaces():
    """One listener is enough for all namespaces: it need not be in the flow's own."""
    assert heard_later(birth_heard_by="client")


def test_an_expired_flow_is_destroyed_later():
    """A flow that timed out is destroyed later, when the kernel comes across it; the stop of its timestamps is when it
    timed out, the time of the event is not."""
    with scene(TRACKING, **{TIMEOUT: 1}) as (net, events, _):
        with open_socket(net.client, socket.SOCK_DGRAM) as near:
            near.sendto(b"x", (net.SERVER[4], PORT))
        events.wait("NEW", port=PORT)
        time.sleep(1.5)  # what is waited for makes no sound
        entry(net.router, PORT)  # the kernel comes across it
        end = events.wait("DESTROY", port=PORT, timeout=60)
    assert 0.9e9 < end.stop - end.start < 1.2e9  # whenever the kernel came
    assert end.stop < end.at
