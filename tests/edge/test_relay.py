"""What the pump relays without waking a task: nothing is lost or late, whatever the phone or the recognizer does.

Real sockets, the real recognizer driver, and a scripted recognizer.
"""

import json
import math
from array import array
from typing import Any

import pytest
import trio
import trio.testing

from service.edge import voice
from service.localasr.engine import Event, SentenceClosed, SentenceHeard, SentenceOpened, Word
from service.stream import session
from tests.support.edge import Closed, Running, until
from tests.support.frames import BINARY, TEXT, cut, frame
from tests.support.gateway import Outburst, PatientPhone, metric, running_gateway
from tests.support.stream_world import words
from tests.support.wire_phone import connected

PARTIALS = 80
SENTENCES = 3
LONG = "x" * 400


def outburst() -> list[Event]:
    """Three sentences that grow and are settled, and one that goes on growing."""
    events: list[Event] = []
    for sentence in range(SENTENCES + 1):
        start_ms = sentence * 20
        events.append(SentenceOpened(start_ms))
        growing = (Word(f"s{sentence}p{number}{LONG}", start_ms, start_ms + 10) for number in range(PARTIALS))
        events.extend(SentenceHeard((word,)) for word in growing)
        if sentence < SENTENCES:
            events.append(SentenceClosed((Word(f"s{sentence}", start_ms, start_ms + 20),)))
    return events


def is_stuck(running: Running) -> bool:
    """Whether something waits for the only client to read."""
    return any(client._socket._lock.locked() for client in running.edge._voice._clients)


async def test_a_phone_that_reads_again_gets_what_is_still_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "SEND_S", 60.0)
    async with running_gateway(Outburst(outburst()), send_buffer_bytes=4608) as running:
        phone = await PatientPhone.connect(running.port)
        await phone.client.send(words(1, each_ms=100, gap_ms=0))
        await until(lambda: is_stuck(running))
        await trio.testing.wait_all_tasks_blocked(0.05)  # the recognizer has said everything
        newest = f"s{SENTENCES}p{PARTIALS - 1}{LONG}"
        while (await phone.hear("result"))["text"] != newest:
            pass
        results = [message for message in phone.seen if message["type"] == "result"]
        finals = [message for message in results if message["isFinal"]]
        assert [(final["index"], final["text"]) for final in finals] == [
            (number, f"s{number}") for number in range(SENTENCES)
        ]
        partials = [place_of(message) for message in results if not message["isFinal"] and message["text"]]
        assert partials == sorted(set(partials))
        # Of those that had piled up in the gateway only the last was sent.
        assert len(partials) < (SENTENCES + 1) * PARTIALS
        # No sentence goes on behind its final.
        order = [(message["index"], message["isFinal"]) for message in results]
        assert order == sorted(order)
        await phone.client.send_json(type="stop")
        stopped = await phone.hear("stopped")
        assert stopped["text"] == " ".join(f"s{number}" for number in range(SENTENCES))
        with pytest.raises(Closed) as closed:
            await phone.client.receive()
        assert (closed.value.code, closed.value.reason) == (1000, "completed")
        assert metric(running, "voice_streams_ended_total", outcome="completed") == 1


def place_of(message: dict[str, Any]) -> tuple[int, int]:
    """Sentence and number of a partial; the index that the client sees is that of the sentence."""
    sentence, number = message["text"].rstrip("x")[1:].split("p")
    assert int(sentence) == message["index"]
    return int(sentence), int(number)


async def test_a_phone_that_never_reads_again_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "SEND_S", 0.3)
    async with running_gateway(Outburst(outburst()), send_buffer_bytes=4608) as running:
        phone = await PatientPhone.connect(running.port)
        await phone.client.send(words(1, each_ms=100, gap_ms=0))
        await until(lambda: running.edge.open_connections == 0)
        assert metric(running, "voice_streams_ended_total", outcome="client_too_slow") == 1
        assert running.deps.admission.slots_used == 0
        assert running.deps.admission.streams == 0
        # Its connection was reset, not left to the kernel with all that it did not read.
        with pytest.raises(trio.BrokenResourceError):
            await read_to_the_end(phone.client.stream)


async def read_to_the_end(stream: trio.SocketStream) -> None:
    while await stream.receive_some():
        pass


async def test_half_a_packet_is_sent_when_nothing_more_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PAUSE_S", math.inf)  # which would send it, too
    async with running_gateway() as running, connected(f"http://127.0.0.1:{running.port}") as phone:
        for number in (1, 2):  # the first by the task that has just woken for `ready`, the other by the pump alone
            await phone._socket.send_message(words(number, each_ms=40, gap_ms=10))
            while (await phone.hear("result"))["text"] != " ".join(f"w{word}" for word in range(1, number + 1)):
                pass
        await until(lambda: metric(running, "voice_audio_relayed_seconds_total") == pytest.approx(0.1))
        assert metric(running, "voice_audio_received_seconds_total") == pytest.approx(0.1)
        await phone.say(type="cancel")


