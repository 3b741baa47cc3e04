"""What the fault proxy does with bytes: late, slowly, in slices, not at all.

Real sockets; order and counts of bytes, never times. A latency or a rate here is so extreme that next to nothing comes
through until the test takes it away.
"""

import os
from dataclasses import replace

import pytest
import trio
import trio.testing

from tests.support.edge import until
from tests.support.fault_proxy import CLEAN, Faults
from tests.support.fault_way import MAX_QUEUE_BYTES
from tests.support.fault_world import exactly, part, to_the_end, world

NEVER_S = 3600.0
KERNEL_BYTES = 4608
SAID = bytes(range(256)) * 40


async def test_without_faults_it_is_a_wire() -> None:
    said = os.urandom(2_000_000)
    async with world() as at:
        talk = await at.connect()

        async def answer() -> None:
            async for data in talk.server:
                await talk.server.send_all(data)
            await talk.server.send_all(b"the end")  # a half-closed connection still takes an answer
            await talk.server.send_eof()

        async def say() -> None:
            await talk.client.send_all(said)
            await talk.client.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            nursery.start_soon(say)
            assert await to_the_end(talk.client) == (said + b"the end", "closed")
        await until(lambda: at.proxy.links == ())
        assert talk.link.up.delivered_bytes == len(said)
        assert talk.link.down.delivered_bytes == len(said) + 7
        assert (talk.link.up.lost_bytes, talk.link.up.queued_bytes) == (0, 0)
        await talk.close()


@pytest.mark.parametrize(
    "held",
    [Faults(latency_s=NEVER_S), Faults(jitter_s=NEVER_S * 1e6), Faults(is_frozen=True)],
    ids=["latency", "jitter", "frozen"],
)
async def test_one_direction_waits_while_all_else_goes_on(held: Faults) -> None:
    async with world() as at:
        slow, quick = await at.connect(), await at.connect()
        slow.link.change(up=held)
        for number in range(10):
            await slow.client.send_all(bytes([number]) * 100)
            await trio.testing.wait_all_tasks_blocked()
        await slow.server.send_all(b"down")
        assert await exactly(slow.client, 4) == b"down"
        await quick.check_it_works()
        assert slow.link.up.delivered_bytes == 0
        assert slow.link.up.queued_bytes == (0 if held.is_frozen else 1000)
        slow.link.change(up=CLEAN)
        assert await exactly(slow.server, 1000) == b"".join(bytes([number]) * 100 for number in range(10))
        await slow.close()
        await quick.close()


async def test_what_is_under_way_is_held_by_a_later_fault_too() -> None:
    async with world(up=Faults(latency_s=NEVER_S)) as at:
        talk = await at.connect()
        await talk.client.send_all(SAID)
        await until(lambda: talk.link.up.queued_bytes == len(SAID))
        talk.link.change(up=Faults(is_frozen=True))
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert (talk.link.up.delivered_bytes, talk.link.up.queued_bytes) == (0, len(SAID))
        talk.link.change(up=Faults(is_lost=True))
        await until(lambda: talk.link.up.lost_bytes == len(SAID))
        talk.link.change(up=CLEAN)
        await talk.check_it_works()
        await talk.close()


async def test_jitter_keeps_the_order_and_is_drawn_from_the_seed() -> None:
    said = os.urandom(3000)
    async with world(up=Faults(latency_s=0.001, jitter_s=0.01), seed=7) as at:
        talk = await at.connect()
        for place in range(0, len(said), 100):
            await talk.client.send_all(said[place : place + 100])
            await trio.testing.wait_all_tasks_blocked()
        assert await exactly(talk.server, len(said)) == said
        await talk.close()


async def test_the_same_seed_draws_the_same() -> None:
    draws = []
    for seed in (7, 7, 8):
        async with world(seed=seed) as at:
            talk = await at.connect()
            draws.append([way._random.random() for way in (talk.link.up, talk.link.down)])
            await talk.close()
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    assert draws[0][0] != draws[0][1]


async def test_a_limited_rate_lets_a_little_through() -> None:
    """At 100 bytes a second two bytes go at once, and the rest is a minute and a half behind."""
    async with world() as at:
        slow, quick = await at.connect(), await at.connect()
        slow.link.change(up=Faults(bytes_per_s=100))
        await slow.client.send_all(SAID)
        assert await exactly(slow.server, 2) == SAID[:2]
        await quick.client.send_all(SAID)
        assert await exactly(quick.server, len(SAID)) == SAID
        await trio.testing.wait_all_tasks_blocked()  # until it waits for its time: a rate that is ignored never does
        assert slow.link.up.delivered_bytes < len(SAID)
        assert slow.link.up.writes * 2 == slow.link.up.delivered_bytes
        slow.link.change(up=CLEAN)
        assert await exactly(slow.server, len(SAID) - 2) == SAID[2:]
        await slow.close()
        await quick.close()


