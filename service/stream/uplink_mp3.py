"""The uplink of an mp3 stream: whole frames, positions from their headers, and what a decoder needs before. Pure.

A frame may need main data that the frames before it carry (its `main_data_begin`), and the transforms that make sound
of it overlap with the two frames before. So each recognizer connection but the first begins with a few frames sent once
more: the two before the first new frame, and those that carry what these three need. Measured with libav: the first
new frame then sounds as it does within the talk, to the last bit but one; with less it is silent or torn. Repeated
frames count neither as received nor as relayed, and the connection's clock begins earlier by their duration, so that
the times of its results stay on the client's clock.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from service.failures import Problem, Slug, problem
from service.stream.audio import AnyUplink, Packet, Uplink
from service.stream.mp3 import LONGEST_FRAME_BYTES, Frame, Splitter
from service.stream.stream_settings import StreamSettings

FRAME_SAMPLES: Final = 576  # of every frame at 16000 and 8000 Hz: 36 ms and 72 ms
OVERLAPPING_FRAMES: Final = 2  # half a frame by the MDCT, 480 samples by the polyphase filter
MAX_RESERVOIR_BYTES: Final = 255  # main_data_begin has 8 bits at these rates
MAX_GARBAGE_BYTES: Final = 3 * LONGEST_FRAME_BYTES
"""A cut anywhere leaves less than one frame of garbage, a recorder's hiccup two; more than that is no mp3."""


