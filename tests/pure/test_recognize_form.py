"""The fields of an upload."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.failures import Problem, Slug
from service.recognizer.tencent_api import Options
from service.web.recognize_form import Wishes, read_form


def test_nothing_said() -> None:
    assert read_form({}, "16k_en") == Wishes(Options("16k_en", word_info=2), False, 16000)
    assert read_form({"engineType": " ", "wordInfo": ""}, "8k_zh") == Wishes(Options("8k_zh", word_info=2), False, 8000)


def test_everything_said() -> None:
    form = {
        "engineType": "16k_zh",
        "voiceFormat": "PCM",
        "sampleRate": "8000",
        "needvad": "1",
        "vadSilenceTime": "200",
        "filterDirty": "true",
        "filterModal": "9",
        "filterPunc": "-3",
        "convertNumMode": "false",
        "wordInfo": "0",
        "hotwords": '[{"word": "ten"}, {"word": "监理", "weight": 100}]',
        "unknown": "x",
    }
    options = Options("16k_zh", 0, 1, 2, 0, 0, (("ten", 10), ("监理", 100)))
    assert read_form(form, "16k_en") == Wishes(options, True, 8000)


@pytest.mark.parametrize("name", ["wav", "12", "mp3", "8", "m4a", "silk", "ogg-opus", "webm", "4", "6"])
def test_other_formats_are_not_believed(name: str) -> None:
    wishes = read_form({"voiceFormat": name}, "16k_en")
    assert isinstance(wishes, Wishes)
    assert not wishes.announced_pcm


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"engineType": "a b"}, "engineType"),
        ({"voiceFormat": "vinyl"}, "voiceFormat"),
        ({"wordInfo": "two"}, "wordInfo"),
        ({"sampleRate": "44100"}, "sampleRate"),
        ({"sampleRate": "16000", "engineType": "8k_zh", "voiceFormat": "pcm"}, "8k_zh"),
        ({"hotwords": "{"}, "hotwords"),
        ({"hotwords": '["ten"]'}, "hotwords"),
        ({"hotwords": "[" + ",".join(['{"word": "a"}'] * 129) + "]"}, "129"),
        ({"hotwords": '[{"word": "a"}, {"word": "b,c"}]'}, "hotwords[1]"),
        ({"hotwords": "[" * 100_000}, "hotwords"),
    ],
)
def test_refused(form: dict[str, str], words: str) -> None:
    refused = read_form(form, "16k_en")
    assert isinstance(refused, Problem)
    assert refused.slug is Slug.BAD_REQUEST
    assert words in refused.message


def test_a_rate_that_is_not_of_pcm_does_not_matter() -> None:
    assert isinstance(read_form({"sampleRate": "16000", "engineType": "8k_zh"}, "16k_en"), Wishes)


_NAMES = ["engineType", "voiceFormat", "sampleRate", "wordInfo", "filterPunc", "hotwords"]


@given(st.dictionaries(st.sampled_from(_NAMES), st.text(max_size=40)))
def test_any_form(form: dict[str, str]) -> None:
    read = read_form(form, "16k_en")
    assert isinstance(read, Wishes) or read.slug is Slug.BAD_REQUEST
