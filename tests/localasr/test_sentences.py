"""SentenceRecognition with the vendor's own client, over sockets. Real time is a hang guard only."""

import base64
import gc
import json
import os
import time
import urllib.parse
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from tencentcloud.asr.v20190614.asr_client import AsrClient
from tencentcloud.asr.v20190614.models import SentenceRecognitionRequest
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

from service.localasr.coded_audio import coded_pcm, silence
from service.localasr.engine import Engine, EngineUnavailableError, StreamFailed
from service.localasr.faults import Fault, Script
from service.localasr.scripted import CodedRecognizer, ScriptedEngine
from service.localasr.server import Recognizer, RecognizerConfig, serve
from service.localasr.signature import Credentials
from service.localasr.sphinx import SphinxEngine
from tests.localasr.client import converse, finals, on_socket, resource, wall_clock
from tests.localasr.recordings import ENCODERS, as_wav, clip, encode

GUARD_S = 60
SPEECH = coded_pcm([silence(200), (7, 300), silence(1200), (8, 300)])


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK and `requests` each read the proxy of the machine, and neither takes 127.0.0.1 with a port for local."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _sockets_of_the_sdk() -> Iterator[None]:
    """The SDK never closes its session; what it leaves is collected here, not in the middle of another test."""
    yield
    gc.collect()


def make(*faults: Fault, mode: str = "coded", capacity: int = 200, **config: Any) -> Recognizer:
    script = Script(faults=faults)
    return Recognizer(ScriptedEngine(mode, capacity), RecognizerConfig(script=script, **config))


@asynccontextmanager
async def listening(recognizer: Recognizer) -> AsyncGenerator[str]:
    with trio.fail_after(GUARD_S):
        async with trio.open_nursery() as nursery:
            yield await nursery.start(serve, recognizer)
            nursery.cancel_scope.cancel()


def client_of(url: str, key: str = Credentials().secret_key, token: str | None = None) -> Any:
    profile = HttpProfile(protocol="http", endpoint=urllib.parse.urlsplit(url).netloc, reqTimeout=GUARD_S)
    credential = Credential(Credentials().secret_id, key, token)
    return AsrClient(credential, "", ClientProfile(httpProfile=profile))


async def ask(client: Any, voice_format: str = "pcm", audio: bytes = SPEECH, **fields: Any) -> Any:
    """The SDK's answer; its exceptions are raised."""
    request: Any = SentenceRecognitionRequest()
    request.EngSerViceType = "16k_en"
    request.SourceType = 1
    request.VoiceFormat = voice_format
    request.Data = base64.b64encode(audio).decode()
    request.DataLen = len(audio)
    for name, value in fields.items():
        setattr(request, name, value)
    return await trio.to_thread.run_sync(client.SentenceRecognition, request)


async def refused(*arguments: Any, **fields: Any) -> str:
    with pytest.raises(TencentCloudSDKException) as raised:
        await ask(*arguments, **fields)
    code: str = raised.value.code
    return code


async def test_the_words_of_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="service.localasr")
    recognizer = make()
    async with listening(recognizer) as url:
        client = client_of(url)  # one client, one session: a connection for each request
        plain = await ask(client, audio=SPEECH)
        assert (plain.Result, plain.AudioDuration, plain.WordSize, plain.WordList) == ("w7 w8", 2000, None, None)
        assert len(plain.RequestId) == 36
        timed = await ask(client, "wav", as_wav(SPEECH), WordInfo=1)
        words = [(word.Word, word.StartTime, word.EndTime) for word in timed.WordList]
        assert (timed.WordSize, words) == (2, [("w7", 200, 500), ("w8", 1700, 2000)])
        narrow = await ask(client, audio=coded_pcm([(5, 400)], 8000), InputSampleRate=8000)
        assert (narrow.Result, narrow.AudioDuration) == ("w5", 400)
        nothing = await ask(client, audio=bytes(3200), WordInfo=1)
        assert (nothing.Result, nothing.WordSize, nothing.WordList) == ("", 0, [])
    assert recognizer.live == 0
    lines = [vars(record) for record in caplog.records if record.getMessage() == "sentence ended"]
    assert [(line["request"], line["outcome"], line["audio_ms"]) for line in lines] == [
        (1, "recognized", 2000),
        (2, "recognized", 2000),
        (3, "recognized", 400),
        (4, "recognized", 100),
    ]
    everything = json.dumps([vars(record) for record in caplog.records], default=str)
    assert "w7" not in everything
    assert Credentials().secret_id not in everything


