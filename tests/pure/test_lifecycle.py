"""The phases of a process: once, in order, and who is told when it drains."""

import pytest

from service.lifecycle import Lifecycle, Phase


def test_phases_go_one_way() -> None:
    lifecycle = Lifecycle()
    seen = [lifecycle.phase]
    lifecycle.serve()
    seen.append(lifecycle.phase)
    lifecycle.serve()
    seen.append(lifecycle.phase)
    lifecycle.drain()
    seen.append(lifecycle.phase)
    lifecycle.serve()
    seen.append(lifecycle.phase)
    assert seen == [Phase.STARTING, Phase.SERVING, Phase.SERVING, Phase.DRAINING, Phase.DRAINING]


def test_a_process_told_to_stop_while_it_starts_never_serves() -> None:
    lifecycle = Lifecycle()
    lifecycle.drain()
    lifecycle.serve()
    assert lifecycle.phase is Phase.DRAINING


def test_whoever_is_inside_is_told_and_nobody_else() -> None:
    lifecycle = Lifecycle()
    told: list[str] = []
    with lifecycle.told(lambda: told.append("left")):
        pass
    with lifecycle.told(lambda: told.append("first")), lifecycle.told(lambda: told.append("second")):
        lifecycle.drain()
        assert sorted(told) == ["first", "second"]
    lifecycle.drain()
    assert sorted(told) == ["first", "second"]


def test_who_is_told_sees_the_new_phase() -> None:
    lifecycle = Lifecycle()
    seen: list[Phase] = []
    with lifecycle.told(lambda: seen.append(lifecycle.phase)):
        lifecycle.drain()
    assert seen == [Phase.DRAINING]


def test_being_told_may_end_the_registration() -> None:
    """A stream that is told ends at once, which changes the set that is being gone through."""
    lifecycle = Lifecycle()
    told: list[str] = []
    inner = lifecycle.told(lambda: told.append("inner"))

    def outer() -> None:
        told.append("outer")
        inner.__exit__(None, None, None)

    with lifecycle.told(outer):
        inner.__enter__()
        lifecycle.drain()
        lifecycle.drain()
    assert sorted(told) == ["inner", "outer", "outer"]


def test_an_error_inside_ends_the_registration_too() -> None:
    lifecycle = Lifecycle()
    told: list[str] = []
    with pytest.raises(ValueError, match="ours"), lifecycle.told(lambda: told.append("late")):
        raise ValueError("ours")
    lifecycle.drain()
    assert told == []