def burst(*parts: bytes | dict[str, object]) -> bytes:
    """Frames as they come in one piece: audio in frames of 40 ms, and messages."""
    frames = [
        frame(BINARY, piece) if isinstance(piece, bytes) else frame(TEXT, json.dumps(piece).encode())
        for part in parts
        for piece in (cut(part, 1280) if isinstance(part, bytes) else [part])
    ]
    return b"".join(frames)


@pytest.mark.parametrize("cut_bytes", [1 << 20, 997])
@pytest.mark.parametrize("finalizes", [True, False])
async def test_audio_and_stop_in_one_piece(finalizes: bool, cut_bytes: int) -> None:
    """Into the middle of a stream that the pump relays; nothing is lost at the seam between the pump and the tasks."""
    async with running_gateway() as running:
        phone = await PatientPhone.connect(running.port)
        await phone.client.send(words(1))
        await phone.hear("result")
        finalize: list[dict[str, object]] = [{"type": "finalize", "id": "mine"}] if finalizes else []
        data = burst(words(2, each_ms=150, gap_ms=30), *finalize, words(3, each_ms=150, gap_ms=37), {"type": "stop"})
        for piece in cut(data, cut_bytes):
            await phone.client.stream.send_all(piece)
        stopped = await phone.hear("stopped")
        sent_ms = 400 + 180 + 187
        assert stopped["text"] == "w1 w2 w3"
        assert stopped["audio"] == {
            "receivedMs": sent_ms,
            "relayedMs": sent_ms,
            "recognizedMs": stopped["audio"]["recognizedMs"],
            "droppedMs": 0,
            "receivedBytes": sent_ms * 32,
            "relayedBytes": sent_ms * 32,
            "droppedBytes": 0,
        }
        told = [(one["id"], one["audioMs"]) for one in phone.seen if one["type"] == "finalized"]
        assert told == ([("mine", 580)] if finalizes else [])
        with pytest.raises(Closed) as closed:
            await phone.client.receive()
        assert closed.value.code == 1000
        assert metric(running, "voice_audio_received_seconds_total") == pytest.approx(sent_ms / 1000)
        assert metric(running, "voice_audio_relayed_seconds_total") == pytest.approx(sent_ms / 1000)


@pytest.mark.parametrize("end", ["stop", "cancel", "hang up"])
@pytest.mark.parametrize("is_pumped", [True, False], ids=["pump", "tasks"])
async def test_the_audio_of_a_stream_is_in_the_metrics_when_it_has_ended(is_pumped: bool, end: str) -> None:
    """However it ends; what the recognizer was not sent is received audio, and not relayed."""
    async with running_gateway(is_pumped=is_pumped) as running:
        phone = await PatientPhone.connect(running.port)
        for number in (1, 2):
            await phone.client.send(words(number, each_ms=90, gap_ms=10))
            while f"w{number}" not in (await phone.hear("result"))["text"]:
                pass
        await phone.client.send(words(3, each_ms=45, gap_ms=0))
        if end == "hang up":
            await phone.client.close()
        else:
            await phone.client.send_json(type=end)
            with pytest.raises(Closed):
                await phone.hear("nothing else")
        await until(lambda: running.deps.admission.streams == 0)
        assert metric(running, "voice_audio_received_seconds_total") == pytest.approx(0.245)
        relayed = metric(running, "voice_audio_relayed_seconds_total")
        assert relayed == pytest.approx(0.245 if end == "stop" else 0.2)
        packets = metric(running, "voice_gateway_delay_seconds_count")
        assert packets == (3 if end == "stop" else 2)


async def test_stereo_behind_silence_is_said_at_once() -> None:
    """It is found with the last bytes in which anything is looked for, and the client is told before it hears more."""
    tone = array("h", [round(8000 * math.sin(place / 7)) for place in range(12_288)])
    stereo = array("h", [sample for sample in tone for _ in range(2)]).tobytes()
    async with running_gateway() as running, connected(f"http://127.0.0.1:{running.port}") as phone:
        pcm = bytes(66_560) + stereo + bytes(2560) + words(1, 2, 3)
        due = trio.current_time()
        for piece in cut(pcm, 1280):
            await phone._socket.send_message(piece)
            due += 0.025  # faster than real time, and slow enough for no backlog, whose clock wakes the client's task
            await trio.sleep_until(due)
        first = await phone.hear("error", "result")
        assert (first["type"], first.get("code")) == ("error", "stereo_suspected")
        await phone.say(type="cancel")


async def test_mp3_in_one_large_message_is_not_sent_as_pcm() -> None:
    """So large that with it the search for a container is over."""
    talk = b"\xff\xf3\x48\xc0".ljust(144, b"\x55") * 456
    engine = Outburst([])
    async with running_gateway(engine) as running:
        phone = await PatientPhone.connect(running.port, voiceFormat=4)
        await phone.client.send(talk[:65_536])
        await until(lambda: metric(running, "voice_recognizer_connect_seconds_count") == 2)
        await phone.client.send_json(type="cancel")
        with pytest.raises(Closed):
            await phone.hear("nothing else")
        assert engine.heard_bytes[0] == 0
