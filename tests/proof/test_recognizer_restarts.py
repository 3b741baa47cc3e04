"""People who talk while the recognizer is killed every few seconds: they read what they would have read without that.

`make prove` has 50 of them talk for a minute (PROVE_RECOGNIZER_RESTARTS_S, PROVE_SEED); `make test` has 10 talk through
one kill. The scripted recognizer hears words in the audio itself (`service.localasr.coded_audio`), so a sentence that
is begun anew says the same, and a word that is lost, doubled or a stranger's shows. Before that the same people say the
same to the same gateway without a kill: that is what they are compared with.
"""

import os
import random
import statistics
from dataclasses import dataclass
from typing import Any, Final

import pytest
import trio

from tests.support import processes
from tests.support.mortal_recognizer import MortalRecognizer, mortal_recognizer
from tests.support.processes import ACCOUNT_SETTINGS, Program, gateway
from tests.support.stream_world import coded_pcm, silence
from tests.support.wire_phone import BYTES_PER_MS, WirePhone, connected

SLICE_S: Final = 4
TALK_S: Final = int(os.environ.get("PROVE_RECOGNIZER_RESTARTS_S", SLICE_S))
SEED: Final = int(os.environ.get("PROVE_SEED", "1"))
PEOPLE: Final = 10 if TALK_S <= SLICE_S else 50
FIRST_KILL_S: Final = 1.5
KILL_EVERY_S: Final = 5.0
UP_S: Final = 3.0
"""It is not killed again before it has listened for so long, on a machine so busy that it comes up slowly."""
FRAME_MS: Final = 40
VAD_SILENCE_MS: Final = 500
GUARD_S: Final = 60 + 5 * TALK_S
"""Against hanging. A stream catches up at twice the speed of speech, and is settled within seconds then."""
MAX_WORD_VALUES: Final = 32_767 // 50
"""Each person has words of their own."""


@dataclass(frozen=True)
class Heard:
    """What one person has read in the end."""

    finals: list[dict[str, Any]]
    """The final results, without what is the connection's: `voiceId`."""
    came_s: list[float]
    """When each came, from the first frame on."""
    connections: int
    """Of the recognizer, as the results name them."""
    stopped: dict[str, Any]


def speech(person: int) -> bytes:
    """TALK_S of sentences: three to five words of many lengths, and a pause that ends them."""
    chance = random.Random(f"{SEED} {person}")
    parts, word, left_ms = [], 0, TALK_S * 1000
    while left_ms > 0:
        for _ in range(chance.randrange(3, 6)):
            value = person * MAX_WORD_VALUES + word % MAX_WORD_VALUES + 1
            parts += [(value, chance.randrange(150, 400)), silence(chance.randrange(40, 130))]
            word += 1
        parts[-1] = silence(chance.randrange(VAD_SILENCE_MS + 60, 900))
        left_ms = TALK_S * 1000 - sum(duration_ms for _, duration_ms in parts)
    return coded_pcm(parts)


async def _listen(phone: WirePhone, began: float, came_s: list[float]) -> None:
    """To the end; the phone fails the test on every error, `audio_lost` included."""
    while (message := await phone.hear("result", "stopped"))["type"] != "stopped":
        if message["isFinal"]:
            came_s.append(trio.current_time() - began)


async def talk(
    base_url: str, person: int, everybody: list[Heard | None], *, task_status: trio.TaskStatus[None]
) -> None:
    """One stream from `start` to its close, in real time; `task_status` is told when it is ready."""
    pcm, came_s = speech(person), list[float]()
    async with connected(base_url, wordInfo=1, vadSilenceMs=VAD_SILENCE_MS) as phone:
        task_status.started()
        await trio.sleep(person / PEOPLE)  # so that a kill finds each in another place of a sentence
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, phone, trio.current_time(), came_s)
            await phone.talk(pcm, frame_ms=FRAME_MS)
            await phone.say(type="stop")
        assert await phone.closed() == (1000, "completed")
    finals = [message for message in phone.seen if message["type"] == "result" and message["isFinal"]]
    connections = {message["voiceId"] for message in phone.seen if message["type"] in ("ready", "result")}
    stopped = phone.seen[-1]
    _check_alone(finals, stopped, len(pcm))
    without_id = [{name: value for name, value in final.items() if name != "voiceId"} for final in finals]
    everybody[person] = Heard(without_id, came_s, len(connections), stopped)


