"""A recognizer connection that is lost, on virtual time: the client has what it would have had without that."""

import dataclasses
from collections import deque
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from service.localasr.scripted import ScriptedEngine
from service.localasr.server import Recognizer, RecognizerConfig
from service.recognizer.connection import SEND_S, RecognizerConnection
from service.recognizer.tencent import Trouble
from service.stream.clocks import FINISH_S
from tests.support.coded_files import sample_pcm
from tests.support.fault_stream import FaultyStream
from tests.support.mp3_talk import FRAME_MS, frames_of, mp3_of
from tests.support.stream_world import (
    BYTES_PER_MS,
    NOW_S,
    Fault,
    Message,
    Phone,
    Script,
    World,
    coded_pcm,
    silence,
    words,
)

SECOND_BYTES = 1000 * BYTES_PER_MS
MOST_IN_A_SECOND_BYTES = 2.5 * SECOND_BYTES
PAUSE_AFTER_MS = 1500  # of silence: longer than the recognizer needs for the end of a sentence
SENTENCES = [coded_pcm([(first, 300), silence(100), (first + 1, 300), silence(PAUSE_AFTER_MS)]) for first in (1, 3, 5)]
SENTENCE_MS = 700 + PAUSE_AFTER_MS
TALK_MS = 3 * SENTENCE_MS
LOST = Fault("close", connection=1)

Sends = dict[str, list[tuple[float, int]]]


