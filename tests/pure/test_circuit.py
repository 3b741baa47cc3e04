"""The circuit breaker's decisions: what counts, and every history of dials, probes and time."""

from typing import Final

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.failures import Problem, Slug, problem
from service.recognizer.circuit import (
    FAILURES,
    JITTER,
    PAUSE_S,
    PROBED_SHARE,
    TRIAL_S,
    Circuit,
    State,
    Verdict,
    label_of,
    verdict_of,
)
from service.recognizer.tencent import KNOWN_CODES, Trouble

MIDDLE: Final = 0.5
"""The chance that makes a pause neither shorter nor longer."""


def opened(now: float = 0.0, chance: float = MIDDLE) -> Circuit:
    circuit = Circuit()
    for _ in range(FAILURES):
        assert circuit.admits(now)
        circuit.failed(now, chance)
    assert circuit.state is State.OPEN
    return circuit


def test_every_code_has_its_verdict() -> None:
    assert {code for code in KNOWN_CODES if verdict_of(code) is Verdict.DOWN} == {5000, 5001, 5002, 6001}
    assert {verdict_of(code) for code in KNOWN_CODES} == {Verdict.DOWN, Verdict.UP}
    assert (verdict_of(4999), verdict_of(5003), verdict_of(9999)) == (Verdict.UP, Verdict.DOWN, Verdict.DOWN)


def test_every_trouble_has_its_verdict() -> None:
    assert {trouble: verdict_of(trouble) for trouble in Trouble} == {
        Trouble.CONNECT: Verdict.DOWN,
        Trouble.UPGRADE: Verdict.DOWN,
        Trouble.CONNECT_TIMEOUT: Verdict.DOWN,
        Trouble.FIRST_MESSAGE_TIMEOUT: Verdict.DOWN,
        Trouble.SEND_TIMEOUT: Verdict.NOTHING,
        Trouble.FINAL_TIMEOUT: Verdict.NOTHING,
        Trouble.LOST: Verdict.DOWN,
        Trouble.GARBLED: Verdict.DOWN,
        Trouble.OTHER_CODE: Verdict.DOWN,
    }


@pytest.mark.parametrize(
    ("found", "verdict", "label"),
    [
        (problem(Slug.RECOGNIZER_UNAVAILABLE, ""), Verdict.DOWN, "recognizer_unavailable"),
        (problem(Slug.RECOGNIZER_TIMEOUT, ""), Verdict.DOWN, "recognizer_timeout"),
        (problem(Slug.RECOGNIZER_UNAVAILABLE, "", recognizer_code=5001), Verdict.DOWN, "5001"),
        (problem(Slug.RECOGNIZER_UNAVAILABLE, "", recognizer_code=4000), Verdict.UP, "4000"),
        (problem(Slug.RECOGNIZER_REJECTED, "", recognizer_code=6001), Verdict.DOWN, "6001"),
        (problem(Slug.RECOGNIZER_BUSY, "", recognizer_code=4006), Verdict.UP, "4006"),
        (problem(Slug.RECOGNIZER_BUSY, "no slot of our own"), Verdict.NOTHING, "recognizer_busy"),
        (problem(Slug.RESTARTING, ""), Verdict.NOTHING, "restarting"),
        (Trouble.CONNECT, Verdict.DOWN, "connect"),
        (4001, Verdict.UP, "4001"),
        (5999, Verdict.DOWN, "other"),
    ],
)
def test_what_counts(found: Problem | Trouble | int, verdict: Verdict, label: str) -> None:
    assert (verdict_of(found), label_of(found)) == (verdict, label)


def test_a_success_between_failures_keeps_it_closed() -> None:
    circuit = Circuit()
    for _ in range(3):
        for _ in range(FAILURES - 1):
            circuit.failed(0, MIDDLE)
        circuit.succeeded()
    assert (circuit.state, circuit.admits(0), circuit.dial_in_s(0)) == (State.CLOSED, True, 0)


def test_one_dial_is_let_through_when_the_pause_is_over() -> None:
    circuit = opened(now=100)
    assert circuit.pause_s == PAUSE_S[0]
    assert not circuit.admits(100.99)
    assert circuit.dial_in_s(100.25) == 0.75
    assert [circuit.admits(101), circuit.admits(101), circuit.admits(102)] == [True, False, False]
    assert circuit.dial_in_s(101) == 1.0
    assert circuit.dial_in_s(101 + TRIAL_S - 0.5) == 0.5
    circuit.succeeded()
    assert [circuit.admits(102), circuit.admits(102)] == [True, True]
    circuit.failed(102, MIDDLE)
    assert circuit.state is State.CLOSED  # counted from the beginning again


def test_pauses_grow_to_their_bound_and_begin_again_after_a_success() -> None:
    circuit = opened()
    pauses = [circuit.pause_s]
    for _ in range(40):
        now = circuit.pause_ends_at
        assert circuit.admits(now)
        circuit.failed(now, MIDDLE)
        pauses.append(circuit.pause_s)
    assert pauses[:7] == [1, 2, 4, 8, 16, 30, 30]
    assert pauses[-1] == 30
    circuit.succeeded()
    for _ in range(FAILURES):
        circuit.failed(1e6, MIDDLE)
    assert circuit.pause_s == 1


