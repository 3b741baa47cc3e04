"""The client's bytes into PCM: headers taken off in any cut, other formats named."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.failures import Problem, Slug, problem
from service.recognizer.formats import WEBM_SEARCH_BYTES
from service.stream.intake import Intake, format_complaint
from tests.support.recordings import EBML

PCM = bytes(range(1, 101))
STREAMS_TAKE = "Streams take pcm (1) or wav (12) with 16 bit, or mp3 (8), one channel."
WEBM = "WebM, which the WeChat developer tools deliver whatever the format: try on a phone"


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def description(tag: int = 1, channels: int = 1, rate: int = 16000, bits: int = 16) -> bytes:
    width = channels * bits // 8
    return struct.pack("<HHIIHH", tag, channels, rate, rate * width, width, bits)


def extensible(tag: int = 1) -> bytes:
    return description(0xFFFE) + struct.pack("<HHIH", 22, 16, 4, tag) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"


def wav(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


FORMAT = chunk(b"fmt ", description())


def refused(message: str) -> Problem:
    return problem(Slug.UNSUPPORTED_AUDIO, message)


def taken(data: bytes, cuts: list[int], voice_format: str, sample_rate: int = 16000) -> bytes | Problem:
    """What an intake makes of the bytes when they come cut at these places."""
    intake = Intake(voice_format, sample_rate)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pcm = b""
    for start, stop in zip(places, [*places[1:], len(data)], strict=True):
        given_back = intake.feed(data[start:stop])
        if isinstance(given_back, Problem):
            return given_back
        pcm += given_back
    rest = intake.flush(ending=True)
    return rest if isinstance(rest, Problem) else pcm + rest


def whole(data: bytes, voice_format: str = "wav", sample_rate: int = 16000) -> bytes | Problem:
    return taken(data, [], voice_format, sample_rate)


# Each of these is one second-long story about a header; all give PCM.
HEADERS = {
    "plain": wav(FORMAT, chunk(b"data", PCM)),
    "a chunk before the format": wav(chunk(b"LIST", b"INFOISFT1234"), FORMAT, chunk(b"data", PCM)),
    "a chunk between": wav(FORMAT, chunk(b"fact", b"1234"), chunk(b"data", PCM)),
    "a chunk of odd size": wav(chunk(b"LIST", b"odd"), FORMAT, chunk(b"junk", b"x"), chunk(b"data", PCM)),
    "an empty chunk": wav(FORMAT, chunk(b"junk", b""), chunk(b"data", PCM)),
    "chunks behind": wav(FORMAT, chunk(b"data", PCM), chunk(b"LIST", b"INFOIARTsomebody")),
    "no length": wav(FORMAT, chunk(b"data", PCM, 0)),
    "unknown length": wav(FORMAT, chunk(b"data", PCM, 0xFFFFFFFF)),
    "a length beyond the end": wav(FORMAT, chunk(b"data", PCM, 0x7FFFFFFF)),
    "a description of 18 bytes": wav(chunk(b"fmt ", description() + b"\0\0"), chunk(b"data", PCM)),
    "an extensible description": wav(chunk(b"fmt ", extensible()), chunk(b"data", PCM)),
    "a long description": wav(chunk(b"fmt ", description() + bytes(500)), chunk(b"data", PCM)),
    "an unknown total": b"RIFF\xff\xff\xff\xffWAVE" + FORMAT + chunk(b"data", PCM),
}


@pytest.mark.parametrize("voice_format", ["wav", "auto"])
@pytest.mark.parametrize("header", HEADERS)
def test_a_header_is_taken_off(header: str, voice_format: str) -> None:
    data = HEADERS[header]
    assert whole(data, voice_format) == PCM
    assert taken(data, list(range(len(data))), voice_format) == PCM


@given(st.sampled_from(list(HEADERS.values())), st.lists(st.integers(0, 1000), max_size=12))
def test_any_cut_gives_the_same_pcm(data: bytes, cuts: list[int]) -> None:
    assert taken(data, cuts, "wav") == PCM


@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=6), st.booleans(), st.booleans())
def test_any_audio_in_any_wav(pcm: bytes, cuts: list[int], odd_chunk: bool, trailing: bool) -> None:
    data = wav(
        chunk(b"junk", b"x" * odd_chunk), FORMAT, chunk(b"data", pcm), *([chunk(b"LIST", b"later")] if trailing else [])
    )
    padding_counts = not pcm and trailing  # a length of 0 means that it is not known: what follows is audio
    expected = chunk(b"LIST", b"later") if padding_counts else pcm
    assert taken(data, cuts, "wav") == expected


@given(st.binary(min_size=1, max_size=300), st.lists(st.integers(0, 400), max_size=6), st.sampled_from(["pcm", "auto"]))
def test_bare_pcm_passes_in_any_cut(pcm: bytes, cuts: list[int], voice_format: str) -> None:
    quiet = b"\0\0" + pcm  # so that it cannot begin like another format
    assert taken(quiet, cuts, voice_format) == quiet


def test_the_rate_of_the_header_is_that_of_the_stream() -> None:
    data = wav(chunk(b"fmt ", description(rate=8000)), chunk(b"data", PCM))
    assert whole(data, sample_rate=8000) == PCM
    assert whole(data) == refused("This wav has 8000 Hz, the stream was started with sampleRate 16000.")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (description(), ""),
        (extensible(), ""),
        (
            description(tag=3, bits=32),
            "This wav has format 3, 1 channel(s), 32 bit: expected PCM (1), one channel, 16 bit.",
        ),
        (
            description(channels=2),
            "This wav has format 1, 2 channel(s), 16 bit: expected PCM (1), one channel, 16 bit.",
        ),
        (description(bits=8), "This wav has format 1, 1 channel(s), 8 bit: expected PCM (1), one channel, 16 bit."),
        (extensible(tag=7), "This wav has format 7, 1 channel(s), 16 bit: expected PCM (1), one channel, 16 bit."),
        (
            extensible()[:25],
            "This wav has format 65534, 1 channel(s), 16 bit: expected PCM (1), one channel, 16 bit.",
        ),
        (description()[:15], "This wav's description of its format is too short."),
        (b"", "This wav's description of its format is too short."),
        (
            description(rate=44100),
            "This wav has 44100 Hz, the stream was started with sampleRate 16000.",
        ),
    ],
)
def test_format_complaint(body: bytes, complaint: str) -> None:
    assert format_complaint(body, 16000) == complaint
    data = wav(chunk(b"fmt ", body), chunk(b"data", PCM))
    expected = refused(complaint) if complaint else PCM
    assert whole(data) == expected
    assert taken(data, list(range(len(data))), "wav") == expected


MAGIC = [
    (b"\x1a\x45\xdf\xa3", WEBM),
    (b"OggS", "Ogg"),
    (b"fLaC", "FLAC"),
    (b"#!AMR\n", "AMR"),
    (b"#!SILK", "silk"),
    (b"\x02#!SILK", "silk"),
    (b"\0\0\0\x20ftyp", "m4a (MPEG-4)"),
]


@pytest.mark.parametrize(("magic", "name"), MAGIC)
@pytest.mark.parametrize("voice_format", ["pcm", "wav", "mp3", "auto"])
def test_other_formats_are_named(magic: bytes, name: str, voice_format: str) -> None:
    data = magic.ljust(12, b"x")
    assert whole(data, voice_format) == refused(f"This is {name}. {STREAMS_TAKE}")
    assert taken(data, list(range(12)), voice_format) == refused(f"This is {name}. {STREAMS_TAKE}")


@pytest.mark.parametrize(
    "beginning",
    [b"RIFF1234AVI ", b"RIFFxxxxWAV ", bytes(12), b"OGGS" + bytes(8), b"#!AM" + bytes(8), b"\xff\xe0" + bytes(10)],
)
def test_other_beginnings_are_pcm(beginning: bytes) -> None:
    assert whole(beginning, "pcm") == beginning


# -- mp3 ---------------------------------------------------------------------------------------------------------------

FRAME = b"\xff\xf3\x48\xc4".ljust(144, b"\x55")  # MPEG 2 layer III, 16 kHz, mono, 32 kbit/s
TWO_FRAMES = FRAME * 2


@pytest.mark.parametrize("data", [TWO_FRAMES, b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + TWO_FRAMES])
def test_mp3(data: bytes) -> None:
    for voice_format in ("mp3", "auto"):
        assert whole(data, voice_format) == data
        assert taken(data, list(range(len(data))), voice_format) == data
    for voice_format in ("pcm", "wav"):
        message = f'This is mp3, announced as {voice_format}: say voiceFormat "mp3".'
        assert whole(data, voice_format) == refused(message)
        # Each byte by itself: wav is refused as soon as it is clear that nothing makes it wav.
        assert taken(data, list(range(len(data))), voice_format) == refused(message)


@given(st.integers(1, 2 * len(TWO_FRAMES)), st.lists(st.integers(0, 300), max_size=6))
def test_what_the_bytes_are_does_not_depend_on_the_cut(length: int, cuts: list[int]) -> None:
    data = (TWO_FRAMES + TWO_FRAMES)[:length]
    intake, again = Intake("auto", 16000), Intake("auto", 16000)
    places = [*sorted({cut % (length + 1) for cut in cuts}), length]
    for start, stop in zip([0, *places], places, strict=False):
        again.feed(data[start:stop])
    intake.feed(data)
    assert intake.voice_format == again.voice_format == ("mp3" if length >= 148 else "auto")


@pytest.mark.parametrize("voice_format", ["pcm", "auto"])
def test_one_frame_header_by_itself_is_pcm(voice_format: str) -> None:
    """Four such bytes occur in quiet PCM."""
    data = FRAME + bytes(4)
    intake = Intake(voice_format, 16000)
    assert [intake.feed(data[:100]), intake.feed(data[100:-1]), intake.feed(data[-1:])] == [b"", b"", data]
    assert intake.voice_format == "pcm"
    assert whole(FRAME, voice_format) == FRAME


def test_finalize_makes_no_pcm_of_the_first_frame() -> None:
    intake = Intake("auto", 16000)
    assert [intake.feed(FRAME), intake.flush(ending=False), intake.feed(FRAME)] == [b"", b"", TWO_FRAMES]
    assert intake.voice_format == "mp3"
    announced = Intake("pcm", 16000)
    assert [announced.feed(FRAME), announced.flush(ending=False), announced.feed(FRAME)] == [b"", FRAME, FRAME]


def test_wav_announced_as_mp3() -> None:
    message = 'This is wav, announced as mp3: say voiceFormat "wav".'
    assert whole(HEADERS["plain"], "mp3") == refused(message)


# -- WebM behind bytes of a former recording ---------------------------------------------------------------------------


@pytest.mark.parametrize("voice_format", ["pcm", "mp3", "auto"])
@pytest.mark.parametrize("stale", [1, 1310, 51_200, 65_000])
@pytest.mark.parametrize("cut", [0, 2, 10, 27])
def test_stale_bytes_before_a_webm_header(cut: int, stale: int, voice_format: str) -> None:
    intake = Intake(voice_format, 16000)
    former = b"\x01" * stale
    assert intake.feed(former + EBML[:cut]) == (former + EBML[:cut] if stale + cut >= 12 else b"")
    assert intake.feed(EBML[cut:]) == refused(f"This is {WEBM}. {STREAMS_TAKE}")


def test_pcm_with_the_magic_of_webm_in_it() -> None:
    intake = Intake("pcm", 16000)
    for piece in (bytes(1280), b"\x1a\x45\xdf\xa3" + bytes(60), b"\x1a\x45\xdf\xa3".ljust(64, b"x") + b"webm"):
        assert intake.feed(piece) == piece
    assert intake.feed(bytes(65536)) == bytes(65536)
    assert intake.feed(EBML) == EBML  # so late no header is looked for


def test_wav_announced_as_pcm() -> None:
    message = 'This is wav, announced as pcm: say voiceFormat "wav".'
    assert whole(HEADERS["plain"], "pcm") == refused(message)


def test_pcm_announced_as_wav() -> None:
    message = 'No wav header, announced as wav: say voiceFormat "pcm".'
    assert whole(bytes(12), "wav") == refused(message)
    assert whole(b"RIFF1234AVI " + bytes(50), "wav") == refused(message)


def test_audio_before_its_description() -> None:
    data = wav(chunk(b"data", PCM), FORMAT)
    assert whole(data) == refused("This wav has audio before the description of its format.")


@pytest.mark.parametrize("junk", [65536, 0x7FFFFFFF])
def test_a_header_that_does_not_end(junk: int) -> None:
    """A chunk that claims to be long is refused at once, not after its bytes have been kept."""
    intake = Intake("wav", 16000)
    assert intake.feed(wav(FORMAT, chunk(b"junk", b"", junk))) == refused("No audio in the first 64 KiB of this wav.")


def test_the_longest_header() -> None:
    around = len(wav(FORMAT, chunk(b"junk", b"")))
    longest = wav(FORMAT, chunk(b"junk", bytes(65536 - around)))
    assert len(longest) == 65536
    assert whole(longest + chunk(b"data", PCM)) == PCM
    intake = Intake("wav", 16000)
    assert intake.feed(longest) == b""
    assert intake.feed(b"d") == refused("No audio in the first 64 KiB of this wav.")


def test_many_small_chunks_without_audio() -> None:
    data = wav(FORMAT, *([chunk(b"junk", b"ab")] * 7000))
    assert whole(data) == refused("No audio in the first 64 KiB of this wav.")


def test_short_pcm_is_kept_until_it_is_wanted() -> None:
    intake = Intake("pcm", 16000)
    assert intake.flush(ending=True) == b""
    assert [intake.feed(b"12345"), intake.feed(b""), intake.feed(b"678901")] == [b"", b"", b""]
    assert intake.flush(ending=True) == b"12345678901"
    assert intake.flush(ending=True) == b""
    assert intake.feed(b"OggS and more of it") == b"OggS and more of it"  # the beginning is past


def test_pcm_passes_as_soon_as_it_can_be_judged() -> None:
    intake = Intake("auto", 16000)
    assert [intake.feed(bytes(11)), intake.feed(b"x"), intake.feed(b"y"), intake.flush(ending=True)] == [
        b"",
        bytes(11) + b"x",
        b"y",
        b"",
    ]


INCOMPLETE = refused("The wav header is incomplete.")


@pytest.mark.parametrize(
    ("voice_format", "data", "expected"),
    [
        ("wav", b"", b""),  # `finalize` before any audio
        ("auto", b"", b""),
        ("wav", b"1", INCOMPLETE),
        ("wav", wav(FORMAT), INCOMPLETE),
        ("wav", HEADERS["plain"][:30], INCOMPLETE),
        ("auto", HEADERS["plain"][:30], INCOMPLETE),
        ("auto", b"RIFF", INCOMPLETE),
        ("pcm", b"RIFF1234", INCOMPLETE),
        ("pcm", b"RIF", b"RIF"),
        ("auto", b"1234", b"1234"),
        ("wav", wav(FORMAT, chunk(b"data", b"")), b""),
    ],
)
def test_flush(voice_format: str, data: bytes, expected: bytes | Problem) -> None:
    intake = Intake(voice_format, 16000)
    assert intake.feed(data) == b""
    assert intake.flush(ending=True) == expected


def test_behind_the_audio_of_a_wav_nothing_is_audio() -> None:
    intake = Intake("wav", 16000)
    head = wav(FORMAT, chunk(b"data", PCM))[: -len(PCM)]
    assert [intake.feed(head), intake.feed(PCM[:60]), intake.feed(PCM[60:] + b"LIST"), intake.feed(b"more")] == [
        b"",
        PCM[:60],
        PCM[60:],
        b"",
    ]
    assert intake.flush(ending=True) == b""


def test_audio_comes_through_in_the_same_read_as_the_header() -> None:
    intake = Intake("wav", 16000)
    assert intake.feed(HEADERS["unknown length"]) == PCM
    assert intake.feed(b"and on") == b"and on"


def test_a_header_that_is_not_complete_yet_is_held_on_by_finalize() -> None:
    header = wav(chunk(b"fmt ", description()), chunk(b"data", b""))[:30]
    intake = Intake("wav", 16000)
    assert intake.feed(header) == b""
    assert intake.flush(ending=False) == b""
    assert intake.feed(wav(chunk(b"fmt ", description()), chunk(b"data", b"abcd"))[30:]) == b"abcd"


def test_an_intake_is_done_when_nothing_can_be_found_any_more() -> None:
    intake = Intake("pcm", 16000)
    assert not intake.is_done
    intake.feed(bytes(WEBM_SEARCH_BYTES - 1))
    assert not intake.is_done
    intake.feed(b"\0")
    assert intake.is_done
    assert intake.feed(EBML + PCM) == EBML + PCM


def test_an_intake_that_holds_audio_back_is_not_done() -> None:
    intake = Intake("auto", 16000)
    assert intake.feed(b"RIFF" + bytes(4) + b"WAVE" + chunk(b"junk", b"", WEBM_SEARCH_BYTES - 20)) == b""
    assert intake.feed(bytes(WEBM_SEARCH_BYTES - 20)) == b""
    assert not intake.is_done


def test_an_intake_that_knows_where_a_wav_ends_is_not_done() -> None:
    intake = Intake("wav", 16000)
    intake.feed(wav(FORMAT, chunk(b"data", bytes(2 * WEBM_SEARCH_BYTES))))
    assert not intake.is_done
    assert intake.feed(PCM) == b""