@pytest.fixture(autouse=True)
def _even_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two attempts, without the jitter."""
    monkeypatch.setattr("service.stream.session.secrets", SimpleNamespace(randbelow=lambda below: below // 2))


@pytest.fixture(autouse=True)
def sends(monkeypatch: pytest.MonkeyPatch) -> Sends:
    """When how much audio was sent, by connection."""
    noted: Sends = {}
    send_audio = RecognizerConnection.send_audio

    async def note(self: RecognizerConnection, packets: Any) -> None:
        audio = list(packets)
        noted.setdefault(self.voice_id, []).append((trio.current_time(), sum(map(len, audio))))
        await send_audio(self, audio)

    monkeypatch.setattr(RecognizerConnection, "send_audio", note)
    return noted


def most_in_a_second(sent: list[tuple[float, int]]) -> int:
    most = total = 0
    window: deque[tuple[float, int]] = deque()
    for at, count in sent:
        window.append((at, count))
        total += count
        while window[0][0] < at - 1:
            total -= window.popleft()[1]
        most = max(most, total)
    return most


async def talk_and_stop(phone: Phone) -> None:
    for sentence in SENTENCES:
        await phone.talk(sentence)
    phone.say(type="stop")


async def talk_and_finalize(phone: Phone) -> None:
    """`finalize` in the middle of the second sentence, and on without a pause."""
    await phone.talk(SENTENCES[0] + words(3))
    phone.say(type="finalize", id="half")
    await phone.talk(words(4, gap_ms=PAUSE_AFTER_MS) + SENTENCES[2])
    phone.say(type="stop")


Conversation = Callable[[Phone], Awaitable[None]]


@dataclasses.dataclass
class Run:
    """One stream from `ready` to `stopped`."""

    world: World
    phone: Phone
    stopped: Message

    @property
    def told(self) -> list[Message]:
        """The finals, without what names the connection."""
        return [{**final, "voiceId": ""} for final in self.phone.finals]

    @property
    def errors(self) -> float:
        """Failures of the recognizer that were counted."""
        return sum(
            sample.value
            for metric in self.world.deps.metrics.registry.collect()
            for sample in metric.samples
            if sample.name == "voice_recognizer_errors_total"
        )


async def conduct(
    nursery: trio.Nursery, conversation: Conversation, *faults: Fault, first_write_to_stall: int = 0, **settings: Any
) -> Run:
    """Hold a conversation with a recognizer that has faults; nothing is left of it."""
    world = World(nursery, Script(faults=faults), **settings)
    dial = world.deps.dial

    async def watched(url: str) -> trio.abc.Stream:
        assert world.deps.admission.slots_used == 1
        stream = await dial(url)
        if first_write_to_stall and world.dials == 1:
            return FaultyStream(stream, fault_at=first_write_to_stall, stalls=True)
        return stream

    world.dial_with(watched)
    async with world.phone(wordInfo=1) as phone:
        await conversation(phone)
        stopped = await phone.hear("stopped", "error")
    world.assert_nothing_left()
    assert stopped["type"] == "stopped", stopped
    assert phone.closed == (1000, "completed")
    run = Run(world, phone, stopped)
    assert run.errors == len(faults) + bool(first_write_to_stall)
    return run


def assert_as_if_nothing_had_been(run: Run, undisturbed: Run) -> None:
    assert run.told == undisturbed.told
    assert [final["index"] for final in run.phone.finals] == list(range(len(run.told)))
    settled = -1
    for result in run.phone.all("result"):
        assert result["index"] == settled + 1
        settled += result["isFinal"]
    for field in ("text", "sentences", "audio"):
        assert run.stopped[field] == undisturbed.stopped[field]
    assert run.phone.all("finalized") == undisturbed.phone.all("finalized")
    assert not run.phone.all("error")
    seconds = run.stopped["audio"]["receivedMs"] / 1000
    assert run.world.metric("voice_audio_received_seconds_total") == pytest.approx(seconds)
    assert run.world.metric("voice_audio_relayed_seconds_total") == pytest.approx(seconds)


async def test_the_undisturbed_talk(nursery: trio.Nursery, autojump_clock: object) -> None:
    """What the others are compared with."""
    run = await conduct(nursery, talk_and_stop)
    assert [final["text"] for final in run.told] == ["w1 w2", "w3 w4", "w5 w6"]
    assert [final["startMs"] for final in run.told] == [0, SENTENCE_MS, 2 * SENTENCE_MS]
    assert run.stopped["audio"]["relayedMs"] == run.stopped["audio"]["receivedMs"] == TALK_MS
    assert run.world.dials == 1


ATTEMPTS: list[tuple[str, tuple[Fault, ...]]] = [
    ("in the middle of a first word", (Fault("close", connection=1, at_ms=150),)),
    ("in mid-sentence", (Fault("close", connection=1, at_ms=SENTENCE_MS + 350),)),
    ("right after a final", (Fault("close", connection=1, at_ms=SENTENCE_MS - 10),)),
    ("in the silence before a final", (Fault("close", connection=1, at_ms=900),)),
    ("when `end` was said", (Fault("close", connection=1, at_end=True),)),
    ("with an error", (Fault("error", code=5000, connection=1, at_ms=1000),)),
    ("for another client", (Fault("error", code=4006, connection=1, at_ms=1000),)),
    ("by nonsense", (Fault("garbage", connection=1, at_ms=1000),)),
    ("before it was accepted", (Fault("close", connection=1),)),
    ("by a refused upgrade", (Fault("refuse", connection=1),)),
    ("by a silent recognizer at the beginning", (Fault("silent_handshake", connection=1),)),
    ("twice at the beginning", (Fault("refuse", connection=1), Fault("refuse", connection=2))),
    (
        "and its successors in dialing",
        (
            Fault("close", connection=1, at_ms=1000),
            Fault("refuse", connection=2),
            Fault("error", code=4006, connection=3),
        ),
    ),
    (
        "behind each of two finals",
        (Fault("close", connection=1, at_ms=1900), Fault("close", connection=2, at_ms=3300)),
    ),
]


@pytest.mark.parametrize("faults", [case[1] for case in ATTEMPTS], ids=[case[0] for case in ATTEMPTS])
async def test_a_connection_is_lost(
    faults: tuple[Fault, ...], nursery: trio.Nursery, autojump_clock: object, sends: Sends
) -> None:
    undisturbed = await conduct(nursery, talk_and_stop)
    run = await conduct(nursery, talk_and_stop, *faults)
    assert_as_if_nothing_had_been(run, undisturbed)
    assert run.world.dials == 1 + len(faults)
    assert max(map(most_in_a_second, sends.values())) <= MOST_IN_A_SECOND_BYTES


@pytest.mark.parametrize(
    "fault",
    [
        Fault("close", connection=1, at_end=True),
        Fault("error", connection=1, at_end=True),
        Fault("swallow_final", connection=1),
        Fault("stop_reading", connection=1, at_ms=SENTENCE_MS + 200),
        Fault("refuse", connection=2),
        Fault("silent_handshake", connection=2),
        Fault("close", connection=2, at_end=True),
    ],
    ids=lambda fault: f"{fault.do}-{fault.connection}",
)
async def test_a_connection_is_lost_around_finalize(
    fault: Fault, nursery: trio.Nursery, autojump_clock: object, sends: Sends
) -> None:
    undisturbed = await conduct(nursery, talk_and_finalize)
    assert len(undisturbed.phone.all("finalized")) == 1
    run = await conduct(nursery, talk_and_finalize, fault)
    assert_as_if_nothing_had_been(run, undisturbed)
    assert run.world.dials == 3
    assert max(map(most_in_a_second, sends.values())) <= MOST_IN_A_SECOND_BYTES


async def test_a_recognizer_that_does_not_settle_is_given_up_after_ten_seconds(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    took: list[float] = []

    async def wait_for_it(phone: Phone) -> None:
        await phone.talk(SENTENCES[0])
        asked = trio.current_time()
        phone.say(type="finalize")
        await phone.hear("finalized")
        took.append(trio.current_time() - asked)
        phone.say(type="stop")

    undisturbed = await conduct(nursery, wait_for_it)
    run = await conduct(nursery, wait_for_it, Fault("swallow_final", connection=1))
    assert_as_if_nothing_had_been(run, undisturbed)
    assert run.world.metric("voice_recognizer_errors_total", code=Trouble.FINAL_TIMEOUT) == 1
    assert FINISH_S < took[1] < FINISH_S + 3
    assert run.world.dials == 2


async def test_a_recognizer_that_takes_no_audio(nursery: trio.Nursery, autojump_clock: object, sends: Sends) -> None:
    undisturbed = await conduct(nursery, talk_and_stop)
    run = await conduct(nursery, talk_and_stop, first_write_to_stall=12)
    assert_as_if_nothing_had_been(run, undisturbed)
    assert run.world.metric("voice_recognizer_errors_total", code=Trouble.SEND_TIMEOUT) == 1
    assert run.world.dials == 2
    first, second = (sent for sent in list(sends.values())[1:])
    assert second[0][0] - first[-1][0] >= SEND_S
    assert max(map(most_in_a_second, sends.values())) <= MOST_IN_A_SECOND_BYTES


async def test_what_is_unsettled_and_not_kept_is_named(nursery: trio.Nursery, autojump_clock: object) -> None:
    """A sentence of 4 s that is lost at its end, where 1 s is kept; the words are 400 ms apart."""

    async def talk(phone: Phone) -> None:
        await phone.talk(words(1, gap_ms=PAUSE_AFTER_MS))
        await phone.talk(words(*range(2, 12)))
        phone.say(type="stop")
        assert (await phone.hear("error", "stopped"))["type"] == "error"

    at_ms = 300 + PAUSE_AFTER_MS + 4000
    run = await conduct(nursery, talk, Fault("close", connection=1, at_ms=at_ms), replay_s=1)
    (error,) = run.phone.all("error")
    assert (error["code"], error["fatal"]) == ("audio_lost", False)
    assert (error["fromMs"], error["toMs"]) == (300, at_ms - 1000)
    assert run.world.metric("voice_audio_lost_seconds_total") == pytest.approx((at_ms - 1300) / 1000)
    assert run.told[0]["settledMs"] == 300
    # 4800 ms is where w9 has 200 ms still to go.
    assert [final["text"] for final in run.told] == ["w1", "w9 w10 w11"]
    assert run.told[1]["startMs"] == at_ms - 1000
    audio = run.stopped["audio"]
    assert (audio["receivedMs"], audio["relayedMs"], audio["droppedMs"]) == (at_ms, at_ms, 0)
    assert run.stopped["text"] == "w1 w9 w10 w11"


async def test_what_is_kept_just_suffices(nursery: trio.Nursery, autojump_clock: object) -> None:
    async def talk(phone: Phone) -> None:
        await phone.talk(words(*range(1, 6)))
        phone.say(type="stop")

    undisturbed = await conduct(nursery, talk)
    assert_as_if_nothing_had_been(
        await conduct(nursery, talk, Fault("close", connection=1, at_end=True), replay_s=2), undisturbed
    )


@pytest.mark.parametrize("reads", [True, False])
async def test_a_client_that_is_gone_when_audio_is_lost(
    reads: bool, nursery: trio.Nursery, autojump_clock: object
) -> None:
    """It cannot be told; the stream ends as any that a client has left."""
    world = World(nursery, Script(faults=(Fault("close", connection=1, at_ms=2000),)), replay_s=1)
    async with world.phone() as phone:
        await phone.talk(words(*range(1, 5)))  # 1.6 s
        await trio.testing.wait_all_tasks_blocked()
        if reads:
            phone._from_service.close()
        else:
            phone.reads = False
        phone.audio(silence_of(400))
        await phone.was_closed.wait()
    outcome = "client_left" if reads else "client_too_slow"
    assert world.metric("voice_streams_ended_total", outcome=outcome) == 1
    assert not phone.all("stopped")
    world.assert_nothing_left()


def silence_of(duration_ms: int) -> bytes:
    return coded_pcm([silence(duration_ms)])


async def test_a_stream_that_comes_no_further_ends(nursery: trio.Nursery, autojump_clock: object) -> None:
    """Three connections in a row in vain, behind any number that were of use."""
    faults = [Fault("close", connection=1, at_ms=1900), Fault("close", connection=2, at_ms=3300)]
    faults += [Fault("error", code=5001, connection=number) for number in (3, 4, 5)]
    world = World(nursery, Script(faults=tuple(faults)))
    async with world.phone() as phone:
        nursery.start_soon(talk_and_stop, phone)
        error = await phone.hear("error")
    assert (error["code"], error["fatal"]) == ("recognizer_unavailable", True)
    assert "code 5001" in error["message"]
    assert [final["text"] for final in phone.finals] == ["w1 w2", "w3 w4"]
    assert world.dials == 5
    assert world.metric("voice_recognizer_errors_total", code="5001") == 3
    assert world.metric("voice_recognizer_errors_total", code="lost") == 2
    world.assert_nothing_left()


async def test_the_client_is_read_during_a_replay_and_held_back_only_by_new_audio(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    """A file that comes at once: the backlog's bound holds, and what is sent again does not count for it."""
    audio = b"".join(SENTENCES) * 3

    async def send(phone: Phone) -> None:
        for place in range(0, len(audio), SECOND_BYTES):
            phone.audio(audio[place : place + SECOND_BYTES])
            await trio.sleep(0.01)
        phone.say(type="stop")

    undisturbed = await conduct(nursery, send)
    assert undisturbed.stopped["sentences"] == 9
    run = await conduct(nursery, send, Fault("close", connection=1, at_ms=8000))
    assert_as_if_nothing_had_been(run, undisturbed)