def test_chance_spreads_the_pauses() -> None:
    assert (opened(chance=0).pause_s, opened(chance=1).pause_s) == (1 - JITTER, 1 + JITTER)


def test_a_probe_shortens_a_pause_to_a_share_of_it() -> None:
    circuit = opened()
    circuit.probed(circuit.probe_from - 0.01)
    assert circuit.state is State.OPEN
    circuit.probed(circuit.probe_from)
    assert circuit.probe_from == PROBED_SHARE
    assert (circuit.state, circuit.dial_in_s(circuit.probe_from)) == (State.HALF_OPEN, 0)
    assert [circuit.admits(0.3), circuit.admits(0.3)] == [True, False]


@pytest.mark.parametrize("state", [State.CLOSED, State.HALF_OPEN])
def test_a_probe_says_nothing_while_it_is_not_open(state: State) -> None:
    circuit = Circuit()
    if state is State.HALF_OPEN:
        circuit = opened()
        assert circuit.admits(5)
    circuit.probed(6)
    assert circuit.state is state
    assert circuit.admits(6) is (state is State.CLOSED)  # the trial is not given to a second one


def test_a_trial_that_is_never_heard_of_gives_way_to_another() -> None:
    circuit = opened()
    assert circuit.admits(1)
    assert not circuit.admits(1 + TRIAL_S - 0.01)
    assert [circuit.admits(1 + TRIAL_S), circuit.admits(1 + TRIAL_S)] == [True, False]
    circuit.gave_up()
    assert [circuit.admits(18), circuit.admits(18)] == [True, False]


def test_late_failures_of_dials_from_before_change_nothing() -> None:
    circuit = opened()
    circuit.failed(0.5, MIDDLE)
    assert (circuit.pause_ends_at, circuit.failures) == (1, FAILURES)
    circuit.tick(1)
    circuit.failed(1, MIDDLE)  # before anybody made the trial
    assert (circuit.state, circuit.admits(1)) == (State.HALF_OPEN, True)


def test_a_late_success_of_a_dial_from_before_closes_it() -> None:
    circuit = opened()
    circuit.succeeded()
    assert circuit.admits(0)


class AnyHistory(RuleBasedStateMachine):
    """Dials in any number at a time, each with any end or none, probes, and time that goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit()
        self.now = 0.0
        self.in_flight = 0
        self.refused_since: float | None = None
        self.failures_in_a_row = 0

    @rule(seconds=st.floats(0, 20))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule(streams=st.integers(1, 8))
    def streams_dial(self, streams: int) -> None:
        was_closed = self.circuit.state is State.CLOSED
        admitted = sum(self.circuit.admits(self.now) for _ in range(streams))
        assert admitted == streams if was_closed else admitted <= 1
        self.in_flight += admitted
        if admitted:
            self.refused_since = None
        elif self.refused_since is None:
            self.refused_since = self.now
        else:  # never refused for longer than a pause and, where that was taken, a trial
            assert self.now - self.refused_since <= PAUSE_S[1] * (1 + JITTER) + TRIAL_S

    @precondition(lambda self: self.in_flight)
    @rule(chance=st.floats(0, 1))
    def a_dial_fails(self, chance: float) -> None:
        self.in_flight -= 1
        before = self.circuit.state
        self.failures_in_a_row += 1
        self.circuit.failed(self.now, chance)
        if before is State.CLOSED:
            assert (self.circuit.state is State.OPEN) == (self.failures_in_a_row >= FAILURES)
        if before is not State.OPEN and self.circuit.state is State.OPEN:
            assert PAUSE_S[0] * (1 - JITTER) <= self.circuit.pause_s <= PAUSE_S[1] * (1 + JITTER)
            assert not self.circuit.admits(self.now)

    @precondition(lambda self: self.in_flight)
    @rule()
    def a_dial_succeeds(self) -> None:
        self.in_flight -= 1
        self.failures_in_a_row = 0
        self.circuit.succeeded()
        assert self.circuit.state is State.CLOSED

    @precondition(lambda self: self.in_flight)
    @rule()
    def a_dial_is_given_up(self) -> None:
        self.in_flight -= 1
        before = self.circuit.state
        self.circuit.gave_up()
        assert self.circuit.state is before

    @rule()
    def a_probe_succeeds(self) -> None:
        before = self.circuit.state
        self.circuit.probed(self.now)
        if self.circuit.state is not before:
            assert (before, self.circuit.state) == (State.OPEN, State.HALF_OPEN)

    @rule()
    def somebody_waits_as_long_as_told(self) -> None:
        """And is let through then, or somebody else is, or what was in flight at most takes its time."""
        wait_s = self.circuit.dial_in_s(self.now)
        assert 0 <= wait_s <= PAUSE_S[1] * (1 + JITTER)
        if self.circuit.state is State.OPEN:
            self.now = max(self.now, self.circuit.pause_ends_at)
            assert self.circuit.admits(self.now)
            self.in_flight += 1
            self.refused_since = None

    @invariant()
    def it_is_closed_until_enough_have_failed(self) -> None:
        assert self.circuit.state is State.CLOSED or self.failures_in_a_row >= FAILURES


TestAnyHistory = AnyHistory.TestCase
