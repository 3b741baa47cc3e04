"""The counts of one process, against a plain list of everything that happened."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.stream.counters import Counters
from service.stream.limits import DAY_MS, RESUME_GRACE_MS, WINDOW_MS, Answer, Excess, Limits, Place

NOON = 20_000 * DAY_MS + DAY_MS // 2


def place(id: str, user_id: str = "u", address: str = "a", resumes: str = "", *, is_stream: bool = True) -> Place:
    return Place(id, user_id, address, resumes, is_stream)


def test_no_limits() -> None:
    counters = Counters(Limits())
    for number in range(100):
        assert counters.take(place(str(number)), 0, NOON) == Answer()
    assert counters.left_ms("u", 20_000) == float("inf")


def test_streams_of_a_user() -> None:
    counters = Counters(Limits(streams_per_user=2))
    one, two, three = place("1"), place("2", address="b"), place("3")
    assert counters.take(one, 0, NOON).excess is None
    assert counters.take(two, 0, NOON).excess is None
    assert counters.take(three, 0, NOON).excess is Excess.USER
    assert counters.take(place("4", user_id="other"), 0, NOON).excess is None
    counters.free(one, 5)
    assert counters.take(three, 6, NOON).excess is None


def test_who_is_not_known_is_exempt_but_for_the_address() -> None:
    counters = Counters(Limits(streams_per_user=1, streams_per_address=3, new_streams_per_minute=1, audio_ms_per_day=1))
    for number in range(3):
        assert counters.take(place(str(number), user_id=""), 0, NOON).excess is None
    assert counters.take(place("3", user_id=""), 0, NOON).excess is Excess.ADDRESS
    assert counters.take(place("4", user_id="", address=""), 0, NOON).excess is None


def test_new_streams_within_a_minute() -> None:
    counters = Counters(Limits(new_streams_per_minute=2))
    for number, now in enumerate((0, 10_000)):
        counters.take(place(str(number)), now, NOON)
        counters.free(place(str(number)), now)
    assert counters.take(place("a"), 30_000, NOON) == Answer(Excess.RATE, 30_000)
    assert counters.take(place("a"), WINDOW_MS - 1, NOON) == Answer(Excess.RATE, 1)
    assert counters.take(place("a"), WINDOW_MS, NOON) == Answer()
    assert counters.take(place("b"), WINDOW_MS, NOON) == Answer(Excess.RATE, 10_000)


def test_an_upload_takes_a_place_and_is_no_new_stream() -> None:
    counters = Counters(Limits(streams_per_user=2, new_streams_per_minute=1))
    assert counters.take(place("1", is_stream=False), 0, NOON).excess is None
    assert counters.take(place("2"), 0, NOON).excess is None
    assert counters.take(place("3", is_stream=False), 0, NOON).excess is Excess.USER
    counters.free(place("2"), 0)
    assert counters.take(place("4", is_stream=False), 0, NOON).excess is None
    counters.free(place("4"), 0)
    counters.free(place("1", is_stream=False), 0)
    assert counters.take(place("5", resumes="1"), 0, NOON).excess is Excess.RATE, "an upload cannot be resumed"


def test_who_changes_networks_has_one_stream() -> None:
    counters = Counters(Limits(streams_per_user=1, streams_per_address=1, new_streams_per_minute=1))
    counters.take(place("old"), 0, NOON)
    assert counters.take(place("new", address="b", resumes="old"), 1, NOON) == Answer(replaced="old")
    counters.free(place("old"), 2)  # the old connection is noticed to be dead: long replaced
    assert counters.take(place("third"), 3, NOON).excess is Excess.USER
    assert set(counters.held) == {"new"}
    assert counters.take(place("again", user_id="x"), 4, NOON).excess is None, "the old address is free"


def test_who_comes_back_in_time_has_opened_nothing_new() -> None:
    counters = Counters(Limits(new_streams_per_minute=1))
    counters.take(place("old"), WINDOW_MS, NOON)
    counters.free(place("old"), WINDOW_MS)
    assert counters.take(place("new", resumes="old"), WINDOW_MS + 1, NOON) == Answer()
    assert counters.take(place("both", resumes="old"), WINDOW_MS + 1, NOON).excess is Excess.RATE, "of resuming"
    late = WINDOW_MS + RESUME_GRACE_MS
    counters.free(place("new"), WINDOW_MS)
    counters.take(place("x"), late - 1, NOON)
    assert counters.take(place("y", resumes="new"), late, NOON).excess is Excess.RATE, "too late"


@pytest.mark.parametrize("is_dead", [True, False])
def test_who_names_a_stream_that_was_continued_continues_the_one_behind_it(is_dead: bool) -> None:
    """`ready` of the second one never came to the phone. Nobody gets two streams out of one that way."""
    counters = Counters(Limits(streams_per_user=1, new_streams_per_minute=5))
    counters.take(place("0"), 0, NOON)
    for number in range(1, 5):
        answer = counters.take(place(str(number), resumes="0"), number, NOON)
        assert answer == Answer(replaced="" if is_dead and number > 1 else str(number - 1))
        assert set(counters.held) == {str(number)}
        if is_dead:
            counters.free(place(str(number)), number)
    assert counters.take(place("theirs", user_id="thief", resumes="0"), 5, NOON) == Answer()
    counters.take(place("x", user_id="v"), 5 + RESUME_GRACE_MS, NOON)
    assert not counters._heirs


def test_resuming_has_a_limit_of_its_own() -> None:
    counters = Counters(Limits(new_streams_per_minute=3))
    answers = []
    for number in range(6):
        answers.append(counters.take(place(str(number), resumes=str(number - 1)), number, NOON).excess)
        counters.free(place(str(number)), number)
    assert answers == [None, None, None, None, Excess.RATE, None]  # the last one knows of no stream to resume


def test_nobody_takes_over_what_is_anothers() -> None:
    counters = Counters(Limits(streams_per_user=1))
    counters.take(place("mine"), 0, NOON)
    assert counters.take(place("theirs", user_id="thief", resumes="mine"), 0, NOON) == Answer()
    assert set(counters.held) == {"mine", "theirs"}


def test_nobody_spoils_what_another_can_resume() -> None:
    counters = Counters(Limits(new_streams_per_minute=1))
    counters.take(place("mine"), 0, NOON)
    counters.free(place("mine"), 0)
    assert counters.take(place("theirs", user_id="thief", resumes="mine"), 0, NOON) == Answer()
    assert counters.take(place("again", resumes="mine"), 0, NOON) == Answer()


def test_what_others_granted_is_counted_all_the_same() -> None:
    counters = Counters(Limits(streams_per_user=1, new_streams_per_minute=1))
    for number in range(3):
        assert counters.take(place(str(number)), number, NOON, enforced=False) == Answer()
    assert counters.take(place("mine"), 4, NOON).excess is Excess.USER
    counters.drop("0")
    counters.drop("0")
    for number in (1, 2):
        counters.free(place(str(number)), 5)
    assert counters.take(place("mine"), 6, NOON) == Answer(Excess.RATE, 2 + WINDOW_MS - 6)


def test_the_audio_of_a_day() -> None:
    counters, day = Counters(Limits(audio_ms_per_day=1000)), 20_000
    counters.spoken("u", day, 400)
    assert counters.left_ms("u", day) == 600
    counters.learn("u", day, 500)
    counters.learn("u", day, 300)  # a Redis that was emptied
    assert counters.left_ms("u", day) == 100
    counters.reserve("u", day, 100)
    assert counters.take(place("1"), 0, NOON) == Answer(Excess.AUDIO, DAY_MS // 2)
    counters.reserve("u", day, -100)
    assert counters.take(place("1"), 0, NOON) == Answer()
    counters.spoken("u", day + 1, 1)
    assert counters.left_ms("u", day + 1) == 999
    counters.spoken("u", day, 999)
    assert counters.left_ms("u", day + 1) == 999, "what is told late belongs to yesterday"
    assert counters.spoken_here("u", day + 1) == 1


def test_nothing_is_remembered_for_ever() -> None:
    counters = Counters(Limits(4, 4, 30, 0))
    for number in range(5000):
        one = place(str(number), user_id=f"u{number}", address=f"a{number}")
        assert counters.take(one, number * 1000, NOON).excess is None
        counters.free(one, number * 1000)
    assert len(counters._begun) <= WINDOW_MS // 1000 + 1
    assert len(counters._ended) <= RESUME_GRACE_MS // 1000 + 1
    assert not (counters.held)
    assert not (counters._of_user)
    assert not counters._of_address


@dataclass
class Oracle:
    """The rules, on a list of all that happened."""

    limits: Limits
    held: dict[str, Place] = field(default_factory=dict)
    ended: dict[str, tuple[str, int]] = field(default_factory=dict)
    heirs: dict[str, tuple[str, int]] = field(default_factory=dict)
    begun: list[tuple[int, str, bool]] = field(default_factory=list)

    def take(self, wanted: Place, now: int) -> Excess | None:
        owner, former = None, wanted.resumes
        while former in self.heirs and self.heirs[former][1] > now:
            former = self.heirs[former][0]
        if former in self.held:
            owner = self.held[former].user_id
        elif former in self.ended and self.ended[former][1] > now:
            owner = self.ended[former][0]
        resumed = owner == wanted.user_id
        others = [one for one in self.held.values() if not (resumed and one.id == former)]
        recent = [at for at, user, again in self.begun if (user, again) == (wanted.user_id, resumed)]
        if sum(one.address == wanted.address for one in others) >= self.limits.streams_per_address:
            return Excess.ADDRESS
        if sum(one.user_id == wanted.user_id for one in others) >= self.limits.streams_per_user:
            return Excess.USER
        if sum(at + WINDOW_MS > now for at in recent) >= self.limits.new_streams_per_minute:
            return Excess.RATE
        if resumed:
            self.held.pop(former, None)
            self.ended.pop(former, None)
            self.heirs[former] = (wanted.id, now + RESUME_GRACE_MS)
        self.held[wanted.id] = wanted
        self.begun.append((now, wanted.user_id, resumed))
        return None

    def free(self, id: str, now: int) -> None:
        if id in self.held:
            self.ended[id] = (self.held.pop(id).user_id, now + RESUME_GRACE_MS)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 40_000),  # a pause
        st.sampled_from(["take", "take", "free"]),
        st.sampled_from(["u", "v"]),
        st.sampled_from(["a", "b"]),
        st.integers(0, 12),  # which stream is freed, or resumed
    ),
    max_size=40,
)


@given(STEPS, st.integers(1, 3), st.integers(1, 4), st.integers(1, 5))
def test_any_history(
    steps: list[tuple[int, str, str, str, int]], per_user: int, per_address: int, per_minute: int
) -> None:
    limits = Limits(per_user, per_address, per_minute)
    counters, oracle, now = Counters(limits), Oracle(limits), 0
    for number, (pause, action, user, address, which) in enumerate(steps):
        now += pause
        if action == "free":
            if str(which) in oracle.held:
                counters.free(oracle.held[str(which)], now)
                oracle.free(str(which), now)
        else:
            wanted = place(str(number), user, address, resumes=str(which))
            assert counters.take(wanted, now, NOON).excess is oracle.take(wanted, now)
        assert counters.held == oracle.held


@pytest.mark.parametrize("resumes", ["", "old"])
def test_a_day_that_is_used_up_comes_first(resumes: str) -> None:
    """Waiting for a place would be in vain."""
    counters = Counters(Limits(1, 1, 1, 10))
    counters.take(place("old"), 0, NOON)
    counters.spoken("u", 20_000, 10)
    assert counters.take(place("new", resumes=resumes), 0, NOON).excess is Excess.AUDIO
