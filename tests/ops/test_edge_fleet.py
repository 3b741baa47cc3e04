"""A fleet behind HAProxy: real replicas, killed and replaced."""

import os
import signal

import pytest
import trio

from ops.edge.balancer import servers_up
from ops.edge.fleet import Fleet, RollFailed, fleet
from ops.edge.programs import EdgeError, free_ports
from tests.support.front_door import needs_haproxy
from tests.support.processes import wait_gone
from tests.support.stream_world import words
from tests.support.wire_phone import connected

HANG_S = 60


async def say_a_word(url: str) -> str:
    """Through a stream of its own; the whole text."""
    async with connected(url) as phone:
        await phone.talk_at_once(words(1))
        await phone.say(type="stop")
        return str((await phone.hear("stopped"))["text"])


def lives(running: Fleet, number: int) -> list[str]:
    """The ends of a replica that were in order."""
    return [line for line in running.log_of(number).splitlines() if '"event": "stopped"' in line.replace('":"', '": "')]


@needs_haproxy
async def test_replicas_are_killed_and_replaced_while_others_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    with trio.fail_after(HANG_S):
        async with fleet(2, drain_s=4) as running:
            assert await say_a_word(running.url) == "w1"
            await running.kill(0)
            for _ in range(3):  # also while HAProxy has not noticed
                assert await say_a_word(running.url) == "w1"
            with pytest.raises(EdgeError, match="replica 0 does not run"):
                await running.roll()
            await running.start(0)
            with pytest.raises(EdgeError, match="replica 0 runs already"):
                await running.start(0)
            assert [await running.balancer.is_up(number) for number in range(2)] == [True, True]
            replaced = await running.roll()
            assert [one.replica for one in replaced] == [0, 1]
            assert all(0 < one.stopping_s < one.away_s for one in replaced)
            assert [len(lives(running, number)) for number in range(2)] == [1, 1]
            for number in range(2):
                assert await say_a_word(running.replica_url(number)) == "w1"
            monkeypatch.setattr("ops.edge.fleet.OVERDUE_S", -3.5)
            balancer, first, second = (process.pid for process in running.processes)
            os.kill(first, signal.SIGSTOP)  # so it cannot end
            with pytest.raises(RollFailed, match=r"replica 0 still runs 0\.5 s after SIGTERM"):
                await running.roll()
            assert len(lives(running, 1)) == 1  # the rest was left alone
        await wait_gone(balancer, first, second)


@needs_haproxy
async def test_settings_that_are_refused_are_told() -> None:
    with trio.fail_after(HANG_S), pytest.raises(EdgeError, match="MAX_STREAMS"):
        async with fleet(1, settings={"MAX_STREAMS": "many"}):
            pass


def test_free_ports_differ_and_stay_clear_of_outgoing_connections() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert all(1024 <= port < 32768 for port in ports)


def test_what_haproxy_says_of_its_servers() -> None:
    statistics = (
        "# pxname,svname,scur,status,\n"
        "replicas,replica-0,1,UP,\n"
        "replicas,replica-1,0,DOWN 1/2,\n"
        "replicas,replica-2,0,UP 1/2,\n"
        "replicas,replica-3,0,MAINT,\n\n"
    )
    assert servers_up(statistics) == {"replica-0": True, "replica-1": False, "replica-2": True, "replica-3": False}
    assert servers_up("") == {}
