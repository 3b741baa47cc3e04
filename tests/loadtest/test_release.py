"""A gateway is stopped while phones talk and another one takes its address: nobody loses a word. Real processes."""

import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from loadtest.audio import Track, frames
from loadtest.connection import Target
from loadtest.plan import PlannedCall
from loadtest.record import Ending, StreamRecord, Transcript
from loadtest.scenario import Audio, Behavior, Phone, Scenario, Stage
from loadtest.speaker import Call, place_call
from loadtest.urls import stream_url
from loadtest.wav import Speech
from service.localasr.coded_audio import coded_pcm, silence
from tests.support.processes import ACCOUNT_SETTINGS, Program, gateway, scripted_recognizer

SENTENCES = 7
GAP_MS = 1300
"""Of which VAD_MS pass before a sentence is final; the rest is for `goaway`, so that no word is cut in two."""
VAD_MS = 500
PCM = coded_pcm(
    part for number in range(SENTENCES) for part in ((number * 2 + 1, 300), (number * 2 + 2, 300), silence(GAP_MS))
)
WORDS = tuple(f"w{number + 1}" for number in range(SENTENCES * 2))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def call(number: int) -> Call:
    audio = Audio(frame_ms=40)
    track = Track(Speech(PCM, 16000), 0.0, (0,))
    return Call(
        planned=PlannedCall(number=number, at_s=0.0, track=0, behavior=Behavior.TALKER, seed=number, turn_at=0.5),
        track=track,
        frames=frames(track, audio),
        scenario=Scenario(
            name="release",
            audio=audio,
            arrivals=(Stage(for_s=1, per_s=1),),
            phone=Phone(resumes=True),
            start={"vadSilenceMs": VAD_MS},
        ),
        begins_at_s=trio.current_time(),
        expected_words=WORDS,
    )


async def talk_through(url: str, stop: signal.Signals, old: Program, successor: trio.Event) -> list[StreamRecord]:
    """Three phones talk; after 3 s, in mid-sentence for two of them, the gateway gets the signal."""
    records: list[StreamRecord] = []
    target = Target(url=stream_url(url), get_token=lambda: None)

    async def place(number: int) -> None:
        await trio.sleep(number * 0.35)
        records.append(await place_call(call(number), target, lambda _name, _s: None))

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(place, number)
        await trio.sleep(3)
        os.kill(old.process.pid, stop)
        await old.process.wait()
        successor.set()
    return records


@asynccontextmanager
async def replaced(recognizer: str, port: int) -> AsyncIterator[tuple[Program, str, trio.Event]]:
    """A gateway, and another one at its address as soon as the event is set."""
    ended = trio.Event()
    settings = {"TENCENT_ASR_URL": recognizer, "PORT": str(port), **ACCOUNT_SETTINGS}

    async def succeed() -> None:
        await ended.wait()
        async with gateway(**settings):
            await trio.sleep_forever()

    async with gateway(**settings) as (old, url), trio.open_nursery() as nursery:
        nursery.start_soon(succeed)
        yield old, url, ended
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
async def test_phones_talk_through_a_restart(stop: signal.Signals) -> None:
    async with scripted_recognizer() as recognizer, replaced(recognizer, free_port()) as (old, url, ended):
        records = await talk_through(url, stop, old, ended)
    assert [(record.ending, record.problem) for record in records] == [(Ending.COMPLETED, None)] * 3
    for record in records:
        assert (record.lost_finals, record.doubled_finals, record.sentences) == (0, 0, SENTENCES)
        assert (record.transcript, record.missing_words, record.extra_words) == (Transcript.COMPLETE, 0, 0)
        assert record.resumed
        assert len(record.away_s) == 1
        assert not record.is_away
        assert sum(record.breaks.values()) >= 1
        assert ("stopped" in record.breaks) is (stop is signal.SIGTERM)
        assert record.audio is not None
        assert record.audio.sent_bytes == record.audio.received_bytes
