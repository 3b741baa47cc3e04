"""The malformed connections of the survival proof, each from a seed and its number alone. Pure."""

import random
from typing import Final

from tests.proof.attack import Attack, Kind, Leave, Piece, Talk
from tests.proof.frames import FRAMES
from tests.proof.heads import HEADS

KINDS: Final[dict[str, Kind]] = {**HEADS, **FRAMES}
_NAMES: Final = tuple(KINDS)
_CUT_SHARE: Final = 0.2
"""How many connections are left somewhere in the middle of what they would say."""


def attack(seed: int, number: int) -> Attack:
    """Connection `number`: the kinds go round, everything else is drawn."""
    kind = _NAMES[number % len(_NAMES)]
    chance = random.Random(f"{seed}/{number}")  # a text seeds by its digest: the same in every Python
    talk = KINDS[kind](chance)
    if talk.pieces and chance.random() < _CUT_SHARE:
        talk = _cut(chance, talk)
    leaves = [Leave.HALF_CLOSE, Leave.CLOSE, Leave.RESET, Leave.WAIT if talk.is_fatal else Leave.LOITER]
    return Attack(kind, talk.pieces, chance.choice(leaves))


def _cut(chance: random.Random, talk: Talk) -> Talk:
    """The beginning of a talk: some pieces, and part of one."""
    whole = chance.randrange(len(talk.pieces))
    last = talk.pieces[whole]
    part = Piece(last.data[: chance.randrange(len(last.data) + 1)])
    return Talk((*talk.pieces[:whole], part), is_fatal=False)
