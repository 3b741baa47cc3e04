"""How many slots of a shared pool one replica may use. Pure: times are arguments.

The pool is divided in Redis into allotments, one for each replica: what it uses, and an equal part of what nobody uses
or waits for, as a reserve. Within its allotment a replica gives out slots without asking; beyond it, it asks. The
allotments together are never more than the pool. So when Redis is away the replicas go on with what they have, and
are together never more than the pool either, whenever each of them notices.

`SCRIPT` is all that is ever done to the pool. It is told absolute numbers, so that an answer that is lost, or a call
that is repeated, changes nothing. It only raises what a replica says it keeps: a replica lowers its allotment itself,
before it says so, and thus never uses what the script has given to another meanwhile.

Everything is in one hash. It is gone when Redis was emptied, and also SILENCE_S after the last replica spoke, since
nobody can say then which records are still true. Whoever finds it gone begins a new epoch: for one lease nothing is
granted, while those that hold slots register again.

While replicas are told different sizes of the pool, as in a rollout that changes it, the smallest one counts for all.
And no time is further in the future than a lease: a clock that went back, as after a failover, stops nobody for long.
"""

from dataclasses import dataclass
from typing import Final, Self

POOL_KEY: Final = "slots"
LEASE_S: Final = 10.0
"""How long the slots of a replica that was killed are kept for it."""
SILENCE_S: Final = 5.0
"""Half a lease: the records of replicas expire within a beat of each other, after this and not before."""
BEAT_S: Final = 1.0
"""How often a replica renews its lease: four may be lost before SILENCE_S is over."""
ASSUMED_REPLICAS: Final = 10
"""For the share of a replica that was started while Redis is away and has seen no other: more than usually run."""

# ARGV: replica, size of the pool, lease and silence in ms, used, kept, wanted; used is -1 for a replica that leaves
# Returns: allotted, reserve, used by all, wanted by all, replicas, ms until this epoch grants
SCRIPT: Final = """
local pool, me = KEYS[1], ARGV[1]
local own_size, lease, silence = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local used, kept, wanted = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local size = own_size
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local grants_at, is_known = nil, false
local replicas, allotted_to_others, used_by_all, wanted_by_all = 0, 0, 0, 0
local fields = redis.call('HGETALL', pool)
for i = 1, #fields, 2 do
  if fields[i] == 'grants_at' then
    grants_at = tonumber(fields[i + 1])
    if grants_at > now + lease then
      grants_at = now + lease
      redis.call('HSET', pool, 'grants_at', string.format('%.0f', grants_at))
    end
  else
    local its_allotted, its_used, its_wanted, expires, its_size =
      string.match(fields[i + 1], '(%d+) (%d+) (%d+) (%d+) ?(%d*)')
    if tonumber(expires) > now + lease then
      expires = string.format('%.0f', now + lease)
      redis.call('HSET', pool, fields[i], table.concat({its_allotted, its_used, its_wanted, expires, its_size}, ' '))
    end
    if tonumber(expires) <= now then
      redis.call('HDEL', pool, fields[i])
    elseif fields[i] == me then
      is_known = true
    else
      replicas = replicas + 1
      allotted_to_others = allotted_to_others + its_allotted
      used_by_all = used_by_all + its_used
      wanted_by_all = wanted_by_all + its_wanted
      size = math.min(size, tonumber(its_size) or size)
    end
  end
end

if used < 0 then
  redis.call('HDEL', pool, me)
  if grants_at and replicas == 0 then
    redis.call('PEXPIRE', pool, 604800000)
  end
  return {0, 0, used_by_all, wanted_by_all, replicas, 0}
end

if not grants_at then
  grants_at = now + lease
  redis.call('HSET', pool, 'grants_at', string.format('%.0f', grants_at))
end
replicas = replicas + 1
used_by_all = used_by_all + used
wanted_by_all = wanted_by_all + wanted
local reserve = math.floor(math.max(0, size - used_by_all - wanted_by_all) / replicas)
local allotted = kept
if now >= grants_at then
  if not is_known then
    allotted = used
  end
  allotted = math.max(allotted, math.min(used + wanted + reserve, size - allotted_to_others))
end
redis.call('HSET', pool, me, string.format('%d %d %d %.0f %d', allotted, used, wanted, now + lease, own_size))
redis.call('PEXPIRE', pool, silence)
return {allotted, reserve, used_by_all, wanted_by_all, replicas, math.max(0, grants_at - now)}
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What a replica says of itself."""

    used: int
    kept: int
    """What it may use at most until it hears more."""
    wanted: int = 0
    """Beyond what it keeps: slots that somebody waits for."""

    def arguments(self, replica: str, pool_slots: int) -> list[str | int]:
        """Those of SCRIPT."""
        return [*_common(replica, pool_slots), self.used, self.kept, self.wanted]


def leaving(replica: str, pool_slots: int) -> list[str | int]:
    """The arguments of SCRIPT for a replica that ends: its slots are free at once."""
    return [*_common(replica, pool_slots), -1, 0, 0]


def _common(replica: str, pool_slots: int) -> tuple[str, int, int, int]:
    return replica, pool_slots, round(1000 * LEASE_S), round(1000 * SILENCE_S)


@dataclass(frozen=True, slots=True)
class Division:
    """What SCRIPT answers: how the pool is divided now."""

    allotted: int
    """To the replica that asks."""
    reserve: int
    """What each replica may have of the slots that nobody uses or waits for."""
    used: int
    """By all."""
    wanted: int
    """By all."""
    replicas: int
    grants_in_ms: int
    """0 but in a new epoch."""

    @classmethod
    def of(cls, answer: list[int]) -> Self:
        """The answer of SCRIPT."""
        return cls(*answer)


def kept(limit: int, used: int, reserve: int | None) -> int:
    """What a replica with a limit keeps when it speaks to Redis: what it uses, and the reserve that it was told last.

    With None all of its limit, since what it gave away now nobody could give it back: it has been alone, or Redis
    grants nothing.
    """
    return max(used, limit if reserve is None else min(limit, used + reserve))


def limit_alone(limit: int, pool_slots: int, replicas: int | None, away_s: float, longest_s: float) -> int:
    """What a replica may use when it has not heard of Redis for `away_s`; its `limit` was `limit` until then.

    For one lease just that: the replicas are together within the pool. Then not more than its share, the pool divided
    by the replicas it has seen, but one at least. And when the longest use of a slot, `longest_s`, is over, all others
    are within theirs, too, so that it may have all of its share. `replicas` is None when it has never seen any.
    """
    share = max(1, pool_slots // (replicas or ASSUMED_REPLICAS))
    if replicas is None or away_s >= LEASE_S + longest_s:
        return share
    return limit if away_s < LEASE_S else max(1, min(limit, share))
