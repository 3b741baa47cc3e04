"""The audio of one stream on its way to the recognizer: kept, cut into packets, paced, accounted for. Pure.

What was sent is kept until it is settled, as much of it as the replay may have: when a connection is lost, `rewind`
puts it before what waits, and the next connection is sent it again. It is counted once.

Audio waits in an uplink, in which `finalize` and `stop` are marks at a position: the audio before the first mark
belongs to the present recognizer connection, the audio behind it to a later one. Positions count the client's audio
from the start of the stream, in units of which a millisecond has a whole number: bytes of PCM (`Uplink`), samples of
mp3 (`uplink_mp3`). They are the one clock to which every time that the client sees refers.

Pacing (Tencent's document 1093/48982: more than 3 s of audio within 1 s ends in code 4000): a bucket of 0.5 s of audio
that refills at twice real time. Live audio passes as it comes, a backlog is worked off at 2x, and no window of 1 s
holds more than 0.5 + 2 = 2.5 s of audio.
"""

import abc
import math
from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from service.failures import Problem
from service.stream.protocol import AudioAccount

SAMPLE_BYTES: Final = 2
PACE: Final = 2.0  # seconds of audio per second while there is a backlog
BURST_S: Final = 0.5
BACKLOG_S: Final = 10.0
"""Audio kept while the recognizer cannot take it: 320 kB per stream of PCM at 16 kHz. Beyond it the client is not read,
so that TCP holds it back and nothing is lost."""
FLUSH_AFTER_S: Final = 0.4
"""Audio waits for the rest of its packet at most this long: longer than any recorder's frame in use (320 ms)."""
ARRIVALS_APART_S: Final = 0.005  # resolution of the delay metric: a bound for what is remembered about arrivals


@dataclass(frozen=True, slots=True)
class Mark:
    """A request to settle everything before a position."""

    position: int
    stop: bool = False
    id: int | str | None = None
    """Of a `finalize`: echoed in `finalized`."""


class Packet(NamedTuple):
    """Audio for one message to the recognizer."""

    audio: bytes
    complete_at: float
    """When its last byte came from the client."""


class Pacer:
    """How much audio one recognizer connection may be sent now. Times are any monotonic clock's, in seconds.

    Audio is counted in bytes here; any other unit will do.
    """

    def __init__(self, bytes_per_s: int, now: float) -> None:
        self._refill = bytes_per_s * PACE
        self._capacity = bytes_per_s * BURST_S
        self._level = self._capacity
        self._at = now

    def allowance(self, now: float) -> int:
        """Bytes that may be sent now."""
        self._level = min(self._capacity, self._level + (now - self._at) * self._refill)
        self._at = now
        # The thousandth of a byte keeps rounding from making a packet that is due at t wait beyond t.
        return int(self._level + 1e-3)

    def spend(self, count: int) -> None:
        """Take note that `count` bytes are being sent; at most the allowance."""
        self._level -= count

    def sent(self, now: float) -> None:
        """The sending took until now: time in which the transport took nothing gives no right to send more."""
        self._at = max(self._at, now)

    def ready_at(self, count: int, now: float) -> float:
        """When `count` bytes may be sent; `count` is at most the bucket's size."""
        if count <= self.allowance(now):
            return now
        return now + (count - self._level) / self._refill


