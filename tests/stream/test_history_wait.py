"""What a stream waits for its record, when the disk does not answer: only the close, and that no longer than said."""

import dataclasses
from pathlib import Path

import pytest
import trio
import trio.testing

from service.store.history import KEPT_S, History
from tests.support.stream_world import Phone, World, words


def without_a_disk(there: World, tmp_path: Path) -> None:
    """A history whose task does not run, so that nothing that is put gets to the disk."""
    settings = dataclasses.replace(
        there.settings, database_url=f"sqlite+pysqlite:///{tmp_path / 'voice.db'}", spool_dir=str(tmp_path / "spool")
    )
    history = History(settings, there.deps.metrics, there.deps.wall_clock)
    there.deps = dataclasses.replace(there.deps, history=history)


async def until_closed(phone: Phone) -> float:
    await phone.was_closed.wait()
    return trio.current_time()


async def test_stopped_and_the_place_do_not_wait_for_the_disk(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    there = World(nursery)
    without_a_disk(there, tmp_path)
    async with there.phone() as phone:
        phone.audio(words(1))
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
        assert stopped["logId"]
        told_at = trio.current_time()
        await trio.testing.wait_all_tasks_blocked()
        there.assert_nothing_left()
        assert await until_closed(phone) == pytest.approx(told_at + KEPT_S)


async def test_a_failure_is_told_before_the_disk_is_waited_for(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """After `restarting` there may be no time left."""
    there = World(nursery)
    without_a_disk(there, tmp_path)
    async with there.phone() as phone:
        given_up_at = trio.current_time()
        there.deps.lifecycle.drain(given_up_at + 60)
        there.deps.lifecycle.give_up()
        assert (await phone.hear("error"))["code"] == "restarting"
        assert trio.current_time() == given_up_at
        assert await until_closed(phone) == pytest.approx(given_up_at + KEPT_S)


async def test_who_is_refused_waits_for_nobodys_record(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    there = World(nursery, max_streams=1)
    without_a_disk(there, tmp_path)
    async with there.phone() as first:
        first.say(type="stop")
        await first.hear("stopped")
        asked_at = trio.current_time()
        there.deps.lifecycle.drain()
        async with there.phone(started=False) as refused:
            refused.say(type="start")
            assert (await refused.hear("error"))["code"] == "restarting"
            assert await until_closed(refused) == asked_at
