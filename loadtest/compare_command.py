"""`loadtest compare`: two runs side by side."""

import argparse
import json
import math
import sys
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadtest.compare import Comparison, Row, compare, shown, shown_difference, worse_rows
from loadtest.histograms import HistogramError
from loadtest.printing import printable
from loadtest.summary import ObjectiveResult, Summary, SummaryError
from loadtest.summary_files import read_summary

OK: Final = 0
WORSE: Final = 1
USAGE: Final = 2

DEFAULT_METRICS: Final = ("success", "setup p99", "first_partial p99", "word_final p99", "finalization p99")


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `compare` to the commands."""
    command = commands.add_parser(
        "compare",
        help="put two runs side by side",
        description="Show the figures of two runs (summary.json, or the directory it is in) side by side, what changed "
        "of their objectives, and why they may not be comparable. Percentiles are those of objectives: a stream that "
        "failed is a sample that never came. Exit code: 0, or 1 with --fail-if-worse, 2 when a file cannot be used.",
    )
    command.add_argument("a", type=Path, metavar="A", help="the run to compare with")
    command.add_argument("b", type=Path, metavar="B", help="the run that is compared")
    command.add_argument("--json", action="store_true", help="print the comparison as JSON, and nothing else")
    command.add_argument(
        "--fail-if-worse",
        type=_percent,
        metavar="PERCENT",
        help="exit with 1 when B is worse than A by more than this: in percent of A, for shares in percentage points",
    )
    command.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="what --fail-if-worse looks at, as in the table; may be repeated "
        f"[{', '.join(DEFAULT_METRICS)}; p90 where there are too few samples for p99]",
    )


def run_compare(arguments: argparse.Namespace) -> int:
    """The command. Returns the exit code."""
    try:
        a, b = read_summary(arguments.a), read_summary(arguments.b)
        comparison = compare(a, b)
    except (SummaryError, HistogramError) as error:
        print(f"loadtest: {printable(str(error))}", file=sys.stderr)
        return USAGE
    known = {row.metric for row in comparison.rows}
    unknown = [name for name in arguments.metric if name not in known]
    if unknown:
        names = ", ".join(row.metric for row in comparison.rows)
        print(f"loadtest: --metric {printable(unknown[0])}: not in these runs, which have {names}", file=sys.stderr)
        return USAGE
    worse: list[Row] = []
    if arguments.fail_if_worse is not None:
        names_given = tuple(arguments.metric) or default_metrics(known)
        worse = worse_rows(comparison, names_given, arguments.fail_if_worse)
    if arguments.json:
        print(json.dumps(as_json(a, b, comparison, worse), ensure_ascii=False, indent=1))
    else:
        show(_Console(highlight=False), a, b, comparison, worse)
    return WORSE if worse else OK


def default_metrics(known: Collection[str]) -> tuple[str, ...]:
    """What --fail-if-worse looks at when nothing is said: p90 where there are too few samples for p99. Pure."""
    names = (name if name in known else name.replace("p99", "p90") for name in DEFAULT_METRICS)
    return tuple(name for name in names if name in known)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let `main` end quietly, with the exit code that it has for this; Rich's own is 1, which says `worse`."""
        raise BrokenPipeError


def show(console: Console, a: Summary, b: Summary, comparison: Comparison, worse: list[Row]) -> None:
    """Print a comparison for people."""
    for name, summary in (("A", a), ("B", b)):
        title = f"{name}: {summary.scenario}, {summary.url}, {summary.started_at}, seed {summary.seed}"
        console.print(escape(printable(title)), style="bold", soft_wrap=True)
        console.print(f"   {summary.verdict.value}")
    for warning in comparison.warnings:
        console.print(f"Not comparable? {escape(warning)}", style="yellow", soft_wrap=True)
    table = Table("", "A", "B", "difference", "B / A")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in comparison.rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        name = f"{row.metric} ~" if row.few_samples else row.metric
        style = "red" if row in worse else None
        table.add_row(name, shown(row, row.a), shown(row, row.b), shown_difference(row), ratio, style=style)
    console.print(table)
    for change in comparison.objectives:
        line = f"{change.text}: {_result(change.a)} in A, {_result(change.b)} in B"
        console.print(escape(line), soft_wrap=True)
    for note in comparison.notes:
        console.print(escape(note), soft_wrap=True)
    for row in worse:
        line = f"worse: {row.metric} from {shown(row, row.a)} to {shown(row, row.b)}"
        console.print(escape(line), style="red", soft_wrap=True)


def as_json(a: Summary, b: Summary, comparison: Comparison, worse: list[Row]) -> dict[str, Any]:
    """The comparison as JSON has it: infinity is `never`."""
    return {
        "a": _head(a),
        "b": _head(b),
        "rows": [
            {
                **{name: _number(value) for name, value in asdict(row).items()},
                "difference": _number(row.difference),
                "ratio": _number(row.ratio),
            }
            for row in comparison.rows
        ],
        "objectives": [
            {"text": change.text, "a": _met(change.a), "b": _met(change.b)} for change in comparison.objectives
        ],
        "warnings": list(comparison.warnings),
        "notes": list(comparison.notes),
        "worse": [row.metric for row in worse],
    }


def _head(summary: Summary) -> dict[str, Any]:
    return {
        "scenario": summary.scenario,
        "url": summary.url,
        "seed": summary.seed,
        "started_at": summary.started_at,
        "verdict": summary.verdict.value,
    }


def _number(value: object) -> object:
    return "never" if isinstance(value, float) and math.isinf(value) else value


def _met(result: ObjectiveResult | None) -> dict[str, Any] | None:
    return None if result is None else {"met": result.met, "actual": result.actual}


def _result(result: ObjectiveResult | None) -> str:
    if result is None:
        return "absent"
    return f"{'met' if result.met else 'missed'} ({result.actual})"


def _percent(given: str) -> float:
    percent = float(given)
    if not 0 <= percent < math.inf:
        raise argparse.ArgumentTypeError(f"{given}: expected a percentage from 0 on")
    return percent
