"""The recognizer of a sink says what the gateway's own code understands as Tencent's."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.sink.answer import NOTHING, Close
from loadtest.sink.hearing import Manner
from loadtest.sink.recognizer import RecognizerStream
from service.recognizer.tencent import END_MESSAGE, Accepted, Refused, SentenceResult, Settled, decode, resource
from service.settings import TencentCredentials
from tests.loadtest.sink_support import lines, sound

CREDENTIALS = TencentCredentials("1250000000", "AKIDEXAMPLE", "SECRETKEYEXAMPLE")
NORMAL = Close(1000)


def target(**parameters: str) -> str:
    """As the gateway asks; a name without a value is left out."""
    asked = {"engine_model_type": "16k_zh", "voice_format": "1", "needvad": "1", "voice_id": "v1"} | parameters
    chosen = {name: value for name, value in asked.items() if value}
    return resource(CREDENTIALS, chosen, now_s=1_700_000_000, nonce=1)


def stream(manner: Manner | None = None, **parameters: str) -> RecognizerStream:
    return RecognizerStream(target(**parameters), manner or Manner())


def test_a_stream_from_handshake_to_final() -> None:
    recognizer = stream(Manner(sentence_words=2), word_info="1")
    assert lines(recognizer.opened(0).messages) == [{"code": 0, "message": "success", "voice_id": "v1"}]
    results = lines(recognizer.audio(sound(3 * 6400) + bytes(100)))
    assert results[0] == {
        "code": 0,
        "message": "success",
        "voice_id": "v1",
        "message_id": "v1_0_0",
        "result": {
            "slice_type": 0,
            "index": 0,
            "start_time": 0,
            "end_time": 200,
            "voice_text_str": "t0",
            "word_size": 1,
            "word_list": [{"word": "t0", "start_time": 0, "end_time": 200, "stable_flag": 1}],
        },
    }
    assert [result["message_id"] for result in results] == ["v1_0_0", "v1_1_0", "v1_2_1"]
    assert [result["result"]["slice_type"] for result in results] == [0, 2, 0]
    assert [result["result"]["voice_text_str"] for result in results] == ["t0", "t0 t200", "t400"]
    ended = recognizer.said(END_MESSAGE, 0.0)
    assert (ended.messages, ended.close, ended.finish) == ((), None, True)
    assert recognizer.audio(sound(64000)) == ()
    assert recognizer.said(END_MESSAGE, 0.0) == NOTHING
    finished = recognizer.finish(0.0)
    last, final = lines(finished.messages)
    assert last["result"] | {"word_list": []} == {
        "slice_type": 2,
        "index": 1,
        "start_time": 400,
        "end_time": 600,
        "voice_text_str": "t400",
        "word_size": 1,
        "word_list": [],
    }
    assert final == {"code": 0, "message": "success", "voice_id": "v1", "message_id": "v1_4", "final": 1}
    assert finished.close == NORMAL


def test_slices_of_a_sentence_and_no_words_where_none_are_asked_for() -> None:
    results = [line["result"] for line in lines(stream(Manner(sentence_words=3)).audio(sound(6 * 6400)))]
    assert [(result["slice_type"], result["index"]) for result in results] == [
        (0, 0),
        (1, 0),
        (2, 0),
        (0, 1),
        (1, 1),
        (2, 1),
    ]
    assert {(result["word_size"], len(result["word_list"])) for result in results} == {(0, 0)}


@given(st.lists(st.integers(0, 30_000), max_size=12), st.sampled_from(("0", "1")), st.booleans())
def test_the_gateway_understands_every_message(cuts: list[int], word_info: str, narrow: bool) -> None:
    engine = "8k_zh" if narrow else "16k_zh"
    recognizer = stream(word_info=word_info, engine_model_type=engine)
    messages = list(recognizer.opened(0).messages)
    for cut in cuts:
        messages += recognizer.audio(sound(cut))
    messages += recognizer.finish(0.0).messages
    understood = [said for message in messages for said in decode(message)]
    assert understood[0] == Accepted()
    assert understood[-1] == Settled()
    results = understood[1:-1]
    assert all(isinstance(result, SentenceResult) for result in results)
    finals = [result for result in results if isinstance(result, SentenceResult) and result.settled]
    words = -(-(sum(cuts) // 2) // (1600 if narrow else 3200))  # one that has begun is heard at the end
    assert " ".join(final.text for final in finals) == " ".join(f"t{n * 200}" for n in range(words))
    assert [final.index for final in finals] == list(range(len(finals)))
    for final in finals:
        heard = [word.text for word in final.words]
        assert heard == (final.text.split() if word_info == "1" else [])


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"voice_format": "8"}, "voice_format: 8], supported: 1"),
        ({"voice_format": "12"}, "voice_format: 12"),
        ({"engine_model_type": "17k_zh"}, "engine_model_type: 17k_zh"),
        ({"voice_id": ""}, "voice_id"),
        ({"word_info": "7"}, "word_info"),
    ],
)
def test_refused_requests(parameters: dict[str, str], named: str) -> None:
    answer = stream(None, **parameters).opened(0)
    (refused,) = decode(answer.messages[0])
    assert isinstance(refused, Refused)
    assert refused.code == 4001
    assert named in refused.message
    assert answer.close == NORMAL


def test_a_request_with_a_parameter_given_twice() -> None:
    answer = RecognizerStream(target() + "&nonce=2", Manner()).opened(0)
    assert [line["code"] for line in lines(answer.messages)] == [4001]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"type": "begin"}', '{"type": 1}', '"\ud800"', "[" * 5000])
def test_text_that_is_no_end(text: str) -> None:
    answer = stream().said(text, 0.0)
    assert [(line["code"], line["message_id"]) for line in lines(answer.messages)] == [(4010, "v1_0")]
    assert answer.close == NORMAL


def test_silence() -> None:
    recognizer = stream()
    for _ in range(10):
        assert recognizer.tick() == NOTHING
    recognizer.audio(bytes(1))
    for _ in range(15):
        recognizer.alive()
        recognizer.audio(b"")
        assert recognizer.tick() == NOTHING
    answer = recognizer.tick()
    assert [line["code"] for line in lines(answer.messages)] == [4008]
    assert answer.close == NORMAL


def test_behind_end_no_audio_is_missed() -> None:
    recognizer = stream()
    recognizer.said(END_MESSAGE, 0.0)
    assert {recognizer.tick() for _ in range(40)} == {NOTHING}


def test_streams_share_results_but_not_their_names() -> None:
    """What is kept of a result is the same for all; the rest is not."""

    def told(voice_id: str) -> list[dict[str, Any]]:
        return lines(stream(voice_id=voice_id).audio(sound(32000)))

    first, second = told("a"), told("b")
    assert [line["result"] for line in first] == [line["result"] for line in second]
    assert {line["voice_id"] for line in first} == {"a"}
    assert [line["message_id"] for line in second] == [f"b_{number}_0" for number in range(5)]
