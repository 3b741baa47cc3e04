"""The counts of limits, shared by replicas through Redis: who has which streams, and has spoken for how long today.

A place is a lease: whoever holds it renews it with each beat, so that those of a replica that was killed are free again
after LEASE_MS. What is asked and what is taken are one script, so that two replicas cannot both take the last place.
Audio is kept as each replica's own sum: to tell it twice changes nothing, and a Redis that was emptied is told again.

The names of keys hold user ids and addresses; all of them expire, the last ones two days after a user's last audio.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from service.stream.limits import DAY_MS, RESUME_GRACE_MS, WINDOW_MS, Answer, Excess, Limits, Place

BEAT_S: Final = 5.0
"""How often places are renewed and audio is told: what others may spend meanwhile is beyond a day's limit."""
LEASE_MS: Final = 15_000
"""Two beats may be lost."""
_KINDS: Final = ("begun", "resumed", "known", "replaced", "heirs")
_BATCH: Final = 100
"""Places in one script: Redis does nothing else meanwhile, for about a millisecond."""

_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function keep(key, ms) redis.call('PEXPIRE', key, ms) end
local function elsewhere(key, replica)
  local all, sum = redis.call('HGETALL', key), 0
  for field = 1, #all, 2 do
    if all[field] ~= replica then sum = sum + tonumber(all[field + 1]) end
  end
  return sum
end
"""

# KEYS: streams of the user, of the address; begun, resumed, known, replaced, heirs ("old new"); audio of the day
# ARGV: id, resumes, is the user known, is the address, is it a stream,
#       streams for each user, for each address, new ones in a window, audio in a day,
#       lease, window, grace, replica, the audio counted here
# Returns: the excess (0: granted), how long to wait, the audio of other replicas
_TAKE: Final = (
    _NOW
    + """
local id, resumes = ARGV[1], ARGV[2]
local user, address, stream = ARGV[3] == '1', ARGV[4] == '1', ARGV[5] == '1'
local per_user, per_address, per_window, per_day =
  tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local lease, window, grace = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local of_user, of_address, begun, known, replaced = KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6]
local heirs, audio = KEYS[7], KEYS[8]
redis.call('ZREMRANGEBYSCORE', of_user, '-inf', now)
redis.call('ZREMRANGEBYSCORE', of_address, '-inf', now)
redis.call('ZREMRANGEBYSCORE', known, '-inf', now)
redis.call('ZREMRANGEBYSCORE', replaced, '-inf', now)
redis.call('ZREMRANGEBYSCORE', heirs, '-inf', now)
if resumes ~= '' and not redis.call('ZSCORE', known, resumes) then
  local heir_of = {}
  for _, pair in ipairs(redis.call('ZRANGE', heirs, 0, -1)) do
    local old, new = string.match(pair, '^(%S+) (%S+)$')
    heir_of[old] = new
  end
  while heir_of[resumes] do
    local heir = heir_of[resumes]
    heir_of[resumes] = nil
    resumes = heir
  end
end
local resumed = resumes ~= '' and redis.call('ZSCORE', known, resumes)
if resumed then begun = KEYS[4] end
redis.call('ZREMRANGEBYSCORE', begun, '-inf', now - window)

local function taken(key)
  local count = redis.call('ZCARD', key)
  if resumed and redis.call('ZSCORE', key, resumes) then count = count - 1 end
  return count
end
local others = 0
if user and per_day > 0 then
  others = elsewhere(audio, ARGV[13])
  if others + tonumber(ARGV[14]) >= per_day then return {1, 0, others} end
end
if address and per_address > 0 and taken(of_address) >= per_address then return {2, 0, others} end
if user and per_user > 0 and taken(of_user) >= per_user then return {3, 0, others} end
if user and stream and per_window > 0 then
  if redis.call('ZCARD', begun) >= per_window then
    local oldest = redis.call('ZRANGE', begun, 0, 0, 'WITHSCORES')
    return {4, tonumber(oldest[2]) + window - now, others}
  end
  redis.call('ZADD', begun, now, id)
  keep(begun, window)
end
if resumed then
  if redis.call('ZREM', of_user, resumes) == 1 then
    redis.call('ZADD', replaced, now + lease, resumes)
    keep(replaced, lease)
  end
  redis.call('ZREM', of_address, resumes)
  redis.call('ZREM', known, resumes)
  redis.call('ZADD', heirs, now + grace, resumes .. ' ' .. id)
  keep(heirs, grace)
end
redis.call('ZADD', of_user, now + lease, id)
keep(of_user, lease)
if address then
  redis.call('ZADD', of_address, now + lease, id)
  keep(of_address, lease)
end
if stream then
  redis.call('ZADD', known, now + lease + grace, id)
  keep(known, lease + grace)
end
return {0, 0, others}
"""
)

# KEYS: for each place: streams of the user, of the address, known, replaced
# ARGV: lease, grace, then for each place: id, is the address known, is it a stream
# Returns: for each place whether it was taken over
_BEAT: Final = (
    _NOW
    + """
