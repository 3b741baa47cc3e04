"""The orderly stop of a real process: the order of what happens, and its hard end."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio

from tests.process.test_server import needs_pocketsphinx
from tests.support.edge import RejectedUpgrade, WsClient, get
from tests.support.processes import (
    ACCOUNT_SETTINGS,
    REAL_TIME_GUARD_S,
    ROOT,
    Program,
    alive,
    children_running,
    environment,
    gateway,
    scripted_recognizer,
    wait_gone,
)
from tests.support.stream_world import words
from tests.support.wire_phone import PATH, connected, unstarted

HARD_END_GUARD_S = 20
"""A hang guard far above the second that it takes, and below the minute after which these end of idleness."""


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


async def test_the_order() -> None:
    """Not ready → no upgrades, no `start` → `goaway` → finals → `stopped` → 1012 → exit 0."""
    async with (
        scripted_recognizer() as recognizer,
        gateway(TENCENT_ASR_URL=recognizer, DRAIN_S="11", **ACCOUNT_SETTINGS) as (running, url),
        unstarted(url) as early,
        connected(url) as phone,
    ):
        port = port_of(url)
        assert (await get(port, "/ready")).status == 200
        await phone.talk(words(1, 2))
        os.kill(running.process.pid, signal.SIGTERM)
        goaway = await phone.hear("goaway")
        assert goaway["reason"] == "restarting"
        assert 0 < goaway["timeLeftMs"] <= 3000
        assert (await get(port, "/ready")).status == 503
        with pytest.raises(RejectedUpgrade) as refused:
            await WsClient.connect(port, PATH)
        assert refused.value.status == 503
        assert int(refused.value.headers["retry-after"]) >= 1
        await early.say(type="start")
        assert (await early.hear("error"))["code"] == "restarting"
        assert await early.closed() == (1012, "restarting")
        await phone.talk_at_once(words(3))
        stopped = await phone.hear("stopped")
        assert await phone.closed() == (1012, "restarting")
        assert await running.process.wait() == 0
    assert stopped["text"] == "w1 w2 w3"
    events = [line["event"] for line in running.log]
    assert [name for name in events if name in ("draining", "stream_ended", "stopped")] == [
        "draining",
        "stream_ended",
        "stopped",
    ]
    assert [line["outcome"] for line in running.events("stream_ended")] == ["drained"]
    assert not running.events("drain_overdue")
    assert [line["streams"] for line in running.events("draining")] == [1]


async def test_a_stream_that_cannot_be_settled_is_told_before_the_hard_end(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"faults": [{"do": "swallow_final"}]}))
    async with (
        scripted_recognizer(script) as recognizer,
        gateway(TENCENT_ASR_URL=recognizer, DRAIN_S="2", **ACCOUNT_SETTINGS) as (running, url),
        connected(url) as phone,
    ):
        await phone.talk(words(1))
        os.kill(running.process.pid, signal.SIGTERM)
        assert await phone.hear("goaway") == {"type": "goaway", "timeLeftMs": 0, "reason": "restarting"}
        assert (await phone.hear("stopped", "error"))["code"] == "restarting"
        assert await phone.closed() == (1012, "restarting")
        assert await running.process.wait() == 0
    assert [line["streams"] for line in running.events("drain_overdue")] == [1]
    assert [line["outcome"] for line in running.events("stream_ended")] == ["restarting"]


@pytest.mark.parametrize("drain_s", ["0", "1"])
async def test_whoever_is_left_at_the_hard_end_is_closed_by_force(drain_s: str) -> None:
    """An echo that nobody ends, a connection without a request, and a phone that answers no close."""
    async with (
        scripted_recognizer() as recognizer,
        gateway(TENCENT_ASR_URL=recognizer, DRAIN_S=drain_s, **ACCOUNT_SETTINGS) as (running, url),
        await trio.open_tcp_stream("127.0.0.1", port_of(url)) as silent,
    ):
        echo = await WsClient.connect(port_of(url), "/test-ws?raw=1")
        deaf = await WsClient.connect(port_of(url), PATH)
        async with echo.stream, deaf.stream:
            assert await echo.echoes("there")
            await deaf.send_json(type="start")
            while (await deaf.receive_json())["type"] != "ready":
                pass
            os.kill(running.process.pid, signal.SIGTERM)
            with trio.fail_after(HARD_END_GUARD_S):
                assert await running.process.wait() == 0
            for stream in (silent, echo.stream, deaf.stream):
                with contextlib.suppress(trio.BrokenResourceError):
                    while await stream.receive_some():
                        pass
    assert len(running.events("stopped")) == 1
    assert b"Traceback" not in running.errors


@contextlib.asynccontextmanager
async def in_a_terminal(**settings: str) -> AsyncIterator[tuple[Program, str]]:
    """`python -m service` as the leader of a process group of its own, as a shell starts it; its base URL."""
    with trio.fail_after(REAL_TIME_GUARD_S):
        async with trio.open_nursery() as nursery:
            process = await trio.lowlevel.open_process(
                [sys.executable, "-m", "service"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=ROOT,
                env=environment(HOST="127.0.0.1", PORT="0", AUTH_MODE="off", **settings),
                process_group=0,
            )
            running = Program(process)
            try:
                nursery.start_soon(running.read_errors)
                yield running, (await running.first_line()).removeprefix("Serving on ")
            finally:
                if process.returncode is None:
                    process.kill()
                with trio.move_on_after(10, shield=True):
                    await process.wait()
                nursery.cancel_scope.cancel()


def spoken() -> bytes:
    with wave.open(str(ROOT / "loadtest" / "samples" / "goforward.wav")) as sample:
        return bytes(sample.readframes(sample.getnframes()))


@needs_pocketsphinx
async def test_ctrl_c_in_a_terminal_lets_the_local_recognizer_finish() -> None:
    """The signal goes to the whole process group; the recognizer is not in it, and settles what was said."""
    async with in_a_terminal(RECOGNIZER="local", DRAIN_S="8") as (running, url), connected(url) as phone:
        below = children_running(running.process.pid, "service.localasr")
        assert below
        assert os.getpgid(running.process.pid) == running.process.pid
        await phone.talk(spoken())
        os.killpg(running.process.pid, signal.SIGINT)
        await phone.hear("goaway")
        stopped = await phone.hear("stopped")
        assert await phone.closed() == (1012, "restarting")
        assert await running.process.wait() == 0
        await wait_gone(*below)
    assert stopped["text"] == "go forward ten meters"
    assert not running.events("local_recognizer_ended")
    assert not any(alive(child) for child in below)
