"""`loadtest merge`: the shards of one run, each spoken by another machine, as one summary and one report."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from loadtest.formats import plural
from loadtest.merge import MergeError, merge
from loadtest.printing import printable
from loadtest.report import render
from loadtest.series import Series
from loadtest.summary import EXIT_CODES, SeriesPoint, Summary, SummaryError, encode
from loadtest.summary_files import REPORT_NAME, STREAMS_NAME, SUMMARY_NAME, read_streams, read_summary, streams_file

USAGE: Final = 2


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `merge` to the commands."""
    command = commands.add_parser(
        "merge",
        help="add the shards of one run up to one report",
        description="Add the summaries of all shards (`run --shard i/n`) up exactly, evaluate the objectives on the "
        "whole, and write summary.json and report.html into OUT, and streams.jsonl when every shard has one. Exit "
        "code: that of the whole run (0 met, 1 missed, 2 nothing reachable, 3 invalid), or 2 when the parts are not "
        "the shards of one run.",
    )
    command.add_argument("out", type=Path, metavar="OUT", help="directory for the result; made when it is not there")
    command.add_argument(
        "parts", type=Path, nargs="+", metavar="DIR_OR_FILE", help="a shard: its directory, or its summary.json"
    )
    command.add_argument(
        "--partial", action="store_true", help="merge although shards are missing; the result is invalid then"
    )


def run_merge(arguments: argparse.Namespace) -> int:
    """The command. Returns the exit code."""
    try:
        parts = _sorted_parts(arguments.parts)
        if any(_directory(path).resolve() == arguments.out.resolve() for path, _ in parts):
            raise MergeError(f"{arguments.out} is one of the shards: choose another directory for the result")
        streams = _stream_files([path for path, _ in parts])
        summaries = [summary for _, summary in parts]
        merged = merge(summaries, partial=arguments.partial)
        if streams:  # all records are at hand: then the curves are exact, too
            merged.series = _series(merged, streams)
        _write(arguments.out, merged, streams)
    except (SummaryError, MergeError) as error:
        print(f"loadtest: {printable(str(error))}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"loadtest: {error.filename}: {error.strerror}", file=sys.stderr)
        return USAGE
    print(f"{merged.verdict.value}: {plural(len(summaries), 'shard')} in {arguments.out}")
    for reason in merged.reasons:
        print(f"  {printable(reason)}")
    return EXIT_CODES[merged.verdict]


def _sorted_parts(paths: Sequence[Path]) -> list[tuple[Path, Summary]]:
    parts = [(path, read_summary(path)) for path in paths]
    return sorted(parts, key=lambda part: part[1].shard[0])


def _directory(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _stream_files(paths: Sequence[Path]) -> list[Path]:
    """The records of every shard, or nothing when one has none."""
    files = [streams_file(path) for path in paths if path.is_dir()]
    found = [file for file in files if file is not None]
    return found if len(found) == len(paths) else []


def _series(merged: Summary, files: Sequence[Path]) -> tuple[SeriesPoint, ...]:
    """Exact curves. How late the load testers sent is not in the records, and is kept as it was merged."""
    points = merged.series
    series = Series(points[1].at_s - points[0].at_s if len(points) > 1 else 1.0)
    for file in files:
        for record in read_streams(file):
            series.add(record)
    late = {point.at_s: point.send_lateness_p99_ms for point in points}
    return tuple(msgspec.structs.replace(point, send_lateness_p99_ms=late.get(point.at_s)) for point in series.points())


def _write(out: Path, merged: Summary, streams: Sequence[Path]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if streams:
        with (out / STREAMS_NAME).open("wb") as whole:
            for file in streams:
                with file.open("rb") as part:
                    shutil.copyfileobj(part, whole)
    (out / SUMMARY_NAME).write_bytes(encode(merged))
    (out / REPORT_NAME).write_text(render(merged), encoding="utf-8")
