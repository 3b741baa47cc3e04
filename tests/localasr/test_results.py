"""Slices and messages."""

import json

import pytest

from service.localasr.codes import Refusal
from service.localasr.engine import SentenceClosed, SentenceHeard, SentenceOpened, Word
from service.localasr.messages import MessageWriter
from service.localasr.segments import Slice, Slicer

GO, FORWARD = Word("go", 90, 300), Word("forward", 310, 700, stable=False)
EVENTS: list[SentenceOpened | SentenceHeard | SentenceClosed] = [
    SentenceOpened(100),
    SentenceHeard(()),
    SentenceHeard((GO,)),
    SentenceHeard((GO, FORWARD)),
    SentenceClosed((GO, FORWARD)),
    SentenceOpened(900),
    SentenceClosed(()),
    SentenceOpened(1500),
    SentenceClosed((Word("ten", 1600, 1900),)),
]


def slices(slicer: Slicer) -> list[tuple[int, int, int, int, str]]:
    found = [slicer.take(event) for event in EVENTS]
    return [(s.slice_type, s.index, s.start_ms, s.end_ms, s.text) for s in found if s is not None]


def test_empty_results_are_left_out() -> None:
    assert slices(Slicer()) == [
        (0, 0, 90, 300, "go"),
        (1, 0, 90, 700, "go forward"),
        (2, 0, 90, 700, "go forward"),
        (2, 1, 1500, 1900, "ten"),
    ]


def test_empty_results_are_delivered() -> None:
    assert slices(Slicer(filter_empty=False)) == [
        (0, 0, 100, 100, ""),
        (1, 0, 100, 100, ""),
        (1, 0, 90, 300, "go"),
        (1, 0, 90, 700, "go forward"),
        (2, 0, 90, 700, "go forward"),
        (0, 1, 900, 900, ""),
        (2, 1, 900, 900, ""),
        (0, 2, 1500, 1500, ""),
        (2, 2, 1500, 1900, "ten"),
    ]


@pytest.mark.parametrize(("leave_out", "types"), [((0,), [1, 2, 2]), ((0, 1), [2, 2])])
def test_slices_that_are_never_made(leave_out: tuple[int, ...], types: list[int]) -> None:
    found = slices(Slicer(leave_out=leave_out))
    assert [slice_type for slice_type, *_ in found] == types
    assert [index for slice_type, index, *_ in found if slice_type == 2] == [0, 1]


def test_messages_of_a_stream() -> None:
    writer = MessageWriter("V", with_words=True)
    assert json.loads(writer.success()) == {"code": 0, "message": "success", "voice_id": "V"}
    assert json.loads(writer.result(Slice(1, 3, 90, 700, "go forward", (GO, FORWARD)))) == {
        "code": 0,
        "message": "success",
        "voice_id": "V",
        "message_id": "V_0_3",
        "result": {
            "slice_type": 1,
            "index": 3,
            "start_time": 90,
            "end_time": 700,
            "voice_text_str": "go forward",
            "word_size": 2,
            "word_list": [
                {"word": "go", "start_time": 90, "end_time": 300, "stable_flag": 1},
                {"word": "forward", "start_time": 310, "end_time": 700, "stable_flag": 0},
            ],
        },
    }
    final = {"code": 0, "message": "success", "voice_id": "V", "message_id": "V_1", "final": 1}
    assert json.loads(writer.final()) == final
    error = {"code": 4008, "message": "m", "voice_id": "V", "message_id": "V_2"}
    assert json.loads(writer.error(Refusal(4008, "m"))) == error
    assert json.loads(writer.refused(Refusal(4002, "m"))) == {"code": 4002, "message": "m", "voice_id": "V"}


def test_without_word_info_the_list_is_empty() -> None:
    message = json.loads(MessageWriter("V").result(Slice(2, 0, 90, 700, "go", (GO,))))
    assert message["result"]["voice_text_str"] == "go"
    assert message["result"]["word_size"] == 0
    assert message["result"]["word_list"] == []