class AnyUplink(abc.ABC):
    """The audio that the recognizer has not been sent yet, and the account of all audio of the stream."""

    def __init__(self, units_per_ms: int, packet_units: int, replay_s: float, begins_ms: int, now: float) -> None:
        """`begins_ms` is where the client's clock stands: not 0 when it resumes an earlier stream."""
        self._units_per_ms = units_per_ms
        self._replay_units = int(replay_s * 1000) * units_per_ms
        self._begins_at = begins_ms * units_per_ms
        self._packet_units = packet_units
        self._limit_units = int(BACKLOG_S * 1000) * units_per_ms
        self._arrivals: deque[tuple[int, float]] = deque()
        """(position behind what came, time), oldest first."""
        self._marks: deque[Mark] = deque()
        self._pacer = Pacer(units_per_ms * 1000, now)
        self._stopped = False
        self._next = self._begins_at
        """The position of the first audio to send, since nothing is skipped."""
        self._reached = self._reached_before = self._begins_at
        """The position up to which audio was sent, on any connection; and before the last `take_due`."""
        self._settled = self._begins_at
        """The position up to which the recognizer has settled."""
        self._dropped = 0
        self._skipped = 0
        """Audio that could not be written, and was not kept when its connection was lost: it is dropped."""
        self.first_audio_at = math.inf
        self.last_audio_at = -math.inf

    # -- what differs between codings ---------------------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def waiting(self) -> int:
        """The client's audio that was not sent."""

    @property
    @abc.abstractmethod
    def received_bytes(self) -> int:
        """All that came from the client."""

    @property
    @abc.abstractmethod
    def relayed_bytes(self) -> int:
        """What of it went to the recognizer."""

    @abc.abstractmethod
    def feed(self, data: bytes, now: float) -> Problem | None:
        """Take audio from the client, or say why it cannot be. Audio behind `stop` is counted as dropped."""

    @abc.abstractmethod
    def drop_waiting(self) -> None:
        """Count everything that was not sent as dropped: the stream is over."""

    @abc.abstractmethod
    def not_sent(self, count: int) -> None:
        """The last `count` bytes that `take_due` gave could not be written, and the connection ends with that."""

    @abc.abstractmethod
    def _forget(self, position: int) -> None:
        """What was sent before this position is not kept any more."""

    @abc.abstractmethod
    def _put_back(self) -> int:
        """What is kept goes before what waits; the position where that begins."""

    @abc.abstractmethod
    def _whole(self, waiting: int) -> int:
        """How much of what waits before the first mark can be sent."""

    @abc.abstractmethod
    def _pop(self, size: int) -> tuple[bytes, int]:
        """Take the next audio of this size, and keep it; how much of it is the client's new audio."""

    # -- the clock ----------------------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Where the next audio from the client will stand."""
        return self._next + self.waiting

    @property
    def received(self) -> int:
        """All audio that came from the client."""
        return self.position - self._begins_at + self._dropped

    @property
    def relayed(self) -> int:
        """The audio that the recognizer was sent; none of it counts twice."""
        return self._reached - self._begins_at - self._skipped

    @property
    def sent_to(self) -> int:
        """The position up to which the present connection was sent audio."""
        return self._next

    @property
    def settled_to(self) -> int:
        """The position up to which the recognizer has settled."""
        return self._settled

    def in_ms(self, units: int) -> int:
        """A position or a length in milliseconds, rounded down."""
        return units // self._units_per_ms

    def in_s(self, units: int) -> float:
        """A length in seconds."""
        return units / (self._units_per_ms * 1000)

    # -- from the client ----------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether the client must not be read until audio was sent."""
        return self.position - self._reached >= self._limit_units

    @property
    def stopped(self) -> bool:
        """Whether the end of the audio is known."""
        return self._stopped

    @property
    def has_audio(self) -> bool:
        """Whether audio waits before the first mark that can be sent: a reason to have a recognizer connection."""
        return self._sendable() > 0

    @property
    def reached(self) -> Mark | None:
        """The first mark, when all that can be sent before it was."""
        return self._marks[0] if self._marks and not self.has_audio else None

    @property
    def marks(self) -> int:
        """How many requests to settle are waiting."""
        return len(self._marks)

    def mark(self, *, stop: bool = False, id: int | str | None = None) -> None:
        """Ask that everything so far be settled. Behind `stop` nothing is taken any more."""
        if not self._stopped:
            self._marks.append(Mark(self.position, stop, id))
            self._stopped = stop

    def take_over(self, other: "AnyUplink") -> None:
        """Take the requests to settle of an uplink that has not been given any audio."""
        self._marks = other._marks

    def pass_mark(self) -> Mark:
        """Remove the mark that `reached` shows. What cannot be sent and is left at `stop` is counted as dropped."""
        mark = self._marks.popleft()
        if mark.stop:
            self.drop_waiting()
        return mark

    def _arrived(self, position: int, now: float) -> None:
        """Take note that audio came, up to here."""
        self.last_audio_at = now
        if self.first_audio_at > now:
            self.first_audio_at = now
        arrivals = self._arrivals
        if arrivals and now - arrivals[-1][1] < ARRIVALS_APART_S:
            now = arrivals.pop()[1]
        arrivals.append((position, now))

    # -- to the recognizer --------------------------------------------------------------------------------------------

    def begin_connection(self, now: float) -> int:
        """A new recognizer connection: its pace starts afresh. Returns the position at which its clock is 0."""
        self._pacer = Pacer(self._units_per_ms * 1000, now)
        return self._next

    def settle(self, position: int) -> None:
        """Everything before this position, as far as it was sent, is settled: it is not kept for a replay."""
        if position > self._settled:
            self._settled = min(position, self._next)
            self._forget(self._settled)

    def settle_to_ms(self, until_ms: int) -> None:
        """As `settle`."""
        self.settle(until_ms * self._units_per_ms)

    def rewind(self, now: float) -> tuple[int, int] | None:
        """The connection is lost: what it was sent, and has not settled, is to be sent again.

        Returns the milliseconds between which audio is missing, where more was unsettled than is kept.
        """
        before, self._next = self._next, self._put_back()
        if self._next < before:
            self._arrivals.appendleft((before, now))
        missing = (self.in_ms(self._settled), self.in_ms(self._next))
        self._settled = self._next
        return missing if missing[0] < missing[1] else None

    @property
    def has_packet(self) -> bool:
        """Whether as much audio waits as makes a whole packet."""
        return self.waiting >= self._packet_units

    def is_ripe(self, now: float) -> bool:
        """Whether a packet waits that would be sent now, if the pace allows it."""
        return self._next_size(now) > 0

    def take_due(self, now: float) -> list[Packet]:
        """The packets to send now, within the pace. A short packet is due at a mark or when audio has paused."""
        self._reached_before = self._reached
        packets = []
        allowance = self._pacer.allowance(now)
        while 0 < (size := self._next_size(now)) <= allowance:
            self._pacer.spend(size)
            allowance -= size
            packets.append(self._take(size))
        return packets

    def sent(self, now: float) -> None:
        """What `take_due` gave was written by now."""
        self._pacer.sent(now)

    def next_due(self, now: float) -> float:
        """When `take_due` will have something to send, if nothing else happens; infinite when never."""
        size = self._next_size(now)
        if size:
            return self._pacer.ready_at(size, now)
        return self._flush_at() if self.has_audio else math.inf

    def backlog_s(self) -> float:
        """How long the waiting audio takes at the pace of a backlog."""
        return self.in_s(self.waiting) / PACE

    def account(self, recognized_ms: int) -> AudioAccount:
        """Received = relayed + dropped, in bytes and in milliseconds; what still waits counts as dropped."""
        received_ms, dropped_ms = self.in_ms(self.received), self.in_ms(self.received - self.relayed)
        return AudioAccount(
            received_ms=received_ms,
            relayed_ms=received_ms - dropped_ms,
            recognized_ms=recognized_ms,
            dropped_ms=dropped_ms,
            received_bytes=self.received_bytes,
            relayed_bytes=self.relayed_bytes,
            dropped_bytes=self.received_bytes - self.relayed_bytes,
        )

    def _sendable(self) -> int:
        """How much can be sent before the first mark."""
        return self._whole(self._marks[0].position - self._next if self._marks else self.waiting)

    def _next_size(self, now: float) -> int:
        """What the next packet has; 0 when none is due. The pace comes on top."""
        sendable = self._sendable()
        if sendable >= self._packet_units:
            return self._packet_units
        return sendable if self._marks or now >= self._flush_at() else 0

    def _flush_at(self) -> float:
        """When the oldest waiting audio has waited long enough for the rest of its packet."""
        return self._arrivals[0][1] + FLUSH_AFTER_S if self._arrivals else math.inf

    def _take(self, size: int) -> Packet:
        audio, new = self._pop(size)
        self._next += new
        if self._next > self._reached:
            skipped = self._next - new - self._reached
            if skipped > 0:
                self._skipped += skipped
            self._reached = self._next
        if self._next - self._settled > self._replay_units:
            self._forget(self._next - self._replay_units)
        arrivals, sent_to = self._arrivals, self._next
        while arrivals[0][0] < sent_to:
            arrivals.popleft()
        position, complete_at = arrivals[0]
        if position == sent_to:
            arrivals.popleft()
        return Packet(audio, complete_at)