def _check_alone(finals: list[dict[str, Any]], stopped: dict[str, Any], sent_bytes: int) -> None:
    """What holds for any stream, without a look at another one."""
    assert [final["index"] for final in finals] == list(range(len(finals)))
    times = [ms for final in finals for word in final["wordList"] for ms in (word["startMs"], word["endMs"])]
    assert times == sorted(times)
    edges = [ms for final in finals for ms in (final["startMs"], final["endMs"])]
    assert edges == sorted(edges)
    assert [" ".join(word["word"] for word in final["wordList"]) for final in finals] == [f["text"] for f in finals]
    assert stopped["text"] == " ".join(final["text"] for final in finals)
    assert stopped["sentences"] == len(finals)
    account = stopped["audio"]
    assert account["receivedBytes"] == account["relayedBytes"] + account["droppedBytes"] == sent_bytes
    assert account["receivedMs"] == account["relayedMs"] + account["droppedMs"] == sent_bytes // BYTES_PER_MS
    assert account["droppedBytes"] == 0


async def _all_talk(
    base_url: str, everybody: list[Heard | None], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    async with trio.open_nursery() as nursery:
        for person in range(PEOPLE):
            await nursery.start(talk, base_url, person, everybody)
        task_status.started()


async def _kill_again_and_again(recognizer: MortalRecognizer) -> None:
    """Until the people have stopped talking."""
    began = trio.current_time()
    due = began + FIRST_KILL_S
    while due < began + TALK_S:
        await trio.sleep_until(due)
        await recognizer.kill()
        due = max(due + KILL_EVERY_S, trio.current_time() + UP_S)


@pytest.mark.proof
async def test_recognizer_restarts(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "REAL_TIME_GUARD_S", GUARD_S)
    calm: list[Heard | None] = [None] * PEOPLE
    disturbed: list[Heard | None] = [None] * PEOPLE
    async with (
        mortal_recognizer() as recognizer,
        gateway(
            TENCENT_ASR_URL=recognizer.url,
            MAX_LAG_MS="60000",  # a busy machine is another proof's matter
            **ACCOUNT_SETTINGS,
        ) as (running, url),
    ):
        try:
            await _all_talk(url, calm)
            assert not running.events("recognizer_lost")
            async with trio.open_nursery() as nursery:
                await nursery.start(_all_talk, url, disturbed)
                await _kill_again_and_again(recognizer)
        except BaseException as error:
            error.add_note(f"seed {SEED}, down for {recognizer.down_s}, and the gateway has logged:\n{_story(running)}")
            raise
        lost = running.events("recognizer_lost")
        breakers = [line["state"] for line in running.events("recognizer_breaker")]
        outcomes = [line["outcome"] for line in running.events("stream_ended")]

    extra_s = []
    connections = []
    for person, (without, heard) in enumerate(zip(calm, disturbed, strict=True)):
        assert without is not None
        assert heard is not None
        assert heard.finals == without.finals, f"seed {SEED}, person {person}"
        assert heard.stopped["text"] == without.stopped["text"]
        extra_s += [late - usual for late, usual in zip(heard.came_s, without.came_s, strict=True)]
        connections.append(heard.connections)
    extra_s.sort()
    with capsys.disabled():
        print(  # noqa: T201 - the figures of a proof are for whoever runs it
            f"\nrecognizer restarts: seed {SEED}, {PEOPLE} streams of {TALK_S} s, {recognizer.deaths} kills, down "
            f"{statistics.median(recognizer.down_s):.2f} s (most {max(recognizer.down_s):.2f}); {len(extra_s)} finals, "
            f"all as undisturbed; later by {statistics.median(extra_s):.2f} s (median), "
            f"{extra_s[len(extra_s) * 95 // 100]:.2f} s (p95), {extra_s[-1]:.2f} s (most); {len(lost)} losses, "
            f"heard on {statistics.mean(connections):.1f} a stream; breaker opened {breakers.count('open')} times"
        )
    assert outcomes == ["completed"] * (2 * PEOPLE)
    assert recognizer.deaths >= 1
    assert min(connections) >= 2, "somebody did not notice anything"
    assert all(line["missing_from_ms"] is None for line in lost)


def _story(running: Program) -> str:
    """What the gateway has logged of the recognizer, and of streams that did not end well."""
    told = [*running.events("recognizer_breaker"), *running.events("recognizer_lost"), *running.events("stream_ended")]
    told = [line for line in told if line.get("outcome") != "completed"]
    return "\n".join(map(str, sorted(told, key=lambda line: str(line["time"]))[-100:]))
