"""Small pure parts: pace, capacity, fault plans, frames between processes."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.localasr.capacity import stream_capacity, usable_cpus
from service.localasr.engine import SentenceHeard, StreamSettings, Word
from service.localasr.faults import Fault, Script, parse_script
from service.localasr.limits import AudioPace
from service.localasr.worker_wire import (
    Audio,
    Begin,
    FrameError,
    FrameReader,
    FromWorker,
    Taken,
    ToWorker,
    decode_from_worker,
    decode_to_worker,
    encode_frame,
)


def test_three_seconds_in_any_second() -> None:
    pace = AudioPace(32000, now_s=0.0)
    assert pace.admit(0.0, 96000)
    assert not pace.admit(0.999, 2)
    pace = AudioPace(32000, now_s=0.0)
    assert pace.admit(0.0, 48000)
    assert pace.admit(0.5, 48000)
    assert pace.admit(1.0, 48000)
    assert not pace.admit(1.4, 2)
    assert pace.admit(2.41, 96000)


def test_a_flood_of_tiny_packets_is_counted_in_little_space() -> None:
    pace = AudioPace(32000, now_s=0.0)
    assert all(pace.admit(n / 100_000, 2) for n in range(48000))
    assert len(pace._arrivals) <= 1000
    assert not pace.admit(0.49, 2)


def test_the_silence_clock() -> None:
    pace = AudioPace(32000, now_s=7.0)
    assert pace.silent_at_s == 22.0
    pace.heard(10.0)
    assert pace.silent_at_s == 25.0


@pytest.mark.parametrize(
    ("cpu_max", "cpus"),
    [("", 4), ("max 100000", 4), ("150000 100000", 1.5), ("900000 100000", 4), ("1 0", 4), ("a b", 4)],
)
def test_usable_cpus(cpu_max: str, cpus: float) -> None:
    assert usable_cpus(4, cpu_max) == cpus


def test_stream_capacity() -> None:
    assert stream_capacity(2, 0.15) == 10
    assert stream_capacity(2, 0.3) == 5
    assert stream_capacity(0.1, 0.3) == 1
    assert stream_capacity(64, 0.15) == 16
    assert stream_capacity(1, 0.0) == 16


def test_script() -> None:
    assert parse_script(b"{}") == Script()
    script = parse_script(
        b'{"mode": "clock", "result_delay_ms": 5, "faults": ['
        b'{"do": "stall", "at_ms": 900, "for_ms": 10}, {"do": "close", "at_ms": 300, "connection": 2},'
        b'{"do": "error", "code": 5002}, {"do": "garbage", "at_end": true, "at_ms": 5},'
        b'{"do": "refuse", "connection": 1}]}'
    )
    first, second = script.for_connection(1), script.for_connection(2)
    assert [fault.code for fault in first.at_handshake] == [5002]
    assert [fault.do for fault in first.at_end] == ["garbage"]
    assert first.standing("refuse") == Fault(do="refuse", connection=1)
    assert second.standing("refuse") is None
    assert first.next_at_ms() == 900
    assert second.next_at_ms() == 300
    assert [second.take().do, second.take().do] == ["close", "stall"]
    assert second.next_at_ms() is None


def test_faults_of_sentences_are_not_those_of_streams() -> None:
    script = parse_script(
        b'{"faults": [{"do": "api_error", "code": "RequestLimitExceeded", "request": 2},'
        b'{"do": "api_delay", "for_ms": 5}, {"do": "api_error"}, {"do": "error", "at_ms": 1}]}'
    )
    assert [fault.do for fault in script.for_sentence(1)] == ["api_delay", "api_error"]
    assert [fault.name for fault in script.for_sentence(2)] == [
        "RequestLimitExceeded",
        "InternalError",
        "InternalError",
    ]
    plan = script.for_connection(2)
    assert plan.at_handshake == ()
    assert plan.take().number == 5000


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"faults": [{"do": "api_error", "code": 5000}]}',
        b'{"faults": [{"do": "error", "code": "InternalError"}]}',
        b'{"fault": []}',
        b'{"mode": "x"}',
        b'{"faults": [{"do": "x"}]}',
        b'{"faults": [{"do": "refuse", "status": 101}]}',
    ],
)
def test_a_bad_script_is_an_error(text: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        parse_script(text)


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), max_size=20))
def test_frames_in_any_cut(sizes: list[int]) -> None:
    sent: list[ToWorker] = [Begin(StreamSettings(8000, None, 5000)), Audio(b"\1\2" * 30), Begin(StreamSettings())]
    data = b"".join(encode_frame(message) for message in sent)
    reader, frames = FrameReader(), []
    for size in sizes:
        frames += reader.feed(data[:size])
        data = data[size:]
    frames += reader.feed(data)
    assert [decode_to_worker(frame) for frame in frames] == sent


def test_frames_from_a_worker() -> None:
    sent: list[FromWorker] = [Taken(3), SentenceHeard((Word("go", 1, 2, stable=False),))]
    frames = FrameReader().feed(b"".join(encode_frame(message) for message in sent))
    assert [decode_from_worker(frame) for frame in frames] == sent
    with pytest.raises(FrameError):
        FrameReader().feed(b"\xff\xff\xff\xff")
