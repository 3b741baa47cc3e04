"""Everything that can happen to audio on its way, in any order."""

import itertools
import math
from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from service.stream.audio import ARRIVALS_APART_S, FLUSH_AFTER_S, Mark, Packet, Uplink
from service.stream.protocol import AudioAccount
from tests.pure.test_audio import MOST_IN_A_SECOND_S, NOISE, most_in_a_second


class AnyTalk(RuleBasedStateMachine):
    """Any interleaving of audio, time, marks and connections, against a model that only keeps lists."""

    @initialize(
        bytes_per_ms=st.sampled_from([16, 32]),
        packet_ms=st.sampled_from([20, 40, 100, 200, 400]),
        now=st.sampled_from([0.0, 12_345.678, 987_654.321]),
        replay_s=st.sampled_from([0.0, 0.5, 15.0]),
    )
    def begin(self, bytes_per_ms: int, packet_ms: int, now: float, replay_s: float) -> None:
        self.now = now
        self.bytes_per_ms = bytes_per_ms
        self.packet_bytes = packet_ms * bytes_per_ms
        self.uplink = Uplink(bytes_per_ms, packet_ms, now, replay_s=replay_s)
        self.replay_bytes = int(replay_s * 1000) * bytes_per_ms
        self.reached = 0
        self.skipped = 0
        self.settled = 0
        self.accepted = 0
        self.dropped = 0
        self.taken = 0
        self.stopped = False
        self.marks: deque[Mark] = deque()
        self.arrivals: list[tuple[int, float]] = []
        """(position behind the last byte, time) of every piece."""
        self.losses: list[tuple[int, int, float]] = []
        """What was to be sent again: from where, up to where, and since when."""
        self.sends: list[tuple[float, int]] = []
        """On the present connection."""
        self.numbers = 0

    @property
    def sendable(self) -> int:
        """Bytes of whole samples that may be sent before the next mark."""
        end = self.marks[0].position if self.marks else self.accepted
        return (end - self.taken) // 2 * 2

    @rule(size=st.integers(0, 70) | st.sampled_from([640, 1280, 3200, 6400, 65_536]))
    def audio(self, size: int) -> None:
        start = self.accepted % 1_000_000
        self.uplink.feed(NOISE[start : start + size], self.now)
        if self.stopped:
            self.dropped += size
        elif size:
            self.accepted += size
            self.arrivals.append((self.accepted, self.now))

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.004, 0.005, 0.04, 0.1, 0.32, 0.4, 1.0]) | st.floats(0, 3))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def finalize(self) -> None:
        self.numbers += 1
        self.uplink.mark(id=self.numbers)
        if not self.stopped:
            self.marks.append(Mark(self.accepted, id=self.numbers))

    @precondition(lambda self: self.numbers > 2)
    @rule()
    def stop(self) -> None:
        self.uplink.mark(stop=True)
        if not self.stopped:
            self.marks.append(Mark(self.accepted, stop=True))
        self.stopped = True

    @rule()
    def take(self) -> None:
        self.note(self.uplink.take_due(self.now))
        assert self.uplink.next_due(self.now) > self.now  # or the caller would spin

    @rule()
    def wait_until_due(self) -> None:
        self.take()
        due = self.uplink.next_due(self.now)
        assert (due == math.inf) == (self.sendable == 0)
        if due < math.inf:
            assert self.uplink.take_due(max(self.now, due - 0.001)) == []  # nothing is late either
            self.now = due
            packets = self.uplink.take_due(self.now)
            assert packets
            self.note(packets)

    @rule()
    def connect(self) -> None:
        assert self.uplink.begin_connection(self.now) == self.taken
        self.sends = []

    @rule(share=st.floats(0, 1.2))
    def settle(self, share: float) -> None:
        until_ms = round((self.settled + share * (self.taken - self.settled)) / self.bytes_per_ms)
        self.uplink.settle_to_ms(until_ms)
        self.settled = max(self.settled, min(until_ms * self.bytes_per_ms, self.taken))

    @rule()
    def lose(self) -> None:
        missing = self.uplink.rewind(self.now)
        begin = max(self.settled, self.taken - self.replay_bytes)
        gap = (self.settled // self.bytes_per_ms, begin // self.bytes_per_ms)
        assert missing == (gap if gap[0] < gap[1] else None)
        if begin < self.taken:
            self.losses.append((begin, self.taken, self.now))
        self.taken = self.settled = begin
        self.connect()

    @rule(unwritten=st.integers(0, 30), found_first=st.booleans())
    def lose_while_sending(self, unwritten: int, found_first: bool) -> None:
        reached = self.reached
        packets = self.uplink.take_due(self.now)
        self.note(packets)
        count = sum(len(packet.audio) for packet in packets[len(packets) - min(unwritten, len(packets)) :])
        if packets:
            self.reached = max(reached, self.taken - count)
        if found_first:
            self.lose()
        self.uplink.not_sent(count)
        if not found_first:
            self.lose()

    @precondition(lambda self: self.uplink.reached)
    @rule()
    def pass_mark(self) -> None:
        mark = self.marks.popleft()
        assert self.uplink.pass_mark() == mark
        if mark.stop:
            self.dropped += self.accepted - self.taken
            self.accepted = self.taken

    def note(self, packets: list[Packet]) -> None:
        """Compare the packets with what was fed."""
        for packet in packets:
            size = len(packet.audio)
            assert 0 < size <= self.packet_bytes
            assert size % 2 == 0
            assert size <= self.sendable
            oldest_at = self.came_at(self.taken)
            waited_s = self.now - oldest_at + ARRIVALS_APART_S  # what came so close together counts as one
            assert size == self.packet_bytes or self.marks or waited_s >= FLUSH_AFTER_S - 1e-9
            assert packet.audio == b"".join(NOISE[place : place + 1] for place in self.places(size))
            self.skipped += max(0, self.taken - self.reached)  # not written, and not kept either
            self.taken += size
            self.reached = max(self.reached, self.taken)
            came_at = self.came_at(self.taken - 1)
            assert came_at - ARRIVALS_APART_S - 1e-9 <= packet.complete_at <= came_at
            self.sends.append((self.now, size))
        assert most_in_a_second(self.sends) <= MOST_IN_A_SECOND_S * self.bytes_per_ms * 1000 + 1

    def came_at(self, place: int) -> float:
        """When a byte came to wait: from the client, or back."""
        back = [at for begin, end, at in self.losses if begin <= place < end]
        return back[-1] if back else next(at for end, at in self.arrivals if end > place)

    def places(self, size: int) -> list[int]:
        """Where in the noise the next bytes come from: each piece was cut where the position pointed then."""
        places: list[int] = []
        begin = 0
        for end, _ in self.arrivals:
            low, high = max(begin, self.taken), min(end, self.taken + size)
            places += range(begin % 1_000_000 + low - begin, begin % 1_000_000 + max(low, high) - begin)
            begin = end
        return places

    @invariant()
    def everything_is_accounted_for(self) -> None:
        if not hasattr(self, "uplink"):
            return
        waiting = self.accepted - self.taken
        tested = self.uplink
        assert (tested.relayed_bytes, tested.sent_to, tested.position) == (
            self.reached - self.skipped,
            self.taken,
            self.accepted,
        )
        assert tested.settled_to == self.settled
        assert tested._kept == min(self.taken - self.settled, self.replay_bytes)
        assert tested.received_bytes == self.accepted + self.dropped
        unsent = self.accepted - self.reached
        received_ms = (self.accepted + self.dropped) // self.bytes_per_ms
        dropped_bytes = unsent + self.dropped + self.skipped
        dropped_ms = dropped_bytes // self.bytes_per_ms
        assert tested.account(5) == AudioAccount(
            received_ms,
            received_ms - dropped_ms,
            5,
            dropped_ms,
            self.accepted + self.dropped,
            self.reached - self.skipped,
            dropped_bytes,
        )
        assert 0 <= received_ms - dropped_ms <= -(-self.reached // self.bytes_per_ms)
        assert tested.backlog_s() == waiting / (self.bytes_per_ms * 2000)
        assert tested.full == (unsent >= 10_000 * self.bytes_per_ms)

    @invariant()
    def marks_are_reached_in_time(self) -> None:
        if not hasattr(self, "uplink"):
            return
        assert (self.uplink.stopped, self.uplink.marks) == (self.stopped, len(self.marks))
        assert self.uplink.has_audio == (self.sendable > 0)
        assert self.uplink.reached == (self.marks[0] if self.marks and self.sendable == 0 else None)

    @invariant()
    def arrivals_are_few(self) -> None:
        if hasattr(self, "uplink"):
            times = [at for _, at in self.uplink._arrivals]
            if not self.losses:
                assert all(later - earlier >= ARRIVALS_APART_S for earlier, later in itertools.pairwise(times))
            assert len(times) <= len([end for end, _ in self.arrivals if end > self.taken]) + len(self.losses) + 1


AnyTalk.TestCase.settings = settings(stateful_step_count=40)
test_any_talk = AnyTalk.TestCase
