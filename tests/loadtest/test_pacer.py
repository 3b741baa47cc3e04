"""One task that sends for all."""

import pytest
import trio
from trio.testing import MockClock

from loadtest.pacer import Pacer


class Log:
    """Frames that are due at given times, and when they were sent."""

    def __init__(self, name: str, due_s: list[float], sent: list[tuple[float, str]]) -> None:
        self.name, self.due_s, self.sent = name, list(due_s), sent

    def send_next(self, now_s: float) -> float | None:
        self.sent.append((now_s, self.name))
        self.due_s.pop(0)
        return self.due_s[0] if self.due_s else None


async def test_frames_of_all_phones_go_when_they_are_due(autojump_clock: MockClock) -> None:
    pacer, sent = Pacer(), list[tuple[float, str]]()
    began_s = trio.current_time()

    async def say(name: str, after_s: float, due_s: list[float]) -> None:
        await trio.sleep(after_s)
        due_s = [began_s + one_s for one_s in due_s]
        await pacer.send(due_s[0], Log(name, due_s, sent))
        sent.append((trio.current_time(), f"{name} is over"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pacer.run)
        async with trio.open_nursery() as phones:
            phones.start_soon(say, "a", 0.0, [10.0, 11.0, 13.0])
            phones.start_soon(say, "b", 5.0, [7.0, 12.0])  # earlier than what the pacer waits for
        nursery.cancel_scope.cancel()
    assert [(at_s - began_s, name) for at_s, name in sent] == [
        (7.0, "b"), (10.0, "a"), (11.0, "a"), (12.0, "b"), (12.0, "b is over"), (13.0, "a"), (13.0, "a is over")
    ]  # fmt: skip


async def test_a_phone_that_is_cancelled_sends_no_more(autojump_clock: MockClock) -> None:
    pacer, sent = Pacer(), list[tuple[float, str]]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pacer.run)
        with trio.move_on_after(2.5):
            await pacer.send(1.0, Log("a", [1.0, 2.0, 3.0, 4.0], sent))
            pytest.fail("it was not cancelled")
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert sent == [(1.0, "a"), (2.0, "a")]


async def test_many_frames_at_once_let_others_run(autojump_clock: MockClock) -> None:
    pacer, sent = Pacer(), list[tuple[float, str]]()
    most_in_a_row = 0

    async def watch() -> None:
        nonlocal most_in_a_row
        seen = 0
        while True:
            most_in_a_row = max(most_in_a_row, len(sent) - seen)
            seen = len(sent)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pacer.run)
        nursery.start_soon(watch)
        await pacer.send(0.0, Log("a", [0.0] * 2000, sent))
        nursery.cancel_scope.cancel()
    assert len(sent) == 2000
    assert most_in_a_row < 600