class Mp3Uplink(AnyUplink):
    """An uplink for mono mp3 at one rate; positions are samples, always at the beginning of a frame.

    Memory: at most audio.BACKLOG_S and the replay's frames (20 kB/s at the highest bit rate), and about a kilobyte.
    """

    def __init__(
        self, sample_rate: int, packet_ms: int, now: float, *, replay_s: float = 0.0, begins_ms: int = 0
    ) -> None:
        units_per_ms = sample_rate // 1000
        frames_in_packet = max(1, packet_ms * units_per_ms // FRAME_SAMPLES)
        super().__init__(units_per_ms, frames_in_packet * FRAME_SAMPLES, replay_s, begins_ms, now)
        self._sample_rate = sample_rate
        self._splitter = Splitter()
        self._waiting: deque[Frame] = deque()
        self._fed_at = now
        self._received_bytes = 0
        self._relayed_bytes = 0
        self._repeats: deque[Frame] = deque()
        """Frames to send once more before the first one that waits."""
        self._recent: deque[Frame] = deque()
        """The last frames before those that are kept: no more than a frame may need before it."""
        self._kept: deque[Frame] = deque()
        """Frames that were sent and are kept."""
        self._taken: list[tuple[int, int, int]] = []
        """Of each packet that `take_due` gave last: its bytes, those sent for the first time, and those frames."""

    @property
    def waiting(self) -> int:
        return len(self._waiting) * FRAME_SAMPLES

    @property
    def received_bytes(self) -> int:
        return self._received_bytes

    @property
    def relayed_bytes(self) -> int:
        return self._relayed_bytes

    def feed(self, data: bytes, now: float) -> Problem | None:
        self._received_bytes += len(data)
        self._fed_at = now
        return self._accept(self._splitter.feed(data))

    def mark(self, *, stop: bool = False, id: int | str | None = None) -> None:
        if stop and not self._stopped:
            self._accept(self._splitter.finish())
        super().mark(stop=stop, id=id)

    def drop_waiting(self) -> None:
        self._dropped += self.waiting
        self._waiting.clear()

    def begin_connection(self, now: float) -> int:
        position = super().begin_connection(now)
        self._repeats.clear()
        if self._waiting:
            self._repeats.extend(frames_needed([*self._recent, *self._kept], self._waiting[0]))
        return position - len(self._repeats) * FRAME_SAMPLES

    def take_due(self, now: float) -> list[Packet]:
        self._taken.clear()
        return super().take_due(now)

    def not_sent(self, count: int) -> None:
        while count > 0:
            packet_bytes, new_bytes, new_frames = self._taken.pop()
            count -= packet_bytes
            self._relayed_bytes -= new_bytes
            self._reached -= new_frames * FRAME_SAMPLES

    def _accept(self, frames: list[Frame]) -> Problem | None:
        if self._stopped:
            self._dropped += len(frames) * FRAME_SAMPLES
            return None
        for frame in frames:
            complaint = frame_complaint(frame, self._sample_rate)
            if complaint:
                return problem(Slug.UNSUPPORTED_AUDIO, complaint)
            self._waiting.append(frame)
        if self._splitter.most_garbage_bytes > MAX_GARBAGE_BYTES:
            return problem(Slug.UNSUPPORTED_AUDIO, f"{MAX_GARBAGE_BYTES} bytes in a row are no mp3, announced as mp3.")
        if frames:
            self._arrived(self.position, self._fed_at)
        return None

    def _whole(self, waiting: int) -> int:
        return waiting + len(self._repeats) * FRAME_SAMPLES if waiting else 0

    def _pop(self, size: int) -> tuple[bytes, int]:
        repeats = [self._repeats.popleft() for _ in range(min(size // FRAME_SAMPLES, len(self._repeats)))]
        fresh = [self._waiting.popleft() for _ in range(size // FRAME_SAMPLES - len(repeats))]
        audio = b"".join(frame.data for frame in repeats + fresh)
        new_frames = max(0, min(len(fresh), (self._next - self._reached) // FRAME_SAMPLES + len(fresh)))
        new_bytes = sum(len(frame.data) for frame in fresh[len(fresh) - new_frames :])
        self._relayed_bytes += new_bytes
        self._taken.append((len(audio), new_bytes, new_frames))
        self._kept.extend(fresh)
        return audio, len(fresh) * FRAME_SAMPLES

    def _forget(self, position: int) -> None:
        kept_frames = -(-(self._next - position) // FRAME_SAMPLES)  # one that is settled in part is kept whole
        while len(self._kept) > max(0, kept_frames):
            self._recent.append(self._kept.popleft())
        carried = [frame.main_data_bytes for frame in self._recent]
        spare = 0
        while sum(carried[spare + 1 : -OVERLAPPING_FRAMES]) >= MAX_RESERVOIR_BYTES:
            spare += 1
        for _ in range(spare):
            self._recent.popleft()

    def _put_back(self) -> int:
        begin = self._next - len(self._kept) * FRAME_SAMPLES
        self._waiting.extendleft(reversed(self._kept))
        self._kept.clear()
        return begin


def frames_needed(before: Sequence[Frame], first: Frame) -> list[Frame]:
    """The frames at the end of `before` that a decoder needs for `first` to sound as it does behind all of them."""
    frames = [*before, first]
    overlapping = max(0, len(before) - OVERLAPPING_FRAMES)
    start = overlapping
    for place in range(overlapping, len(frames)):
        needed, back = frames[place].main_data_begin, place
        while needed > 0 and back > 0:
            back -= 1
            needed -= frames[back].main_data_bytes
        start = min(start, back)
    return frames[start:-1]


def frame_complaint(frame: Frame, sample_rate: int) -> str:
    """What is wrong with a frame for this stream; empty when nothing is."""
    header = frame.header
    if header.sample_rate != sample_rate:
        return f"This mp3 has {header.sample_rate} Hz, the stream was started with sampleRate {sample_rate}."
    if header.channels != 1:
        return "This mp3 is stereo: record with numberOfChannels 1."
    return ""


def uplink_for(
    settings: StreamSettings, packet_ms: int, replay_s: float, now: float, instead_of: AnyUplink | None = None
) -> AnyUplink:
    """The uplink of a stream with these settings; it takes the marks of one that has not been given any audio."""
    uplink: AnyUplink
    begins_ms = settings.resume.settled_ms if settings.resume else 0
    if settings.is_mp3:
        uplink = Mp3Uplink(settings.sample_rate, packet_ms, now, replay_s=replay_s, begins_ms=begins_ms)
    else:
        uplink = Uplink(settings.bytes_per_ms, packet_ms, now, replay_s=replay_s, begins_ms=begins_ms)
    if instead_of is not None:
        uplink.take_over(instead_of)
    return uplink