async def test_slices() -> None:
    async with world(up=Faults(slice_bytes=7)) as at:
        talk = await at.connect()
        await talk.client.send_all(SAID)
        assert await exactly(talk.server, len(SAID)) == SAID
        assert talk.link.up.writes >= len(SAID) // 7  # each read of the proxy ends in a shorter one
        assert talk.link.up.writes <= len(SAID) // 7 + 20
        await talk.server.send_all(SAID)
        assert await exactly(talk.client, len(SAID)) == SAID
        assert talk.link.down.writes < 100
        await talk.close()


async def test_slices_can_be_held_apart() -> None:
    async with world(up=Faults(slice_bytes=3, slice_gap_s=NEVER_S)) as at:
        talk = await at.connect()
        await talk.client.send_all(b"abcdefgh")
        assert await talk.server.receive_some() == b"abc"
        talk.link.change(up=replace(talk.link.up.faults))  # a change begins anew: the next one may go
        assert await talk.server.receive_some() == b"def"
        assert talk.link.up.queued_bytes == 2
        await talk.close()


async def test_one_way_loss_swallows_and_the_other_way_works() -> None:
    async with world() as at:
        talk = await at.connect()
        await talk.check_it_works()
        talk.link.change(up=Faults(is_lost=True))
        await talk.client.send_all(SAID)
        await until(lambda: talk.link.up.lost_bytes == len(SAID))
        await talk.server.send_all(b"down")
        assert await exactly(talk.client, 4) == b"down"
        talk.link.change(up=CLEAN)
        await talk.check_it_works()  # what was lost does not come back
        assert talk.link.up.delivered_bytes == 8
        await talk.close()


@pytest.mark.parametrize("is_reset", [True, False], ids=["reset", "close"])
async def test_one_way_loss_swallows_an_end(is_reset: bool) -> None:
    """The server goes on talking to somebody who has gone."""
    async with world() as at:
        talk = await at.connect()
        talk.link.change(up=Faults(is_lost=True), down=Faults(is_lost=True))
        await part(talk.client, is_reset=is_reset)
        await until(lambda: talk.link.up.is_finished)
        await talk.server.send_all(SAID)
        await until(lambda: talk.link.down.lost_bytes == len(SAID))
        assert at.proxy.links == (talk.link,)
        talk.link.reset()
        assert await to_the_end(talk.server) == (b"", "reset")
        await talk.close()


async def test_half_open_holds_everything_and_goes_on() -> None:
    async with world(kernel_buffer_bytes=KERNEL_BYTES) as at:
        talk = await at.connect()
        await talk.check_it_works()
        talk.link.freeze()
        said = os.urandom(10_000_000)  # more than the kernel takes for the two ends
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk.client.send_all, said)
            await talk.server.send_all(b"down")
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert len(nursery.child_tasks) == 1  # the sender is stuck
            ways = (talk.link.up, talk.link.down)
            assert [(way.delivered_bytes, way.queued_bytes) for way in ways] == [(4, 0), (4, 0)]
            assert at.proxy.links == (talk.link,)
            talk.link.thaw()
            assert await exactly(talk.client, 4) == b"down"
            assert await exactly(talk.server, len(said)) == said
        await talk.close()


@pytest.mark.parametrize("is_reset", [True, False], ids=["reset", "close"])
async def test_half_open_hides_an_end_until_it_thaws(is_reset: bool) -> None:
    async with world() as at:
        talk = await at.connect()
        await talk.check_it_works()
        talk.link.freeze()
        await part(talk.client, is_reset=is_reset)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not talk.link.up.is_finished
        await talk.server.send_all(b"anybody there?")
        talk.link.thaw()
        assert (await to_the_end(talk.server))[0] == b""
        await talk.close()


async def test_what_nobody_takes_is_bounded() -> None:
    async with world(kernel_buffer_bytes=KERNEL_BYTES, up=Faults(latency_s=NEVER_S)) as at:
        talk = await at.connect()
        said = os.urandom(10_000_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk.client.send_all, said)
            await until(lambda: talk.link.up.queued_bytes == MAX_QUEUE_BYTES)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert talk.link.up.queued_bytes == MAX_QUEUE_BYTES
            assert len(nursery.child_tasks) == 1
            talk.link.change(up=CLEAN)
            assert await exactly(talk.server, len(said)) == said
        await talk.close()


@pytest.mark.parametrize(
    "wrong",
    [{"latency_s": -1.0}, {"jitter_s": -1.0}, {"cut_at_bytes": -1}, {"bytes_per_s": 0.0}, {"slice_bytes": 0}],
    ids=str,
)
def test_a_fault_that_cannot_be_meant(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"below zero|of nothing"):
        Faults(**wrong)  # type: ignore[arg-type]