async def test_who_may_not_ask() -> None:
    async with listening(make()) as url:
        assert await refused(client_of(url, key="wrong")) == "AuthFailure.SignatureFailure"
    async with listening(make(credentials=Credentials(secret_id="AKIDOTHER"))) as url:
        assert await refused(client_of(url)) == "AuthFailure.SecretIdNotFound"
    async with listening(make(wall_clock=wall_clock)) as url:
        assert await refused(client_of(url)) == "AuthFailure.SignatureExpire"
    async with listening(make(credentials=Credentials(token="t"))) as url:
        assert await refused(client_of(url)) == "AuthFailure.TokenFailure"
        assert (await ask(client_of(url, token="t"))).Result == "w7 w8"


@pytest.mark.parametrize("off_s", [-600, 600])
async def test_a_clock_that_is_ten_minutes_off(off_s: int) -> None:
    async with listening(make(wall_clock=lambda: time.time() + off_s)) as url:
        assert await refused(client_of(url)) == "AuthFailure.SignatureExpire"


async def test_what_cannot_be_recognized() -> None:
    async with listening(make(mode="clock")) as url:
        client = client_of(url)
        assert await refused(client, "webm") == "InvalidParameterValue.ErrorInvalidVoiceFormat"
        assert await refused(client, "silk") == "InvalidParameterValue.ErrorInvalidVoiceFormat"
        assert await refused(client, SourceType=0, Url="x") == "InvalidParameterValue.ErrorInvalidSourcetype"
        assert await refused(client, EngSerViceType="x") == "InvalidParameterValue.ErrorInvalidEngservice"
        assert await refused(client, "mp3", as_wav(SPEECH)) == "FailedOperation.ErrorRecognize"
        assert await refused(client, audio=bytes(1_920_032)) == "InvalidParameterValue.ErrorVoicedataTooLong"
        long = encode(bytes(32000 * 62), "amr")
        assert await refused(client, "amr", long) == "InvalidParameterValue.ErrorVoicedataTooLong"
        assert await refused(client, audio=bytes(2_400_000)) == "InvalidParameterValue.ErrorVoicedataTooLong"
        whole_minute = await ask(client, "mp3", encode(bytes(32000 * 60), "mp3"))
        assert whole_minute.Result.split()[-1] == "t59600"
    async with listening(make(mode="coded")) as url:
        assert await refused(client_of(url), "mp3", encode(SPEECH, "mp3")) == "FailedOperation.ErrorRecognize"


async def test_faults() -> None:
    recognizer = make(
        Fault(do="api_delay", for_ms=50, request=1),
        Fault(do="api_error", code="RequestLimitExceeded", request=1),
        Fault(do="api_error", request=2),
        Fault(do="api_status", status=500, request=3),
        Fault(do="api_cut", request=4),
        Fault(do="error", connection=1, at_ms=0),
    )
    async with listening(recognizer) as url:
        client = client_of(url)
        started_s = trio.current_time()
        assert await refused(client) == "RequestLimitExceeded"
        assert trio.current_time() - started_s >= 0.05
        assert await refused(client) == "InternalError"
        assert await refused(client) == "ServerNetworkError"
        assert await refused(client) == "ClientNetworkError"
        assert (await ask(client)).Result == "w7 w8"
    async with listening(make(Fault(do="api_cut"))) as url:
        assert [await refused(client_of(url)) for _ in range(2)] == ["ClientNetworkError"] * 2


async def test_every_decoder_is_busy() -> None:
    recognizer = make(capacity=1)
    async with listening(recognizer) as url:
        recognizer.live = 1
        assert await refused(client_of(url)) == "RequestLimitExceeded"
        recognizer.live = 0
        assert (await ask(client_of(url))).Result == "w7 w8"


class FailingRecognizer(CodedRecognizer):
    def finish(self) -> None:
        self._emit(StreamFailed())


class FullEngine(ScriptedEngine):
    @asynccontextmanager
    async def open(self, settings: object, emit: object) -> AsyncGenerator[Any, None]:
        await trio.lowlevel.checkpoint()
        raise EngineUnavailableError
        yield


