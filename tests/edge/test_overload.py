"""A late event loop, through the edge: new streams are refused, one that runs is finished."""

import trio

from service.telemetry.overload import CALM_S, LATE
from tests.support.edge import Running, get
from tests.support.gateway import metric, running_gateway
from tests.support.stream_world import words
from tests.support.wire_phone import connected, unstarted

LATE_S = 5.0


def see(running: Running, lag_s: float, times: int) -> None:
    """As `watch_loop` does when the loop is so late."""
    for _ in range(times):
        running.deps.admission.overload.note(lag_s, trio.current_time())


async def test_new_streams_are_refused_and_admitted_ones_are_finished() -> None:
    async with running_gateway() as running:
        url = f"http://127.0.0.1:{running.port}"
        async with connected(url) as admitted:
            see(running, LATE_S, LATE)
            async with unstarted(url) as refused:
                await refused.say(type="start")
                error = await refused.hear("error")
                assert await refused.closed() == (4503, "overloaded")
            assert (error["code"], error["fatal"], error["retryable"]) == ("overloaded", True, True)
            assert 1000 * CALM_S[0] + 1000 <= error["retryAfterMs"] <= 1000 * CALM_S[0] + 4000
            assert metric(running, "voice_shedding") == 1
            assert metric(running, "voice_streams_shed_total") == 1
            assert (await get(running.port, "/ready")).envelope()["data"]["shedding"] is True
            await admitted.talk(words(1, 2, 3))
            await admitted.say(type="stop")
            assert (await admitted.hear("stopped"))["text"] == "w1 w2 w3"
        running.deps.admission.overload.is_shedding = False
        async with connected(url) as later:
            await later.say(type="cancel")
            assert await later.closed() == (1000, "canceled")
        assert metric(running, "voice_shedding") == 0
        assert metric(running, "voice_streams_shed_total") == 1
