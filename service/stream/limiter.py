"""Holds streams and uploads to the limits of their users and addresses.

A process that is alone counts for itself. With a Redis the counts are those of all replicas. While Redis is away each
replica goes on with its own counts, which are always kept up to date: nobody is refused for it, and nobody gets more
than a limit for each replica. See docs/decisions/0009-limits.md.
"""

import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import trio

from service.failures import Problem, StreamFailed
from service.forwarded import counted_address
from service.identity import Identity
from service.retry_hint import retry_hint_ms
from service.shared.counters import BEAT_S, Scripts, SharedCounters, Spoken
from service.shared.redis import RedisAwayError
from service.stream.counters import Counters
from service.stream.limits import Answer, Excess, Limits, Place, day_of, refusal, until_tomorrow_ms, used_up

END_FORMER_S: Final = 2.0
"""What the end of a stream may take that another one continues: GIVE_BACK_S, and some for its task."""
GIVE_BACK_S: Final = 1.0
"""What giving a place back may take, cancelled or not: twice what Redis has for an answer. It expires anyway."""
TELL_BEFORE_MS: Final = 10_000
"""With so much audio left a stream is told that its end is near: a sentence can be finished."""


class Holding:
    """What one stream or upload has taken, while the `with` lasts that gave it."""

    def __init__(self, place: Place, limiter: "Limiter") -> None:
        self.place = place
        self.ended = trio.Event()
        """The place was given back."""
        self._limiter = limiter
        self._spoken_s = 0.0
        self._counted_ms = 0
        self._is_told = False
        self._on_used_up: Callable[[float], None] = _nothing
        self._on_replaced: Callable[[], None] = _nothing

    def tell(self, on_used_up: Callable[[float], None], on_replaced: Callable[[], None]) -> None:
        """From now on these are called: when the audio of the user's day is nearly used up, once, with the seconds that
        are left; and when another stream has taken over the place. They must not block or raise."""
        self._on_used_up, self._on_replaced = on_used_up, on_replaced
        self.look()

    def spoken(self, seconds: float) -> None:
        """So much more audio was sent to the recognizer."""
        self._spoken_s += seconds
        ms = int(self._spoken_s * 1000) - self._counted_ms
        self._counted_ms += ms
        self._limiter.count(self.place.user_id, ms)
        self.look()

    @contextlib.contextmanager
    def reserved(self, seconds: float) -> Iterator[None]:
        """So much of the user's day is kept while the `with` lasts. Raises StreamFailed when less is left."""
        with self._limiter.reserved(self.place.user_id, int(seconds * 1000)):
            yield

    def look(self) -> None:
        """See whether the audio of the day is nearly used up."""
        left_ms = self._limiter.left_ms(self.place.user_id)
        if left_ms <= TELL_BEFORE_MS and not self._is_told:
            self._is_told = True
            self._on_used_up(max(0.0, left_ms / 1000))

    def was_replaced(self) -> None:
        """Another stream has the place now."""
        self._on_replaced()


