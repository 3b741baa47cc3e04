"""Who has how many streams, has opened how many of late, and has spoken for how long today: in this process. Pure.

It decides where a process is alone. Where replicas share a Redis it is kept up to date all the same, so that it can
decide at once when Redis is away, with what it knows. Times are milliseconds: `now` of a monotonic clock, days of Unix
time. Memory: some hundred bytes for a user who is here, was here within a minute, or has spoken today.
"""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from service.stream.limits import RESUME_GRACE_MS, WINDOW_MS, Answer, Excess, Limits, Place, day_of, until_tomorrow_ms

_NO_LIMIT: Final = float("inf")


@dataclass(slots=True)
class _Spoken:
    """One user's audio of the day, in milliseconds."""

    here: int = 0
    elsewhere: int = 0
    """What other replicas have told."""
    reserved: int = 0


class Counters:
    """The counts of one process."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held: dict[str, Place] = {}
        """The places that are taken, by id."""
        self._of_user: Counter[str] = Counter()
        self._of_address: Counter[str] = Counter()
        self._begun: OrderedDict[tuple[str, bool], deque[int]] = OrderedDict()
        """When a user opened, or resumed, streams within the last minute; who did so last stands last."""
        self._ended: OrderedDict[str, tuple[str, int]] = OrderedDict()
        """Streams that can be resumed though they have ended: whose, and until when; in the order of that."""
        self._heirs: OrderedDict[str, tuple[str, int]] = OrderedDict()
        """Which stream has continued another, and until when that is kept; in the order of that. A phone that loses its
        network once more before `ready` came names the former one again."""
        self._audio = _Day()

    def take(self, place: Place, now: int, unix_ms: int, *, enforced: bool = True) -> Answer:
        """Take a place, unless a limit is reached. Not `enforced`: somebody who knows more has granted it already.

        A stream that resumes one of the same user's takes over its place, or that of the stream which has continued it
        already, and is not counted as new.
        """
        self._forget_old(now)
        former = self.latest(place.resumes)
        resumed = self._whose(former) == place.user_id if former else False
        replaced = former if resumed and former in self.held else ""
        if enforced:
            excess, wait_ms = self._excess(place, now, unix_ms, resumed=resumed, replaced=replaced)
            if excess is not None:
                return Answer(excess, wait_ms)
        if replaced:
            self._remove(replaced)
        elif resumed:
            del self._ended[former]
        if resumed:
            self._heirs[former] = (place.id, now + RESUME_GRACE_MS)
        self.held[place.id] = place
        self._of_user[place.user_id] += 1
        self._of_address[place.address] += 1
        if place.is_stream and place.user_id and self.limits.new_streams_per_minute:
            begun = self._begun.setdefault((place.user_id, resumed), deque())
            begun.append(now)
            if len(begun) > self.limits.new_streams_per_minute:  # granted by others: the oldest matters no more
                begun.popleft()
            self._begun.move_to_end((place.user_id, resumed))
        return Answer(replaced=replaced)

    def free(self, place: Place, now: int) -> None:
        """Give a place back. One that was taken over is gone already."""
        if place.id in self.held:
            self._remove(place.id)
            if place.is_stream:
                self._ended[place.id] = (place.user_id, now + RESUME_GRACE_MS)

    def drop(self, id: str) -> None:
        """A place was taken over at another replica."""
        if id in self.held:
            self._remove(id)

    # -- audio --------------------------------------------------------------------------------------------------------

    def spoken(self, user_id: str, day: int, ms: int) -> None:
        """A user has spoken for so much longer."""
        self._audio.user(user_id, day).here += ms

    def spoken_here(self, user_id: str, day: int) -> int:
        """What this process has counted of a user's day."""
        return self._audio.user(user_id, day).here

    def learn(self, user_id: str, day: int, others_ms: int) -> None:
        """Other replicas have counted so much. It never becomes less: what a Redis that was emptied has forgotten, this
        process has not."""
        user = self._audio.user(user_id, day)
        user.elsewhere = max(user.elsewhere, others_ms)

    def reserve(self, user_id: str, day: int, ms: int) -> None:
        """So much is kept for audio that is not counted yet; less than nothing: no longer."""
        self._audio.user(user_id, day).reserved += ms

    def left_ms(self, user_id: str, day: int) -> float:
        """How long a user may still speak today; infinite without a limit, or for nobody."""
        if not user_id or not self.limits.audio_ms_per_day:
            return _NO_LIMIT
        user = self._audio.user(user_id, day)
        return self.limits.audio_ms_per_day - user.here - user.elsewhere - user.reserved

    # -- what is looked at --------------------------------------------------------------------------------------------

    def _excess(
        self, place: Place, now: int, unix_ms: int, *, resumed: bool, replaced: str
    ) -> tuple[Excess | None, int]:
        limits, freed = self.limits, self.held.get(replaced)
        if self.left_ms(place.user_id, day_of(unix_ms)) <= 0:
            return Excess.AUDIO, until_tomorrow_ms(unix_ms)
        if place.address and limits.streams_per_address:
            there = self._of_address[place.address] - (freed is not None and freed.address == place.address)
            if there >= limits.streams_per_address:
                return Excess.ADDRESS, 0
        if not place.user_id:
            return None, 0
        if limits.streams_per_user and self._of_user[place.user_id] - (freed is not None) >= limits.streams_per_user:
            return Excess.USER, 0
        if limits.new_streams_per_minute and place.is_stream:
            begun = self._recent(place.user_id, resumed, now)
            if len(begun) >= limits.new_streams_per_minute:
                return Excess.RATE, begun[0] + WINDOW_MS - now
        return None, 0

    def _whose(self, id: str) -> str | None:
        """Whose stream it is that can be resumed; None for one that nobody knows here."""
        if id in self.held:
            return self.held[id].user_id if self.held[id].is_stream else None
        return self._ended[id][0] if id in self._ended else None

    def latest(self, id: str) -> str:
        """The stream that a conversation has come to; the same where nobody has continued it."""
        for _ in range(len(self._heirs)):  # at most: an id is taken once
            if id not in self._heirs:
                break
            id = self._heirs[id][0]
        return id

    def _recent(self, user_id: str, resumed: bool, now: int) -> deque[int]:
        begun = self._begun.get((user_id, resumed), deque())
        while begun and begun[0] + WINDOW_MS <= now:
            begun.popleft()
        return begun

    def _remove(self, id: str) -> None:
        place = self.held.pop(id)
        for counts, key in ((self._of_user, place.user_id), (self._of_address, place.address)):
            counts[key] -= 1
            if not counts[key]:
                del counts[key]

    def _forget_old(self, now: int) -> None:
        while self._begun:
            key, begun = next(iter(self._begun.items()))
            if begun and begun[-1] + WINDOW_MS > now:
                break
            del self._begun[key]
        for kept in (self._ended, self._heirs):
            while kept:
                id, (_, until) = next(iter(kept.items()))
                if until > now:
                    break
                del kept[id]


@dataclass(slots=True)
class _Day:
    """The audio of one day: with the first that is counted for the next one, it begins anew."""

    number: int = 0
    users: dict[str, _Spoken] = field(default_factory=dict)

    def user(self, user_id: str, day: int) -> _Spoken:
        if day > self.number:
            self.number, self.users = day, {}
        if day < self.number:
            return _Spoken()  # told late: nothing of that day is looked at any more
        return self.users.setdefault(user_id, _Spoken())
