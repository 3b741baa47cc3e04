"""Real files through PyAV: every format, damage, and the bounds."""

import pytest

from service.recognizer import conversion
from service.recognizer.conversion import available_decoder, decode
from service.recognizer.formats import AudioFormat
from service.recognizer.preparation import TooLongError, UndecodableError
from tests.support.coded_files import RECORDERS, can_make, made, sample_pcm, wav

PCM = sample_pcm()


@pytest.mark.parametrize("audio_format", [kind for kind in RECORDERS if can_make(kind)])
@pytest.mark.parametrize("rate", [8000, 16000])
def test_every_format(audio_format: AudioFormat, rate: int) -> None:
    pcm = decode(made(audio_format, PCM), audio_format, rate)
    assert len(pcm) / (2 * rate) == pytest.approx(len(PCM) / 32000, abs=0.15)


def test_wav_is_as_it_was() -> None:
    assert decode(wav(PCM), AudioFormat.WAV, 16000) == PCM
    assert available_decoder() is decode


def test_stale_bytes_before_webm() -> None:
    assert len(decode(bytes(1310) + made(AudioFormat.WEBM, PCM), AudioFormat.WEBM, 16000)) >= len(PCM) * 0.99


def test_cut_mp3_lacks_its_past_and_is_decoded_from_the_next_frame_on() -> None:
    whole = made(AudioFormat.MP3, PCM)
    assert len(decode(whole[len(whole) // 2 :], AudioFormat.MP3, 16000)) > len(PCM) * 0.4


@pytest.mark.parametrize("audio_format", [kind for kind in AudioFormat if kind is not AudioFormat.WEBM])
def test_rubbish(audio_format: AudioFormat) -> None:
    for rubbish in (b"", bytes(1000), b"#EXTM3U\nfile:///etc/hostname\n" * 20):
        with pytest.raises(UndecodableError):
            decode(rubbish, audio_format, 16000)


def test_webm_without_audio() -> None:
    with pytest.raises(UndecodableError):
        decode(b"\x1a\x45\xdf\xa3" + bytes(1000), AudioFormat.WEBM, 16000)


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooLongError):
        decode(wav(PCM), AudioFormat.WAV, 16000, max_decode_s=-1)
    monkeypatch.setattr(conversion, "MAX_AUDIO_MS", 1000)
    with pytest.raises(TooLongError):
        decode(made(AudioFormat.FLAC, PCM), AudioFormat.FLAC, 16000)


def test_small_files_that_become_large() -> None:
    """Ten minutes of silence are little in FLAC: more of it ends at the bound, not in memory."""
    silence = made(AudioFormat.FLAC, bytes(32000 * 610))
    assert len(silence) < 1_000_000
    with pytest.raises(TooLongError):
        decode(silence, AudioFormat.FLAC, 16000)
