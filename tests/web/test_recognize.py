"""`POST /api/realtime-voice/recognize` over real sockets, against a server that speaks Tencent's API 3.0."""

import base64
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
import trio
import trio.testing

from service.recognizer.formats import TENCENT_FORMATS, AudioFormat, identify
from service.recognizer.sentence import Limits, SentenceRecognizer
from service.recognizer.target import RecognizerTarget
from service.settings import AuthMode, RecognizerKind
from service.web.app import create_app
from service.web.recognize import MAX_PENDING_BYTES, MAX_UPLOAD_BYTES
from tests.support.api3_server import ACCOUNT, Api3Server, Reply, api3_server, error
from tests.support.coded_files import RECORDERS, can_make, made, sample_pcm, wav
from tests.support.edge import HttpClient, Running, make_deps, running_edge, until
from tests.support.edge import Reply as HttpReply

PATH = "/api/realtime-voice/recognize"
BOUNDARY = "----boundary-of-the-tests"
PCM = sample_pcm()
WAV = wav(PCM)
QUICK = Limits(backoff_s=(0.01, 0.01))


def multipart(audio: bytes | None, **fields: str) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    if audio is not None:
        head = 'Content-Disposition: form-data; name="audio"; filename="a"\r\nContent-Type: application/octet-stream'
        parts.append(f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + audio + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


class World:
    """A gateway and the API it calls."""

    def __init__(self, running: Running, api: Api3Server, recognizer: SentenceRecognizer) -> None:
        self.running = running
        self.api = api
        self.recognizer = recognizer

    async def post(self, audio: bytes | None, *headers: str, **fields: str) -> HttpReply:
        client = await HttpClient.connect(self.running.port)
        async with client.stream:
            kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
            return await client.request("POST", PATH, [kind, *headers], multipart(audio, **fields))

    async def data(self, audio: bytes, **fields: str) -> Any:
        """The `data` of a good answer."""
        reply = await self.post(audio, **fields)
        envelope = reply.envelope()
        assert (reply.status, envelope["code"], envelope["message"]) == (200, 0, "ok"), envelope
        return envelope["data"]

    async def refused(self, audio: bytes | None, *headers: str, **fields: str) -> tuple[int, str, str]:
        """Status, slug and message of a refusal, whose envelope is checked."""
        reply = await self.post(audio, *headers, **fields)
        envelope = reply.envelope()
        assert envelope["code"] == reply.status
        data = envelope["data"]
        assert set(data) == {"error", "retryable", "retryAfterMs"}
        assert ("retry-after" in reply.headers) == (data["retryAfterMs"] is not None)
        return reply.status, data["error"], envelope["message"]

    def count(self, outcome: str) -> float:
        labels = {"outcome": outcome}
        return self.running.deps.metrics.registry.get_sample_value("voice_sentences_total", labels) or 0.0


@contextlib.asynccontextmanager
async def world(
    *replies: Reply, limits: Limits = QUICK, with_decoder: bool = True, **settings: Any
) -> AsyncIterator[World]:
    chosen = {"auth_mode": AuthMode.OFF, "recognizer": RecognizerKind.LOCAL, "default_engine": "16k_en", **settings}
    async with api3_server(*replies) as api:
        deps = make_deps(**chosen)
        address = f"ws://127.0.0.1:{api.port}"
        deps.recognizer.target = RecognizerTarget(RecognizerKind.LOCAL, address, ACCOUNT, ("16k_en",))
        recognizer = SentenceRecognizer(
            deps.recognizer, deps.settings.tencent_api_url, limits=limits, with_decoder=with_decoder
        )
        async with running_edge(deps, create_app(deps, recognizer)) as running:
            yield World(running, api, recognizer)


async def test_good() -> None:
    async with world() as gateway:
        data = await gateway.data(WAV)
        assert data == {
            "id": data["id"],
            "text": "go forward ten meters",
            "audioTime": 2786,
            "wordList": [{"word": "go", "startMs": 410, "endMs": 700}],
        }
        (sent,) = gateway.api.requests
        assert sent == {
            "EngSerViceType": "16k_en",
            "SourceType": 1,
            "VoiceFormat": "wav",
            "Data": base64.b64encode(WAV).decode(),
            "DataLen": len(WAV),
            "WordInfo": 2,
        }
        assert gateway.count("completed") == 1


async def test_fields_of_the_former_service() -> None:
    async with world() as gateway:
        await gateway.data(
            WAV,
            engineType="16k_zh",
            voiceFormat="wav",
            needvad="1",
            filterDirty="1",
            filterModal="2",
            filterPunc="7",
            convertNumMode="0",
            wordInfo="1",
            vadSilenceTime="200",
            hotwords='[{"word": "监理", "weight": 5}]',
            strange="field",
        )
        sent = gateway.api.requests[0]
        assert {name: value for name, value in sent.items() if name not in ("Data", "DataLen")} == {
            "EngSerViceType": "16k_zh",
            "SourceType": 1,
            "VoiceFormat": "wav",
            "WordInfo": 1,
            "FilterDirty": 1,
            "FilterModal": 2,
            "FilterPunc": 2,
            "ConvertNumMode": 0,
            "HotwordList": "监理|5",
        }


@pytest.mark.parametrize("audio_format", [kind for kind in RECORDERS if can_make(kind)])
async def test_formats_of_phones(audio_format: AudioFormat) -> None:
    file = made(audio_format, PCM)
    assert identify(file) is audio_format
    async with world() as gateway:
        await gateway.data(file, voiceFormat="mp3")  # what the client says is not believed
        (sent,) = gateway.api.requests
        received = base64.b64decode(sent["Data"])
        if audio_format in TENCENT_FORMATS:
            assert (sent["VoiceFormat"], received) == (audio_format.value, file)
        else:
            assert (sent["VoiceFormat"], received[:4]) == ("wav", b"RIFF")
            assert len(received) >= len(WAV) * 0.99


@pytest.mark.parametrize("audio_format", [AudioFormat.WEBM, AudioFormat.FLAC])
async def test_without_the_converter(audio_format: AudioFormat) -> None:
    async with world(with_decoder=False) as gateway:
        status, slug, message = await gateway.refused(made(audio_format, PCM))
        assert (status, slug) == (415, "unsupported_audio")
        assert "without the converter" in message
        assert "mp3" in message
        assert gateway.api.requests == []


async def test_webm_behind_stale_bytes() -> None:
    async with world() as gateway:
        await gateway.data(bytes(1310) + made(AudioFormat.WEBM, PCM))
        assert gateway.api.requests[0]["VoiceFormat"] == "wav"


@pytest.mark.parametrize(("rate", "extra"), [(16000, {}), (8000, {"InputSampleRate": 8000})])
async def test_pcm_is_announced(rate: int, extra: dict[str, int]) -> None:
    async with world() as gateway:
        data = await gateway.data(PCM, voiceFormat="PCM", sampleRate=str(rate), wordInfo="0")
        assert data["audioTime"] == len(PCM) * 1000 // (2 * rate)
        sent = gateway.api.requests[0]
        assert sent["VoiceFormat"] == "pcm"
        assert {name: value for name, value in sent.items() if name == "InputSampleRate"} == extra
        status, slug, message = await gateway.refused(PCM)
        assert (status, slug) == (415, "unsupported_audio")
        assert "voiceFormat=pcm" in message


@pytest.mark.parametrize("as_format", ["wav", "pcm", "mp3"])
async def test_longer_than_a_minute_is_split_and_joined(as_format: str) -> None:
    pcm = (PCM + bytes(32000)) * 20
    length_ms = len(pcm) // 32
    file = {"wav": wav(pcm), "pcm": pcm}.get(as_format) or made(AudioFormat.MP3, pcm)
    async with world() as gateway:
        data = await gateway.data(file, voiceFormat="pcm" if as_format == "pcm" else "auto")
        assert data["text"] == "go forward ten meters go forward ten meters"
        assert data["audioTime"] == pytest.approx(length_ms, abs=100)
        first, second = data["wordList"]
        assert first == {"word": "go", "startMs": 410, "endMs": 700}
        assert 40_000 < second["startMs"] - 410 <= 55_000
        assert len(gateway.api.requests) == 2
        received = [base64.b64decode(sent["Data"]) for sent in gateway.api.requests]
        assert all(len(part) <= 55_000 * 32 + 44 for part in received)
        # The cut is at a pause: what is around it is silence (of mp3: nearly).
        ends = [part for part in received if len(part) == (second["startMs"] - 410) * 32 + (as_format != "pcm") * 44]
        assert max(abs(byte - 256 * (byte > 127)) for byte in ends[0][-3200:][1::2]) <= 1


async def test_long_mp3_without_the_converter() -> None:
    async with world(with_decoder=False) as gateway:
        status, slug, message = await gateway.refused(made(AudioFormat.MP3, PCM * 25))
        assert (status, slug) == (413, "audio_too_long")
        assert "60 s" in message


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"engineType": "no engine!"}, "engineType"),
        ({"wordInfo": "many"}, "wordInfo"),
        ({"voiceFormat": "vinyl"}, "voiceFormat"),
        ({"voiceFormat": "pcm", "sampleRate": "44100"}, "sampleRate"),
        ({"hotwords": "ten"}, "hotwords"),
        ({"hotwords": '[{"word": "a b"}]'}, "hotwords[0]"),
    ],
)
async def test_bad_fields(fields: dict[str, str], words: str) -> None:
    async with world() as gateway:
        status, slug, message = await gateway.refused(WAV, **fields)
        assert (status, slug) == (400, "bad_request")
        assert words in message


