"""Objectives: how they are written, and when they are met."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.figures import LATENCIES
from loadtest.histograms import Histograms
from loadtest.objectives import METRICS, Kind, Measured, ObjectiveError, evaluate, evaluate_all, parse_objective
from loadtest.record import Ending
from loadtest.scenario import Behavior
from loadtest.summary import AudioTotals, Counts, Words


def measured(
    values_ms: list[float] | None = None, missing: int = 0, missing_refused: int = 0, **parts: object
) -> Measured:
    histograms = Histograms()
    for value_ms in values_ms or []:
        histograms.record("finalization", value_ms / 1000)
    counts = parts.get("counts", Counts())
    words = parts.get("words", Words())
    audio = parts.get("audio", AudioTotals())
    assert isinstance(counts, Counts)
    assert isinstance(words, Words)
    assert isinstance(audio, AudioTotals)
    figures = histograms.figures("finalization", missing, missing_refused)
    return Measured(counts, words, audio, {"finalization": figures})


def judged(text: str, figures: Measured) -> tuple[bool, str]:
    result = evaluate(parse_objective(text), figures)
    assert result.text == text
    return result.met, result.actual


@pytest.mark.parametrize(
    ("text", "metric", "operator", "limit", "kind", "percentile"),
    [
        ("finalization p99 <= 800ms", "finalization", "<=", 0.8, Kind.LATENCY, "99"),
        ("  Finalization   P99.9<2 S ", "finalization", "<", 2.0, Kind.LATENCY, "99.9"),
        ("send_lateness max < 500us", "send_lateness", "<", 0.0005, Kind.LATENCY, "100"),
        ("ready min >= 5µs", "ready", ">=", 0.000005, Kind.LATENCY, "0"),
        ("admitted.ready p50 == 1.5s", "admitted.ready", "==", 1.5, Kind.LATENCY, "50"),
        ("success >= 99.9%", "success", ">=", 0.999, Kind.SHARE, None),
        ("success == 1", "success", "==", 1.0, Kind.SHARE, None),
        ("misbehaving.as_meant > 0.5", "misbehaving.as_meant", ">", 0.5, Kind.SHARE, None),
        ("refused <= 5%", "refused", "<=", 0.05, Kind.SHARE, None),
        ("refused <= 0.05", "refused", "<=", 0.05, Kind.SHARE, None),
        ("refused == 12", "refused", "==", 12, Kind.COUNT, None),
        ("refused.overloaded <= 1", "refused.overloaded", "<=", 1, Kind.COUNT, None),
        ("refused.http_503 <= 1.0", "refused.http_503", "<=", 1.0, Kind.SHARE, None),
        ("lost.1006 == 3", "lost.1006", "==", 3, Kind.COUNT, None),
        ("truncated == 0", "truncated", "==", 0, Kind.COUNT, None),
        ("lost_finals == 0", "lost_finals", "==", 0, Kind.COUNT, None),
        ("warnings.bad_message < 7", "warnings.bad_message", "<", 7, Kind.COUNT, None),
    ],
)
def test_what_is_written(
    text: str, metric: str, operator: str, limit: float, kind: Kind, percentile: str | None
) -> None:
    found = parse_objective(text)
    assert (found.metric, found.operator, found.kind, found.percentile) == (metric, operator, kind, percentile)
    assert found.limit == pytest.approx(limit)
    assert found.text == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected such as"),
        ("finalization", "expected such as"),
        ("finalization p99 <= fast", "expected such as"),
        ("finalisation p99 <= 800ms", "did you mean 'finalization'?"),
        ("admitted.redy p99 <= 800ms", "did you mean 'admitted.ready'?"),
        ("speed p99 <= 800ms", "expected one of connect"),
        ("finalization <= 800ms", "p0 to p100, min or max, as in 'finalization p99"),
        ("finalization mean <= 800ms", "not 'mean'"),
        ("finalization p101 <= 800ms", "not 'p101'"),
        ("finalization p99 <= 800", "us, ms or s, not '800'"),
        ("finalization p99 <= 80%", "us, ms or s, not '80%'"),
        ("finalization p99 != 800ms", "'!=' is not one of"),
        ("success p99 >= 99%", "only latencies have percentiles"),
        ("success >= 99", "as 0% to 100% or as 0 to 1, not '99'"),
        ("success >= 101%", "not '101%'"),
        ("success >= 1s", "not '1s'"),
        ("refused <= 5ms", "as a whole number or a share such as 5%, not '5ms'"),
        ("refused <= 1.5", "as 0% to 100%"),
        ("lost_finals <= 1%", "as a whole number, not '1%'"),
        ("lost_finals <= 0.5", "as a whole number, not '0.5'"),
        ("refused. <= 5%", "'refused.' is not measured"),
        ("completed.overloaded <= 5%", "is not measured"),
        ("success >= 9\x1b[2J%", "objective 'success >= 9 [2J%'"),
        ("success >= 99%" + " x" * 200, "at most 200"),
    ],
)
def test_what_is_not_an_objective_says_what_was_expected(text: str, says: str) -> None:
    with pytest.raises(ObjectiveError) as caught:
        parse_objective(text)
    assert says in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_an_objective_or_an_error(text: str) -> None:
    said = ""
    try:
        assert parse_objective(text).limit >= 0
    except ObjectiveError as error:
        said = str(error)
    assert said.isprintable()


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_be_evaluated_and_without_a_run_none_is_met(metric: str) -> None:
    text = f"{metric} p50 >= 0ms" if metric in LATENCIES else f"{metric} >= 0"
    assert judged(text, measured()) == (False, "no samples")


def test_a_percentile_is_over_those_that_never_came_too() -> None:
    figures = measured([100.0] * 98, missing=2)
    assert judged("finalization p98 <= 101ms", figures) == (True, "100 ms")
    assert judged("finalization p99 <= 3600s", figures) == (False, "never")
    assert judged("finalization max >= 1ms", figures) == (False, "never")
    assert judged("finalization min >= 99ms", figures)[0]
    assert judged("finalization p50 <= 1s", measured(missing=1)) == (False, "never")
    assert judged("setup p50 <= 1s", figures) == (False, "no samples")


def test_admitted_leaves_out_those_that_were_refused_and_only_these() -> None:
    overloaded = measured([100.0] * 50, missing=50, missing_refused=50)
    assert judged("finalization p99 <= 800ms", overloaded) == (False, "never")
    assert judged("admitted.finalization p99 <= 800ms", overloaded)[0]
    failing = measured([100.0] * 50, missing=51, missing_refused=50)
    assert judged("admitted.finalization p99 <= 800ms", failing) == (False, "never")


@pytest.mark.parametrize("limit_ms", [1, 5, 10, 100, 500, 700, 800, 999, 1000, 2000, 3000, 60_000])
def test_a_value_equal_to_the_limit_is_equal_to_it(limit_ms: int) -> None:
    figures = measured([float(limit_ms)])
    verdicts = {
        sign: judged(f"finalization p50 {sign} {limit_ms}ms", figures)[0] for sign in ("<=", "<", ">=", ">", "==")
    }
    assert verdicts == {"<=": True, "<": False, ">=": True, ">": False, "==": True}


@given(st.integers(min_value=1, max_value=3_000_000), st.integers(min_value=1, max_value=3_000_000))
@settings(deadline=None)
def test_values_further_apart_than_the_resolution_are_judged_as_they_are(value_us: int, limit_us: int) -> None:
    if abs(value_us - limit_us) > max(value_us, limit_us) * 0.001:
        met, _ = judged(f"finalization p50 <= {limit_us}us", measured([value_us / 1000]))
        assert met == (value_us <= limit_us)


def test_shares_and_numbers_of_streams() -> None:
    counts = Counts(
        planned=10,
        begun=10,
        attempts=7,
        succeeded=5,
        endings={Ending.COMPLETED: 5, Ending.REFUSED: 2, Ending.AS_MEANT: 1, Ending.LOST: 1, Ending.CANCELED: 1},
        behaviors={
            Behavior.TALKER: {Ending.COMPLETED: 5, Ending.REFUSED: 2, Ending.CANCELED: 1},
            Behavior.VANISH: {Ending.AS_MEANT: 1, Ending.LOST: 1},
        },
        refused={"overloaded": 1, "http_503": 1},
        lost={"1006": 1},
        warnings={"bad_message": 4},
        reconnects=2,
    )
    words = Words(compared=4, truncated=1, different=0, missing_words=3, doubled_finals=1)
    audio = AudioTotals(streams=5, sent_bytes=1000, received_bytes=900, dropped_bytes=9, unaccounted_bytes=100)
    figures = measured(counts=counts, words=words, audio=audio)
    assert judged("success >= 70%", figures) == (True, "71.43% (5 of 7)")
    assert judged("success >= 99.9%", figures)[0] is False
    assert judged("errors == 2", figures) == (True, "2")
    assert judged("refused == 2", figures) == (True, "2")
    assert judged("refused <= 23%", figures) == (True, "22.22% (2 of 9)")
    assert judged("refused.http_503 == 1", figures) == (True, "1")
    assert judged("refused.restarting == 0", figures) == (True, "0")
    assert judged("lost.1006 == 1", figures) == (True, "1")
    assert judged("misbehaving.as_meant == 50%", figures) == (True, "50% (1 of 2)")
    assert judged("truncated == 25%", figures) == (True, "25% (1 of 4)")
    assert judged("missing_words < 3", figures) == (False, "3")
    assert judged("lost_finals == 0", figures) == (True, "0")
    assert judged("dropped_audio <= 1%", figures) == (True, "1% (9 of 900)")
    assert judged("unaccounted_audio < 10%", figures) == (False, "10% (100 of 1,000)")
    assert judged("warnings.bad_message == 4", figures) == (True, "4")
    assert judged("reconnects == 2", figures) == (True, "2")


@given(st.integers(min_value=1, max_value=1_000_000), st.data())
def test_a_share_equal_to_its_limit_is_equal_whatever_floats_make_of_it(attempts: int, data: st.DataObject) -> None:
    per_mille = data.draw(st.integers(min_value=0, max_value=1000))
    counts = Counts(begun=attempts * 1000, attempts=attempts * 1000, succeeded=attempts * per_mille)
    figures = measured(counts=counts)
    limit = f"{per_mille / 10:.1f}%"
    assert judged(f"success >= {limit}", figures)[0]
    assert judged(f"success == {limit}", figures)[0]
    assert not judged(f"success > {limit}", figures)[0]


def test_what_is_missed_by_a_little_does_not_look_like_the_limit() -> None:
    assert judged("finalization p50 <= 1s", measured([1001.0])) == (False, "1.001 s")
    assert judged("finalization p50 <= 1s", measured([1000.0])) == (True, "1.00 s")
    assert judged("finalization p50 <= 800ms", measured([700.0])) == (True, "700 ms")
    counts = Counts(begun=10**6, attempts=10**6, succeeded=10**6 - 1)
    assert judged("success == 100%", measured(counts=counts)) == (False, "99.9999% (999,999 of 1,000,000)")


def test_all_of_them_in_order() -> None:
    objectives = [parse_objective("success >= 1%"), parse_objective("finalization p50 <= 1s")]
    results = evaluate_all(objectives, measured([math.pi]))
    assert [(result.text, result.met) for result in results] == [
        ("success >= 1%", False),
        ("finalization p50 <= 1s", True),
    ]
