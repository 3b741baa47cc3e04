"""The table of a stream's states: total over what can happen, closed against what cannot."""

import itertools
import re

import pytest

from service.stream import state
from service.stream.state import Action, Event, OutOfTurnError, Phase, Situation, look, step

# An acceptance or a final message that nobody waits for, or the loss of what is not there.
IMPOSSIBLE = {
    (Phase.RELAYING, Event.ACCEPTED),
    (Phase.SETTLING, Event.ACCEPTED),
    (Phase.RESTING, Event.ACCEPTED),
    (Phase.DIALING, Event.SETTLED),
    (Phase.RELAYING, Event.SETTLED),
    (Phase.RESTING, Event.SETTLED),
    (Phase.RESTING, Event.LOST),
}
EVERY_PAIR = set(itertools.product(Phase, Event))
MOVES = {
    (Phase.DIALING, Event.ACCEPTED): (Phase.RELAYING, Action.NOTHING),
    (Phase.RELAYING, Event.MARK): (Phase.SETTLING, Action.END),
    (Phase.RELAYING, Event.PAUSE): (Phase.SETTLING, Action.END),
    (Phase.RELAYING, Event.LOST): (Phase.RESTING, Action.NOTHING),
    (Phase.SETTLING, Event.SETTLED): (Phase.RESTING, Action.NOTHING),
    (Phase.SETTLING, Event.LOST): (Phase.RESTING, Action.NOTHING),
    (Phase.RESTING, Event.AUDIO): (Phase.DIALING, Action.DIAL),
}
ANSWERS = {
    (Phase.RELAYING, Event.MARK_UNUSED): (Phase.RELAYING, Action.PASS),
    (Phase.RESTING, Event.MARK): (Phase.RESTING, Action.PASS),
    (Phase.RESTING, Event.MARK_UNUSED): (Phase.RESTING, Action.PASS),
}


def test_the_table_has_every_pair_that_can_happen_and_no_other() -> None:
    assert set(state.TABLE) == EVERY_PAIR - IMPOSSIBLE


@pytest.mark.parametrize("pair", sorted(EVERY_PAIR - IMPOSSIBLE, key=str), ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_each_pair_moves_answers_or_waits(pair: tuple[Phase, Event]) -> None:
    waits = (pair[0], Action.NOTHING)
    assert step(*pair) == {**MOVES, **ANSWERS}.get(pair, waits)


@pytest.mark.parametrize("pair", sorted(IMPOSSIBLE, key=str), ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_each_other_pair_is_out_of_turn(pair: tuple[Phase, Event]) -> None:
    phase, event = pair
    with pytest.raises(OutOfTurnError, match=re.escape(f"{event.name} in {phase.name}")):
        step(phase, event)


def test_every_phase_can_be_left() -> None:
    """Whatever happened, some event leads on: no phase is a trap."""
    for phase in Phase:
        assert {after for (before, _), (after, _) in state.TABLE.items() if before is phase} - {phase}


@pytest.mark.parametrize(
    ("has_audio", "at_mark", "used", "paused"), list(itertools.product([False, True], repeat=4))
)  # fmt: skip
def test_look(has_audio: bool, at_mark: bool, used: bool, paused: bool) -> None:
    expected = {
        (False, False, False): None,
        (False, False, True): Event.PAUSE,
        (False, True, False): Event.MARK if used else Event.MARK_UNUSED,
        (False, True, True): Event.MARK if used else Event.MARK_UNUSED,
    }.get((has_audio, at_mark, paused), Event.AUDIO)
    assert look(Situation(has_audio, at_mark, used, paused)) is expected
