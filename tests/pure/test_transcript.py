"""One numbering and one clock over all recognizer connections."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.recognizer.tencent import HeardWord, SentenceResult
from service.stream.protocol import Result, Word
from service.stream.transcript import Transcript, current
from service.text import joined

SENT_MS = 3_600_000  # so much audio was sent that no time is cut


def partial(index: int, text: str, start_ms: int = 0, end_ms: int = 100) -> SentenceResult:
    return SentenceResult(index, text, start_ms, end_ms, settled=False)


def final(index: int, text: str, start_ms: int = 0, end_ms: int = 100) -> SentenceResult:
    return SentenceResult(index, text, start_ms, end_ms, settled=True)


def connected(voice_id: str = "v1", base_ms: int = 0) -> Transcript:
    transcript = Transcript()
    transcript.begin_connection(voice_id, base_ms)
    return transcript


def test_a_new_transcript_is_empty() -> None:
    transcript = Transcript()
    assert (transcript.sentences, transcript.text, transcript.recognized_ms) == (0, "", 0)


def test_numbers_and_times_continue_over_connections() -> None:
    transcript = connected("v1", 0)
    heard = [
        transcript.apply(partial(0, "go", 410, 700), SENT_MS),
        transcript.apply(final(0, "go forward", 410, 1500), SENT_MS),
        transcript.apply(final(1, "now", 1500, 1900), SENT_MS),
    ]
    transcript.begin_connection("v2", 2000)
    heard += [
        transcript.apply(partial(0, "ten", 60, 300), SENT_MS),
        transcript.apply(final(0, "ten meters", 60, 940), SENT_MS),
    ]
    transcript.begin_connection("v3", 3000)
    heard.append(transcript.apply(final(0, "stop", 5, 10), SENT_MS))
    assert heard == [
        Result("v1", 0, "go", False, 410, 700),
        Result("v1", 0, "go forward", True, 410, 1500, settled_ms=1500),
        Result("v1", 1, "now", True, 1500, 1900, settled_ms=1900),
        Result("v2", 2, "ten", False, 2060, 2300),
        Result("v2", 2, "ten meters", True, 2060, 2940, settled_ms=2940),
        Result("v3", 3, "stop", True, 3005, 3010, settled_ms=3010),
    ]
    assert (transcript.sentences, transcript.text) == (4, "go forward now ten meters stop")
    assert transcript.recognized_ms == 3010


def test_words_are_moved_to_the_clients_clock() -> None:
    transcript = connected("v", 1000)
    words = (HeardWord("go", 10, 20, True), HeardWord("on", 20, 35, False))
    assert transcript.apply(SentenceResult(0, "go on", 10, 35, False, words), SENT_MS) == Result(
        "v", 0, "go on", False, 1010, 1035, (Word("go", 1010, 1020, True), Word("on", 1020, 1035, False))
    )
    # With a settled sentence every word is stable, whatever its flag.
    assert transcript.apply(SentenceResult(0, "go on", 10, 35, True, words), SENT_MS) == Result(
        "v", 0, "go on", True, 1010, 1035, (Word("go", 1010, 1020, True), Word("on", 1020, 1035, True)), settled_ms=1035
    )


def test_indexes_that_the_recognizer_skips_leave_no_hole() -> None:
    transcript = connected()
    assert transcript.apply(final(3, "a"), SENT_MS) == Result("v1", 0, "a", True, 0, 100, settled_ms=100)
    assert transcript.apply(final(7, "b"), SENT_MS) == Result("v1", 1, "b", True, 0, 100, settled_ms=100)


def test_a_sentence_that_was_begun_and_dropped_is_replaced_by_the_next() -> None:
    transcript = connected()
    transcript.apply(partial(0, "uh", 0, 50), SENT_MS)
    assert transcript.apply(partial(1, "hello", 60, 90), SENT_MS) == Result("v1", 0, "hello", False, 60, 90)
    assert transcript.apply(final(1, "hello", 60, 95), SENT_MS) == Result("v1", 0, "hello", True, 60, 95, settled_ms=95)
    assert transcript.withdraw() is None


def test_the_rest_of_a_lost_connection_is_replaced_by_the_next_connection() -> None:
    transcript = connected("v1", 0)
    transcript.apply(partial(0, "hel", 0, 50), SENT_MS)
    transcript.begin_connection("v2", 0)
    assert transcript.apply(final(0, "hello", 0, 80), SENT_MS) == Result("v2", 0, "hello", True, 0, 80, settled_ms=80)


def test_what_is_settled_is_not_heard_again() -> None:
    transcript = connected()
    transcript.apply(final(2, "a"), SENT_MS)
    for again in (final(2, "a"), partial(2, "a"), final(1, "b"), partial(0, "c"), final(2, "")):
        assert transcript.apply(again, SENT_MS) is None
    assert (transcript.sentences, transcript.text) == (1, "a")


def test_an_empty_result_is_no_message() -> None:
    transcript = connected()
    assert transcript.apply(partial(0, ""), SENT_MS) is None
    assert transcript.apply(final(0, "", 0, 900), SENT_MS) is None
    assert (transcript.sentences, transcript.recognized_ms) == (0, 0)


def test_an_empty_partial_takes_back_what_was_shown() -> None:
    transcript = connected()
    transcript.apply(partial(0, "uh", 10, 50), SENT_MS)
    assert transcript.apply(partial(0, "", 10, 60), SENT_MS) == Result("v1", 0, "", False, 10, 60)
    assert transcript.apply(partial(0, "", 10, 70), SENT_MS) is None


def test_an_empty_final_takes_back_what_was_shown_and_settles_the_index() -> None:
    transcript = connected("v1", 500)
    transcript.apply(partial(0, "uh", 10, 50), SENT_MS)
    assert transcript.apply(final(0, "", 10, 60), SENT_MS) == Result("v1", 0, "", False, 510, 510)
    assert transcript.apply(partial(0, "late"), SENT_MS) is None
    assert transcript.apply(final(1, "yes", 70, 90), SENT_MS) == Result("v1", 0, "yes", True, 570, 590, settled_ms=590)


def test_withdraw_takes_back_an_open_text_once() -> None:
    transcript = connected("v1", 500)
    assert transcript.withdraw() is None
    transcript.apply(final(0, "done", 0, 10), SENT_MS)
    transcript.apply(partial(1, "uh", 20, 50), SENT_MS)
    assert transcript.withdraw() == Result("v1", 1, "", False, 520, 520)
    assert transcript.withdraw() is None
    assert (transcript.sentences, transcript.text) == (1, "done")


def test_a_settled_sentence_leaves_nothing_open() -> None:
    transcript = connected()
    transcript.apply(partial(0, "don", 0, 5), SENT_MS)
    transcript.apply(final(0, "done", 0, 10), SENT_MS)
    assert transcript.withdraw() is None


def test_settled_time_never_goes_back() -> None:
    transcript = connected("v1", 1000)
    transcript.apply(final(0, "late", 0, 900), SENT_MS)
    assert transcript.apply(final(1, "early", 100, 200), SENT_MS) == Result(
        "v1", 1, "early", True, 1100, 1200, settled_ms=1900
    )
    assert transcript.recognized_ms == 1900


_heard = st.builds(
    SentenceResult,
    st.integers(0, 5),
    st.sampled_from(["", "a", "bc", "你好"]),
    st.integers(0, 5000),
    st.integers(0, 5000),
    st.booleans(),
)
_begun = st.tuples(st.text("v12", min_size=1, max_size=3), st.integers(0, 100_000))


@given(st.lists(_heard | _begun, max_size=40))
def test_a_client_that_applies_the_messages_has_the_transcript(events: list[SentenceResult | tuple[str, int]]) -> None:
    """Replacing texts by index, as the contract says, gives the settled text; nothing settled ever changes."""
    transcript = connected()
    finals: list[str] = []
    settled_ms, shown = 0, ""
    for event in events:
        if isinstance(event, tuple):
            transcript.begin_connection(*event)
            continue
        result = transcript.apply(event, SENT_MS)
        if result is None:
            continue
        assert result.index == len(finals)
        assert result.is_final == (result.settled_ms != Result("", 0, "", False, 0, 0).settled_ms)
        if result.is_final:
            assert isinstance(result.settled_ms, int)
            assert result.text
            assert result.settled_ms >= settled_ms
            settled_ms = result.settled_ms
            finals.append(result.text)
        shown = "" if result.is_final else result.text
    assert (transcript.sentences, transcript.recognized_ms) == (len(finals), settled_ms)
    assert transcript.text == joined(finals)
    assert (transcript.withdraw() is not None) == bool(shown)


def open_result(index: int, text: str) -> Result:
    return Result("v", index, text, False, 0, 10)


def settled_result(index: int, text: str) -> Result:
    return Result("v", index, text, True, 0, 10, settled_ms=10)


@pytest.mark.parametrize(
    ("together", "left"),
    [
        ([], []),
        ([None], []),
        ([open_result(0, "a")], [open_result(0, "a")]),
        ([open_result(0, "a"), None], [open_result(0, "a")]),
        ([open_result(0, "a"), open_result(0, "a b"), open_result(0, "")], [open_result(0, "")]),
        ([open_result(0, "a"), settled_result(0, "a")], [settled_result(0, "a")]),
        (
            [open_result(0, "a"), settled_result(0, "a"), None, open_result(1, "b"), settled_result(1, "b")],
            [settled_result(0, "a"), settled_result(1, "b")],
        ),
        (
            [settled_result(0, "a"), open_result(1, "b"), open_result(1, "b c")],
            [settled_result(0, "a"), open_result(1, "b c")],
        ),
    ],
)
def test_what_is_left_to_say(together: list[Result | None], left: list[Result]) -> None:
    assert current(together) == left


@given(st.lists(st.lists(_heard, max_size=8), max_size=8))
def test_a_client_that_hears_less_shows_the_same(batches: list[list[SentenceResult]]) -> None:
    """Whatever comes together: behind each batch the client has the same finals and the same open text."""
    transcript = connected()
    for batch in batches:
        together = [transcript.apply(heard, SENT_MS) for heard in batch]
        said = [result for result in together if result is not None]
        left = current(together)
        assert left[-1:] == said[-1:]
        assert [result for result in left if result.is_final] == [result for result in said if result.is_final]
        assert not any(not result.is_final for result in left[:-1])


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [
        ([], ""),
        ([""], ""),
        (["go"], "go"),
        (["go", "on"], "go on"),
        (["Go on.", "Now!"], "Go on. Now!"),
        (["你好", "世界"], "你好世界"),
        (["你好。", "世界。"], "你好。世界。"),
        (["hello", "世界"], "hello世界"),
        (["你好", "world"], "你好world"),
        (["我用Python", "3 to 4"], "我用Python 3 to 4"),
        (["a", "", "b"], "a b"),
        (["", "a", ""], "a"),
        (["1", "2", "三", "4"], "1 2三4"),
    ],
)
def test_joined(sentences: list[str], expected: str) -> None:
    assert joined(sentences) == expected


def test_times_stay_within_what_was_sent() -> None:
    """A client forgets audio before `settledMs`: a recognizer that counts wrong must not make it forget more."""
    transcript = connected("v1", 1000)
    words = (HeardWord("a", -5000, 10**12, True),)
    assert transcript.apply(SentenceResult(0, "a", -5000, 10**12, True, words), 3000) == Result(
        "v1", 0, "a", True, 1000, 3000, (Word("a", 1000, 3000, True),), settled_ms=3000
    )
    assert transcript.apply(SentenceResult(1, "b", 900, 200, True), 3000) == Result(
        "v1", 1, "b", True, 1200, 1200, settled_ms=3000
    )


def test_a_sentence_that_is_heard_again_takes_the_place_of_its_beginning() -> None:
    """The connection was lost in the second sentence; its successor numbers from 0, from where all was settled."""
    transcript = Transcript()
    transcript.begin_connection("first", 0)
    transcript.apply(SentenceResult(0, "one", 0, 500, settled=True), 2000)
    begun = transcript.apply(SentenceResult(1, "tw", 900, 1100, settled=False), 2000)
    transcript.begin_connection("second", 500)
    again = transcript.apply(SentenceResult(0, "two", 400, 900, settled=True), 2000)
    assert begun is not None
    assert again is not None
    assert (begun.index, begun.start_ms, again.index, again.start_ms, again.end_ms) == (1, 900, 1, 900, 1400)
    assert (transcript.text, transcript.sentences, transcript.withdraw()) == ("one two", 2, None)
