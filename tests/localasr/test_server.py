"""The protocol over memory streams in virtual time, with the scripted engine."""

import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionRejected, wrap_client_stream

from service.localasr.coded_audio import coded_pcm, silence
from service.localasr.engine import EngineOverloadedError, EngineUnavailableError, StreamFailed
from service.localasr.faults import Fault, Script
from service.localasr.scripted import CodedRecognizer, ScriptedEngine
from service.localasr.server import Recognizer, RecognizerConfig, describe_errors, serve
from service.localasr.signature import Credentials
from tests.localasr.client import END, converse, finals, in_memory, on_socket, parameters, resource, wall_clock

Clock = trio.testing.MockClock
SPEECH = coded_pcm([silence(200), (7, 300), silence(100), (8, 300), silence(1100), (9, 250)])


def make(*faults: Fault, capacity: int = 200, credentials: Credentials | None = None, **script: Any) -> Recognizer:
    config = RecognizerConfig(
        credentials=credentials or Credentials(), script=Script(faults=faults, **script), wall_clock=wall_clock
    )
    return Recognizer(ScriptedEngine(config.script.mode, capacity), config)


async def refused(recognizer: Recognizer, target: str | None = None, **headers: str) -> dict[str, Any]:
    """The only message of a stream that is refused, which is then closed with 1000."""
    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    async with in_memory(recognizer, target, given) as client:
        (message,) = await client.collect()
        assert client.close_code == 1000
        return message


async def test_a_stream(autojump_clock: Clock) -> None:
    recognizer = make()
    async with in_memory(recognizer, resource(voice_id="V", word_info="1")) as client:
        messages = await converse(client, SPEECH)
        assert client.close_code == 1000
        assert recognizer.live == 0
    assert finals(messages) == [(0, "w7 w8", 200, 900), (1, "w9", 2000, 2250)]
    assert messages[-1] == {"code": 0, "message": "success", "voice_id": "V", "message_id": "V_8", "final": 1}
    types = [(m["result"]["slice_type"], m["result"]["index"]) for m in messages[:-1]]
    assert types == [(0, 0), (1, 0), (1, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    assert messages[4]["result"]["word_list"][0] == {
        "word": "w7",
        "start_time": 200,
        "end_time": 500,
        "stable_flag": 1,
    }


async def test_results_come_while_the_audio_does(autojump_clock: Clock) -> None:
    async with in_memory(make()) as client:
        await client.next()
        await client.send(coded_pcm([(7, 300), silence(1000)]))
        assert trio.current_time() == pytest.approx(1.3)
        got = [await client.next() for _ in range(3)]
        assert [message["result"]["slice_type"] for message in got] == [0, 1, 2]
        assert trio.current_time() == pytest.approx(1.3)


async def test_wav_is_unwrapped(autojump_clock: Clock) -> None:
    header = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data" + len(SPEECH).to_bytes(
        4, "little"
    )
    async with in_memory(make(), resource(voice_format="12")) as client:
        messages = await converse(client, header + SPEECH)
    assert [text for _, text, *_ in finals(messages)] == ["w7 w8", "w9"]
    async with in_memory(make(), resource(voice_format="12")) as client:
        await client.next()
        await client.ws.send_message(b"not a wav file at all")
        assert [message["code"] for message in await client.collect()] == [4007]
        assert client.close_code == 1000


async def test_refusals(autojump_clock: Clock) -> None:
    recognizer = make(capacity=1)
    missing = await refused(recognizer, resource(voice_id=None))
    assert (missing["code"], missing["message"]) == (4001, "参数不合法(voice_id: is required)")
    assert missing["voice_id"] == ""
    assert (await refused(recognizer, resource(engine_model_type="16k_xx", voice_id="W")))["voice_id"] == "W"
    assert (await refused(recognizer, resource(signature="wrong")))["code"] == 4002
    assert (await refused(recognizer, resource(app_id="1")))["code"] == 4002
    assert (await refused(recognizer, resource() + "&needvad=1"))["code"] == 4001
    assert (await refused(recognizer, resource(now_s=1_700_000_301)))["code"] == 4002
    async with in_memory(recognizer, resource(voice_id="once")) as client:
        assert (await client.next())["code"] == 0
        full = await refused(recognizer, resource(voice_id="twice"))
        assert full["code"] == 4006
    for used in ("once", "twice"):
        again = await refused(recognizer, resource(voice_id=used))
        assert (again["code"], again["message"]) == (4001, "参数不合法(voice_id: already used)")
    assert recognizer.live == 0


async def test_a_temporary_account(autojump_clock: Clock) -> None:
    recognizer = make(credentials=Credentials(token="t"))
    assert (await refused(recognizer))["code"] == 4002
    async with in_memory(recognizer, headers=[(b"X-TC-Token", b"t")]) as client:
        assert (await client.next())["code"] == 0


async def test_used_voice_ids_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch, autojump_clock: Clock) -> None:
    monkeypatch.setattr("service.localasr.server.MAX_REMEMBERED_VOICE_IDS", 2)
    recognizer = make()
    for voice_id in ("a", "b", "c", "a"):
        async with in_memory(recognizer, resource(voice_id=voice_id)) as client:
            assert (await client.next())["code"] == 0


