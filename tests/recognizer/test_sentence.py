"""The SDK's real client against a server that speaks the API, and fails in every way it can."""

import logging
import threading

import pytest
import trio

from service.failures import Slug, StreamFailed
from service.recognizer.preparation import Upload
from service.recognizer.sentence import Limits, SentenceRecognizer, api_url_of, is_loopback
from service.recognizer.target import RecognizerDirectory, RecognizerTarget
from service.recognizer.tencent_api import Options
from service.settings import RecognizerKind, TencentCredentials
from tests.support.api3_server import ACCOUNT, Api3Server, Reply, api3_server, error
from tests.support.coded_files import sample_pcm, wav

HANG_S = 20
WAV = Upload(wav(sample_pcm()))
OPTIONS = Options("16k_en")
QUICK = Limits(backoff_s=(0.01, 0.01))


def recognizer_of(
    api: Api3Server, limits: Limits = QUICK, credentials: TencentCredentials = ACCOUNT
) -> SentenceRecognizer:
    target = RecognizerTarget(RecognizerKind.TENCENT, "wss://unused", credentials, ())
    return SentenceRecognizer(RecognizerDirectory(target), api.url, limits=limits)


async def text_of(recognizer: SentenceRecognizer) -> str:
    with trio.fail_after(HANG_S):
        return (await recognizer.recognize(WAV, OPTIONS)).sentence.text


async def slug_of(recognizer: SentenceRecognizer) -> Slug:
    with trio.fail_after(HANG_S), pytest.raises(StreamFailed) as caught:
        await recognizer.recognize(WAV, OPTIONS)
    return caught.value.problem.slug


async def test_good_and_the_connection_is_used_again() -> None:
    async with api3_server() as api:
        recognizer = recognizer_of(api)
        assert [await text_of(recognizer) for _ in range(3)] == ["go forward ten meters"] * 3
        assert len(recognizer._idle_clients) == 1
        assert api.headers[0]["x-tc-action"] == "SentenceRecognition"
        assert "x-tc-token" not in api.headers[0]


async def test_temporary_credentials() -> None:
    async with api3_server() as api:
        credentials = TencentCredentials(ACCOUNT.app_id, ACCOUNT.secret_id, ACCOUNT.secret_key, "token-of-the-tests")
        assert await text_of(recognizer_of(api, credentials=credentials))
        assert api.headers[0]["x-tc-token"] == "token-of-the-tests"


async def test_wrong_key() -> None:
    async with api3_server() as api:
        credentials = TencentCredentials(ACCOUNT.app_id, ACCOUNT.secret_id, "another-key")
        assert await slug_of(recognizer_of(api, credentials=credentials)) is Slug.RECOGNIZER_REJECTED
        assert len(api.requests) == 1, "retried in vain"


async def test_a_key_that_the_sdk_does_not_take() -> None:
    async with api3_server() as api:
        credentials = TencentCredentials(ACCOUNT.app_id, " padded ", "key")
        assert await slug_of(recognizer_of(api, credentials=credentials)) is Slug.RECOGNIZER_REJECTED
        assert api.requests == []


@pytest.mark.parametrize("off_s", [-600, 600])
async def test_clock_off_by_ten_minutes(off_s: int) -> None:
    async with api3_server() as api:
        api.clock_off_s = off_s
        with pytest.raises(StreamFailed) as caught:
            await recognizer_of(api).recognize(WAV, OPTIONS)
        assert caught.value.problem.slug is Slug.RECOGNIZER_REJECTED
        assert "clock" in caught.value.problem.message


@pytest.mark.parametrize(
    "trouble",
    [
        Reply(error("RequestLimitExceeded")),
        Reply(error("RequestLimitExceeded.UinLimitExceeded")),
        Reply(error("InternalError.ErrorRecognize")),
        Reply(error("FailedOperation.ErrorRecognize")),
        Reply(status=500),
        Reply(status=502, raw=b"<html>", content_type="text/html"),
        Reply(cut_after_bytes=0),
        Reply(cut_after_bytes=120),
        Reply(raw=b"{}"),
        Reply(raw=b"\xff not json"),
        Reply(response={"Result": None}),
        Reply(error("InternalError"), content_type="application/json; charset=utf-8"),
    ],
    ids=[
        "throttled", "account-throttled", "internal", "failed", "500", "502", "no-answer", "cut", "empty", "garbage",
        "no-result", "error-with-a-charset",
    ],
)  # fmt: skip
async def test_trouble_that_passes(trouble: Reply) -> None:
    async with api3_server(trouble, trouble) as api:
        recognizer = recognizer_of(api)
        assert await text_of(recognizer) == "go forward ten meters"
        assert len(api.requests) == 3
        assert recognizer.call_threads.borrowed_tokens == 0


