import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.localasr.codes import MESSAGES, Code, Refusal, bad_parameter, refusal
from service.localasr.engine import StreamSettings
from service.localasr.request import (
    DOCUMENTED_ENGINES,
    StreamRequest,
    Target,
    are_hotwords,
    parse_request,
    parse_target,
)

GOOD = {
    "secretid": "id",
    "timestamp": "1700000000",
    "expired": "1700000001",
    "nonce": "1",
    "engine_model_type": "16k_zh",
    "voice_id": "v",
    "signature": "s",
    "voice_format": "1",
}


def parse(**changes: str) -> StreamRequest | Refusal:
    return parse_request(GOOD | changes, DOCUMENTED_ENGINES, list_engines=False)


def test_target_is_decoded_once() -> None:
    target = parse_target("/asr/v2/1250000000?a=%E8%85%BE%7C10%2CASR&b=&c=1+2%2B")
    assert target == Target("1250000000", {"a": "腾|10,ASR", "b": "", "c": "1 2+"})
    assert parse_target("/asr/v2/") == Target("", {})


def test_target_bounds() -> None:
    assert parse_target("/asr/v2/1?a=1&a=2") == bad_parameter("a parameter is given twice")
    assert parse_target("/asr/v2/1?" + "&".join(f"p{n}=1" for n in range(65))) == bad_parameter("too many parameters")


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_target_is_decoded_or_refused(text: str) -> None:
    assert isinstance(parse_target("/asr/v2/" + text), Target | Refusal)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*GOOD, "needvad", "hotword_list", "vad_silence_time"]), st.text(max_size=12)))
def test_any_parameters_are_a_request_or_4001(changes: dict[str, str]) -> None:
    answer = parse(**changes)
    assert isinstance(answer, StreamRequest) or answer.code == Code.BAD_PARAMETER


def test_defaults() -> None:
    request = parse()
    assert request == StreamRequest(
        voice_id="v",
        engine_model_type="16k_zh",
        voice_format=1,
        with_words=False,
        filter_empty=True,
        settings=StreamSettings(sample_rate_hz=16000, silence_ms=None, max_sentence_ms=60000),
    )


def test_settings_in_force() -> None:
    request = parse(
        needvad="1", vad_silence_time="700", max_speak_time="9000", word_info="100", filter_empty_result="0"
    )
    assert isinstance(request, StreamRequest)
    assert request.settings == StreamSettings(16000, 700, 9000)
    assert request.with_words
    assert not request.filter_empty
    unset = parse(needvad="1", vad_silence_time="0", max_speak_time="0", engine_model_type="8k_zh")
    assert isinstance(unset, StreamRequest)
    assert unset.settings == StreamSettings(8000, 1000, 60000)
    narrow = parse(input_sample_rate="8000", max_speak_time="9000")
    assert isinstance(narrow, StreamRequest)
    assert narrow.settings == StreamSettings(8000, None, 60000)


@pytest.mark.parametrize("name", sorted(set(GOOD) - {"voice_format"}))
def test_required(name: str) -> None:
    assert parse(**{name: ""}) == bad_parameter(f"{name}: is required")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timestamp", "now"),
        ("timestamp", "1700000000.5"),
        ("expired", "-1"),
        ("expired", "1" * 13),
        ("nonce", "0"),
        ("nonce", "-1"),
        ("nonce", "12345678901"),
        ("nonce", "١"),
        ("voice_id", "v" * 129),
        ("voice_format", "2"),
        ("voice_format", "pcm"),
        ("needvad", "true"),
        ("filter_dirty", "3"),
        ("filter_modal", "3"),
        ("filter_punc", "2"),
        ("filter_empty_result", "2"),
        ("convert_num_mode", "2"),
        ("word_info", "3"),
        ("input_sample_rate", "16000"),
        ("emotion_recognition", "3"),
        ("vad_silence_time", "499"),
        ("vad_silence_time", "2001"),
        ("vad_silence_time", "x"),
        ("max_speak_time", "4999"),
        ("max_speak_time", "90001"),
        ("noise_threshold", "2.1"),
        ("noise_threshold", "nan"),
        ("hotword_list", "word"),
    ],
)
def test_out_of_range(name: str, value: str) -> None:
    assert parse(**{name: value}) == bad_parameter(f"Invalid [{name}: {value[:64]}]")


def test_in_range() -> None:
    accepted = parse(
        voice_id="v" * 128,
        nonce="9999999999",
        noise_threshold="-2",
        vad_silence_time="500",
        max_speak_time="90000",
        hotword_list="",
        reinforce_hotword="1",
    )
    assert isinstance(accepted, StreamRequest)


def test_what_is_not_supported_is_named() -> None:
    assert parse(engine_model_type="16k_xx") == bad_parameter("Not support [engine_model_type: 16k_xx]")
    assert parse_request(GOOD, ("16k_en",), list_engines=True) == bad_parameter(
        "Not support [engine_model_type: 16k_zh], supported: 16k_en"
    )
    assert parse(voice_format="8") == bad_parameter("Not support [voice_format: 8], supported: 1 12")
    without = {name: value for name, value in GOOD.items() if name != "voice_format"}
    # Tencent's default is speex.
    assert parse_request(without, DOCUMENTED_ENGINES, list_engines=False) == bad_parameter(
        "Not support [voice_format: 4], supported: 1 12"
    )


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("腾讯云|10,ASR|11", True),
        ("ASR|100", True),
        ("ASR|1", True),
        ("ASR|0", False),
        ("ASR|12", False),
        ("ASR|99", False),
        ("ASR|", False),
        ("ASR|1.5", False),
        ("|5", False),
        ("two words|5", False),
        ("腾" * 10 + "|5", True),
        ("腾" * 11 + "|5", False),
        ("a" * 30 + "|5", True),
        ("a" * 31 + "|5", False),
        (",".join(["a|1"] * 128), True),
        (",".join(["a|1"] * 129), False),
        ("a|1,", False),
    ],
)
def test_hotwords(value: str, good: bool) -> None:
    assert are_hotwords(value) is good


def test_wording() -> None:
    assert refusal(Code.UNAUTHORIZED) == Refusal(4002, "鉴权失败")
    assert refusal(4006, "limit 1").message.endswith("(limit 1)")
    assert refusal(4999) == Refusal(4999, "error")
    assert all(MESSAGES.values())
