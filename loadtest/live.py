"""What a person sees while a run goes on: a view that is redrawn on a terminal, and lines elsewhere.

`render` and `plain_line` are pure: from the state to what is shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import trio
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadtest.figures import LATENCIES, MAX_OWN_LATENESS_S
from loadtest.formats import format_ratio, plural
from loadtest.printing import printable
from loadtest.run_state import Percentiles, RunState, WorkerState
from loadtest.server_curves import CURVES
from loadtest.summary import EventResult

REDRAW_S: Final = 0.5
"""Numbers that change faster cannot be read, and drawing takes CPU from the phones."""
LINE_S: Final = 10.0

_SHOWN_ALWAYS: Final = ("first_partial", "finalization")
_SHOWN: Final = ("setup", *_SHOWN_ALWAYS, "word_final", "result_lateness")
_MAX_ITEMS: Final = 10
"""Of one list: the view must fit on a screen."""
_MAX_WORKERS: Final = 16
_MAX_EVENTS: Final = 3
_MAX_TEXT: Final = 200
_BUSY_CPU_SHARE: Final = 0.8
_LIMIT_MS: Final = 1000 * MAX_OWN_LATENESS_S
_BAD: Final = "bold red"
_WARN: Final = "yellow"
_GOOD: Final = "green"
_DIM: Final = "dim"


async def show_live(state: RunState, console: Console) -> None:
    """Shows the state until cancelled: twice a second in place on a terminal, else as a plain line every 10 s.

    When it is cancelled the cursor is visible again and the view is gone, so that the summary can follow. Writing
    blocks when the terminal does. Raises BrokenPipeError when whoever read the lines has left.
    """
    if not console.is_terminal or console.is_dumb_terminal:
        await _show_lines(state, console)
        return
    # No thread of rich's: it would read the state while it is being written.
    with Live(render(state), console=console, auto_refresh=False, transient=True) as live:
        while True:
            await trio.sleep(REDRAW_S)
            live.update(render(state), refresh=True)


async def _show_lines(state: RunState, console: Console) -> None:
    due = trio.current_time()
    while True:
        due += LINE_S
        await trio.sleep_until(due)
        line = plain_line(state).encode(console.encoding, errors="replace").decode(console.encoding)
        print(line, file=console.file, flush=True)


def plain_line(state: RunState) -> str:
    """The run so far in one line, for logs. Pure."""
    own_ms = _own_lateness_ms(state)
    latencies = ", ".join(
        f"{LATENCIES[name].title.lower()} {_ms(figures.p50_ms)}/{_ms(figures.p99_ms)}"
        for name in _SHOWN_ALWAYS
        if (figures := state.latencies.get(name))
    )
    parts = [
        f"[{_clock(state.elapsed_s)} of {_clock(state.duration_s)}] {state.phase}" + f" {_safe(state.step)}".rstrip(),
        f"{state.active} streams, {state.begun} begun of {state.planned}, {state.opens_per_s:.1f}/s",
        f"p50/p99: {latencies}" if latencies else "",
        "" if state.success is None else f"success {format_ratio(state.success)}",
        "errors: " + ", ".join(f"{slug} {count}" for slug, count in _errors(state)[:_MAX_ITEMS])
        if _errors(state)
        else "",
        "" if own_ms is None else f"own lateness p99 {own_ms:.1f} ms" + " INVALID" * (own_ms > _LIMIT_MS),
    ]
    return "; ".join(part for part in parts if part)


def render(state: RunState) -> RenderableType:
    """The run so far, for a console of at least 60 columns. Texts of others are shown as they are, without control
    characters and never as markup. Pure."""
    top = _grid()
    top.add_row(Text("URL", _DIM), _line(Text(_safe(state.url))))
    top.add_row(Text("Time", _DIM), _time(state))
    top.add_row(Text("Streams", _DIM), _Flow(list(_streams(state))))
    below = _grid()
    for label, items in (
        ("Endings", _counted(sorted(state.endings.items(), key=_by_count), {"completed": _GOOD, "as_meant": _GOOD})),
        ("Errors", _counted(_errors(state), {}, _BAD)),
        ("Objectives", _objectives(state)),
        ("Service", _service(state)),
        ("Load tester", _own(state)),
        ("Workers", _shortened([_worker(*numbered) for numbered in enumerate(state.workers, 1)], _MAX_WORKERS)),
        ("Events", [_event(event) for event in state.events[-_MAX_EVENTS:]]),
    ):
        if items:
            below.add_row(Text(label, _DIM), _Flow(items))
    for note in list(dict.fromkeys(state.notes))[-_MAX_EVENTS:]:  # each step of a search says the same
        below.add_row(Text("Note", _DIM), Text(_safe(note), _WARN))
    title = Text.assemble((_safe(state.scenario), "bold"), f"  {state.phase}", f"  {_safe(state.step)}".rstrip())
    return Panel(Group(top, Text(), _latencies(state), Text(), below), title=title, title_align="left")


class _Flow:
    """Texts one after the other, two spaces between them, on as many lines as they need; none is broken in two.

    One that is wider than a line is cut, with an ellipsis.
    """

    def __init__(self, items: Sequence[Text]) -> None:
        self._items = items

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        line = Text()
        for item in self._items:
            if line and cell_len(line.plain) + 2 + cell_len(item.plain) > width:
                yield line
                line = Text()
            if line:
                line.append("  ")
            line.append_text(item)
            line.truncate(width, overflow="ellipsis")
        yield line


def _grid() -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True, width=11)
    grid.add_column(ratio=1)
    return grid


def _line(text: Text) -> Text:
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text


def _time(state: RunState) -> RenderableType:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    total_s = max(state.duration_s, 0.001)
    grid.add_row(
        Text(f"{_clock(state.elapsed_s)} of {_clock(state.duration_s)}"),
        ProgressBar(total=total_s, completed=min(state.elapsed_s, total_s)),
    )
    return grid


def _streams(state: RunState) -> Iterator[Text]:
    yield Text(f"{state.active} active", "bold")
    yield Text(f"{state.begun} begun of {state.planned}")
    yield Text(f"{state.opens_per_s:.1f} opens/s")
    yield Text(f"{state.ended} ended")
    if state.success is not None:
        yield Text(f"success {format_ratio(state.success)}", _GOOD if state.succeeded == state.attempts else _BAD)


def _latencies(state: RunState) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style=_DIM)
    table.add_column("Latency", no_wrap=True)
    for title in ("p50", "p99", "max", "count", "never"):
        table.add_column(title, justify="right", no_wrap=True, min_width=7)
    for name in _SHOWN:
        if name in state.latencies or name in _SHOWN_ALWAYS:
            figures = state.latencies.get(name, Percentiles())
            table.add_row(
                LATENCIES[name].title,
                _ms(figures.p50_ms),
                Text(_ms(figures.p99_ms), "bold"),
                _ms(figures.max_ms),
                str(figures.count),
                Text(str(figures.missing), _BAD if figures.missing else _DIM),
            )
    return table


def _errors(state: RunState) -> list[tuple[str, int]]:
    """By slug, the most frequent first; a lost connection by its close code."""
    counts: dict[str, int] = {}
    for source, prefix in ((state.refused, ""), (state.failed, ""), (state.lost, "lost ")):
        for name, count in source.items():
            shown = prefix + _safe(name)
            counts[shown] = counts.get(shown, 0) + count
    return sorted(counts.items(), key=_by_count)


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _counted(counts: Sequence[tuple[str, int]], styles: Mapping[str, str], otherwise: str = _WARN) -> list[Text]:
    return _shortened(
        [Text(f"{_safe(name)} {count}", styles.get(name, otherwise)) for name, count in counts if count], _MAX_ITEMS
    )


def _objectives(state: RunState) -> list[Text]:
    missed_first = sorted(state.objectives, key=lambda objective: objective.met)
    return _shortened(
        [
            Text(
                f"{'met' if objective.met else 'MISSED'} {_safe(objective.text)} ({_safe(objective.actual)})",
                _GOOD if objective.met else _BAD,
            )
            for objective in missed_first
        ],
        _MAX_ITEMS,
    )


def _service(state: RunState) -> list[Text]:
    values = state.server.values if state.server else {}
    return [
        Text(f"{curve.title} {_number(values[name])} {curve.unit}".rstrip())
        for name, curve in CURVES.items()
        if name in values
    ]


def _own(state: RunState) -> list[Text]:
    items = [
        Text(f"{title} p99 {value:.1f} ms", _BAD if value > _LIMIT_MS else _GOOD)
        for title, value in (("send lateness", state.send_lateness_p99_ms), ("loop lag", state.loop_lag_p99_ms))
        if value is not None
    ]
    own_ms = _own_lateness_ms(state)
    if own_ms is not None and own_ms > _LIMIT_MS:
        items.append(Text(f"over {_LIMIT_MS:.0f} ms: the run is invalid", _BAD))
    return items


def _own_lateness_ms(state: RunState) -> float | None:
    """The worst p99 of the load tester's own lateness, over the run or in one worker: what decides on `invalid`."""
    values = [state.send_lateness_p99_ms, state.loop_lag_p99_ms]
    for worker in state.workers:
        values += [worker.send_lateness_p99_ms, worker.loop_lag_p99_ms]
    return max((value for value in values if value is not None), default=None)


