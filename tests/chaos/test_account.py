# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge of the chaos runs finds what is wrong with a log."""

import json
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import account  # noqa: E402

SECOND = 1_000_000_000
BEGAN = 1_790_000_000 * SECOND


def stamp(second):
    return f"2026-09-21T14:13:{20 + second:02}.000000000Z"


def flow(action, port, second, uid=None):
    return {"@timestamp": stamp(second), "event": {"dataset": "flowkin.flow", "action": action},
            "network": {"transport": "udp"}, "source": {"port": port}, "destination": {"port": 20000},
            "conntrack": {"uid": uid or f"uid{port}", "observed": "event"}}


def loss(since, until, **more):
    return {"@timestamp": stamp(until), "event": {"dataset": "flowkin.loss", "action": "events-lost"},
            "conntrack": {"loss": {"where": "kernel-socket", "since": stamp(since), "until": stamp(until)} | more}}


def fresh_start(second):
    return {"@timestamp": stamp(second), "event": {"dataset": "flowkin.monitor", "action": "monitor-start"},
            "conntrack": {"monitor": {"state": "fresh"}}}


@pytest.fixture(name="judge")
def judge_fixture(tmp_path):
    def judge(ports, *records):
        """The violations, where each port's flow lived from second 10 to second 20."""
        rows = [[port, 20000, BEGAN + 10 * SECOND, BEGAN + 10 * SECOND + 1000, BEGAN + 20 * SECOND,
                 BEGAN + 20 * SECOND + 1000] for port in ports]
        (tmp_path / "account.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
        (tmp_path / "log").write_text("".join(json.dumps(record) + "\n" for record in records))
        return account.judge(tmp_path / "account.csv", tmp_path / "log")[1]
    return judge


def life(port):
    return flow("flow-start", port, 10), flow("flow-end", port, 20)


def test_flows_that_are_opened_once_and_ended_once_violate_nothing(judge):
    assert account.nanoseconds(stamp(0)) == BEGAN
    assert not judge([1, 2], *life(1), *life(2))


def test_a_flow_that_is_not_told_is_a_violation_where_no_loss_covers_it(judge):
    assert len(judge([1, 2], *life(1))) == 2  # its beginning and its end
    assert len(judge([1, 2], *life(1), loss(0, 9))) == 2
    assert len(judge([1, 2], *life(1), loss(9, 11))) == 1  # its end is not covered
    assert not judge([1, 2], *life(1), loss(9, 11), loss(19, 21))


def test_a_count_covers_so_many_events_and_no_more(judge):
    assert not judge([1, 2], loss(9, 21, count=4))
    assert len(judge([1, 2], loss(9, 21, count=3))) == 1


def test_an_event_is_charged_to_the_loss_that_others_do_not_need(judge):
    begun = [flow("flow-start", port, 10) for port in (1, 2)]
    lines = loss(9, 21, where="sink-write", count=2, first_sequence=5, last_sequence=6)
    # The two ends want the loss of lines; then the flow that is not told at all must do with the kernel's.
    assert not judge([1, 2, 3], *begun, lines, loss(9, 21, count=2))
    assert not judge([3, 1, 2], *begun, loss(9, 21, count=2), lines)
    assert len(judge([1, 2, 3], *begun, lines, loss(9, 21, count=1))) == 1


def test_a_second_opening_is_a_violation_unless_a_fresh_start_lies_between(judge):
    again = flow("flow-seen", 1, 15, uid="other"), flow("flow-end", 1, 20, uid="other")
    assert judge([1], flow("flow-start", 1, 10), *again)
    assert not judge([1], flow("flow-start", 1, 10), fresh_start(14), *again)
    assert judge([1], *life(1), fresh_start(21), *again)
    assert judge([1], flow("flow-start", 1, 10), *life(1))


def test_a_flow_that_is_never_ended_or_ended_twice_is_a_violation(judge):
    assert judge([1], flow("flow-start", 1, 10))
    assert judge([1], *life(1), flow("flow-end", 1, 21))


def test_a_flow_that_nobody_made_is_a_violation(judge):
    assert judge([1], *life(1), *life(2))


def test_a_flow_whose_end_is_not_told_wants_a_loss_of_lines(judge):
    begun = flow("flow-start", 1, 10)
    assert judge([1], begun, loss(19, 21))  # a reconcile would have ended it
    assert not judge([1], begun, loss(19, 21, where="sink-write", count=1, first_sequence=5, last_sequence=5))


def test_a_fresh_start_knows_no_flow_of_before_so_the_kernels_silence_may_hide_its_end(judge):
    begun = flow("flow-start", 1, 10)
    assert not judge([1], begun, fresh_start(15), loss(19, 21))
    assert judge([1], begun, fresh_start(15), loss(16, 18))


def reconciled(second):
    return {"@timestamp": stamp(second), "event": {"dataset": "flowkin.monitor", "action": "resync-completed"},
            "conntrack": {"resync": {"duration": SECOND // 10}}}


def test_a_lost_line_may_be_the_reconciles_that_told_of_an_end_long_before(judge):
    begun = flow("flow-start", 1, 10)
    silence, lines = loss(19, 25), loss(35, 35, where="sink-queue", count=1, first_sequence=5, last_sequence=5)
    assert not judge([1], begun, silence, lines)
    assert judge([1], begun, lines)  # the kernel told the end then
    assert judge([1], begun, silence, reconciled(30), lines)  # the end was told before the line was lost
