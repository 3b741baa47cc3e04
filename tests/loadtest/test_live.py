"""The view: what it says, that it fits, and that it leaves the terminal as it was."""

import io
import re

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment

from loadtest.live import plain_line, render, show_live
from loadtest.run_state import Percentiles, Phase, RunState, WorkerState
from loadtest.summary import EventResult, ObjectiveResult, ServerPoint

WIDTHS = (60, 61, 79, 80, 100, 120, 160)
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def full() -> RunState:
    """A state in which everything is to be seen."""
    return RunState(
        scenario="steady",
        url="ws://127.0.0.1:8000/api/realtime-voice/stream",
        phase=Phase.RUNNING,
        step="80 streams",
        elapsed_s=83.2,
        duration_s=3661,
        planned=4000,
        begun=531,
        ended=413,
        active=118,
        opens_per_s=6.42,
        attempts=412,
        succeeded=410,
        endings={"completed": 410, "refused": 2, "canceled": 0},
        refused={"overloaded": 2, "http_503": 1},
        failed={"recognizer_busy": 3, "overloaded": 5},
        lost={"1006": 1},
        latencies={
            "setup": Percentiles(531, 0, 12.1, 20.0, 42.0, 80.0),
            "first_partial": Percentiles(412, 2, 320.0, 400.0, 612.0, 12_345.0),
            "finalization": Percentiles(410, 3, 210.4, 300.0, 655.0, 1_234_567.0),
        },
        send_lateness_p99_ms=1.23,
        loop_lag_p99_ms=2.0,
        workers=[WorkerState(1, 60, 300, 240, 0.41, 1.1, 2.2), WorkerState(2, 58, 231, 173, 0.93, 1.3, 4.4)],
        objectives=[
            ObjectiveResult(text="finalization p99 <= 800ms", met=True, actual="655 ms"),
            ObjectiveResult(text="success >= 99.9%", met=False, actual="99.51 %"),
        ],
        server=ServerPoint(at_s=82, values={"cpu_share": 0.612, "memory_mib": 121.3, "streams": 118, "unknown": 1}),
        events=[
            EventResult(at_s=60, command="systemctl restart gateway"),
            EventResult(at_s=61, command="true", exit_code=0, duration_s=0.1),
            EventResult(at_s=62, command="nonsense", output="cannot be started: No such file or directory"),
        ],
        notes=["no figures of the service: http://127.0.0.1:8000/metrics: it answers 404"],
    )


def lines(state: RunState, width: int) -> list[str]:
    """The view as rows of the screen."""
    console = Console(width=width, file=io.StringIO(), color_system=None, force_terminal=True, legacy_windows=False)
    rows = console.render_lines(render(state), console.options, pad=False)
    return ["".join(segment.text for segment in row) for row in rows]


def styles(state: RunState, text: str) -> set[str]:
    """The styles in which a text is shown."""
    console = Console(width=120, file=io.StringIO(), force_terminal=True)
    segments: list[Segment] = [part for row in console.render_lines(render(state), console.options) for part in row]
    return {str(segment.style) for segment in segments if text in segment.text}


@pytest.mark.parametrize("width", WIDTHS)
def test_everything_is_there_and_fits(width: int) -> None:
    rows = lines(full(), width)
    assert {cell_len(row) for row in rows} == {width}
    text = "\n".join(rows)
    for part in (
        "steady  running  80 streams",
        "1:23 of 1:01:01",
        "118 active",
        "531 begun of 4000",
        "6.4 opens/s",
        "413 ended",
        "success 99.51%",
        "completed 410",
        "overloaded 7",
        "recognizer_busy 3",
        "http_503 1",
        "lost 1006 1",
        "met finalization p99 <= 800ms (655 ms)",
        "MISSED success >= 99.9% (99.51 %)",
        "CPU 0.612 of one CPU",
        "Memory 121 MiB",
        "Streams 118",
        "send lateness p99 1.2 ms",
        "loop lag p99 2.0 ms",
        "1: CPU 41 %, 60 streams, 2.2 ms late",
        "2: CPU 93 %, 58 streams, 4.4 ms late",
        "1:00 running systemctl restart gateway",
        "1:01 exit 0 true",
        "1:02 cannot be started nonsense",
    ):
        assert part in text, part
    assert re.search(r"Setup +12 ms +42 ms +80 ms +531 +0 ", text)
    assert re.search(r"First partial +320 ms +612 ms +12\.3 s +412 +2 ", text)
    assert re.search(r"Finalization +210 ms +655 ms +1235 s +410 +3 ", text)
    for part in ("unknown", "canceled", "invalid"):
        assert part not in text, part
    assert text.count("…") == (width < 61)  # the URL is longer than the row
    assert full().notes[0] in " ".join(text.replace("│", "").split())  # a note is a sentence, and may be wrapped


def test_before_anything_is_known() -> None:
    text = "\n".join(lines(RunState(), 60))
    assert "preparing" in text
    assert re.search(r"First partial +- +- +- +0 +0 ", text)
    for part in ("success", "Errors", "Workers", "Objectives", "Load tester"):
        assert part not in text


