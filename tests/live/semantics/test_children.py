# SPDX-License-Identifier: GPL-2.0-or-later
"""Children: flows that a helper or a rule announced. Each test's docstring is a statement of
docs/conntrack-semantics.md."""

from ctnetlink import set_mark
from kernel_events import entry
from net import HELPERS, TRACKING
from scenes import CHILD, LOGGED, announce, child_of, ftp_control, scene
from traffic import tcp_connection, tftp_get, tftp_server

MARKED = HELPERS + """
table inet marks {
    chain forward { type filter hook forward priority -10; tcp dport 21 ct state new ct mark set 0x11; }
}
"""
# Each generation is expected in the other direction.
ANCESTRY = TRACKING + """
table inet ancestry {
    ct expectation second { protocol tcp; dport 2222; timeout 1m; size 4; l3proto ip; }
    ct expectation third { protocol tcp; dport 3333; timeout 1m; size 4; l3proto ip; }
    chain forward { type filter hook forward priority -10;
        tcp dport 1111 ct state new ct expectation set "second" ct mark set 0x1
        tcp dport 2222 ct state related ct expectation set "third"
    }
}
"""


def test_a_child_is_a_flow_of_its_own():
    """A child is a flow of its own: it has an entry, an id and events, and names its parent by tuple."""
    with scene(HELPERS) as (net, events, _), child_of(net, events) as (parent, child):
        held = entry(net.router, CHILD)
    assert child.master == held.master == parent.original
    assert child.id == held.id != parent.id
    assert "EXPECTED" in child.status and "EXPECTED" not in parent.status


def test_only_the_first_packet_is_related():
    """Only the first packet of a child is RELATED; its answer and all that follows are ESTABLISHED."""
    with scene(HELPERS + LOGGED) as (net, events, log):
        with ftp_control(net, events) as (near, far, _):
            announce(near, far)
            with tcp_connection(net, CHILD) as (here, there):
                here.sendall(b"more")
                there.recv(10)
                child = events.wait("NEW", port=CHILD)
                of_child = log.wait_for(lambda packet: packet.touches(CHILD), 4)
    assert [packet.prefix for packet in of_child] == ["related"] + ["established"] * 3
    assert "EXPECTED" in child.status


def test_the_mark_is_copied_at_the_first_packet():
    """The mark is copied at the child's first packet, not when the expectation is made."""
    with scene(MARKED) as (net, events, _), ftp_control(net, events) as (near, far, parent):
        announce(near, far)
        events.wait("XNEW")
        set_mark(net.router, parent.record, 0xCC)
        with tcp_connection(net, CHILD):
            child = events.wait("NEW", port=CHILD)
    assert (parent.mark, child.mark) == (0x11, 0xCC)


def test_a_parents_change_does_not_reach_the_child():
    """After that a change on the parent does not reach the child."""
    with scene(MARKED) as (net, events, _), child_of(net, events) as (parent, child):
        set_mark(net.router, parent.record, 0xAA)
        assert entry(net.router, 21).mark == 0xAA
        assert entry(net.router, CHILD).mark == child.mark == 0x11


def test_a_childs_change_does_not_reach_the_parent():
    """Nor does a change on the child reach the parent."""
    with scene(MARKED) as (net, events, _), child_of(net, events) as (_, child):
        set_mark(net.router, child.record, 0xBB)
        assert entry(net.router, CHILD).mark == 0xBB
        assert entry(net.router, 21).mark == 0x11


def test_a_rule_may_overwrite_the_copy_before_new():
    """A rule that sees the child's first packet may overwrite the copy before NEW is told, so that NEW shows a mark
    that was never the parent's."""
    rule = f"""
table inet overwrite {{
    chain forward {{ type filter hook forward priority 0; tcp dport {CHILD} ct mark set 0x77; }}
}}
"""
    with scene(MARKED + rule) as (net, events, _), child_of(net, events) as (parent, child):
        pass
    assert (parent.mark, child.mark) == (0x11, 0x77)


