"""From what a phone comes back, and when; the way there is in test_coming_back.py."""

import math

import pytest

from loadtest.coming_back import MAX_DELAY_S, BackOff, breaks_off
from loadtest.record import Ending, StreamRecord
from loadtest.scenario import Behavior


def ending_of(ending: Ending, **fields: object) -> StreamRecord:
    values = {"number": 0, "behavior": Behavior.TALKER, "track": 0, "at_planned_s": 0.0, "connections": 1} | fields
    return StreamRecord(ending=ending, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("record", "is_retryable", "reason"),
    [
        (ending_of(Ending.CUT_SHORT), False, "stopped"),
        (ending_of(Ending.LOST, close_code=None), False, "closed_none"),
        (ending_of(Ending.LOST, close_code=1012), False, "closed_1012"),
        (ending_of(Ending.LOST, close_code=4401), False, None),
        (ending_of(Ending.REFUSED, slug="overloaded"), True, "overloaded"),
        (ending_of(Ending.FAILED, slug="restarting"), True, "restarting"),
        (ending_of(Ending.FAILED, slug="bad_start"), False, None),
        (ending_of(Ending.FAILED), False, None),  # the load tester itself
        (ending_of(Ending.REFUSED, http_status=503), False, "http_503"),
        (ending_of(Ending.REFUSED, http_status=404), False, None),
        (ending_of(Ending.UNREACHABLE), False, "unreachable"),
        (ending_of(Ending.UNREACHABLE, connections=0), False, None),
        (ending_of(Ending.PROTOCOL), False, None),
        (ending_of(Ending.UNANSWERED), False, None),
        (ending_of(Ending.COMPLETED), False, None),
    ],
)
def test_what_a_phone_comes_back_from(record: StreamRecord, is_retryable: bool, reason: str | None) -> None:
    assert breaks_off(record, is_retryable=is_retryable) == reason


def waits_of(seed: int, limit_s: float = 30.0) -> list[float]:
    """Of a phone that is refused whenever it tries."""
    back_off, waits, away_s = BackOff(seed, limit_s), [], 0.0
    while (delay_s := back_off.delay_s(sentences=0, away_s=away_s, asked_s=0.0, at_once=False)) is not None:
        waits.append(delay_s)
        away_s += delay_s
    return waits


def test_waits_double_have_jitter_and_end() -> None:
    waits = waits_of(7)
    assert waits == waits_of(7) != waits_of(8)
    for number, wait_s in enumerate(waits):
        full_s = 0.2 * 2**number
        assert min(MAX_DELAY_S, full_s * 0.5) <= wait_s <= min(MAX_DELAY_S, full_s * 1.5)
    assert 30 - MAX_DELAY_S < math.fsum(waits) <= 30


def test_progress_begins_anew_and_what_is_asked_for_is_obeyed() -> None:
    back_off = BackOff(1, 10.0)
    assert back_off.delay_s(sentences=1, away_s=0, asked_s=0, at_once=True) == 0.0
    long_s = [back_off.delay_s(sentences=1, away_s=0, asked_s=0, at_once=False) for _ in range(4)][-1]
    short_s = back_off.delay_s(sentences=2, away_s=0, asked_s=0, at_once=False)
    assert long_s is not None
    assert short_s is not None
    assert short_s <= 0.3 < long_s
    assert back_off.delay_s(sentences=3, away_s=0, asked_s=5, at_once=True) == 5
    assert back_off.delay_s(sentences=3, away_s=6, asked_s=5, at_once=True) is None