def test_own_lateness_over_the_limit_is_red_and_says_what_it_means() -> None:
    state = full()
    assert styles(state, "send lateness") == {"green"}
    state.loop_lag_p99_ms = 10.0
    assert "invalid" not in "\n".join(lines(state, 60))
    state.loop_lag_p99_ms = 10.1
    assert "over 10 ms: the run is invalid" in "\n".join(lines(state, 60))
    assert styles(state, "loop lag p99 10.1 ms") == {"bold red"}
    assert styles(state, "send lateness") == {"green"}


def test_one_late_worker_makes_it_invalid() -> None:
    state = full()
    state.workers[1].send_lateness_p99_ms = 11.0
    assert "over 10 ms: the run is invalid" in "\n".join(lines(state, 60))
    assert styles(state, "11.0 ms late") == {"bold red"}
    assert "INVALID" in plain_line(state)


def test_texts_of_others_are_shown_as_they_are() -> None:
    state = RunState(refused={"[red]x[/red]\x1b[31m\n": 1, "[/]": 1}, failed={"识别引擎忙" * 3: 3}, url="[blink]\x07")
    state.notes.append("[bold]\x1b]0;title\x07")
    for width in WIDTHS:
        rows = lines(state, width)
        text = "\n".join(rows)
        assert "[red]x[/red] [31m" in text
        assert "[/] 1" in text
        assert "识别引擎忙识别引擎忙识别引擎忙 3" in text
        assert "[blink]" in text
        assert "[bold] ]0;title" in text
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
        assert {cell_len(row) for row in rows} == {width}
    assert "\x1b" not in plain_line(state)


TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("[]\x1b识 \n")), max_size=300)
COUNTS = st.dictionaries(TEXTS, st.integers(0, 10**9), max_size=30)


@given(
    st.builds(
        RunState,
        scenario=TEXTS,
        url=TEXTS,
        step=TEXTS,
        refused=COUNTS,
        failed=COUNTS,
        lost=COUNTS,
        endings=COUNTS,
        notes=st.lists(TEXTS, max_size=5),
        workers=st.lists(st.builds(WorkerState), max_size=30),
        elapsed_s=st.floats(0, 1e7),
        duration_s=st.floats(0, 1e7),
        send_lateness_p99_ms=st.none() | st.floats(0, 1e6),
        planned=st.integers(0, 10**9),
    ),
    st.integers(60, 160),
)
def test_whatever_comes_it_fits(state: RunState, width: int) -> None:
    rows = lines(state, width)
    assert {cell_len(row) for row in rows} == {width}
    assert len(rows) < 120  # every list is bounded
    assert all(character.isprintable() for row in rows for character in row)
    assert all(character.isprintable() for character in plain_line(state))


def test_long_lists_are_cut() -> None:
    state = RunState(refused={f"slug{number:02}": number + 1 for number in range(30)}, workers=[WorkerState()] * 40)
    text = "\n".join(lines(state, 100))
    assert "slug29 30" in text  # the most frequent first
    assert "slug19" not in text
    assert "and 20 more" in text
    assert "and 24 more" in text


@pytest.mark.parametrize(
    ("succeeded", "attempts", "text"),
    [(999_999, 1_000_000, "99.9999%"), (5, 5, "100%"), (29, 100, "29%"), (0, 3, "0%"), (2, 3, "66.67%")],
)
def test_only_all_of_them_are_100_percent(succeeded: int, attempts: int, text: str) -> None:
    state = RunState(succeeded=succeeded, attempts=attempts)
    assert f"success {text} " in "\n".join(lines(state, 100))


def test_the_line_for_logs() -> None:
    assert plain_line(full()) == (
        "[1:23 of 1:01:01] running 80 streams; 118 streams, 531 begun of 4000, 6.4/s; "
        "p50/p99: first partial 320 ms/612 ms, finalization 210 ms/655 ms; success 99.51%; "
        "errors: overloaded 7, recognizer_busy 3, http_503 1, lost 1006 1; own lateness p99 4.4 ms"
    )
    assert plain_line(RunState()) == "[0:00 of 0:00] preparing; 0 streams, 0 begun of 0, 0.0/s"


async def test_not_on_a_terminal_there_is_a_line_every_ten_seconds(autojump_clock: trio.testing.MockClock) -> None:
    out = io.StringIO()
    state = full()
    with trio.move_on_after(35):
        await show_live(state, Console(file=out, width=40))
    assert out.getvalue() == 3 * (plain_line(state) + "\n")


async def test_a_log_that_is_not_unicode(autojump_clock: trio.testing.MockClock) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    with trio.move_on_after(15):
        await show_live(RunState(refused={"识别": 1}), Console(file=out))
    assert b"errors: ?? 1" in raw.getvalue()


async def test_on_a_terminal_it_is_redrawn_and_taken_away(autojump_clock: trio.testing.MockClock) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=50, legacy_windows=False, _environ={})
    state = full()
    with trio.move_on_after(1.2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(show_live, state, console)
            await trio.sleep(0.7)
            assert out.getvalue().startswith(HIDE)
            assert SHOW not in out.getvalue()
            assert "118 active" in out.getvalue()
            state.active = 119
    drawn = out.getvalue()
    assert "119 active" in drawn
    # At the end the cursor is back, and every row of the view has been erased.
    end = drawn[drawn.rindex(SHOW) :]
    rows = len(lines(state, 80))
    assert drawn.count(HIDE) == drawn.count(SHOW) == 1
    assert end.count("\x1b[2K") == rows