def test_labels_are_not_inherited():
    """Labels are not inherited."""
    rule = """
table inet labels {
    chain forward { type filter hook forward priority 0; tcp dport 21 ct state new ct label set 5; }
}
"""
    with scene(MARKED + rule) as (net, events, _), child_of(net, events) as (_, child):
        parent, child = entry(net.router, 21), entry(net.router, CHILD)
    assert int.from_bytes(parent.labels, "little") == 1 << 5
    assert not child.labels or not any(child.labels)
    assert child.mark == parent.mark == 0x11


def test_the_expectation_ends_before_its_child_begins():
    """The expectation's end comes before the child's NEW, so the end alone does not tell whether a child came."""
    with scene(HELPERS) as (net, events, _), child_of(net, events):
        order = [message.kind for message in events.messages
                 if message.kind.startswith("X") or message.kind == "NEW" and message.original.destination_port == CHILD]
    assert order == ["XNEW", "XDES", "NEW"]


def test_an_expectation_may_come_before_its_parent():
    """Where the helper acts on the parent's first packet, the expectation comes before the parent's own NEW."""
    with scene(HELPERS) as (net, events, _), tftp_server(net):
        tftp_get(net)
        events.settled()
    order = [message.kind for message in events.messages
             if message.kind == "XNEW" or message.kind == "NEW" and message.original.destination_port == 69]
    assert order == ["XNEW", "NEW"]


def test_update_and_destroy_do_not_name_the_parent():
    """UPDATE and DESTROY do not name the parent, and DESTROY not the helper."""
    with scene(HELPERS) as (net, events, _):
        with child_of(net, events):
            pass
        events.wait("UPDATE", port=CHILD)
        net.router.flush()
        ends = [events.wait("DESTROY", port=port) for port in (21, CHILD)]
    assert events.wait("UPDATE", port=21).helper == events.wait("NEW", port=21).helper == "ftp"
    assert all(message.master is None for message in events.of("UPDATE", "DESTROY"))
    assert all(end.helper is None for end in ends)


def test_a_parents_end_takes_its_expectations_along():
    """A parent's end takes its open expectations along, after its own DESTROY."""
    with scene(HELPERS) as (net, events, _), ftp_control(net, events) as (near, far, _):
        announce(near, far)
        events.wait("XNEW")
        net.router.flush()
        events.wait("XDES")
    assert [message.kind for message in events.messages if message.kind in ("DESTROY", "XDES")] == ["DESTROY", "XDES"]


def test_a_child_outlives_its_parent():
    """A child outlives its parent, and the table goes on naming the dead parent's tuple."""
    with scene(HELPERS) as (net, events, _), child_of(net, events) as (parent, _):
        net.router.run("conntrack", "-D", "-p", "tcp", "--orig-port-dst", 21)
        events.wait("DESTROY", port=21, id=parent.id)
        assert entry(net.router, CHILD).master == parent.original


def test_a_dead_parents_tuple_may_be_anothers():
    """By then that tuple may belong to another flow."""
    with scene(HELPERS) as (net, events, _), ftp_control(net, events) as (near, far, parent):
        announce(near, far)
        with tcp_connection(net, CHILD):
            events.wait("NEW", port=CHILD)
            net.router.run("conntrack", "-D", "-p", "tcp", "--orig-port-dst", 21)
            near.sendall(b"NOOP\r\n")
            far.recv(100)
            usurper, child = entry(net.router, 21), entry(net.router, CHILD)
    assert usurper.original == parent.original == child.master
    assert usurper.start > child.start  # what gives it away: a parent is older than its child


def test_a_grandchild_names_its_parent_alone():
    """A grandchild names its parent and not its grandparent, and copies the mark that the parent has by then."""
    with scene(ANCESTRY) as (net, events, _):
        with tcp_connection(net, 1111):
            eldest = events.wait("NEW", port=1111)
        with tcp_connection(net, 2222, back=True):
            middle = events.wait("NEW", port=2222)
        set_mark(net.router, middle.record, 0x2)
        with tcp_connection(net, 3333):
            youngest = events.wait("NEW", port=3333)
    assert eldest.master is None
    assert middle.master == eldest.original and youngest.master == middle.original
    assert (eldest.mark, middle.mark, youngest.mark) == (1, 1, 2)
