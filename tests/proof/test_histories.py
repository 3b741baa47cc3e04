"""Random histories of faults on both sides, in virtual time, and those that once failed.

`make prove` holds 10,000 of them (PROVE_HISTORIES, PROVE_SEED); `make test` a slice. A history that fails is made small
and printed as a literal: fix the code, and paste it into REGRESSIONS.
"""

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Final

import pytest
import trio

from service.localasr.faults import Fault
from service.stream.admission import Admission
from service.stream.audio import Uplink
from service.stream.session import Session
from service.stream.transcript import Transcript
from tests.proof.histories.conversation import failing
from tests.proof.histories.history import History, Step, history, literal
from tests.proof.histories.shrink import shrunk

SLICE: Final = 150
HISTORIES: Final = int(os.environ.get("PROVE_HISTORIES", SLICE))
SEED: Final = int(os.environ.get("PROVE_SEED", "1"))
FIRST: Final = SEED * 10_000_000

TALK: Final = Step("talk", 2000, 1280)
REGRESSIONS: Final[tuple[History, ...]] = (
    # None has failed yet; these are awkward by thought.
    History((TALK, Step("drain", 300), TALK), (Fault("close", connection=1, at_ms=1900),)),
    History((TALK, Step("give_up"), TALK), (Fault("silent_handshake", connection=1),)),
    History((TALK, Step("finalize"), Step("drop", 0, 2), TALK), (Fault("close", connection=1, at_end=True),)),
    History((TALK, Step("no_slot", 12_000), Step("finalize"), TALK), slots=1),
    History((TALK, Step("block"), TALK, TALK), (Fault("swallow_final", connection=1),)),
    History((Step("burst", 9000, 6400),), (Fault("error", connection=1, at_ms=3500),), replay_s=1),
    History((TALK, Step("deaf", 3000), TALK, Step("drop", 1000)), (Fault("garbage", connection=1, at_ms=2700),)),
    History((TALK, Step("finalize")), (Fault("stop_reading", connection=1, at_ms=500),), end="hang_up"),
)


@pytest.mark.proof
def test_random_histories() -> None:
    must_complete = 0
    for number in range(FIRST, FIRST + HISTORIES):
        one = history(number)
        must_complete += one.must_complete
        if failing(one):
            small = shrunk(one, failing)
            pytest.fail(f"history {number}: {failing(small)}\n{literal(small)}")
    assert must_complete > 0.3 * HISTORIES, "too few histories show that nothing is lost"


@pytest.mark.parametrize("one", REGRESSIONS, ids=literal)
def test_histories_that_failed_once(one: History) -> None:
    assert failing(one) is None


def test_a_history_is_always_the_same() -> None:
    assert [history(number) for number in range(50)] == [history(number) for number in range(50)]


@pytest.mark.parametrize("number", range(20))
def test_a_literal_is_the_history(number: int) -> None:
    names = {"History": History, "Step": Step, "Fault": Fault}
    assert eval(literal(history(number)), names) == history(number)  # noqa: S307 - our own text


def found(numbers: range) -> tuple[History, str]:
    """The first history that fails, made small, and why it fails."""
    for number in numbers:
        if failing(history(number)):
            small = shrunk(history(number), failing)
            return small, str(failing(small))
    pytest.fail("a planted defect was not found")


async def _leaky_stream_slot(self: Admission, *, wait_s: float) -> AsyncIterator[None]:
    """Gives back no slot of a connection that failed."""
    await trio.lowlevel.checkpoint()
    owner = object()
    self.slots.take_now(owner)
    yield
    self.slots.give_back(owner)


def test_a_planted_leak_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Admission, "recognizer_slot", contextlib.asynccontextmanager(_leaky_stream_slot))
    small, why = found(range(100))
    assert "slots left: 1" in why
    assert len(small.steps) + len(small.faults) <= 1


def test_a_planted_loss_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audio that was sent on a connection that is lost is not sent again."""

    def forget(self: Uplink, now: float) -> None:
        self.settle(self.sent_to)

    monkeypatch.setattr(Uplink, "rewind", forget)
    small, why = found(range(100))
    assert "is not there, nor announced as lost" in why
    assert len(small.steps) == len(small.faults) == 1


def test_a_planted_lost_final_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first sentence of each connection but the first goes to nobody."""
    begin_connection = Transcript.begin_connection

    def skip_one(self: Transcript, voice_id: str, base_ms: int) -> None:
        is_first = not self._voice_id
        begin_connection(self, voice_id, base_ms)
        self._last_settled = -1 if is_first else 0

    monkeypatch.setattr(Transcript, "begin_connection", skip_one)
    small, why = found(range(100))
    assert "is not there, nor announced as lost" in why
    assert len(small.steps) + len(small.faults) <= 4


def test_a_planted_double_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settled audio is sent again."""
    monkeypatch.setattr(Uplink, "_forget", lambda self, position: None)
    _, why = found(range(100))
    assert "doubled or out of order" in why


def test_a_second_outcome_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def count_again(session: Session, *rest: object) -> None:
        session._metrics.streams_ended.labels("canceled").inc()

    monkeypatch.setattr("service.stream.endpoint._log_end", count_again)
    assert "not exactly one outcome" in str(failing(History((TALK,))))


def test_audio_that_is_counted_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent again counts as relayed again."""
    rewind = Uplink.rewind

    def recount(self: Uplink, now: float) -> tuple[int, int] | None:
        missing = rewind(self, now)
        self._begins_at -= self.waiting
        return missing

    monkeypatch.setattr(Uplink, "rewind", recount)
    small, why = found(range(100))
    assert "audio" in why
    assert len(small.steps) + len(small.faults) <= 3


def test_an_exception_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.stream.endpoint._log_end", lambda *args: 1 // 0)
    assert "ZeroDivisionError" in str(failing(History((TALK,))))


@pytest.mark.parametrize(
    ("one", "must"),
    [
        (History((TALK,)), True),
        (History((TALK, Step("drop")), (Fault("refuse", connection=1), Fault("refuse", connection=2))), True),
        (History((TALK,), tuple(Fault("refuse", connection=number) for number in (1, 2, 3))), False),
        (History((TALK,), (Fault("error", connection=1, code=4002),)), False),
        (History((TALK, Step("drain"))), False),
        (History((TALK,), end="cancel"), False),
        (History((TALK,), (Fault("garbage"),)), False),
        (History((TALK,), replay_s=1), False),
    ],
)
def test_what_must_go_unnoticed(one: History, must: bool) -> None:
    assert one.must_complete is must
    assert failing(one) is None
