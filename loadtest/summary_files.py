"""Reads what a run has written: `summary.json` and `streams.jsonl`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from loadtest.record import StreamRecord
from loadtest.summary import Summary, SummaryError, decode

SUMMARY_NAME: Final = "summary.json"
STREAMS_NAME: Final = "streams.jsonl"
REPORT_NAME: Final = "report.html"
MAX_SUMMARY_BYTES: Final = 256 * 1024 * 1024  # ours have a few MB


def read_summary(path: Path) -> Summary:
    """The summary in a file, or in `summary.json` of a directory. Raises `SummaryError`, which names the file."""
    file = path / SUMMARY_NAME if path.is_dir() else path
    try:
        if file.stat().st_size > MAX_SUMMARY_BYTES:
            raise SummaryError(f"{file}: too big for a summary")
        return decode(file.read_bytes())
    except OSError as error:
        raise SummaryError(f"{file}: {error.strerror}") from None
    except SummaryError as error:
        raise SummaryError(f"{file}: {error}" if str(file) not in str(error) else str(error)) from None


def streams_file(path: Path) -> Path | None:
    """`streams.jsonl` beside a summary, where there is one."""
    file = (path if path.is_dir() else path.parent) / STREAMS_NAME
    return file if file.is_file() else None


def read_streams(file: Path) -> Iterator[StreamRecord]:
    """The records of a `streams.jsonl`, one by one. Raises `SummaryError`, which names the line."""
    decoder = msgspec.json.Decoder(StreamRecord)
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield decoder.decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    raise SummaryError(f"{file}: line {number} is not a record of a stream") from None
    except OSError as error:
        raise SummaryError(f"{file}: {error.strerror}") from None
