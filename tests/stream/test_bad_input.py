"""What a client does wrong: each gets its row of the catalogue, and the stream goes on where the row says so."""

import base64
from typing import Any

import jwt
import pytest
import trio

from service.failures import CATALOGUE, Slug
from service.settings import AuthMode, RecognizerKind
from tests.support.stream_world import NOW_S, World, words

NOT_FATAL = [
    ("not JSON", "{", Slug.BAD_MESSAGE),
    ("no object", "[1]", Slug.BAD_MESSAGE),
    ("empty", "", Slug.BAD_MESSAGE),
    ("no type", "{}", Slug.BAD_MESSAGE),
    ("unknown type", '{"type": "sing"}', Slug.BAD_MESSAGE),
    ("invalid base64", '{"type": "audio", "data": "%%%"}', Slug.BAD_MESSAGE),
    ("wrong field", '{"type": "audio", "isEnd": "perhaps"}', Slug.BAD_MESSAGE),
    ("wrong finalize", '{"type": "finalize", "id": [1]}', Slug.BAD_MESSAGE),
    ("second start", '{"type": "start"}', Slug.ALREADY_STARTED),
]
WRONG_STARTS: list[tuple[dict[str, Any], Slug]] = [
    ({"sampleRate": 44100}, Slug.BAD_START),
    ({"sampleRate": "fast"}, Slug.BAD_START),
    ({"engineType": "16k zh"}, Slug.BAD_START),
    ({"engineType": "8k_zh", "sampleRate": 16000}, Slug.BAD_START),
    ({"needVad": "perhaps"}, Slug.BAD_START),
    ({"hotwords": [{"word": "two words"}]}, Slug.BAD_START),
    ({"hotwords": [{"word": "x", "weight": 12}]}, Slug.BAD_START),
    ({"hotwords": "x"}, Slug.BAD_START),
    ({"resume": {"streamId": "x"}}, Slug.BAD_START),
    ({"resume": {"streamId": "x y", "sentences": 0, "settledMs": 0}}, Slug.BAD_START),
    ({"resume": {"streamId": "x", "sentences": -1, "settledMs": 0}}, Slug.BAD_START),
    ({"resume": {"streamId": "x", "sentences": 0, "settledMs": 86_400_001}}, Slug.BAD_START),
    ({"voiceFormat": "aac"}, Slug.UNSUPPORTED_AUDIO),
    ({"voiceFormat": 10}, Slug.UNSUPPORTED_AUDIO),
    ({"engineType": "16k_klingon"}, Slug.ENGINE_NOT_SUPPORTED),
]