class Uplink(AnyUplink):
    """An uplink for 16-bit mono PCM; positions are bytes, and any whole sample can be the last of a packet."""

    def __init__(
        self, bytes_per_ms: int, packet_ms: int, now: float, *, replay_s: float = 0.0, begins_ms: int = 0
    ) -> None:
        super().__init__(bytes_per_ms, packet_ms * bytes_per_ms, replay_s, begins_ms, now)
        self._audio = bytearray()
        """What is kept of what was sent, and behind it what waits: sending moves the border."""
        self._kept = 0

    @property
    def waiting(self) -> int:
        return len(self._audio) - self._kept

    @property
    def received_bytes(self) -> int:
        return self.received

    @property
    def relayed_bytes(self) -> int:
        return self.relayed

    def feed(self, data: bytes, now: float) -> None:
        if not data:
            return
        if self._stopped:
            self._dropped += len(data)
            return
        audio = self._audio
        audio += data
        self._arrived(self._next + len(audio) - self._kept, now)

    @property
    def has_packet(self) -> bool:
        return len(self._audio) - self._kept >= self._packet_units

    def drop_waiting(self) -> None:
        self._dropped += self.waiting
        del self._audio[self._kept :]

    def not_sent(self, count: int) -> None:
        # Not from `_next`: a send may end when the connection was lost already, behind `rewind`.
        self._reached = max(self._reached_before, self._reached - count)

    def _whole(self, waiting: int) -> int:
        return waiting - waiting % SAMPLE_BYTES

    def _pop(self, size: int) -> tuple[bytes, int]:
        begin = self._kept
        self._kept += size
        return bytes(self._audio[begin : self._kept]), size

    def _forget(self, position: int) -> None:
        spare = self._kept - (self._next - position)
        if spare > 0:
            del self._audio[:spare]
            self._kept -= spare

    def _put_back(self) -> int:
        begin, self._kept = self._next - self._kept, 0
        return begin
