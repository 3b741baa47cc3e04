"""What the fault proxy does with connections: reset, refused, cut; present and new ones; nothing is left behind."""

import contextlib
import ssl
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.support.edge import until
from tests.support.fault_proxy import CLEAN, Faults, Refusal
from tests.support.fault_world import exactly, part, to_the_end, world
from tests.support.tls import contexts

NEVER_S = 3600.0
SAID = bytes(range(256)) * 40


async def test_reset_reaches_both_ends() -> None:
    async with world() as at:
        talk, other = await at.connect(), await at.connect()
        await talk.check_it_works()
        talk.link.reset()
        assert await to_the_end(talk.client) == (b"", "reset")
        assert await to_the_end(talk.server) == (b"", "reset")
        await other.check_it_works()
        at.proxy.reset_present()
        assert await to_the_end(other.client) == (b"", "reset")
        await until(lambda: at.proxy.links == ())
        await talk.close()
        await other.close()


async def test_a_reset_of_one_end_is_passed_on_behind_what_was_said() -> None:
    async with world() as at:
        talk = await at.connect()
        talk.link.change(up=Faults(latency_s=NEVER_S))
        await talk.client.send_all(SAID)
        await until(lambda: talk.link.up.queued_bytes == len(SAID))
        await part(talk.client, is_reset=True)
        talk.link.change(up=CLEAN)
        assert await to_the_end(talk.server) == (SAID, "reset")
        await talk.close()


async def test_an_end_that_is_gone_is_told_to_the_one_that_writes() -> None:
    """The server writes to a client of which only its own writing can tell that it is gone."""
    async with world() as at:
        talk = await at.connect()
        await talk.client.send_eof()
        assert await to_the_end(talk.server) == (b"", "closed")
        await part(talk.client, is_reset=True)
        with pytest.raises(trio.BrokenResourceError):
            await say_for_ever(talk.server)
        await until(lambda: at.proxy.links == ())
        await talk.close()


async def say_for_ever(stream: trio.SocketStream) -> None:
    while True:
        await stream.send_all(SAID)
        await trio.testing.wait_all_tasks_blocked(0.01)


async def test_new_connections_are_refused_by_a_reset() -> None:
    async with world() as at:
        old = await at.connect()
        at.proxy.refuse(Refusal.RESET)
        # The reset may be faster than the client's first look at what it has connected.
        with contextlib.suppress(OSError):
            refused = await trio.open_tcp_stream("127.0.0.1", at.proxy.port)
            assert await to_the_end(refused) == (b"", "reset")
            await refused.aclose()
        assert at.proxy.accepted == 1
        await old.check_it_works()
        at.proxy.refuse(Refusal.NONE)
        new = await at.connect()
        await new.check_it_works()
        await old.close()
        await new.close()


async def test_nobody_listens_and_then_somebody_does_again() -> None:
    async with world() as at:
        old = await at.connect()
        for _ in range(3):
            at.proxy.refuse(Refusal.CLOSED_PORT)
            at.proxy.refuse(Refusal.CLOSED_PORT)
            with pytest.raises(OSError, match="all attempts to connect"):
                await trio.open_tcp_stream("127.0.0.1", at.proxy.port)
            await old.check_it_works()
            at.proxy.refuse(Refusal.NONE)
            new = await at.connect()
            await new.check_it_works()
            await new.close()
        await old.close()


@pytest.mark.parametrize("is_soft", [False, True], ids=["reset", "close"])
async def test_a_cut_comes_behind_so_many_bytes(is_soft: bool) -> None:
    async with world(up=Faults(cut_at_bytes=1000, is_soft_cut=is_soft)) as at:
        talk = await at.connect()
        await talk.client.send_all(SAID[:400])
        assert await exactly(talk.server, 400) == SAID[:400]
        await talk.server.send_all(b"down")
        assert await exactly(talk.client, 4) == b"down"
        await talk.client.send_all(SAID[400:1400])
        how = "closed" if is_soft else "reset"
        assert await to_the_end(talk.server) == (SAID[400:1000], how)
        assert await to_the_end(talk.client) == (b"", how)
        assert talk.link.up.delivered_bytes == 1000
        await talk.close()


async def test_a_cut_that_is_due_already_comes_at_once() -> None:
    async with world() as at:
        talk = await at.connect()
        await talk.check_it_works()
        talk.link.change(down=Faults(cut_at_bytes=4))
        assert await to_the_end(talk.client) == (b"", "reset")
        await talk.close()


async def test_present_and_new_connections_have_faults_of_their_own() -> None:
    held = Faults(latency_s=NEVER_S)
    async with world() as at:
        first = await at.connect()
        at.proxy.change_new(up=held)
        second = await at.connect()
        at.proxy.change_present(down=held)
        third = await at.connect()
        talks = [first, second, third]
        assert [(talk.link.up.faults, talk.link.down.faults) for talk in talks] == [
            (CLEAN, held),
            (held, held),
            (held, CLEAN),
        ]
        assert at.proxy.links == tuple(talk.link for talk in talks)
        at.proxy.change_all(up=CLEAN, down=CLEAN)
        talks.append(await at.connect())
        for talk in talks:
            await talk.check_it_works()
            await talk.close()


async def test_nobody_behind_it_is_a_reset() -> None:
    async with world() as at:
        await at.target.aclose()
        client = await trio.open_tcp_stream("127.0.0.1", at.proxy.port)
        assert await to_the_end(client) == (b"", "reset")
        await until(lambda: at.proxy.links == ())
        await client.aclose()


async def test_tls_is_bytes_like_any_other() -> None:
    server_context, client_context = contexts()
    async with world(up=Faults(slice_bytes=1), down=Faults(slice_bytes=3, jitter_s=0.0001)) as at:
        talk = await at.connect()
        client = trio.SSLStream(talk.client, client_context, server_hostname="localhost")
        server = trio.SSLStream(talk.server, server_context, server_side=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.do_handshake)
            nursery.start_soon(client.send_all, SAID[:1000])
            assert await exactly(server, 1000) == SAID[:1000]
        talk.link.close()  # in the middle: no close_notify
        with pytest.raises(trio.BrokenResourceError) as truncated:
            await client.receive_some()
        assert isinstance(truncated.value.__cause__, ssl.SSLEOFError)
        await talk.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors by /proc")
async def test_nothing_is_left_behind() -> None:
    """Whatever the connections were in the middle of; the first round warms up what Python opens once."""
    counts = []
    for _ in range(3):
        async with world() as at:
            talks = [await at.connect() for _ in range(20)]
            for number, talk in enumerate(talks):
                stuck = (Faults(is_frozen=True), Faults(latency_s=NEVER_S), Faults(bytes_per_s=1), Faults(is_lost=True))
                talk.link.change(up=stuck[number % 4])
                await talk.client.send_all(SAID)
            at.proxy.refuse(Refusal.CLOSED_PORT)
            tasks = {task.name for task in at.proxy._nursery.child_tasks}
            assert tasks == {"fault proxy, accept", "fault proxy, link"}
        for talk in talks:
            assert (await to_the_end(talk.client))[1] == "reset"
            await talk.close()
        counts.append(descriptors())
    assert counts[1] == counts[2]