async def test_a_form_that_is_cut() -> None:
    async with world() as gateway:
        client = await HttpClient.connect(gateway.running.port)
        whole = multipart(WAV)
        kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
        reply = await client.request("POST", PATH, [kind], whole[: len(whole) // 2])
        assert (reply.status, reply.envelope()["data"]["error"]) == (400, "bad_request")


async def test_the_client_leaves() -> None:
    async with world(Reply(never=True), limits=Limits(deadline_s=1)) as gateway:
        client = await HttpClient.connect(gateway.running.port)
        body = multipart(WAV)
        kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
        head = f"POST {PATH} HTTP/1.1\r\nHost: test\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        await client.send(head.encode() + body)
        await until(lambda: gateway.api.at_a_time == 1)
        await client.stream.aclose()
        await until(lambda: gateway.count("client_left") == 1)
        await until(lambda: gateway.recognizer.call_threads.borrowed_tokens == 0)


async def test_no_audio() -> None:
    async with world() as gateway:
        assert (await gateway.refused(None))[:2] == (400, "bad_request")
        assert (await gateway.refused(None, file="text"))[:2] == (400, "bad_request")
        assert (await gateway.refused(b""))[:2] == (415, "unsupported_audio")
        client = await HttpClient.connect(gateway.running.port)
        reply = await client.request("POST", PATH, ["Content-Type: application/json"], b"{}")
        assert (reply.status, reply.envelope()["data"]["error"]) == (400, "bad_request")


async def test_over_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.web.recognize.LINGER_S", 0.3)
    async with world() as gateway:
        # Announced: refused by the length alone. Not announced: while it is being read.
        client = await HttpClient.connect(gateway.running.port)
        kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
        too_many = MAX_UPLOAD_BYTES + 100_000
        await client.send(
            f"POST {PATH} HTTP/1.1\r\nHost: test\r\n{kind}\r\nContent-Length: {too_many}\r\n\r\n".encode()
        )
        reply = await client.reply()
        assert (reply.status, reply.envelope()["data"]["error"]) == (413, "audio_too_long")

        client = await HttpClient.connect(gateway.running.port)
        await client.send(
            f"POST {PATH} HTTP/1.1\r\nHost: test\r\n{kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )

        async def go_on_sending() -> None:
            opening, piece = multipart(b"<>").partition(b"<>")[0], bytes(100_000)
            with contextlib.suppress(trio.BrokenResourceError):
                await client.send(f"{len(opening):x}\r\n".encode() + opening + b"\r\n")
                while True:
                    await client.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(go_on_sending)
            reply = await client.reply()
            nursery.cancel_scope.cancel()
        assert (reply.status, reply.envelope()["data"]["error"]) == (413, "audio_too_long")
        assert gateway.count("audio_too_long") == 2

        # As large as it may be, and far too long.
        assert (await gateway.refused(wav(bytes(MAX_UPLOAD_BYTES - 44), 8000)))[:2] == (413, "audio_too_long")


async def test_uploads_that_pile_up() -> None:
    async with world() as gateway, contextlib.AsyncExitStack() as stack:
        kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
        for _ in range(MAX_PENDING_BYTES // MAX_UPLOAD_BYTES):
            client = await HttpClient.connect(gateway.running.port)
            await stack.enter_async_context(client.stream)
            head = f"POST {PATH} HTTP/1.1\r\nHost: test\r\n{kind}\r\nContent-Length: {MAX_UPLOAD_BYTES}\r\n\r\n"
            await client.send(head.encode())
        await trio.testing.wait_all_tasks_blocked(0.1)
        reply = await gateway.post(bytes(MAX_UPLOAD_BYTES - 1000))
        data = reply.envelope()["data"]
        assert (reply.status, data["error"], data["retryable"]) == (429, "too_many_requests", True)
        assert int(reply.headers["retry-after"]) >= 1


async def test_authentication() -> None:
    secret = "0123456789abcdef0123456789abcdef"
    good = jwt.encode({"exp": time.time() + 60}, secret)
    old = jwt.encode({"exp": time.time() - 60}, secret)
    async with world(auth_mode=AuthMode.TOKEN, jwt_secret=secret) as gateway:
        assert (await gateway.refused(WAV))[:2] == (401, "unauthenticated")
        assert (await gateway.refused(WAV, f"Authorization: Bearer {old}"))[:2] == (401, "token_expired")
        assert (await gateway.post(WAV, f"Authorization: Bearer {good}")).status == 200
        assert (await gateway.post(WAV, f"token: {good}")).status == 200
    async with world(auth_mode=AuthMode.LOCKED) as gateway:
        assert (await gateway.refused(WAV))[:2] == (501, "not_configured")
    async with world(recognizer=RecognizerKind.NONE) as gateway:
        assert (await gateway.refused(WAV))[:2] == (501, "not_configured")


async def test_draining_and_no_recognizer() -> None:
    async with world() as gateway:
        gateway.running.deps.recognizer.target = None
        assert (await gateway.refused(WAV))[:2] == (503, "recognizer_unavailable")
        gateway.running.deps.lifecycle.drain()
        assert (await gateway.refused(WAV))[:2] == (503, "restarting")


@pytest.mark.parametrize(
    ("code", "status", "slug"),
    [
        ("InvalidParameterValue.ErrorInvalidEngservice", 400, "engine_not_supported"),
        ("InvalidParameterValue.ErrorInvalidVoicedata", 415, "unsupported_audio"),
        ("InvalidParameterValue.ErrorVoicedataTooLong", 413, "audio_too_long"),
        ("FailedOperation.UserHasNoAmount", 502, "recognizer_rejected"),
        ("RequestLimitExceeded", 503, "recognizer_busy"),
    ],
)
async def test_refused_by_the_recognizer(code: str, status: int, slug: str) -> None:
    async with world(*[Reply(error(code, "secret words"))] * 3) as gateway:
        told = await gateway.refused(WAV)
        assert told[:2] == (status, slug)
        assert code in told[2]
        assert "secret words" not in told[2]


async def test_one_log_line_without_what_was_said(caplog: pytest.LogCaptureFixture) -> None:
    async with world(Reply(), *[Reply(error("AuthFailure.SignatureFailure"))]) as gateway:
        with caplog.at_level(logging.DEBUG):
            data = await gateway.data(WAV)
            await gateway.refused(WAV)
    first, second = [record.voice_fields for record in caplog.records if record.msg == "sentence"]  # type: ignore[attr-defined]
    assert first | {"lasted_ms": 0} == {
        "sentence": data["id"],
        "outcome": "completed",
        "reason": None,
        "uploaded_bytes": len(WAV),
        "format": "wav",
        "sent_as": "wav",
        "parts": 1,
        "audio_ms": 2786,
        "lasted_ms": 0,
    }
    assert second["outcome"] == "recognizer_rejected"
    assert "credentials" in second["reason"]
    everything = json.dumps([record.getMessage() for record in caplog.records]) + str(caplog.records)
    for private in ("forward", ACCOUNT.secret_key, ACCOUNT.secret_id, "TC3", base64.b64encode(WAV).decode()[:40]):
        assert private not in everything


async def test_a_hundred_uploads_at_a_time() -> None:
    """All are answered, by no more threads than there may be, and a task beside them is not kept waiting."""
    limits = Limits(per_s=1000, max_waiting=100, call_threads=10)
    late_s: list[float] = []

    async def watch() -> None:
        while True:
            due = trio.current_time() + 0.005
            await trio.sleep_until(due)
            late_s.append(trio.current_time() - due)

    async with world(limits=limits) as gateway:
        gateway.api.default = Reply(after_s=0.02)
        texts: list[str] = []

        async def upload() -> None:
            texts.append((await gateway.data(WAV))["text"])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            async with trio.open_nursery() as uploads:
                for _ in range(100):
                    uploads.start_soon(upload)
            nursery.cancel_scope.cancel()
        assert texts == ["go forward ten meters"] * 100
        assert len(gateway.api.requests) == 100
        assert 1 < gateway.api.most_at_a_time <= 10
        assert gateway.recognizer.call_threads.borrowed_tokens == 0
        assert len(late_s) > 20
        late_s.sort()
        # The median tells of a loop that is held up again and again, and not of a noisy machine.
        assert late_s[len(late_s) // 2] < 0.05