async def test_no_audio_for_15_s(autojump_clock: Clock) -> None:
    async with in_memory(make()) as client:
        await client.next()
        await trio.sleep(14)
        await client.ws.send_message(bytes(320))
        await trio.sleep(14)
        await client.ws.send_message(b"")
        messages = await client.collect()
        assert trio.current_time() == 29
    assert [message["code"] for message in messages] == [4008]
    assert client.close_code == 1000


async def test_more_than_3_s_of_audio_within_1_s(autojump_clock: Clock) -> None:
    async with in_memory(make()) as client:
        await client.next()
        await client.ws.send_message(bytes(96000))
        await trio.sleep(1)
        await client.ws.send_message(bytes(64000))
        await trio.sleep(0.9)
        await client.ws.send_message(bytes(32002))
        assert [message["code"] for message in await client.collect()] == [4000]


@pytest.mark.parametrize("text", ["hello", '{"type": "stop"}', "[]", '{"context_type": "context"}'])
async def test_unknown_text(text: str, autojump_clock: Clock) -> None:
    async with in_memory(make()) as client:
        await client.next()
        await client.ws.send_message(text)
        assert [message["code"] for message in await client.collect()] == [4010]
        assert client.close_code == 1000


async def test_what_comes_after_end_is_ignored(autojump_clock: Clock) -> None:
    async with in_memory(make(final_delay_ms=20_000)) as client:
        await client.next()
        await client.end()
        await client.ws.send_message(bytes(320_000))
        await client.ws.send_message(END)
        messages = await client.collect()
        assert [message.get("final") for message in messages] == [1]
        assert trio.current_time() == 20


async def test_a_client_that_leaves_frees_its_slot(autojump_clock: Clock) -> None:
    recognizer = make(capacity=1)
    for _ in range(3):
        async with in_memory(recognizer) as client:
            assert (await client.next())["code"] == 0
            await client.ws.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert recognizer.live == 0


class BrokenStream(CodedRecognizer):
    """Overflows at the second packet, or fails at the end."""

    fed = 0

    def feed(self, pcm: bytes) -> None:
        self.fed += 1
        if self.fed == 2:
            raise EngineOverloadedError

    def finish(self) -> None:
        self._emit(StreamFailed())


async def test_an_engine_that_fails(monkeypatch: pytest.MonkeyPatch, autojump_clock: Clock) -> None:
    monkeypatch.setattr("service.localasr.scripted.CodedRecognizer", BrokenStream)
    async with in_memory(make()) as client:
        assert [m["code"] for m in await converse(client, bytes(3200))] == [5000]
    async with in_memory(make()) as client:
        await client.next()
        await client.send(bytes(6400))
        assert [m["code"] for m in await client.collect()] == [5001]


class FullEngine(ScriptedEngine):
    """Has no decoder to spare."""

    @asynccontextmanager
    async def open(self, settings: object, emit: object) -> AsyncGenerator[Any, None]:
        await trio.lowlevel.checkpoint()
        raise EngineUnavailableError
        yield


async def test_an_engine_without_a_decoder(autojump_clock: Clock) -> None:
    recognizer = Recognizer(FullEngine(), RecognizerConfig(wall_clock=wall_clock))
    assert (await refused(recognizer))["code"] == 5001


async def test_an_engine_that_never_finishes(monkeypatch: pytest.MonkeyPatch, autojump_clock: Clock) -> None:
    monkeypatch.setattr("service.localasr.scripted.CodedRecognizer.finish", lambda self: None)
    async with in_memory(make()) as client:
        assert [m["code"] for m in await converse(client, b"")] == [5000]
        assert trio.current_time() == 120


async def test_a_client_that_reads_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch, autojump_clock: Clock) -> None:
    """Both ways: a full queue of results, and a send that takes longer than 10 s."""
    monkeypatch.setattr("service.localasr.conversation.MAX_QUEUED_MESSAGES", 3)
    async with in_memory(make(result_delay_ms=1000)) as client:
        await client.next()
        await client.ws.send_message(SPEECH)
        assert await client.collect() == []
        assert client.close_code == 1006
    monkeypatch.undo()
    recognizer = make()
    client_end, server_end = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recognizer.serve_stream, server_end)
        upgrade = (
            f"GET {resource()} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await client_end.send_all(upgrade.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += await client_end.receive_some(1)
        await trio.testing.wait_all_tasks_blocked()
        assert recognizer.live == 1
        started_s = trio.current_time()
    assert trio.current_time() - started_s == pytest.approx(10)
    assert recognizer.live == 0


async def http(recognizer: Recognizer, request: bytes) -> bytes:
    client_end, server_end = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recognizer.serve_stream, server_end)
        await client_end.send_all(request)
        received = b""
        while data := await client_end.receive_some():
            received += data
    return received


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /server_time HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /asr/v2/1 HTTP/1.1\r\n\r\n", b"400"),
        (b"\x16\x03\x01\xff\xff", b"408"),
        (b"\xff\xff\r\n\r\n", b"400"),
        (b"GET /asr/v2/1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", b"400"),
    ],
)
async def test_other_requests(request_bytes: bytes, status: bytes, autojump_clock: Clock) -> None:
    assert (await http(make(), request_bytes)).startswith(b"HTTP/1.1 " + status)


