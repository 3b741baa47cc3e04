"""Compressed audio into samples: whole files, and mp3 in any cut."""

import subprocess
import sys

import av
import pytest

from service.localasr import decoders
from service.localasr.audio import AudioRejectedError
from service.localasr.compressed import Mp3Decoder
from service.localasr.decoders import Decoded, decode_sentence, stream_decoder
from service.localasr.mp3_frames import Mp3Framer
from tests.localasr.recordings import ENCODERS, as_wav, clip, encode
from tests.localasr.test_audio import wav

PCM = clip()
MP3 = encode(PCM, "mp3")


def sentence(voice_format: str, data: bytes, *, exact: bool = False) -> Decoded:
    return decode_sentence(voice_format, data, 16000, exact=exact)


def decode_stream(data: bytes, packet_bytes: int, rate_hz: int = 16000) -> bytes:
    decoder = Mp3Decoder(rate_hz)
    pieces = [decoder.feed(data[at : at + packet_bytes]) for at in range(0, len(data), packet_bytes)]
    return b"".join(pieces) + decoder.finish()


@pytest.mark.parametrize("voice_format", ENCODERS)
def test_files(voice_format: str) -> None:
    decoded = sentence(voice_format, encode(PCM, voice_format))
    assert decoded.rate_hz == 16000
    assert 0 <= decoded.duration_ms - len(PCM) // 32 <= 100


def test_raw_and_plain_wav_are_taken_as_they_are() -> None:
    assert sentence("pcm", PCM + b"x", exact=True) == Decoded(PCM, 16000)
    assert decode_sentence("pcm", PCM, 8000, exact=True).rate_hz == 8000
    for rate_hz in (16000, 8000):
        assert sentence("wav", as_wav(PCM, rate_hz), exact=True) == Decoded(PCM, rate_hz)


def test_other_wav_is_converted() -> None:
    assert sentence("wav", as_wav(PCM, 32000)).duration_ms == len(PCM) // 64
    assert sentence("wav", as_wav(PCM, channels=2)).duration_ms == len(PCM) // 64


@pytest.mark.parametrize("voice_format", [*ENCODERS, "wav"])
def test_what_is_not_of_the_format_is_rejected(voice_format: str) -> None:
    good = as_wav(PCM) if voice_format == "wav" else encode(PCM[:64000], voice_format)
    for data in (b"x", PCM, good[:12], good[:64] + b"\xa5" * 20000):
        if voice_format in ("wav", "amr") and data[:4] == good[:4] and len(data) > 12:
            continue  # these have nothing that noise could break
        with pytest.raises(AudioRejectedError):
            sentence(voice_format, data)
    if voice_format not in ("wav", "m4a", "aac"):
        other = encode(PCM, "m4a")
        with pytest.raises(AudioRejectedError):
            sentence(voice_format, other)


def test_another_codec_in_the_right_container_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    opus = encode(PCM, "ogg-opus")
    monkeypatch.setattr("service.localasr.decoders.looks_like", lambda voice_format, data: True)
    with pytest.raises(AudioRejectedError, match="another codec"):
        sentence("speex", opus)
    unknown = bytearray(as_wav(PCM))
    unknown[20:22] = b"\x39\x30"  # the format tag
    with pytest.raises(AudioRejectedError, match="another codec"):
        sentence("wav", bytes(unknown))


def test_what_is_decoded_is_bounded() -> None:
    hours = encode(PCM * 40, "amr")
    assert sentence("amr", hours).duration_ms == 61_000
    decoder = Mp3Decoder(16000)
    assert 4_000 < len(decoder.feed(encode(PCM * 4, "mp3"))) // 32 < 4_100


def test_the_coded_mode_takes_exact_samples_only() -> None:
    with pytest.raises(AudioRejectedError):
        sentence("mp3", MP3, exact=True)
    with pytest.raises(AudioRejectedError):
        sentence("wav", as_wav(PCM, 32000), exact=True)
    decoder = stream_decoder(8, 16000, exact=True)
    assert decoder.finish() == b""
    with pytest.raises(AudioRejectedError):
        decoder.feed(MP3)
    exact = stream_decoder(1, 16000, exact=True)
    assert exact.feed(PCM) + exact.finish() == PCM
    assert isinstance(stream_decoder(8, 16000, exact=False), Mp3Decoder)


@pytest.mark.parametrize("packet_bytes", [1, 311, 5000, 100_000])
def test_an_mp3_stream_in_any_cut_is_the_same_samples(packet_bytes: int) -> None:
    decoded = decode_stream(MP3, packet_bytes)
    assert decoded == decode_stream(MP3, 4096)
    assert 0 <= len(decoded) // 32 - len(PCM) // 32 <= 120


@pytest.mark.parametrize(("source_hz", "wanted_hz"), [(44100, 16000), (16000, 8000), (8000, 16000)])
def test_an_mp3_stream_of_another_rate_is_resampled(source_hz: int, wanted_hz: int) -> None:
    decoded = decode_stream(encode(PCM, "mp3", rate_hz=source_hz), 600, wanted_hz)
    assert 0 <= len(decoded) * 1000 // (2 * wanted_hz) - len(PCM) // 32 <= 200


def test_the_rate_may_change_with_a_new_recording() -> None:
    both = decode_stream(MP3 + encode(PCM, "mp3", rate_hz=44100), 600)
    assert 0 <= len(both) // 32 - 2 * (len(PCM) // 32) <= 250


def test_a_stream_that_starts_in_the_middle_keeps_its_positions() -> None:
    """Frames that lean on the bits of frames before the cut are as long as they were."""
    data = encode(PCM * 2, "mp3")
    frames = [frame.data for frame in Mp3Framer().feed(data)]
    rest = frames[len(frames) // 2 :]
    assert len(decode_stream(b"".join(rest), 600)) == len(rest) * 576 * 2


class BrokenCodec:
    def decode(self, packet: object) -> list[av.AudioFrame]:
        raise av.InvalidDataError(0, "broken")


def test_a_frame_that_cannot_be_decoded_is_silence_of_its_length() -> None:
    decoder = Mp3Decoder(16000)
    setattr(decoder, "_codec", BrokenCodec())  # noqa: B010 - the type is another
    frames = [frame.data for frame in Mp3Framer().feed(encode(PCM, "mp3", rate_hz=44100))]
    assert decoder.feed(b"".join(frames[:10])) == bytes(2 * 417) * 10


def test_a_stream_that_is_not_mp3_is_rejected() -> None:
    for data in (PCM, as_wav(PCM), encode(PCM, "aac"), encode(PCM, "m4a")):
        with pytest.raises(AudioRejectedError):
            decode_stream(data, 600)


def test_without_pyav_there_are_raw_samples_and_wav(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import sys; sys.modules['av'] = None\n"
        "from service.localasr.decoders import DECODERS, FILE_FORMATS\n"
        "print(sorted(DECODERS), sorted(FILE_FORMATS))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[1, 12] ['pcm', 'wav']\n"
    monkeypatch.setattr(decoders, "AV_IS_INSTALLED", False)
    assert sentence("wav", wav(PCM)).pcm == PCM
    with pytest.raises(AudioRejectedError):
        sentence("wav", as_wav(PCM, 32000))