@pytest.mark.parametrize(("text", "slug"), [case[1:] for case in NOT_FATAL], ids=[case[0] for case in NOT_FATAL])
async def test_the_stream_goes_on(text: str, slug: Slug, nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        await phone.talk(words(1))
        phone.say_raw(text)
        error = await phone.hear("error")
        await phone.talk(words(2))
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert (error["code"], error["fatal"]) == (slug, False)
    assert stopped["text"] == "w1 w2"
    assert world.metric("voice_messages_rejected_total", slug=slug) == 1
    assert phone.closed == (1000, "completed")


async def test_the_tenth_bad_message_ends_the_stream(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        for _ in range(10):
            phone.say_raw("nonsense")
        errors = [await phone.hear("error") for _ in range(10)]
    assert [error["fatal"] for error in errors] == [False] * 9 + [True]
    assert phone.closed == (4400, "bad_message")
    assert world.metric("voice_streams_ended_total", outcome="bad_message") == 1
    world.assert_nothing_left()


@pytest.mark.parametrize(("start", "slug"), WRONG_STARTS)
async def test_wrong_starts(start: dict[str, Any], slug: Slug, nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone(started=False) as phone:
        phone.say(type="start", **start)
        error = await phone.hear("error", "ready")
    assert (error["code"], error["fatal"], error["retryable"]) == (slug, True, False)
    assert phone.closed == (CATALOGUE[slug].close_code, slug)
    world.assert_nothing_left()


async def test_audio_and_commands_before_start(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone(started=False) as phone:
        for _ in range(20):
            phone.audio(b"\1\0" * 640)
        phone.say(type="stop")
        assert (await phone.hear("error"))["code"] == "not_started"
        phone.say(type="start")
        await phone.hear("ready")
        await phone.talk(words(1))
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert stopped["text"] == "w1"
    assert stopped["audio"]["receivedMs"] == 400
    assert len(phone.all("error")) == 1
    assert world.metric("voice_messages_rejected_total", slug="not_started") == 21


@pytest.mark.parametrize("message", [b"x" * 65537, "x" * 65537])
async def test_a_message_that_is_too_big(message: bytes | str, nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        if isinstance(message, bytes):
            phone.audio(message)
        else:
            phone.say_raw(message)
        assert (await phone.hear("error"))["code"] == "message_too_big"
    assert phone.closed == (1009, "message_too_big")
    world.assert_nothing_left()


async def test_webm_announced_as_pcm(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        phone.audio(b"\x1a\x45\xdf\xa3" + bytes(1000))
        error = await phone.hear("error")
    assert error["code"] == "unsupported_audio"
    assert "WebM" in error["message"]
    assert phone.closed == (4415, "unsupported_audio")
    world.assert_nothing_left()


async def test_frames_of_any_length(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    audio = words(1, 2, 3)
    async with world.phone() as phone:
        place, size = 0, 0
        while place < len(audio):
            phone.audio(audio[place : place + size])
            place, size = place + size, (size * 7 + 1) % 3001
            if size % 5 == 0:
                phone.audio(b"")
                await trio.sleep(0.01)
        phone.audio(b"\1")
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert stopped["text"] == "w1 w2 w3"
    assert stopped["audio"]["receivedBytes"] == len(audio) + 1
    assert stopped["audio"]["droppedBytes"] == 1
    assert stopped["audio"]["relayedBytes"] == len(audio)


async def test_audio_as_base64_and_the_old_end(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone(userId=7, needvad=1, vadSilenceTime=200, voiceFormat=1) as phone:
        ready = phone.all("ready")[0]
        for place in range(0, len(words(1, 2)), 1280):
            data = base64.b64encode(words(1, 2)[place : place + 1280]).decode()
            phone.say(type="audio", data=data, isEnd=False)
        phone.say(type="audio", data="", isEnd=True)
        stopped = await phone.hear("stopped")
    assert (ready["needVad"], ready["vadSilenceMs"]) == (True, 500)
    assert stopped["text"] == "w1 w2"


async def test_after_stop(nursery: trio.Nursery, autojump_clock: object) -> None:
    """A second stop is ignored, audio is dropped and counted, finalize is refused."""
    world = World(nursery)
    async with world.phone() as phone:
        await phone.talk(words(1))
        phone.say(type="stop")
        phone.say(type="stop")
        phone.audio(words(2))
        phone.say(type="finalize")
        stopped = await phone.hear("stopped")
    assert stopped["text"] == "w1"
    assert stopped["audio"]["droppedMs"] == 400
    assert stopped["audio"]["receivedMs"] == 800
    assert [error["code"] for error in phone.all("error")] == ["bad_message"]
    assert len(phone.all("stopped")) == 1


async def test_too_many_finalize_requests(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        await phone.talk(words(1))
        for number in range(20):
            phone.say(type="finalize", id=number)
        phone.say(type="stop")
        await phone.hear("stopped")
    assert [message["id"] for message in phone.all("finalized")] == list(range(16))
    assert len(phone.all("error")) == 4


async def test_cancel(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone(started=False) as phone:
        phone.say(type="cancel")
    assert phone.closed == (1000, "canceled")
    assert world.metric("voice_streams_ended_total", outcome="canceled") == 0
    async with world.phone() as phone:
        await phone.talk(words(1))
        phone.say(type="cancel")
    assert phone.closed == (1000, "canceled")
    assert not phone.all("stopped")
    assert world.metric("voice_streams_ended_total", outcome="canceled") == 1
    world.assert_nothing_left()


async def test_a_client_that_leaves(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        await phone.talk(words(1))
        phone.hang_up()
    assert world.metric("voice_streams_ended_total", outcome="client_left") == 1
    world.assert_nothing_left()


async def test_places_for_streams(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, max_streams=1)
    async with world.phone() as first:
        async with world.phone(started=False) as second:
            second.say(type="start")
            error = await second.hear("error")
        assert (error["code"], error["retryable"]) == ("overloaded", True)
        assert 1000 <= error["retryAfterMs"] <= 4000
        assert second.closed == (4503, "overloaded")
        first.say(type="cancel")
    async with world.phone() as third:
        third.say(type="cancel")


async def test_an_instance_that_is_being_stopped(nursery: trio.Nursery, autojump_clock: object) -> None:
    """What becomes of its streams is in test_drain.py."""
    world = World(nursery)
    async with world.phone(started=False) as early:
        await early.hear("welcome")
        world.deps.lifecycle.drain()
        early.say(type="start")
        assert (await early.hear("error"))["code"] == "restarting"
    assert early.closed == (1012, "restarting")
    async with world.phone(started=False) as late:
        late.say(type="start")
        assert (await late.hear("error"))["code"] == "restarting"
    assert world.metric("voice_messages_rejected_total", slug="restarting") == 2
    world.assert_nothing_left()


@pytest.mark.parametrize(
    "settings", [{"auth_mode": AuthMode.LOCKED}, {"recognizer": RecognizerKind.NONE, "credentials": None}]
)
async def test_a_service_that_is_not_configured(
    settings: dict[str, Any], nursery: trio.Nursery, autojump_clock: object
) -> None:
    world = World(nursery, **settings)
    async with world.phone(started=False) as phone:
        phone.say(type="start")
        assert (await phone.hear("error"))["code"] == "not_configured"
    assert phone.closed == (4501, "not_configured")


SECRET = "a secret of at least 32 characters"


@pytest.mark.parametrize("place", ["bearer", "start"])
async def test_tokens(place: str, nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, auth_mode=AuthMode.TOKEN, jwt_secret=SECRET)
    token = jwt.encode({"exp": 4_000_000_000, "userId": 7}, SECRET, "HS256")
    expired = jwt.encode({"exp": int(NOW_S)}, SECRET, "HS256")
    for given, answer in (
        (token, "ready"),
        (expired, "token_expired"),
        (token[:-2], "unauthenticated"),
        ("", "unauthenticated"),
    ):
        start = {"token": given} if place == "start" else {}
        async with world.phone(bearer=given if place == "bearer" else "", started=False) as phone:
            phone.say(type="start", **start)
            message = await phone.hear("ready", "error")
            assert message.get("code", message["type"]) == answer
            phone.say(type="cancel")
