"""What the client calls audio, turned into what an uplink takes: a wav header taken off, other formats named. Pure.

A stream takes 16-bit mono PCM, bare or behind a wav header, and mp3. The first bytes tell whether what came is what was
announced: recorders deliver other containers than asked (WeChat's developer tools give WebM whatever the format), and
sent on as PCM they would be recognized as noise.

A signature at the beginning is proof, and so are two consecutive mp3 frame headers; one alone occurs in PCM. WebM may
have bytes of a former recording before it, so that its header is looked for in the first 64 KiB, while they pass. That
takes no PCM for WebM: the document type must follow the four bytes of the magic.
"""

import struct
from typing import Final

from service.failures import Problem, Slug, problem
from service.recognizer.formats import WEBM_SEARCH_BYTES, AudioFormat, by_signature, webm_start
from service.stream.mp3 import begins_mp3
from service.stream.stream_settings import BY_CONTENT, MP3, PCM, STREAM_FORMATS, WAV

_PROBE_BYTES: Final = 12
_MAX_HEADER_BYTES: Final = 65536  # other chunks may stand before the audio; no recorder writes more
_PCM_TAG: Final = 1
_EXTENSIBLE_TAG: Final = 0xFFFE  # WAVE_FORMAT_EXTENSIBLE: the real tag is in the sub-format
_OPEN_ENDED: Final = (0, 0xFFFFFFFF)  # sizes that a recorder writes when it does not know the length yet
_WEBM_OVERLAP_BYTES: Final = 80  # more than the magic and the document type behind it


class Intake:
    """Takes the client's bytes in any cut, gives PCM or mp3 without a container. After a problem, feed nothing more."""

    def __init__(self, voice_format: str, sample_rate: int) -> None:
        self.voice_format = voice_format
        """What was announced, or what it turned out to be."""
        self._sample_rate = sample_rate
        self._held: bytearray | None = bytearray()
        """What came before it was clear where the audio starts; None afterwards."""
        self._left: int | None = None
        """Bytes of the wav's data chunk still to come; None when the end is not known."""
        self._searched_bytes = 0
        self._tail = b""
        """The end of what was searched for a WebM header, in which one may begin."""

    @property
    def is_done(self) -> bool:
        """Whether `feed` will return whatever it is given: all that follows is audio."""
        return self._held is None and self._left is None and self._searched_bytes >= WEBM_SEARCH_BYTES

    def feed(self, data: bytes) -> bytes | Problem:
        """The audio that these bytes complete (may be empty), or why this cannot be streamed."""
        if self._searched_bytes < WEBM_SEARCH_BYTES and self._finds_webm(data):
            return _not_streamed(AudioFormat.WEBM)
        if self._held is None:
            return self._within_data(data)
        self._held += data
        if len(self._held) < _PROBE_BYTES:
            return b""
        return self._judge(bytes(self._held), final=False)

    def flush(self, *, ending: bool) -> bytes | Problem:
        """The audio held back because it is too short to judge: the client wants it settled now.

        A wav header that is still incomplete is held on, and is a problem when the audio is `ending`. So is the first
        frame of what may be mp3, and is PCM when the audio is ending.
        """
        if not self._held:
            return b""
        if self.voice_format == WAV or bytes(self._held[:4]) == b"RIFF":
            return problem(Slug.UNSUPPORTED_AUDIO, "The wav header is incomplete.") if ending else b""
        return self._judge(bytes(self._held), final=ending or self.voice_format == PCM)

    def _finds_webm(self, data: bytes) -> bool:
        searched = self._tail + data
        self._searched_bytes += len(data)
        self._tail = searched[-_WEBM_OVERLAP_BYTES:]
        # At a cut the four bytes of the magic prove nothing: only where the stream begins do they count alone.
        return webm_start(b"\0" + searched) is not None

    def _judge(self, beginning: bytes, *, final: bool) -> bytes | Problem:
        found = by_signature(beginning)
        if found is AudioFormat.WAV:
            return self._read_header(beginning) if self.voice_format in (WAV, BY_CONTENT) else self._misnamed(WAV)
        if found not in (AudioFormat.UNKNOWN, AudioFormat.MP3):
            return _not_streamed(found)
        is_mp3 = True if found is AudioFormat.MP3 else begins_mp3(beginning)
        if is_mp3 is None and not final:
            return b""
        if is_mp3 and self.voice_format in (PCM, WAV):
            return self._misnamed(MP3)
        if self.voice_format == WAV:
            return problem(Slug.UNSUPPORTED_AUDIO, f'No wav header, announced as wav: say voiceFormat "{PCM}".')
        if self.voice_format == BY_CONTENT:
            self.voice_format = MP3 if is_mp3 else PCM
        return self._release()

    def _misnamed(self, found: str) -> Problem:
        message = f'This is {found}, announced as {self.voice_format}: say voiceFormat "{found}".'
        return problem(Slug.UNSUPPORTED_AUDIO, message)

    def _release(self) -> bytes:
        audio, self._held = bytes(self._held or b""), None
        return audio

    def _within_data(self, data: bytes) -> bytes:
        """Without the chunks that may follow a wav's audio."""
        if self._left is None:
            return data
        pcm = data[: self._left]
        self._left -= len(pcm)
        return pcm

    def _read_header(self, head: bytes) -> bytes | Problem:
        """Walk the chunks up to `data`. RIFF: multimedia programming interface, IBM and Microsoft 1991, chapter 2."""
        place, described = 12, False
        while place + 8 <= len(head):
            name, size = head[place : place + 4], struct.unpack_from("<I", head, place + 4)[0]
            body = place + 8
            if name == b"data" and described:
                self._held = None
                self._left = None if size in _OPEN_ENDED else size
                return self._within_data(head[body:])
            if name == b"data":
                return problem(Slug.UNSUPPORTED_AUDIO, "This wav has audio before the description of its format.")
            if name == b"fmt ":
                if len(head) < body + min(size, 26):
                    break
                complaint = format_complaint(head[body : body + size], self._sample_rate)
                if complaint:
                    return problem(Slug.UNSUPPORTED_AUDIO, complaint)
                described = True
            place = body + size + size % 2
        if max(place, len(head)) > _MAX_HEADER_BYTES:
            return problem(Slug.UNSUPPORTED_AUDIO, "No audio in the first 64 KiB of this wav.")
        return b""


def format_complaint(description: bytes, sample_rate: int) -> str:
    """What is wrong with the body of a wav's `fmt ` chunk for this stream; empty when nothing is."""
    if len(description) < 16:
        return "This wav's description of its format is too short."
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", description)
    if tag == _EXTENSIBLE_TAG and len(description) >= 26:
        tag = struct.unpack_from("<H", description, 24)[0]
    if (tag, channels, bits) != (_PCM_TAG, 1, 16):
        return f"This wav has format {tag}, {channels} channel(s), {bits} bit: expected PCM (1), one channel, 16 bit."
    if rate != sample_rate:
        return f"This wav has {rate} Hz, the stream was started with sampleRate {sample_rate}."
    return ""


def _not_streamed(found: AudioFormat) -> Problem:
    return problem(Slug.UNSUPPORTED_AUDIO, f"This is {found.title}. Streams take {STREAM_FORMATS}.")
