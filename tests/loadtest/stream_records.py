"""Records of streams for the tests of what is made of them."""

from typing import Any

from hypothesis import strategies as st

from loadtest.record import AudioAccount, Ending, StreamRecord, Transcript
from loadtest.scenario import Behavior


def completed(number: int = 0, **fields: Any) -> StreamRecord:
    """A talker that was served: 1 s of audio from its arrival at second `number` on."""
    values: dict[str, Any] = {
        "number": number,
        "behavior": Behavior.TALKER,
        "track": 0,
        "ending": Ending.COMPLETED,
        "at_planned_s": float(number),
        "at_dialed_s": float(number),
        "at_audio_s": number + 0.1,
        "at_ended_s": number + 1.3,
        "at_finals_s": [number + 1.2],
        "close_code": 1000,
        "connect_s": 0.001,
        "upgrade_s": 0.002,
        "welcome_s": 0.003,
        "ready_s": 0.05,
        "setup_s": 0.1,
        "first_partial_s": 0.3,
        "finalization_s": 0.2,
        "sentences": 1,
        "transcript": Transcript.COMPLETE,
        "audio": AudioAccount(sent_bytes=32000, received_bytes=32000, relayed_bytes=32000),
        "audio_sent_s": 1.0,
        "frames": 25,
        "connections": 1,
    }
    return StreamRecord(**{**values, **fields})


def failed(number: int = 0, ending: Ending = Ending.UNREACHABLE, **fields: Any) -> StreamRecord:
    """A talker that was not served, and got no further than dialing unless `fields` say so."""
    values: dict[str, Any] = {
        "number": number,
        "behavior": Behavior.TALKER,
        "track": 0,
        "ending": ending,
        "at_planned_s": float(number),
        "at_dialed_s": float(number),
        "at_ended_s": number + 0.5,
    }
    return StreamRecord(**{**values, **fields})


_DURATIONS_S = st.none() | st.floats(min_value=0, max_value=30)

RECORDS = st.builds(
    StreamRecord,
    number=st.integers(min_value=0, max_value=10**6),
    behavior=st.sampled_from(Behavior),
    track=st.just(0),
    ending=st.sampled_from(Ending),
    at_planned_s=st.floats(min_value=0, max_value=100),
    at_dialed_s=st.none() | st.floats(min_value=0, max_value=100),
    at_ended_s=st.floats(min_value=0, max_value=130),
    slug=st.none() | st.sampled_from(["overloaded", "internal", "restarting"]),
    http_status=st.none() | st.sampled_from([101, 404, 503]),
    close_code=st.none() | st.sampled_from([1000, 1006, 4503]),
    problem=st.none() | st.sampled_from(["no `ready` in 20 s", "refused"]),
    warnings=st.dictionaries(st.sampled_from(["bad_message", "not_started"]), st.integers(1, 9)),
    connect_s=_DURATIONS_S,
    upgrade_s=_DURATIONS_S,
    setup_s=_DURATIONS_S,
    first_partial_s=_DURATIONS_S,
    finalization_s=_DURATIONS_S,
    sentences=st.integers(0, 5),
    lost_finals=st.integers(0, 2),
    transcript=st.none() | st.sampled_from(Transcript),
    missing_words=st.integers(0, 3),
    audio=st.none() | st.builds(AudioAccount, sent_bytes=st.integers(0, 9999), received_bytes=st.integers(0, 9999)),
    audio_sent_s=st.integers(0, 100).map(float),
    connections=st.integers(0, 3),
)
