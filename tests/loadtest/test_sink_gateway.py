"""The gateway of a sink keeps the client's contract, and its account balances."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.messages import Finalized, Ready, Result, Stopped, Welcome, decode
from loadtest.sink.answer import NOTHING, Answer, Close
from loadtest.sink.gateway import IDLE_S, MAX_BAD_MESSAGES, START_S, GatewayStream
from loadtest.sink.hearing import Manner
from service.stream import clocks, endpoint, inbox
from tests.loadtest.sink_support import lines, sound

COMPLETED = Close(1000, "completed")


def say(stream: GatewayStream, now_s: float = 0.0, **fields: object) -> Answer:
    return stream.said(json.dumps(fields), now_s)


def started(manner: Manner | None = None, **fields: object) -> GatewayStream:
    stream = GatewayStream("s1", manner or Manner())
    (ready,) = lines(say(stream, 0.0, type="start", **fields).messages)
    assert (ready["type"], ready["streamId"]) == ("ready", "s1")
    return stream


def slugs(answer: Answer) -> list[str]:
    return [line["code"] for line in lines(answer.messages) if line["type"] == "error"]


def test_welcome() -> None:
    (welcome,) = lines(GatewayStream("s1", Manner()).opened(1_767_225_600_000).messages)
    assert welcome == {
        "type": "welcome",
        "protocol": 1,
        "timestamp": 1_767_225_600_000,
        "heartbeatMs": 10000,
        "maxStreamMs": 604_800_000,
        "maxMessageBytes": 65536,
    }


def test_a_stream_from_start_to_stopped() -> None:
    stream = GatewayStream("s1", Manner(sentence_words=2))
    (ready,) = lines(say(stream, 5.0, type="start", sampleRate=8000, wordInfo=1, vadSilenceMs=1).messages)
    assert (ready["sampleRate"], ready["wordInfo"], ready["vadSilenceMs"]) == (8000, 1, 500)
    results = lines(stream.audio(sound(3 * 3200)))
    assert results[1] == {
        "type": "result",
        "voiceId": "sink",
        "index": 0,
        "text": "t0 t200",
        "isFinal": True,
        "startMs": 0,
        "endMs": 400,
        "wordList": [
            {"word": "t0", "startMs": 0, "endMs": 200, "stable": True},
            {"word": "t200", "startMs": 200, "endMs": 400, "stable": True},
        ],
        "settledMs": 400,
    }
    assert [(result["index"], result["isFinal"]) for result in results] == [(0, False), (0, True), (1, False)]
    assert "settledMs" not in results[0]
    stream.audio(sound(801))
    assert say(stream, type="stop") == Answer(finish=True)
    assert stream.audio(sound(500)) == ()
    assert say(stream, type="stop") == NOTHING
    finished = stream.finish(6.25)
    last, stopped = lines(finished.messages)
    assert (last["text"], last["isFinal"], last["settledMs"]) == ("t400 t600", True, 650)
    assert stopped == {
        "type": "stopped",
        "text": "t0 t200 t400 t600",
        "sentences": 2,
        "durationMs": 1250,
        "logId": None,
        "audio": {
            "receivedMs": 681,
            "relayedMs": 650,
            "recognizedMs": 650,
            "droppedMs": 31,
            "receivedBytes": 10901,
            "relayedBytes": 10400,
            "droppedBytes": 501,
        },
    }
    assert finished.close == COMPLETED


@given(
    before=st.lists(st.one_of(st.integers(0, 40_000), st.just("finalize")), max_size=12),
    behind=st.lists(st.integers(0, 5000), max_size=3),
    rate_hz=st.sampled_from((8000, 16000)),
)
def test_the_account_balances_and_no_final_is_lost(before: list[int | str], behind: list[int], rate_hz: int) -> None:
    stream = started(sampleRate=rate_hz)
    told: list[bytes] = []
    for number, step in enumerate(before):
        told += stream.audio(sound(step)) if isinstance(step, int) else say(stream, type="finalize", id=number).messages
    say(stream, type="stop")
    for late in behind:
        assert stream.audio(sound(late)) == ()
    told += stream.finish(0.0).messages
    understood = [decode(message.decode()) for message in told]
    stopped = understood[-1]
    assert isinstance(stopped, Stopped)
    account, sent_bytes = stopped.audio, sum(step for step in before if isinstance(step, int))
    assert account.received_bytes == sent_bytes + sum(behind) == account.relayed_bytes + account.dropped_bytes
    assert account.dropped_bytes == sum(behind) + sent_bytes % 2
    assert account.received_ms == account.relayed_ms + account.dropped_ms
    finals = [result for result in understood if isinstance(result, Result) and result.is_final]
    assert [final.index for final in finals] == list(range(stopped.sentences))
    assert " ".join(final.text for final in finals) == stopped.text
    assert account.recognized_ms == (finals[-1].end_ms if finals else 0)
    finalized = [answer for answer in understood if isinstance(answer, Finalized)]
    assert [answer.id for answer in finalized] == [n for n, step in enumerate(before) if step == "finalize"]


@given(st.lists(st.integers(0, 30_000), max_size=12))
def test_any_cut_gives_the_same_words(cuts: list[int]) -> None:
    whole, cut_up = started(), started()
    at_once = list(whole.audio(sound(sum(cuts))))
    assert [message for cut in cuts for message in cut_up.audio(sound(cut))] == at_once
    assert whole.finish(0.0) == cut_up.finish(0.0)


def test_finalize_settles_and_goes_on() -> None:
    stream = started()
    stream.audio(sound(7000))
    final, finalized = lines(say(stream, type="finalize", id="field-1").messages)
    assert (final["text"], final["isFinal"]) == ("t0 t200", True)
    assert finalized == {"type": "finalized", "id": "field-1", "audioMs": 218, "sentences": 1}
    assert [line["type"] for line in lines(say(stream, type="finalize").messages)] == ["finalized"]
    (partial,) = lines(stream.audio(sound(12200)))
    assert (partial["index"], partial["text"]) == (1, "t400")


def test_audio_as_text() -> None:
    stream = started()
    data = base64.b64encode(sound(6400)).decode()
    answer = say(stream, type="audio", data=data)
    assert [line["text"] for line in lines(answer.messages)] == ["t0"]
    last = say(stream, type="audio", data=data, isEnd=True)
    assert last.finish
    assert [line["text"] for line in lines(last.messages)] == ["t0 t200"]
    assert not say(stream, type="audio", isEnd=True).finish


def test_ping_and_cancel_before_and_after_start() -> None:
    for stream in (GatewayStream("s1", Manner()), started()):
        assert lines(say(stream, type="ping", t={"n": 1}).messages) == [{"type": "pong", "t": {"n": 1}}]
        assert say(stream, type="cancel") == Answer(close=Close(1000, "canceled"))


def test_before_start() -> None:
    stream = GatewayStream("s1", Manner())
    (error,) = lines(stream.audio(sound(640)))
    assert (error["code"], error["fatal"]) == ("not_started", False)
    assert stream.audio(sound(640)) == ()
    assert say(stream, type="stop") == NOTHING
    (ready,) = lines(say(stream, type="start").messages)
    assert ready["engineType"] == "16k_zh"
    say(stream, type="stop")
    stopped = lines(stream.finish(0.0).messages)[-1]
    assert stopped["audio"]["receivedBytes"] == 0  # what came before `start` is discarded
    assert GatewayStream("s2", Manner()).finish(0.0) == NOTHING


@pytest.mark.parametrize(
    ("fields", "slug", "code"),
    [
        ({"sampleRate": 44100}, "bad_start", 4400),
        ({"sampleRate": "fast"}, "bad_start", 4400),
        ({"resume": {"streamId": "s0"}}, "bad_start", 4400),
        ({"voiceFormat": "mp3"}, "unsupported_audio", 4415),
        ({"voiceFormat": "wav"}, "unsupported_audio", 4415),
        ({"voiceFormat": "webm"}, "unsupported_audio", 4415),
    ],
)
def test_starts_that_are_refused(fields: dict[str, Any], slug: str, code: int) -> None:
    answer = say(GatewayStream("s1", Manner()), 0.0, type="start", **fields)
    assert slugs(answer) == [slug]
    assert answer.close == Close(code, slug)


def test_what_is_wrong_in_a_running_stream() -> None:
    stream = started()
    assert slugs(say(stream, type="start")) == ["already_started"]
    for _ in range(MAX_BAD_MESSAGES - 2):
        answer = stream.said("nonsense", 0.0)
        assert slugs(answer) == ["bad_message"]
        assert answer.close is None
    say(stream, type="stop")
    assert slugs(say(stream, type="finalize")) == ["bad_message"]
    tenth = say(stream, type="dance")
    assert slugs(tenth) == ["bad_message"]
    assert tenth.close == Close(4400, "bad_message")


def test_no_start() -> None:
    stream = GatewayStream("s1", Manner())
    for _ in range(START_S):
        stream.alive()
        say(stream, type="ping")
        assert stream.tick() == NOTHING
    answer = stream.tick()
    assert (slugs(answer), answer.close) == (["start_timeout"], Close(4408, "start_timeout"))


def test_silence() -> None:
    stream = started()
    for _ in range(IDLE_S):
        assert stream.tick() == NOTHING
    for sign in (stream.alive, lambda: stream.audio(b""), lambda: say(stream, type="ping")):
        sign()
        for _ in range(IDLE_S):
            assert stream.tick() == NOTHING
    answer = stream.tick()
    assert (slugs(answer), answer.close) == (["idle_timeout"], Close(4408, "idle_timeout"))
    say(stream, type="stop")
    assert {stream.tick() for _ in range(2 * IDLE_S)} == {NOTHING}


def test_the_clocks_are_those_of_the_service() -> None:
    assert (START_S, IDLE_S, MAX_BAD_MESSAGES) == (endpoint.START_S, clocks.IDLE_S, inbox.MAX_BAD_MESSAGES)


def test_the_load_tester_understands_it() -> None:
    stream = GatewayStream("s1", Manner())
    first = decode(stream.opened(0).messages[0].decode())
    ready = decode(say(stream, type="start").messages[0].decode())
    assert isinstance(first, Welcome)
    assert ready == Ready("s1", "sink")
