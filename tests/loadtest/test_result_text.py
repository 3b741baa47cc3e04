"""What `run` prints at its end."""

import msgspec
import pytest

from loadtest.record import Ending
from loadtest.report import render
from loadtest.result_text import quiet_lines, result_lines
from loadtest.summary import Knee, KneeStep, Summary, Verdict
from tests.loadtest.runs import run_of
from tests.loadtest.stream_records import completed, failed

HEAD = "steady against ws://10.0.0.1:8000/api, seed 7"
SERVED = [completed(number) for number in range(8)]
FAILING = run_of(
    [*SERVED, *(failed(8 + number, Ending.REFUSED, slug="unauthenticated") for number in range(3)), failed(11)],
    objectives=["success >= 99%", "finalization p90 <= 500ms", "errors == 0"],
)
LATE = run_of(SERVED, send_lateness_s=[0.05], objectives=["success == 100%", "finalization p90 <= 1ms"])


def test_quiet_is_the_verdict_and_every_reason() -> None:
    assert quiet_lines(run_of(SERVED)) == [f"PASSED  {HEAD}"]
    assert quiet_lines(FAILING) == [
        f"FAILED  {HEAD}",
        "  missed: success >= 99% (was 66.67% (8 of 12))",
        "  missed: finalization p90 <= 500ms (was never)",
        "  missed: errors == 0 (was 4)",
    ]


def test_quiet_gives_no_figure_of_an_invalid_run() -> None:
    head, meaning, *rest = quiet_lines(LATE)
    assert head.startswith("INVALID: the load tester could not keep its own plan")
    assert "the load tester itself was late" in meaning
    assert rest == ["  send lateness p99 was 50.0 ms in worker 1 of 1: more than 10 ms"] or rest == [
        "  send lateness p99 was 50.0 ms: more than 10 ms"
    ]


def test_quiet_gives_the_figure_of_a_search() -> None:
    knee = Knee(max_streams=40, first_broken=50, steps=(KneeStep(streams=40, verdict=Verdict.MET),))
    found = msgspec.structs.replace(run_of(SERVED), knee=knee, verdict=Verdict.MET, reasons=())
    assert quiet_lines(found) == [f"PASSED  {HEAD}", "  maximum effective streams: 40 (broken at 50)"]


def test_notes_stand_under_the_reasons() -> None:
    noted = msgspec.structs.replace(LATE, notes=("metrics could not be read", "another <note>"))
    shown = result_lines(noted, "report.html")
    reasons = len(quiet_lines(noted))
    assert shown[reasons : reasons + 3] == ["  note: metrics could not be read", "  note: another <note>", ""]


def test_what_never_came_tells_how_much_of_it_was_refused() -> None:
    (line,) = (line for line in result_lines(FAILING, "report.html") if line.startswith("  Finalization"))
    assert line.split("8  ")[-1].strip() == "4 (3 of them refused)"


@pytest.mark.parametrize(
    ("slug", "named"),
    [
        ("unauthenticated", ("--token", "--token-command", "JWT_SECRET")),
        ("token_expired", ("--token", "--token-command", "JWT_SECRET")),
        ("not_configured", ("started locked", "JWT_SECRET", "AUTH_MODE")),
    ],
)
def test_a_refusal_for_want_of_a_token_says_what_to_check(slug: str, named: tuple[str, ...]) -> None:
    shown = "\n".join(result_lines(run_of([failed(0, Ending.REFUSED, slug=slug)]), "report.html"))
    assert all(name in shown for name in named)
    overloaded = result_lines(run_of([failed(0, Ending.REFUSED, slug="overloaded")]), "report.html")
    assert "--token" not in "\n".join(overloaded)


def test_the_report_has_the_same() -> None:
    noted: Summary = msgspec.structs.replace(FAILING, notes=("metrics could not be <read>",))
    page = render(noted)
    assert '<ul class="notes" aria-label="Notes"><li>metrics could not be &lt;read&gt;</li></ul>' in page
    assert '<ul class="notes"' not in render(FAILING)
    assert "4 never came, 3 of them refused" in page
    assert '<span class="bad">4</span><span class="meaning">3 of them refused</span>' in page
    assert "of them refused" not in render(run_of([*SERVED, failed(8)]))
