"""When audio is due."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol

from loadtest.audio_clock import AudioClock, as_wire, ends_s_of, wire_of

BYTES_PER_S = 32_000


def test_a_frame_is_due_when_it_has_been_said() -> None:
    clock = AudioClock(100.0, (0.04, 0.08, 0.1))
    assert [clock.due_s(number) for number in range(3)] == [100.04, 100.08, 100.1]
    assert clock.duration_s == 0.1
    assert clock.time_of(0.0) == 100.0


def test_a_pause_shifts_what_comes_after_it_and_nothing_before() -> None:
    clock = AudioClock(100.0, (1.0, 2.0, 3.0))
    clock.pause(1.0, 5.0)
    assert clock.time_of(1.0) == 101.0
    assert clock.time_of(1.01) == pytest.approx(106.01)
    assert clock.due_s(1) == 107.0
    clock.pause(2.0, 0.5)
    assert clock.time_of(2.0) == 107.0
    assert clock.time_of(3.0) == clock.due_s(2) == 108.5


@given(
    audio=st.binary(max_size=5000),
    frame_bytes=st.integers(1, 700),
    pauses=st.dictionaries(st.integers(0, 20), st.floats(0.001, 100), max_size=4),
    origin_s=st.floats(0, 1e6),
)
def test_frames_go_in_order_once_and_never_early(
    audio: bytes, frame_bytes: int, pauses: dict[int, float], origin_s: float
) -> None:
    frames = tuple(audio[begin : begin + frame_bytes] for begin in range(0, len(audio), frame_bytes))
    ends_s = ends_s_of(frames, BYTES_PER_S)
    clock = AudioClock(origin_s, ends_s)
    assert clock.duration_s == pytest.approx(len(audio) / BYTES_PER_S)
    due_s = []
    for number in range(len(frames)):
        if number in pauses:
            clock.pause(ends_s[number - 1] if number else 0.0, pauses[number])
        due_s.append(clock.due_s(number))
        assert clock.due_s(number) == pytest.approx(clock.time_of(ends_s[number]))
    assert all(early <= late for early, late in pairwise(due_s))
    assert all(due >= origin_s for due in due_s)

    service = FrameProtocol(client=False, extensions=[])
    service.receive_bytes(b"".join(wire_of(frames)))
    heard = b"".join(bytes(frame.payload) for frame in service.received_frames())  # type: ignore[arg-type]
    assert heard == audio


def test_frames_are_encoded_once_for_all_calls_of_a_track() -> None:
    frames = (b"one", b"two")
    assert wire_of(frames) is wire_of(frames)
    assert [len(wire) for wire in wire_of(frames)] == [2 + 4 + 3] * 2
    assert len(as_wire(bytes(1280))) == 4 + 4 + 1280