@pytest.mark.parametrize(
    ("trouble", "slug"),
    [
        (Reply(error("RequestLimitExceeded")), Slug.RECOGNIZER_BUSY),
        (Reply(status=500), Slug.RECOGNIZER_UNAVAILABLE),
        (Reply(cut_after_bytes=0), Slug.RECOGNIZER_UNAVAILABLE),
        (Reply(raw=b"{}"), Slug.RECOGNIZER_UNAVAILABLE),
    ],
)
async def test_trouble_that_stays(trouble: Reply, slug: Slug) -> None:
    async with api3_server() as api:
        api.default = trouble
        assert await slug_of(recognizer_of(api)) is slug
        assert len(api.requests) == 3


async def test_errors_are_seen_whatever_their_content_type() -> None:
    async with api3_server() as api:
        wrong = "InvalidParameterValue.ErrorInvalidEngservice"
        api.default = Reply(error(wrong), content_type="application/json; charset=utf-8")
        assert await slug_of(recognizer_of(api)) is Slug.ENGINE_NOT_SUPPORTED
        assert len(api.requests) == 1


async def test_nobody_listens() -> None:
    async with api3_server() as api:
        pass
    assert await slug_of(recognizer_of(api)) is Slug.RECOGNIZER_UNAVAILABLE


async def test_deadline_and_the_thread_left_behind_is_counted() -> None:
    async with api3_server(Reply(never=True)) as api:
        recognizer = recognizer_of(api, Limits(deadline_s=0.3))
        assert await slug_of(recognizer) is Slug.RECOGNIZER_TIMEOUT
        assert recognizer.call_threads.borrowed_tokens == 1
        with trio.fail_after(HANG_S):  # its socket's own timeout ends it
            while recognizer.call_threads.borrowed_tokens:  # noqa: ASYNC110
                await trio.sleep(0.01)
        assert await text_of(recognizer) == "go forward ten meters"


async def test_no_retry_that_the_deadline_does_not_allow() -> None:
    async with api3_server() as api:
        api.default = Reply(error("InternalError"))
        assert await slug_of(recognizer_of(api, Limits(deadline_s=2, backoff_s=(5, 5)))) is Slug.RECOGNIZER_UNAVAILABLE
        assert len(api.requests) == 1


async def test_threads_are_bounded_and_so_is_the_queue() -> None:
    async with api3_server() as api:
        api.default = Reply(after_s=0.2)
        recognizer = recognizer_of(api, Limits(per_s=5, max_waiting=3, call_threads=2, deadline_s=10))
        ended: list[Slug | str] = []
        hints_ms: list[int] = []

        async def one() -> None:
            try:
                ended.append((await recognizer.recognize(WAV, OPTIONS)).sentence.text)
            except StreamFailed as failed:
                ended.append(failed.problem.slug)
                hints_ms.append(failed.problem.retry_after_ms or 0)

        with trio.fail_after(HANG_S):
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(one)
        assert ended.count("go forward ten meters") == 8, "five at once, three that waited"
        assert ended.count(Slug.TOO_MANY_REQUESTS) == 12
        assert min(hints_ms) >= 1000
        assert api.most_at_a_time == 2


async def test_no_proxy_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with api3_server() as api:
        assert await text_of(recognizer_of(api)) == "go forward ten meters"


async def test_nothing_private_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with api3_server(Reply(error("InternalError"))) as api:
            assert await text_of(recognizer_of(api))
    everything = " ".join(record.getMessage() for record in caplog.records)
    for private in (ACCOUNT.secret_id, "TC3-HMAC", "UklGR", "forward"):
        assert private not in everything


async def test_cancelled_at_once() -> None:
    async with api3_server(Reply(never=True)) as api:
        recognizer = recognizer_of(api, Limits(deadline_s=1))
        before = threading.active_count()
        with trio.move_on_after(0.1) as scope:
            await recognizer.recognize(WAV, OPTIONS)
        assert scope.cancelled_caught
        with trio.fail_after(HANG_S):
            while recognizer.call_threads.borrowed_tokens:  # noqa: ASYNC110
                await trio.sleep(0.01)
        assert threading.active_count() <= before + 2


@pytest.mark.parametrize(
    ("kind", "url", "expected"),
    [
        (RecognizerKind.LOCAL, "ws://127.0.0.1:4711", "http://127.0.0.1:4711"),
        (RecognizerKind.LOCAL, "wss://[::1]:4711", "https://[::1]:4711"),
        (RecognizerKind.TENCENT, "wss://asr.cloud.tencent.com", "https://configured"),
    ],
)
def test_where_the_api_is(kind: RecognizerKind, url: str, expected: str) -> None:
    assert api_url_of(RecognizerTarget(kind, url, ACCOUNT, ()), "https://configured") == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("asr.tencentcloudapi.com", False), ("127x", False)],
)
def test_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
