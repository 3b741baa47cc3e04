"""Voice streams over real sockets, through the edge, with the real recognizer driver against a scripted recognizer."""

import pytest
import trio

from tests.support.edge import open_stream
from tests.support.gateway import metric, running_gateway
from tests.support.stream_world import words
from tests.support.wire_phone import PATH, connected

STREAMS = 20
UPGRADE = (
    f"GET {PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()
POISON = (
    UPGRADE + b"\xff\xff\xff\xff",  # ends the worker of plain Hypercorn 0.18
    UPGRADE.replace(b"/api/realtime-voice/stream", b"/test-ws") + b"\xff" * 64,
    UPGRADE + b"\x81\x05hello",  # not masked
    UPGRADE + b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff",  # a frame of 2^63 bytes
    UPGRADE + b"\x81\x82\x00\x00\x00\x00\xc3\x28",  # text that is not UTF-8
    b"\xff" * 200,
    b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
)


@pytest.mark.parametrize("is_pumped", [True, False], ids=["pump", "tasks"])
async def test_what_kills_hypercorns_worker_leaves_20_streams_untouched(is_pumped: bool) -> None:
    texts: list[str] = []

    async def talk(number: int) -> None:
        async with connected(f"http://127.0.0.1:{running.port}") as phone:
            await phone.talk(words(*range(number, number + 5)))
            await phone.say(type="stop")
            texts.append((await phone.hear("stopped"))["text"])
            assert await phone.closed() == (1000, "completed")

    async def poison() -> None:
        for data in POISON * 5:
            stream = await open_stream(running.port)
            await stream.send_all(data)
            await trio.sleep(0.02)
            await stream.aclose()

    async with running_gateway(is_pumped=is_pumped) as running:
        async with trio.open_nursery() as talking:
            for number in range(1, STREAMS + 1):
                talking.start_soon(talk, number)
            await trio.sleep(0.2)
            await poison()
        assert running.deps.admission.slots_used == 0
        assert metric(running, "voice_streams_ended_total", outcome="completed") == STREAMS
        assert metric(running, "voice_audio_received_seconds_total") == pytest.approx(STREAMS * 2)
        assert metric(running, "voice_audio_relayed_seconds_total") == pytest.approx(STREAMS * 2)
    assert sorted(texts) == sorted(
        " ".join(f"w{word}" for word in range(number, number + 5)) for number in range(1, STREAMS + 1)
    )
