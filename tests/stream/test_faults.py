"""Every fault of the recognizer, on virtual time: what the client is told, and that nothing is left behind."""

import logging

import msgspec
import pytest
import trio
import trio.testing

from service.failures import CATALOGUE, Slug
from service.recognizer import tencent
from service.recognizer.connection import CONNECT_S, SEND_S
from service.recognizer.tencent import Settled
from service.stream.audio import BURST_S
from service.stream.clocks import FAILOVER_S, FINISH_S
from service.stream.failover import JITTER, MAX_IN_VAIN, PAUSES_S
from service.stream.transcript import Transcript
from tests.support.fault_stream import FaultyStream
from tests.support.stream_world import Fault, Script, World, words

FAULTS = [
    ("refused upgrade", Fault("refuse", status=503), Slug.RECOGNIZER_UNAVAILABLE, "upgrade"),
    ("silent after the upgrade", Fault("silent_handshake"), Slug.RECOGNIZER_TIMEOUT, "first_message_timeout"),
    ("closes at once", Fault("close"), Slug.RECOGNIZER_UNAVAILABLE, "lost"),
    ("closes in the middle", Fault("close", at_ms=500), Slug.RECOGNIZER_UNAVAILABLE, "lost"),
    ("closes after end", Fault("close", at_end=True), Slug.RECOGNIZER_UNAVAILABLE, "lost"),
    ("talks nonsense at once", Fault("garbage"), Slug.RECOGNIZER_UNAVAILABLE, "garbled"),
    ("talks nonsense later", Fault("garbage", at_ms=500), Slug.RECOGNIZER_UNAVAILABLE, "garbled"),
]
SILENT = [
    ("never settles", Fault("swallow_final")),
    ("stalls for a minute", Fault("stall", at_ms=500, for_ms=60_000)),
    ("stops reading", Fault("stop_reading", at_ms=500)),
]
CODES = [
    (4000, Slug.RECOGNIZER_UNAVAILABLE),
    (4002, Slug.RECOGNIZER_REJECTED),
    (4003, Slug.RECOGNIZER_REJECTED),
    (4004, Slug.RECOGNIZER_REJECTED),
    (4005, Slug.RECOGNIZER_REJECTED),
    (4006, Slug.RECOGNIZER_BUSY),
    (4007, Slug.UNSUPPORTED_AUDIO),
    (4008, Slug.RECOGNIZER_UNAVAILABLE),
    (4010, Slug.RECOGNIZER_REJECTED),
    (5000, Slug.RECOGNIZER_UNAVAILABLE),
    (5001, Slug.RECOGNIZER_UNAVAILABLE),
    (5002, Slug.RECOGNIZER_UNAVAILABLE),
    (6001, Slug.RECOGNIZER_REJECTED),
]


def once(fault: Fault) -> Fault:
    """The same, for the first connection only."""
    return msgspec.structs.replace(fault, connection=1)


