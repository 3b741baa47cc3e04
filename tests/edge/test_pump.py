"""One epoll for many descriptors, whose numbers are used again: a callback gets its own readiness, and no other's."""

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import trio
import trio.testing

from service.websocket import pump as pump_module
from service.websocket.pump import IS_AVAILABLE, Pump

pytestmark = pytest.mark.skipif(not IS_AVAILABLE, reason="there is no epoll")
HANG_S = 10


class Pipes:
    """Pipes that are closed with the test."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def new(self) -> tuple[int, int]:
        """Its ends: to read and to write."""
        ends = os.pipe()
        self._open |= set(ends)
        return ends

    def close(self, end: int) -> None:
        os.close(end)
        self._open.discard(end)

    def renumber(self, end: int, number: int) -> None:
        """Make an open end known by a number that is free; as the kernel does it with a new socket."""
        os.dup2(end, number)
        self._open.add(number)

    def close_all(self) -> None:
        while self._open:
            os.close(self._open.pop())


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    yield made
    made.close_all()


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Pump]:
    pump = Pump()
    with trio.fail_after(HANG_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(pump.run)
            yield pump
            nursery.cancel_scope.cancel()
    assert not pump.is_running


class Reader:
    """Reads what is there, and notes it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.read: list[bytes] = []
        self.times: list[float] = []
        self.came = trio.Event()
        self.then: Callable[[], None] = lambda: None

    def __call__(self, now: float) -> None:
        self.read.append(os.read(self.descriptor, 100))
        self.times.append(now)
        self.came.set()
        self.then()


async def test_who_is_registered_is_called_with_the_time(pipes: Pipes) -> None:
    async with running() as pump:
        out, into = pipes.new()
        reader = Reader(out)
        pump.register(out, reader)
        pump.register(out, reader)
        before = trio.current_time()
        os.write(into, b"one")
        await reader.came.wait()
        assert reader.read == [b"one"]
        assert before <= reader.times[0] <= trio.current_time()
        pump.unregister(out, reader)
        pump.unregister(out, reader)
        os.write(into, b"two")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert reader.read == [b"one"]
        pump.register(out, reader)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert reader.read == [b"one", b"two"]


async def test_what_is_not_read_is_told_again(pipes: Pipes) -> None:
    async with running() as pump:
        out, into = pipes.new()
        calls = 0

        def refuse(_now: float) -> None:
            nonlocal calls
            calls += 1
            if calls == 3:
                pump.unregister(out, refuse)

        pump.register(out, refuse)
        os.write(into, b"x")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert calls == 3


async def test_the_end_of_an_old_callback_leaves_the_new_owner_of_its_number(pipes: Pipes) -> None:
    async with running() as pump:
        first, _ = pipes.new()
        old = Reader(first)
        pump.register(first, old)
        pipes.close(first)  # without a word to the pump
        second, into = pipes.new()
        if second != first:
            pipes.renumber(second, first)
        new = Reader(first)
        pump.register(first, new)
        pump.unregister(first, old)
        os.write(into, b"for the new one")
        await new.came.wait()
        assert (old.read, new.read) == ([], [b"for the new one"])


async def test_an_old_callback_that_ends_in_time_is_not_called_for_the_new_owner(pipes: Pipes) -> None:
    async with running() as pump:
        first, _ = pipes.new()
        old = Reader(first)
        pump.register(first, old)
        pump.unregister(first, old)
        pipes.close(first)
        second, into = pipes.new()
        if second != first:
            pipes.renumber(second, first)
        os.write(into, b"nobody asked")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert old.read == []


async def test_unregistering_what_is_closed_is_no_error(pipes: Pipes) -> None:
    async with running() as pump:
        out, _ = pipes.new()
        reader = Reader(out)
        pump.register(out, reader)
        pipes.close(out)
        pump.unregister(out, reader)


async def test_who_was_ended_by_one_before_it_in_the_batch_is_not_called(pipes: Pipes) -> None:
    async with running() as pump:
        readers = []
        for _ in range(2):
            out, into = pipes.new()
            os.write(into, b"x")
            readers.append(Reader(out))

        def end_both() -> None:
            for reader in readers:
                pump.unregister(reader.descriptor, reader)

        for reader in readers:
            reader.then = end_both
            pump.register(reader.descriptor, reader)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert sorted(reader.read for reader in readers) == [[], [b"x"]]


async def test_more_than_a_batch(pipes: Pipes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "_BATCH", 3)
    async with running() as pump:
        readers = []
        for number in range(10):
            out, into = pipes.new()
            os.write(into, bytes([number]))
            readers.append(Reader(out))
            pump.register(out, readers[-1])
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert [reader.read for reader in readers] == [[bytes([number])] for number in range(10)]


async def test_without_a_running_pump_nothing_is_registered(pipes: Pipes) -> None:
    pump = Pump()
    out, into = pipes.new()
    reader = Reader(out)
    os.write(into, b"x")
    assert not pump.is_running
    pump.register(out, reader)
    async with trio.open_nursery() as nursery:
        await nursery.start(pump.run)
        assert pump.is_running
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert reader.read == []
        pump.register(out, reader)
        await reader.came.wait()
        nursery.cancel_scope.cancel()
    pump.unregister(out, reader)
    assert reader.read == [b"x"]