async def test_server_time(autojump_clock: Clock) -> None:
    answer = await http(make(), b"GET /server_time HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n1700000000")


async def test_a_bug_ends_one_connection(expected_errors: list[logging.LogRecord], autojump_clock: Clock) -> None:
    recognizer = make()

    async def broken(head: object, stream: object) -> Any:
        await trio.lowlevel.checkpoint()
        raise KeyError("secret text")

    recognizer.routes["GET", "/broken"] = broken
    assert await http(recognizer, b"GET /broken HTTP/1.1\r\n\r\n") == b""
    (record,) = expected_errors
    expected_errors.clear()
    assert "KeyError at test_server.py" in str(vars(record)["errors"])
    assert "secret" not in str(vars(record))
    assert describe_errors(ExceptionGroup("", [ValueError("x")])) == ["ValueError"]
    async with in_memory(recognizer) as client:
        assert (await client.next())["code"] == 0


async def test_the_log_has_two_lines_and_no_secrets(caplog: pytest.LogCaptureFixture, autojump_clock: Clock) -> None:
    caplog.set_level("INFO", logger="service.localasr")
    asked = parameters(voice_id="V")
    target = "/asr/v2/1250000000?" + "&".join(f"{name}={value}" for name, value in asked.items() if name != "signature")
    await refused(make(), target)
    async with in_memory(make(), resource(voice_id="V")) as client:
        await converse(client, SPEECH)
    lines = [vars(record) for record in caplog.records if record.name.startswith("service.localasr")]
    assert [(line["event"], line.get("outcome")) for line in lines] == [
        ("stream_ended", "refused"),
        ("stream_opened", None),
        ("stream_ended", "finished"),
    ]
    assert (lines[0]["code"], lines[2]["code"], lines[2]["audio_ms"]) == (4001, 0, 2250)
    everything = json.dumps(lines, default=str)
    assert "w7" not in everything
    assert asked["secretid"] not in everything
    assert asked["signature"] not in everything


async def test_a_peer_that_is_gone_is_an_event_not_an_error(
    caplog: pytest.LogCaptureFixture, autojump_clock: Clock
) -> None:
    caplog.set_level("INFO", logger="service.localasr")
    client_end, server_end = trio.testing.memory_stream_pair()
    await client_end.send_all(b"GET / HT")
    await client_end.aclose()
    await make().serve_stream(server_end)
    assert [vars(record)["event"] for record in caplog.records] == ["bad_head", "connection_lost"]


@pytest.mark.parametrize(("at_ms", "outcome"), [(650, "client_left"), (None, "failed")])
async def test_a_client_that_is_gone_is_noticed_when_writing(
    at_ms: int | None, outcome: str, caplog: pytest.LogCaptureFixture, autojump_clock: Clock
) -> None:
    """Nothing is read any more, so only a send can tell: a result, or the last message."""
    caplog.set_level("INFO", logger="service.localasr")
    client_end, server_end = trio.testing.memory_stream_pair()
    recognizer = make(Fault(do="stop_reading", at_ms=at_ms), result_delay_ms=1000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recognizer.serve_stream, server_end)
        async with trio.open_nursery() as client_nursery:
            wrapped: Any = client_end
            ws = await wrap_client_stream(client_nursery, wrapped, "localhost", resource())
            await ws.get_message()
            await ws.send_message(SPEECH)
            await trio.testing.wait_all_tasks_blocked()
            await trio.aclose_forcefully(client_end)
    assert vars(caplog.records[-1])["outcome"] == outcome
    assert recognizer.live == 0


async def test_on_a_socket() -> None:
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            recognizer = make(Fault(do="refuse", connection=2))
            url = await nursery.start(serve, recognizer, "127.0.0.1", 0)
            async with on_socket(url + resource()) as client:
                assert (await client.next())["code"] == 0
            with pytest.RaisesGroup(ConnectionRejected):
                async with on_socket(url + resource()):
                    pass
            nursery.cancel_scope.cancel()


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.localasr.server.MAX_CONNECTIONS", 0)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            url: str = await nursery.start(serve, make(), "127.0.0.1", 0)
            stream = await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
            async with stream:
                assert await stream.receive_some() == b""
            nursery.cancel_scope.cancel()
