"""The malformed connections are the same each time, differ from each other, and cover what they should."""

from tests.proof.attack import Leave, Piece
from tests.proof.generator import KINDS, attack

SOME = range(2000)


def test_a_connection_depends_on_seed_and_number_alone() -> None:
    assert [attack(1, number) for number in SOME] == [attack(1, number) for number in SOME]
    assert [attack(1, number) for number in SOME] != [attack(2, number) for number in SOME]


def test_every_kind_is_left_in_every_way() -> None:
    made = {(plan.kind, plan.leave) for plan in (attack(1, number) for number in SOME)}
    for kind in KINDS:
        assert {(kind, Leave.HALF_CLOSE), (kind, Leave.CLOSE), (kind, Leave.RESET)} <= made


def test_what_must_be_ended_is_waited_for() -> None:
    waited = {plan.kind for plan in (attack(1, number) for number in SOME) if plan.leave is Leave.WAIT}
    assert {"garbage", "oversize", "bad_opcodes", "unmasked", "oversize_lengths", "bad_utf8", "bad_closes"} <= waited
    assert not {"nothing", "slow_drip", "half_lines", "truncated", "floods"} & waited


def test_connections_of_a_kind_differ() -> None:
    made: dict[str, set[tuple[Piece, ...]]] = {kind: set() for kind in KINDS}
    for number in SOME:
        plan = attack(1, number)
        made[plan.kind].add(plan.pieces)
    assert {kind for kind, talks in made.items() if len(talks) < 10} == {"nothing"}