async def test_what_was_heard_is_told_also_when_the_recognizer_is_overdue(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    """A final comes 8.5 s behind `end`, and the client takes it after 12 s: at 10 s the connection is given up."""
    world = World(
        nursery, Script(result_delay_ms=9000, faults=(Fault("swallow_final", connection=1),)), max_stream_s=120
    )
    async with world.phone() as phone:
        await phone.talk(words(1, gap_ms=PAUSE_AFTER_MS))
        phone.say(type="finalize", id="a")
        await trio.sleep(8.3)
        phone.may_read = trio.Event()
        await trio.sleep(3.7)
        phone.may_read.set()
        await phone.hear("finalized")
        await phone.talk(words(3))
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert [(final["index"], final["text"]) for final in phone.finals] == [(0, "w1"), (1, "w3")]
    assert (stopped["text"], stopped["sentences"]) == ("w1 w3", 2)
    assert world.metric("voice_recognizer_errors_total", code=Trouble.FINAL_TIMEOUT) == 1
    world.assert_nothing_left()


@pytest.mark.parametrize("fault", [Fault("close", connection=1, at_ms=2500), Fault("close", connection=1, at_end=True)])
async def test_a_connection_that_hears_mp3_is_lost(
    fault: Fault, nursery: trio.Nursery, autojump_clock: object, sends: Sends
) -> None:
    """The engine hears a word in each 400 ms of any audio and a sentence in five: settled ones stay as they are."""
    frames = [frame.data for frame in frames_of(mp3_of(sample_pcm() * 2))][:100]
    stopped: list[Message] = []
    for faults in ((), (fault,)):
        world = World(nursery)
        config = RecognizerConfig(
            script=Script(mode="clock", faults=faults), wall_clock=lambda: NOW_S + trio.current_time()
        )
        world.recognizer = Recognizer(ScriptedEngine("clock"), config)
        async with world.phone(voiceFormat="mp3") as phone:
            for frame in frames:
                phone.audio(frame)
                await trio.sleep(FRAME_MS / 1000)
            phone.say(type="stop")
            stopped.append(await phone.hear("stopped"))
        assert world.dials == 1 + len(faults)
        assert [final["index"] for final in phone.finals] == list(range(len(phone.finals)))
        assert (phone.finals[0]["startMs"], phone.finals[0]["endMs"]) == (0, 2000)
        assert phone.finals[-1]["endMs"] <= 3600
        world.assert_nothing_left()
    undisturbed, disturbed = (message["audio"] for message in stopped)
    assert disturbed | {"recognizedMs": 0} == undisturbed | {"recognizedMs": 0}
    assert (disturbed["relayedMs"], disturbed["droppedMs"]) == (3600, 0)
    # The second connection begins at a frame a little before 2000 ms, so its words lie elsewhere.
    assert 3600 - 400 < disturbed["recognizedMs"] <= 3600