@pytest.mark.parametrize(("fault", "slug", "label"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
async def test_what_happens_to_every_connection(
    fault: Fault, slug: Slug, label: str, nursery: trio.Nursery, autojump_clock: object
) -> None:
    """The stream ends with it after three attempts that brought it no further; each one is counted."""
    world = World(nursery, Script(faults=(fault,)))
    async with world.phone(started=False) as phone:
        phone.say(type="start")
        if fault.at_end:
            await phone.talk(words(1, 2, 3))
            phone.say(type="stop")
        else:
            nursery.start_soon(phone.talk, words(*range(1, 100)))
        error = await phone.hear("error", "stopped")
    assert error["type"] == "error", error
    assert (error["code"], error["retryable"], error["fatal"]) == (slug, CATALOGUE[slug].retryable, True)
    assert phone.closed == (CATALOGUE[slug].close_code, slug)
    # Those that heard something of the audio, and more of it than any before, were not in vain.
    if fault.do == "silent_handshake":
        assert world.dials == MAX_IN_VAIN - 1  # each took 10 s, and somebody waits for `ready`
    else:
        assert world.dials == MAX_IN_VAIN if fault.at_ms is None and not fault.at_end else world.dials > MAX_IN_VAIN
    assert world.metric("voice_recognizer_errors_total", code=label) == world.dials
    assert world.metric("voice_streams_ended_total", outcome=slug) == 1
    assert not phone.all("stopped")
    world.assert_nothing_left()


@pytest.mark.parametrize(("fault", "label"), [case[1::2] for case in FAULTS], ids=[case[0] for case in FAULTS])
async def test_what_happens_to_one_connection(
    fault: Fault, label: str, nursery: trio.Nursery, autojump_clock: object
) -> None:
    """Another one takes its place, and nobody notices."""
    world = World(nursery, Script(faults=(once(fault),)))
    async with world.phone() as phone:
        await phone.talk(words(1, 2, 3))
        phone.say(type="stop")
        stopped = await phone.hear("error", "stopped")
    assert stopped["text"] == "w1 w2 w3"
    assert [(final["index"], final["text"], final["startMs"]) for final in phone.finals] == [(0, "w1 w2 w3", 0)]
    assert (stopped["audio"]["relayedMs"], stopped["audio"]["droppedMs"]) == (1200, 0)
    assert world.dials == 2
    assert world.metric("voice_recognizer_errors_total", code=label) == 1
    assert world.metric("voice_streams_ended_total", outcome="completed") == 1
    world.assert_nothing_left()


@pytest.mark.parametrize("fault", [case[1] for case in SILENT], ids=[case[0] for case in SILENT])
async def test_a_recognizer_that_falls_silent(fault: Fault, nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, Script(faults=(fault,)))
    async with world.phone() as phone:
        await phone.talk(words(1, 2, 3))
        asked = trio.current_time()
        phone.say(type="stop")
        error = await phone.hear("error", "stopped")
        assert trio.current_time() == pytest.approx(asked + FINISH_S + FAILOVER_S)
    assert (error["code"], error["fatal"]) == ("recognizer_timeout", True)
    assert phone.closed == (CATALOGUE[Slug.RECOGNIZER_TIMEOUT].close_code, "recognizer_timeout")
    assert world.dials == 3
    world.assert_nothing_left()


@pytest.mark.parametrize("fault", [case[1] for case in SILENT], ids=[case[0] for case in SILENT])
async def test_one_connection_that_falls_silent(fault: Fault, nursery: trio.Nursery, autojump_clock: object) -> None:
    """It is taken as lost, and the next one settles what was said."""
    world = World(nursery, Script(faults=(once(fault),)))
    async with world.phone() as phone:
        await phone.talk(words(1, 2, 3))
        asked = trio.current_time()
        phone.say(type="stop")
        assert (await phone.hear("error", "stopped"))["text"] == "w1 w2 w3"
        assert asked + FINISH_S < trio.current_time() < asked + FINISH_S + 4
    assert [final["text"] for final in phone.finals] == ["w1 w2 w3"]
    assert world.dials == 2
    assert world.metric("voice_streams_ended_total", outcome="completed") == 1
    world.assert_nothing_left()


@pytest.mark.parametrize("at_ms", [None, 500])
@pytest.mark.parametrize(("code", "slug"), CODES)
async def test_what_the_recognizer_says(
    code: int, slug: Slug, at_ms: int | None, nursery: trio.Nursery, autojump_clock: object
) -> None:
    world = World(nursery, Script(faults=(Fault("error", code=code, at_ms=at_ms),)))
    async with world.phone(started=False) as phone:
        phone.say(type="start")
        nursery.start_soon(phone.talk, words(1, 2, 3))
        error = await phone.hear("error")
    assert error["code"] == slug
    assert f"code {code}" in error["message"]
    assert (error["retryAfterMs"] is not None) is (slug is Slug.RECOGNIZER_BUSY)
    assert phone.closed == (CATALOGUE[slug].close_code, slug)
    assert world.metric("voice_recognizer_errors_total", code=str(code)) == world.dials
    may_pass = slug is Slug.RECOGNIZER_UNAVAILABLE or (slug is Slug.RECOGNIZER_BUSY and at_ms is not None)
    assert world.dials >= MAX_IN_VAIN if may_pass else world.dials == 1
    world.assert_nothing_left()


@pytest.mark.parametrize(("code", "slug"), CODES)
async def test_what_the_recognizer_says_once(
    code: int, slug: Slug, nursery: trio.Nursery, autojump_clock: object
) -> None:
    """What may pass is tried again; what is about the client or the account is not."""
    world = World(nursery, Script(faults=(Fault("error", code=code, at_ms=500, connection=1),)))
    may_pass = slug in (Slug.RECOGNIZER_UNAVAILABLE, Slug.RECOGNIZER_BUSY)
    async with world.phone() as phone:
        await phone.talk(words(1, 2, 3))
        if may_pass:
            phone.say(type="stop")
        last = await phone.hear("error", "stopped")
    assert last.get("text", last.get("code")) == ("w1 w2 w3" if may_pass else slug)
    assert world.dials == (2 if may_pass else 1)
    assert world.metric("voice_recognizer_errors_total", code=str(code)) == 1
    world.assert_nothing_left()


async def test_a_recognizer_that_cannot_be_reached(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)

    async def refused(url: str) -> trio.abc.Stream:
        raise OSError("connection refused")

    world.dial_with(refused)
    async with world.phone(started=False) as phone:
        phone.say(type="start")
        assert (await phone.hear("error"))["code"] == "recognizer_unavailable"
    assert world.metric("voice_recognizer_errors_total", code="connect") == MAX_IN_VAIN
    world.assert_nothing_left()


async def test_a_recognizer_that_does_not_answer_the_call(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)

    async def silent(url: str) -> trio.abc.Stream:
        return await trio.sleep_forever()

    world.dial_with(silent)
    began = trio.current_time()
    async with world.phone(started=False) as phone:
        phone.say(type="start")
        assert (await phone.hear("error"))["code"] == "recognizer_timeout"
    pause_s = PAUSES_S[1]  # somebody waits for `ready`: there is no third attempt
    assert trio.current_time() - began == pytest.approx(2 * CONNECT_S + pause_s, abs=JITTER * pause_s)
    world.assert_nothing_left()


async def test_no_recognizer_is_up(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    world.deps.recognizer.target = None
    async with world.phone(started=False) as phone:
        phone.say(type="start")
        assert (await phone.hear("error"))["code"] == "recognizer_unavailable"
    world.assert_nothing_left()


async def test_wrong_credentials(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    target = world.deps.recognizer.target
    assert target is not None
    wrong = type(target.credentials)(target.credentials.app_id, target.credentials.secret_id, "not the key")
    world.deps.recognizer.target = type(target)(target.kind, target.url, wrong, target.engines)
    async with world.phone(started=False) as phone:
        phone.say(type="start")
        assert (await phone.hear("error"))["code"] == "recognizer_rejected"
    assert phone.closed == (4502, "recognizer_rejected")
    world.assert_nothing_left()


async def test_an_engine_that_the_recognizer_lacks(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone(started=False) as phone:
        phone.say(type="start", engineType="16k_klingon")
        error = await phone.hear("error")
    assert error["code"] == "engine_not_supported"
    assert "16k_zh_en" in error["message"]
    assert phone.closed == (4400, "engine_not_supported")


async def test_slow_results_and_a_slow_final_lose_nothing(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, Script(result_delay_ms=400, final_delay_ms=3000))
    async with world.phone() as phone:
        for number in range(3):
            await phone.talk(words(2 * number + 1, 2 * number + 2))
            phone.say(type="finalize", id=number)
        await phone.talk(words(7))
        stop_at = trio.current_time()
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
        assert trio.current_time() > stop_at + 3
    assert stopped["text"] == "w1 w2 w3 w4 w5 w6 w7"
    assert stopped["audio"]["droppedMs"] == 0
    world.assert_nothing_left()


async def test_a_burst_is_paced(nursery: trio.Nursery, autojump_clock: object) -> None:
    """The recognizer answers 4000 to more than 3 s of audio in 1 s: a file that comes at once still gets through."""
    world = World(nursery)
    audio = words(*range(1, 21))  # 8 s
    async with world.phone() as phone:
        began = trio.current_time()
        for place in range(0, len(audio), 32000):
            phone.audio(audio[place : place + 32000])
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
        took_s = trio.current_time() - began
    assert stopped["text"] == " ".join(f"w{number}" for number in range(1, 21))
    assert took_s == pytest.approx((8 - BURST_S) / 2, abs=0.2)


async def test_a_backlog_holds_the_client_back_and_loses_nothing(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    audio = words(*range(1, 101))  # 40 s, four times what is kept
    async with world.phone() as phone:
        for place in range(0, len(audio), 64000):
            phone.audio(audio[place : place + 64000])
            await trio.sleep(0.01)
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert stopped["text"] == " ".join(f"w{number}" for number in range(1, 101))
    assert stopped["audio"]["receivedBytes"] == len(audio)
    assert stopped["audio"]["droppedBytes"] == 0


@pytest.mark.parametrize("writes", [2, 3])
async def test_a_transport_that_breaks_while_something_is_sent(
    writes: int, nursery: trio.Nursery, autojump_clock: object
) -> None:
    """The first write is the upgrade; then audio breaks it, or `end`."""
    world = World(nursery)
    dial = world.deps.dial

    async def fragile(url: str) -> trio.abc.Stream:
        return FaultyStream(await dial(url), fault_at=writes)

    world.dial_with(fragile)
    async with world.phone() as phone:
        phone.audio(words(1, each_ms=100, gap_ms=0))
        await trio.sleep(0.2)
        phone.say(type="finalize")
        assert (await phone.hear("error"))["code"] == "recognizer_unavailable"
    assert world.dials == MAX_IN_VAIN  # a sentence that has only begun is no result
    assert world.metric("voice_recognizer_errors_total", code="lost") == world.dials
    world.assert_nothing_left()


async def test_an_error_of_ours(
    nursery: trio.Nursery,
    autojump_clock: object,
    monkeypatch: pytest.MonkeyPatch,
    expected_errors: list[logging.LogRecord],
) -> None:
    world = World(nursery)
    monkeypatch.setattr(Transcript, "apply", lambda self, heard: 1 // 0)
    async with world.phone() as phone:
        phone.audio(words(1))
        error = await phone.hear("error")
    assert (error["code"], error["retryable"]) == ("internal", True)
    assert "division" not in error["message"]
    assert phone.closed == (1011, "internal")
    assert [record.msg for record in expected_errors] == ["stream_error"]
    expected_errors.clear()
    world.assert_nothing_left()


async def test_a_recognizer_that_ends_without_being_told_to(
    nursery: trio.Nursery, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What became of the audio that was on its way is not known: that is no success."""
    world = World(nursery)
    async with world.phone() as phone:
        await phone.talk(words(1))
        monkeypatch.setattr(tencent, "decode", lambda text: [Settled()])
        await phone.talk(words(2))
        error = await phone.hear("error")
    assert error["code"] == "recognizer_unavailable"
    assert not phone.all("stopped")
    world.assert_nothing_left()


async def test_a_recognizer_that_takes_its_time_for_each_packet(nursery: trio.Nursery, autojump_clock: object) -> None:
    """Each wait is within its limit, and the whole is bounded all the same."""
    world = World(nursery)
    dial = world.deps.dial

    async def slow(url: str) -> trio.abc.Stream:
        return FaultyStream(await dial(url), fault_at=1000, delay_s=1.0)

    world.dial_with(slow)
    async with world.phone() as phone:
        phone.audio(words(*range(1, 6)))
        await trio.sleep(0.1)
        asked = trio.current_time()
        phone.say(type="stop")
        assert (await phone.hear("error"))["code"] == "recognizer_timeout"
        assert trio.current_time() - asked < FINISH_S + 1 + FAILOVER_S + SEND_S
    world.assert_nothing_left()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: wrong\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: \xff\r\nConnection: Upgrade\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",  # a TLS alert
    ],
)
async def test_an_upgrade_that_is_answered_with_something_else(
    answer: bytes, nursery: trio.Nursery, autojump_clock: object
) -> None:
    world = World(nursery)

    async def strange(url: str) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(_answer, theirs, answer)
        return ours

    world.dial_with(strange)
    began = trio.current_time()
    async with world.phone(started=False) as phone:
        phone.say(type="start")
        assert (await phone.hear("error"))["code"] == "recognizer_unavailable"
    # Nobody waits for what cannot come: there are only the pauses.
    assert trio.current_time() - began <= sum(PAUSES_S[1:]) * (1 + JITTER)
    world.assert_nothing_left()


async def _answer(stream: trio.abc.Stream, answer: bytes) -> None:
    await stream.receive_some(4096)
    if answer:
        await stream.send_all(answer)
    await stream.aclose()