local lease, grace = tonumber(ARGV[1]), tonumber(ARGV[2])
local gone = {}
for place = 1, #KEYS / 4 do
  local of_user, of_address, known, replaced = unpack(KEYS, place * 4 - 3, place * 4)
  local id, address, stream = unpack(ARGV, place * 3, place * 3 + 2)
  if redis.call('ZSCORE', replaced, id) then
    gone[place] = 1
    redis.call('ZREM', of_address, id)
  else
    gone[place] = 0
    redis.call('ZADD', of_user, now + lease, id)
    keep(of_user, lease)
    if address == '1' then
      redis.call('ZADD', of_address, now + lease, id)
      keep(of_address, lease)
    end
    if stream == '1' then
      redis.call('ZADD', known, now + lease + grace, id)
      keep(known, lease + grace)
    end
  end
end
return gone
"""
)

# KEYS: streams of the user, of the address, known; ARGV: id, is it a stream, grace
_FREE: Final = (
    _NOW
    + """
local had = redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
if had == 1 and ARGV[2] == '1' then
  redis.call('ZADD', KEYS[3], now + tonumber(ARGV[3]), ARGV[1])
end
return {had}
"""
)

# KEYS: for each user the audio of the day; ARGV: replica, how long to keep it, then for each user its sum
# Returns: for each user what other replicas have told
_SPEAK: Final = (
    _NOW
    + """
local sums = {}
for user = 1, #KEYS do
  redis.call('HSET', KEYS[user], ARGV[1], ARGV[user + 2])
  keep(KEYS[user], tonumber(ARGV[2]))
  sums[user] = elsewhere(KEYS[user], ARGV[1])
end
return sums
"""
)


class Scripts(Protocol):
    """What is needed of a `SharedRedis`."""

    async def call(self, script: str, keys: Sequence[str], arguments: Sequence[str | int]) -> list[int]:
        """Run a Lua script that returns a list of integers. Raises RedisAwayError, in time."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One user's audio of a day, as this replica has counted it."""

    user_id: str
    day: int
    ms: int


class SharedCounters:
    """The counts of all replicas. Everything raises RedisAwayError, and can be done again then."""

    def __init__(self, scripts: Scripts, replica: str, prefix: str = "limits:") -> None:
        """`replica` is this process's own name among the replicas; no other ever has it."""
        self._scripts = scripts
        self._replica = replica
        self._prefix = prefix

    async def take(self, place: Place, limits: Limits, day: int, here_ms: int) -> tuple[Answer, int]:
        """Take a place, unless a limit is reached; and the milliseconds that other replicas have counted of the day.

        `here_ms` is what this one has. Which stream was replaced is told by the next `beat` of whoever has it.
        """
        flags = [int(bool(fact)) for fact in (place.user_id, place.address, place.is_stream)]
        bounds = (
            limits.streams_per_user,
            limits.streams_per_address,
            limits.new_streams_per_minute,
            limits.audio_ms_per_day,
            LEASE_MS,
            WINDOW_MS,
            RESUME_GRACE_MS,
            self._replica,
            here_ms,
        )
        keys = [*self._held(place), *(self._of_user(kind, place) for kind in _KINDS)]
        excess, wait_ms, others_ms = await self._scripts.call(
            _TAKE, [*keys, self._audio(place.user_id, day)], [place.id, place.resumes, *flags, *bounds]
        )
        if excess:
            return Answer(Excess(excess), wait_ms), others_ms
        return Answer(), others_ms

    async def beat(self, places: Iterable[Place]) -> list[Place]:
        """Renew places; those that were taken over are returned. One that Redis has forgotten is taken again.

        `places` is asked for more when those before are renewed: it should leave out what was given back meanwhile.
        """
        gone: list[Place] = []
        following = iter(places)
        while batch := list(islice(following, _BATCH)):
            keys = [
                key
                for place in batch
                for key in (*self._held(place), self._of_user("known", place), self._of_user("replaced", place))
            ]
            args: list[str | int] = [LEASE_MS, RESUME_GRACE_MS]
            for place in batch:
                args += [place.id, int(bool(place.address)), int(place.is_stream)]
            answers = await self._scripts.call(_BEAT, keys, args)
            gone += [place for place, is_gone in zip(batch, answers, strict=True) if is_gone]
        return gone

    async def free(self, place: Place) -> None:
        """Give a place back."""
        keys = [*self._held(place), self._of_user("known", place)]
        await self._scripts.call(_FREE, keys, [place.id, int(place.is_stream), RESUME_GRACE_MS])

    async def speak(self, sums: Sequence[Spoken]) -> list[int]:
        """Tell what was counted here, each time the whole of it; for each the milliseconds of the other replicas."""
        others: list[int] = []
        for begin in range(0, len(sums), _BATCH):
            batch = sums[begin : begin + _BATCH]
            keys = [self._audio(spoken.user_id, spoken.day) for spoken in batch]
            args: list[str | int] = [self._replica, 2 * DAY_MS, *(spoken.ms for spoken in batch)]
            others += await self._scripts.call(_SPEAK, keys, args)
        return others

    def _held(self, place: Place) -> tuple[str, str]:
        return self._of_user("user", place), f"{self._prefix}address:{place.address}"

    def _of_user(self, kind: str, place: Place) -> str:
        return f"{self._prefix}{kind}:{place.user_id}"

    def _audio(self, user_id: str, day: int) -> str:
        return f"{self._prefix}audio:{day}:{user_id}"
