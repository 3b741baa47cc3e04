"""What is in force for a stream: defaults, clamping, refusals, and what the recognizer is told of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.failures import Problem, Slug, problem
from service.stream.protocol import Hotword, Ready, Resume, Start, parse
from service.stream.stream_settings import StreamSettings, settle

ENGINE = "16k_zh"


def settled(start: Start, default_engine: str = ENGINE) -> StreamSettings:
    settings = settle(start, default_engine)
    assert isinstance(settings, StreamSettings), settings
    return settings


def refused(start: Start, default_engine: str = ENGINE) -> Problem:
    answer = settle(start, default_engine)
    assert isinstance(answer, Problem)
    return answer


def bad_start(message: str) -> Problem:
    return problem(Slug.BAD_START, message)


def test_defaults() -> None:
    assert settled(Start()) == StreamSettings(
        engine_type="16k_zh",
        voice_format="pcm",
        sample_rate=16000,
        need_vad=True,
        vad_silence_ms=1000,
        max_sentence_ms=60_000,
        word_info=0,
        hotwords=(),
        filter_dirty=0,
        filter_modal=0,
        filter_punc=0,
        convert_num_mode=1,
    )
    assert settled(Start()) == StreamSettings("16k_zh")


def test_defaults_tell_the_recognizer_little() -> None:
    expected = {"engine_model_type": "16k_zh", "voice_format": "1", "needvad": "1"}
    assert settled(Start()).recognizer_parameters() == expected


EVERYTHING = Start(
    engine_type="16k_zh_en",
    voice_format="wav",
    sample_rate=8000,
    need_vad=True,
    vad_silence_ms=700,
    max_sentence_ms=20_000,
    word_info=2,
    hotwords=[Hotword("监理", 11), Hotword("ASR")],
    filter_dirty=2,
    filter_modal=1,
    filter_punc=1,
    convert_num_mode=3,
)


def test_everything_that_is_set_is_told() -> None:
    assert settled(EVERYTHING).recognizer_parameters() == {
        "engine_model_type": "16k_zh_en",
        "voice_format": "1",
        "needvad": "1",
        "input_sample_rate": "8000",
        "vad_silence_time": "700",
        "hotword_list": "监理|11,ASR|10",
        "max_speak_time": "20000",
        "word_info": "2",
        "filter_dirty": "2",
        "filter_modal": "1",
        "filter_punc": "1",
        "convert_num_mode": "3",
    }


def test_ready_shows_everything_in_force() -> None:
    assert settled(EVERYTHING).ready("s", "v") == Ready(
        stream_id="s",
        voice_id="v",
        engine_type="16k_zh_en",
        voice_format="wav",
        sample_rate=8000,
        need_vad=True,
        vad_silence_ms=700,
        max_sentence_ms=20_000,
        word_info=2,
        hotwords=(Hotword("监理", 11), Hotword("ASR", 10)),
        filter_dirty=2,
        filter_modal=1,
        filter_punc=1,
        convert_num_mode=3,
    )


def test_without_silence_detection_its_time_is_not_told() -> None:
    parameters = settled(Start(need_vad=False, vad_silence_ms=700)).recognizer_parameters()
    assert parameters == {"engine_model_type": "16k_zh", "voice_format": "1", "needvad": "0"}


def test_zero_differs_from_the_default_where_the_default_is_one() -> None:
    assert settled(Start(convert_num_mode=0)).recognizer_parameters()["convert_num_mode"] == "0"


@pytest.mark.parametrize(
    ("field", "given_value", "expected"),
    [
        ("vad_silence_ms", -1, 500), ("vad_silence_ms", 499, 500), ("vad_silence_ms", 500, 500),
        ("vad_silence_ms", 501, 501), ("vad_silence_ms", 2000, 2000), ("vad_silence_ms", 2001, 2000),
        ("max_sentence_ms", 0, 5000), ("max_sentence_ms", 4999, 5000), ("max_sentence_ms", 5000, 5000),
        ("max_sentence_ms", 90_000, 90_000), ("max_sentence_ms", 90_001, 90_000), ("max_sentence_ms", 10**30, 90_000),
        ("word_info", -5, 0), ("word_info", 1, 1), ("word_info", 2, 2), ("word_info", 3, 2), ("word_info", 52, 100),
        ("word_info", 100, 100), ("word_info", 101, 100), ("word_info", True, 1), ("word_info", False, 0),
        ("filter_dirty", -1, 0), ("filter_dirty", 1, 1), ("filter_dirty", 2, 2), ("filter_dirty", 3, 2),
        ("filter_dirty", True, 1),
        ("filter_modal", -1, 0), ("filter_modal", 2, 2), ("filter_modal", 3, 2),
        ("filter_punc", -1, 0), ("filter_punc", 1, 1), ("filter_punc", 2, 1), ("filter_punc", True, 1),
        ("convert_num_mode", -1, 0), ("convert_num_mode", 0, 0), ("convert_num_mode", 3, 3),
        ("convert_num_mode", 4, 3), ("convert_num_mode", False, 0),
    ],
)  # fmt: skip
def test_clamping(field: str, given_value: int, expected: int) -> None:
    settings = settled(Start(**{field: given_value}))  # type: ignore[arg-type] # the fields are those of the rows
    assert settings == StreamSettings(ENGINE, **{field: expected})  # type: ignore[arg-type]
    assert type(getattr(settings, field)) is int


def test_old_spellings_count_where_the_new_ones_are_missing() -> None:
    assert settled(Start(old_need_vad=False, old_vad_silence_ms=700)) == StreamSettings(
        ENGINE, need_vad=False, vad_silence_ms=700
    )
    both = Start(need_vad=True, old_need_vad=False, vad_silence_ms=800, old_vad_silence_ms=700)
    assert settled(both) == StreamSettings(ENGINE, need_vad=True, vad_silence_ms=800)
    assert settled(Start(old_vad_silence_ms=1)).vad_silence_ms == 500


@pytest.mark.parametrize(
    ("voice_format", "expected"),
    [
        (None, "pcm"), ("pcm", "pcm"), ("PCM", "pcm"), (1, "pcm"), ("1", "pcm"),
        ("wav", "wav"), ("Wav", "wav"), (12, "wav"), ("12", "wav"),
        ("mp3", "mp3"), ("MP3", "mp3"), (8, "mp3"), ("8", "mp3"),
        (4, "auto"), (6, "auto"), ("4", "auto"), ("6", "auto"),
    ],
)  # fmt: skip
def test_voice_formats(voice_format: int | str | None, expected: str) -> None:
    assert settled(Start(voice_format=voice_format)).voice_format == expected


@pytest.mark.parametrize(
    ("voice_format", "shown"),
    [
        ("aac", "'aac'"), (10, "10"), (14, "14"), (16, "16"), (0, "0"), (-1, "-1"), ("speex", "'speex'"),
        ("", "''"), (" pcm", "' pcm'"), ("auto", "'auto'"), ("x" * 50, f"'{'x' * 20}'"), ("a\nb", "'a\\nb'"),
    ],
)  # fmt: skip
def test_other_formats_are_refused(voice_format: int | str, shown: str) -> None:
    assert refused(Start(voice_format=voice_format)) == problem(
        Slug.UNSUPPORTED_AUDIO,
        f"voiceFormat {shown} cannot be streamed: use pcm (1) or wav (12) with 16 bit, or mp3 (8), one channel.",
    )


@pytest.mark.parametrize(
    ("engine", "rate", "told"),
    [
        ("16k_zh", None, None),
        ("16k_zh", 16000, None),
        ("16k_zh", 8000, "8000"),
        ("8k_zh", 8000, None),
        ("8k_zh_large", 8000, None),
        ("18k_future", 8000, "8000"),
    ],
)
def test_sample_rates(engine: str, rate: int | None, told: str | None) -> None:
    settings = settled(Start(engine_type=engine, sample_rate=rate))
    assert (settings.engine_type, settings.sample_rate) == (engine, rate or 16000)
    assert settings.recognizer_parameters().get("input_sample_rate") == told


def test_mp3_is_named_to_the_recognizer_and_says_its_rate_itself() -> None:
    for announced, told in (("mp3", ("8", None)), ("pcm", ("1", "8000")), ("wav", ("1", "8000")), (6, ("1", "8000"))):
        parameters = settled(Start(voice_format=announced, sample_rate=8000)).recognizer_parameters()
        assert (parameters["voice_format"], parameters.get("input_sample_rate")) == told


@pytest.mark.parametrize(("rate", "bytes_per_ms"), [(16000, 32), (8000, 16)])
def test_bytes_per_ms(rate: int, bytes_per_ms: int) -> None:
    assert StreamSettings(ENGINE, sample_rate=rate).bytes_per_ms == bytes_per_ms


@pytest.mark.parametrize("rate", [0, -16000, 15999, 44100, 48000, 10**30])
def test_other_sample_rates_are_refused(rate: int) -> None:
    assert refused(Start(sample_rate=rate)) == bad_start(f"sampleRate {str(rate)[:24]}: expected 16000 or 8000.")


def test_an_engine_for_telephones_takes_8000() -> None:
    expected = bad_start("engineType 8k_zh takes a sampleRate of 8000, not 16000.")
    assert refused(Start(engine_type="8k_zh", sample_rate=16000)) == expected
    assert refused(Start(sample_rate=16000), "8k_zh") == expected
    assert settled(Start(engine_type="8k_zh")).sample_rate == 8000


@pytest.mark.parametrize("engine", ["16k_zh", "16k_zh-TW", "16k_zh_en_2.0", "x" * 64, "a"])
def test_any_name_may_be_an_engine(engine: str) -> None:
    assert settled(Start(engine_type=engine)).engine_type == engine


@pytest.mark.parametrize("engine", ["x" * 65, "16k zh", "16k_zh\n", "16k_zh&a=b", "16k/zh", "普通话", "１６k_zh"])
def test_what_cannot_be_an_engine(engine: str) -> None:
    expected = bad_start("engineType is not the name of an engine, such as 16k_zh.")
    assert refused(Start(engine_type=engine)) == expected


def test_an_empty_engine_is_the_default() -> None:
    assert settled(Start(engine_type=""), "16k_en").engine_type == "16k_en"


HOTWORD_SHAPE = "must be a word without spaces, commas and bars"
HOTWORD_LENGTH = "is longer than 30 characters or 10 Chinese characters"


@pytest.mark.parametrize(
    ("word", "weight", "complaint"),
    [
        ("监理", 10, ""), ("监理", 1, ""), ("监理", 11, ""), ("监理", 100, ""),
        ("监理", 0, "has weight 0: expected 1 to 11, or 100"),
        ("监理", 12, "has weight 12: expected 1 to 11, or 100"),
        ("监理", 99, "has weight 99: expected 1 to 11, or 100"),
        ("监理", 101, "has weight 101: expected 1 to 11, or 100"),
        ("监理", -1, "has weight -1: expected 1 to 11, or 100"),
        ("", 10, HOTWORD_SHAPE), ("a b", 10, HOTWORD_SHAPE), (" ", 10, HOTWORD_SHAPE), ("a\u3000b", 10, HOTWORD_SHAPE),
        ("a\n", 10, HOTWORD_SHAPE), ("a,b", 10, HOTWORD_SHAPE), ("a|b", 10, HOTWORD_SHAPE),
        ("a，b", 10, ""), ("x" * 30, 10, ""), ("x" * 31, 10, HOTWORD_LENGTH), ("字" * 10, 10, ""),
        ("字" * 11, 10, HOTWORD_LENGTH), ("字" * 10 + "x" * 20, 10, ""), ("字" * 10 + "x" * 21, 10, HOTWORD_LENGTH),
        ("\u4e00" * 6 + "\u9fff" * 5, 10, HOTWORD_LENGTH), ("é" * 11, 10, ""),
    ],
)  # fmt: skip
def test_hotwords(word: str, weight: int, complaint: str) -> None:
    start = Start(hotwords=[Hotword("good"), Hotword(word, weight)])
    if complaint:
        assert refused(start) == bad_start(f"hotwords[1] {complaint}.")
    else:
        assert settled(start).hotwords == (Hotword("good", 10), Hotword(word, weight))


@pytest.mark.parametrize(
    ("engine", "rate", "knows"), [("16k_zh", 16000, True), ("8k_zh", 8000, True), ("16k_en", 16000, False)]
)
def test_the_super_weight_is_for_two_engines(engine: str, rate: int, knows: bool) -> None:
    start = Start(engine_type=engine, sample_rate=rate, hotwords=[Hotword("a", 100)])
    if knows:
        assert settled(start).recognizer_parameters()["hotword_list"] == "a|100"
    else:
        assert refused(start) == bad_start(f"hotwords[0] has weight 100, which {engine} does not know.")


def test_how_many_hotwords() -> None:
    most = [Hotword(f"w{number}") for number in range(128)]
    assert settled(Start(hotwords=most)).hotwords == tuple(most)
    assert refused(Start(hotwords=[*most, Hotword("w")])) == bad_start("129 hotwords: at most 128 are allowed.")


@pytest.mark.parametrize(
    "resume",
    [
        Resume("5f0c4d1e-8a6b-4c7d-9e0f-112233445566", 4, 12_480),
        Resume("a", 0, 0),
        Resume("Z" * 63 + "_", 100_000, 86_400_000),
        Resume("s", 3, 0),
        Resume("s", 0, 1),  # from a `finalized` where nothing had been said
    ],
)
def test_resume_is_taken_as_it_is(resume: Resume) -> None:
    settings = settled(Start(resume=resume))
    assert settings == StreamSettings(ENGINE, resume=resume)
    assert settings.ready("new", "v").resumed_from == resume.stream_id


def test_the_recognizer_is_told_nothing_of_a_resume() -> None:
    resumed = settled(Start(resume=Resume("s", 1, 5)))
    assert resumed.recognizer_parameters() == settled(Start()).recognizer_parameters()


@pytest.mark.parametrize(
    ("resume", "message"),
    [
        (Resume("s", -1, 0), "resume.sentences -1: expected 0 to 100000."),
        (Resume("s", 100_001, 0), "resume.sentences 100001: expected 0 to 100000."),
        (Resume("s", 0, -1), "resume.settledMs -1: expected 0 to 86400000."),
        (Resume("s", 0, 86_400_001), "resume.settledMs 86400001: expected 0 to 86400000."),
        (Resume("s", 10**30, 0), f"resume.sentences {str(10**30)[:24]}: expected 0 to 100000."),
        *(
            (Resume(stream_id, 0, 0), "resume.streamId is not the id of a stream, as ready gave it.")
            for stream_id in ("", "x" * 65, "a b", "a\n", "\nevent", "监", "a.b", '"')
        ),
    ],
)
def test_a_resume_out_of_bounds_is_refused(resume: Resume, message: str) -> None:
    """Never clamped: the words would come under wrong indexes and times."""
    assert refused(Start(resume=resume)) == bad_start(message)


def test_no_resume_is_no_resume() -> None:
    start = parse('{"type":"start","resume":null}')
    assert isinstance(start, Start)
    assert settled(start) == StreamSettings(ENGINE)
    assert settled(start).resumed_from is None


# -- whatever the client says ------------------------------------------------------------------------------------------

# Tencent's document 1093/48982, request parameters.
ALLOWED = {
    "voice_format": {"1"},
    "needvad": {"0", "1"},
    "input_sample_rate": {"8000"},
    "vad_silence_time": {str(value) for value in range(500, 2001)},
    "max_speak_time": {str(value) for value in range(5000, 90_001)},
    "word_info": {"0", "1", "2", "100"},
    "filter_dirty": {"0", "1", "2"},
    "filter_modal": {"0", "1", "2"},
    "filter_punc": {"0", "1"},
    "convert_num_mode": {"0", "1", "3"},
}
_number = st.none() | st.integers() | st.integers(-5, 105)
_flag = st.none() | st.booleans()
_mode = _number | _flag
_starts = st.builds(
    Start,
    engine_type=st.none() | st.sampled_from(["16k_zh", "8k_zh", "16k_en", ""]) | st.text(max_size=5),
    voice_format=st.none() | st.sampled_from(["pcm", "wav", 1, 12, 4, 6]) | st.text(max_size=4) | st.integers(),
    sample_rate=st.none() | st.sampled_from([8000, 16000]) | st.integers(),
    need_vad=_flag,
    vad_silence_ms=_number | st.integers(0, 3000),
    max_sentence_ms=_number | st.integers(0, 100_000),
    word_info=_mode,
    hotwords=st.lists(st.builds(Hotword, st.text(max_size=3) | st.just("监理"), st.integers(0, 12)), max_size=3),
    filter_dirty=_mode,
    filter_modal=_mode,
    filter_punc=_mode,
    convert_num_mode=_mode,
    old_need_vad=_flag,
    old_vad_silence_ms=_number,
)


@given(_starts, st.sampled_from(["16k_zh", "16k_en"]))
def test_the_recognizer_is_told_nothing_outside_its_ranges(start: Start, default_engine: str) -> None:
    settings = settle(start, default_engine)
    if isinstance(settings, Problem):
        assert settings.slug in (Slug.BAD_START, Slug.UNSUPPORTED_AUDIO)
        return
    parameters = settings.recognizer_parameters()
    assert parameters.pop("engine_model_type") == (start.engine_type or default_engine)
    hotwords = parameters.pop("hotword_list", "")
    pairs = [tuple(pair.split("|")) for pair in hotwords.split(",")] if hotwords else []
    assert pairs == [(hotword.word, str(hotword.weight)) for hotword in start.hotwords]
    assert {name: value for name, value in parameters.items() if value not in ALLOWED[name]} == {}
    assert {"voice_format", "needvad"} <= set(parameters)
    assert settings.voice_format in ("pcm", "wav", "auto")
    assert settings.ready("s", "v").encode()