async def test_an_engine_that_fails_or_is_full_or_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    full: Engine = FullEngine()
    async with listening(Recognizer(full)) as url:
        assert await refused(client_of(url)) == "RequestLimitExceeded"
    monkeypatch.setattr("service.localasr.scripted.CodedRecognizer", FailingRecognizer)
    async with listening(make()) as url:
        assert await refused(client_of(url)) == "InternalError.ErrorRecognize"
    monkeypatch.setattr(FailingRecognizer, "finish", lambda self: None)
    monkeypatch.setattr("service.localasr.sentences.RECOGNIZE_S", 0.05)
    recognizer = make()
    async with listening(recognizer) as url:
        assert await refused(client_of(url)) == "InternalError.ErrorRecognize"
    assert recognizer.live == 0
    monkeypatch.setattr("service.localasr.sentences.JUDGE_S", 0.0)
    async with listening(make()) as url:
        assert await refused(client_of(url)) == "InternalError"


async def http(url: str, request: bytes) -> bytes:
    parts = urllib.parse.urlsplit(url)
    received = b""
    async with await trio.open_tcp_stream(str(parts.hostname), int(parts.port or 0)) as stream:
        await stream.send_all(request)
        async for data in stream:
            received += data
    return received


async def test_other_calls_are_answered_in_the_envelope() -> None:
    action = b"POST / HTTP/1.1\r\nX-TC-Action: SentenceRecognition\r\n"
    async with listening(make(Fault(do="api_cut", request=9))) as url:
        for request, expected in (
            (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", b'"Code":"InvalidAction"'),
            (action + b"Content-Length: 2\r\n\r\n{}", b'"Code":"NoSuchVersion"'),
            (
                action + b"X-TC-Version: 2019-06-14\r\nContent-Length: 2\r\n\r\n{}",
                b'"Code":"MissingParameter","Message":"X-TC-Timestamp',
            ),
            (action + b"Content-Length: 10000001\r\n\r\n" + bytes(10_000_001), b'"Code":"RequestSizeLimitExceeded"'),
        ):
            answer = await http(url, request)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            assert b"Connection: close\r\n" in answer
            assert expected in answer
        assert (await http(url, action + b"\r\n")).startswith(b"HTTP/1.1 411 ")


async def test_a_turn_that_does_not_come_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.localasr.sentences.MAX_BODIES", 1)
    monkeypatch.setattr("service.localasr.sentences.TURN_S", 0.05)
    recognizer = make()
    async with listening(recognizer) as url, trio.open_nursery() as nursery:
        slow = b"POST / HTTP/1.1\r\nX-TC-Action: SentenceRecognition\r\nContent-Length: 9\r\n\r\n"
        nursery.start_soon(http, url, slow)
        while recognizer.sentences.requests == 0:  # noqa: ASYNC110 - seen from outside, there is no event
            await trio.sleep(0.01)
        assert await refused(client_of(url)) == "RequestLimitExceeded"
        nursery.cancel_scope.cancel()


async def test_a_client_that_waits_is_asked_to_go_on() -> None:
    """As curl does with more than 1 MB."""
    async with listening(make()) as url:
        parts = urllib.parse.urlsplit(url)
        async with await trio.open_tcp_stream(str(parts.hostname), int(parts.port or 0)) as stream:
            await stream.send_all(b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            assert await stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
            await stream.send_all(b"{}")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_pocketsphinx_hears_every_format() -> None:
    pcm = clip()
    recordings = {"pcm": pcm, "wav": as_wav(pcm)} | {name: encode(pcm, name) for name in ENCODERS}
    heard: dict[str, str] = {}
    engine = SphinxEngine(2)
    with trio.fail_after(GUARD_S):
        async with trio.open_nursery() as pool:
            await pool.start(engine.run)
            recognizer = Recognizer(engine)
            async with listening(recognizer) as url:
                client = client_of(url)
                for name, data in recordings.items():
                    answer = await ask(client, name, data, WordInfo=1)
                    heard[name] = answer.Result
                    assert answer.WordSize == len(answer.WordList)
                    assert abs(answer.AudioDuration - len(pcm) // 32) <= 100
                target = url + resource(now_s=int(time.time()), engine_model_type="16k_en", voice_format="8")
                async with on_socket(target) as ws:
                    # 48 kbit/s mp3 in packets as large as 100 ms of it, at 2.5 times the speed of speech.
                    messages = await converse(ws, recordings["mp3"], packet_bytes=600, pace=2.5, rate_hz=3000)
            pool.cancel_scope.cancel()
    assert heard == dict.fromkeys(recordings, "go forward ten meters")
    assert [text for _, text, *_ in finals(messages)] == ["go forward ten meters"]