class Limiter:
    """The limits of one process, or of all replicas that share a Redis."""

    def __init__(
        self,
        limits: Limits = Limits(),  # noqa: B008 - it is frozen
        *,
        redis: Scripts | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._counters = Counters(limits)
        self._shared = SharedCounters(redis, secrets.token_hex(8)) if redis is not None and limits != Limits() else None
        self._wall_clock = wall_clock
        self._holdings: dict[str, Holding] = {}
        self._untold: set[str] = set()
        """Users of whose audio Redis does not know all yet."""

    @contextlib.asynccontextmanager
    async def stream(self, id: str, identity: Identity, address: str, resumes: str = "") -> AsyncIterator[Holding]:
        """A place for one stream while the `async with` lasts. `resumes` is the stream that it says it continues.

        Raises StreamFailed when a limit is reached. Redis is waited for at either end, for as long as it may take to
        answer; cancelled meanwhile, the place is given back.
        """
        async with self._hold(Place(id, identity.user_id, self._counted(address), resumes)) as holding:
            yield holding

    @contextlib.asynccontextmanager
    async def upload(self, id: str, identity: Identity, address: str) -> AsyncIterator[Holding]:
        """As `stream`, for an upload: it takes a place among the streams, and does not count as a new one."""
        async with self._hold(Place(id, identity.user_id, self._counted(address), is_stream=False)) as holding:
            yield holding

    async def end_former(self, identity: Identity, resumes: str) -> None:
        """End the stream of this process that is to be continued, if it is the same user's.

        Whoever has changed networks shall not be refused because the dead connection has the last place of all, or of
        the recognizer. Returns within END_FORMER_S.
        """
        former = self._holdings.get(self._counters.latest(resumes)) if resumes else None
        if former is None or former.place.user_id != identity.user_id or not former.place.is_stream:
            return
        former.was_replaced()
        with trio.move_on_after(END_FORMER_S):
            await former.ended.wait()

    @property
    def held(self) -> list[str]:
        """The streams and uploads that have a place here, the oldest first."""
        return list(self._holdings)

    def count(self, user_id: str, ms: int) -> None:
        """A user has spoken for so much longer."""
        if ms and user_id and self._limits.audio_ms_per_day:
            self._counters.spoken(user_id, self._today(), ms)
            if self._shared is not None:
                self._untold.add(user_id)

    @contextlib.contextmanager
    def reserved(self, user_id: str, ms: int) -> Iterator[None]:
        """See `Holding.reserved`."""
        day = self._today()
        if self._counters.left_ms(user_id, day) < ms:
            raise StreamFailed(self.used_up())
        self._counters.reserve(user_id, day, ms)
        try:
            yield
        finally:
            self._counters.reserve(user_id, day, -ms)

    def left_ms(self, user_id: str) -> float:
        """How long a user may still speak today; infinite without a limit."""
        return self._counters.left_ms(user_id, self._today())

    def used_up(self) -> Problem:
        """What is said when the audio of a day is used up."""
        return used_up(self._limits, until_tomorrow_ms(self._unix_ms()), retry_hint_ms())

    async def run(self) -> None:
        """Keep in Redis what is held, and learn what others have counted, until cancelled."""
        while self._shared is not None:
            await trio.sleep(BEAT_S)
            with contextlib.suppress(RedisAwayError):
                await self.beat()

    async def beat(self) -> None:
        """What `run` does every BEAT_S. Raises RedisAwayError: what was to be told is told with the next one."""
        if self._shared is None:
            return
        held = (holding.place for id, holding in tuple(self._holdings.items()) if id in self._holdings)
        for place in await self._shared.beat(held):
            self._counters.drop(place.id)
            if place.id in self._holdings:  # else it has ended meanwhile
                self._holdings[place.id].was_replaced()
        await self._tell(self._shared)

    # -- a place ------------------------------------------------------------------------------------------------------

    def _counted(self, address: str) -> str:
        return counted_address(address) if self._limits.streams_per_address else ""

    @contextlib.asynccontextmanager
    async def _hold(self, place: Place) -> AsyncIterator[Holding]:
        holding = Holding(place, self)
        if not place.user_id and not place.address:  # nobody to count for
            yield holding
            return
        is_owed = self._shared is not None  # also when it is not known whether Redis has given it
        try:
            answer = await self._take(place)
            if answer.excess is not None:
                is_owed = False
                raise StreamFailed(self._refusal(answer))
            self._holdings[place.id] = holding
            if answer.replaced in self._holdings:
                self._holdings[answer.replaced].was_replaced()
            yield holding
        finally:
            self._holdings.pop(place.id, None)
            self._counters.free(place, _now_ms())
            if self._shared is not None and is_owed:
                with trio.move_on_after(GIVE_BACK_S, shield=True), contextlib.suppress(RedisAwayError):
                    await self._shared.free(place)
            holding.ended.set()

    def _refusal(self, answer: Answer) -> Problem:
        wait_ms = until_tomorrow_ms(self._unix_ms()) if answer.excess is Excess.AUDIO else answer.wait_ms
        return refusal(answer, self._limits, wait_ms, retry_hint_ms())

    async def _take(self, place: Place) -> Answer:
        """The word of all replicas, where it can be had; else what this process knows."""
        unix_ms = self._unix_ms()
        if self._shared is None:
            return self._counters.take(place, _now_ms(), unix_ms)
        day = day_of(unix_ms)
        try:
            here_ms = self._counters.spoken_here(place.user_id, day)
            answer, others_ms = await self._shared.take(place, self._limits, day, here_ms)
        except RedisAwayError:
            return self._counters.take(place, _now_ms(), unix_ms)
        self._counters.learn(place.user_id, day, others_ms)
        if answer.excess is None:
            return self._counters.take(place, _now_ms(), unix_ms, enforced=False)
        return answer

    # -- what is shared -----------------------------------------------------------------------------------------------

    async def _tell(self, shared: SharedCounters) -> None:
        """Tell what was counted here, and learn what the others have: of all who speak, and all who have since."""
        if not self._limits.audio_ms_per_day:
            return
        today = self._today()
        speaking = {holding.place.user_id for holding in self._holdings.values()} | self._untold
        asked = [Spoken(user_id, today, self._counters.spoken_here(user_id, today)) for user_id in speaking - {""}]
        self._untold.clear()
        try:
            told = await shared.speak(asked)
        except RedisAwayError:
            self._untold |= speaking
            raise
        for spoken, others_ms in zip(asked, told, strict=True):
            self._counters.learn(spoken.user_id, today, others_ms)
        for holding in tuple(self._holdings.values()):
            holding.look()

    def _unix_ms(self) -> int:
        return int(self._wall_clock() * 1000)

    def _today(self) -> int:
        return day_of(self._unix_ms())


def _now_ms() -> int:
    return int(trio.current_time() * 1000)


def _nothing(*_: object) -> None:
    """Nobody wants to be told."""