def _worker(number: int, worker: WorkerState) -> Text:
    lateness = [value for value in (worker.send_lateness_p99_ms, worker.loop_lag_p99_ms) if value is not None]
    text = Text(f"{number}: ")
    text.append(f"CPU {100 * worker.cpu_share:.0f} %", _WARN if worker.cpu_share > _BUSY_CPU_SHARE else "")
    text.append(" ended" if worker.has_ended else f", {plural(worker.active, 'stream')}")
    if lateness:
        text.append(f", {max(lateness):.1f} ms late", _BAD if max(lateness) > _LIMIT_MS else "")
    return text


def _event(event: EventResult) -> Text:
    if event.exit_code is not None:
        outcome, style = f"exit {event.exit_code}", _BAD if event.exit_code else _GOOD
    elif event.duration_s is not None:
        outcome, style = "ended with the run", _WARN
    elif event.output:
        outcome, style = "cannot be started", _BAD
    else:
        outcome, style = "running", _WARN
    return Text.assemble(f"{_clock(event.at_s)} ", (outcome, style), f" {_safe(event.command)}")


def _shortened(items: list[Text], limit: int) -> list[Text]:
    if len(items) <= limit:
        return items
    return [*items[:limit], Text(f"and {len(items) - limit} more", _DIM)]


def _safe(text: str) -> str:
    return printable(text[:_MAX_TEXT])


def _ms(value: float | None) -> str:
    """At most 7 columns, and the same width from one drawing to the next, unlike `format_ms`."""
    if value is None:
        return "-"
    if value < 9.95:
        return f"{value:.1f} ms"
    if value < 9_999.5:
        return f"{value:.0f} ms"
    return f"{value / 1000:.1f} s" if value < 999_950 else f"{value / 1000:.0f} s"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _clock(seconds: float) -> str:
    whole = max(0, int(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
