"""Summaries are written, read, and described by a schema; and which streams they show."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import loadtest
from loadtest.record import Ending, StreamRecord
from loadtest.summary import (
    MAX_FINALS,
    SCHEMA,
    AudioTotals,
    Counts,
    Environment,
    Summary,
    SummaryError,
    Verdict,
    Words,
    decode,
    encode,
    json_schema,
    sample_streams,
)
from loadtest.summary_files import MAX_SUMMARY_BYTES, read_streams, read_summary, streams_file
from tests.loadtest.stream_records import RECORDS, completed, failed


def summary_of(*records: StreamRecord) -> Summary:
    return Summary(
        verdict=Verdict.MET,
        scenario="smoke",
        url="ws://127.0.0.1:8000",
        seed=1,
        started_at="2026-01-01T00:00:00Z",
        duration_s=1.0,
        counts=Counts(),
        words=Words(),
        audio=AudioTotals(),
        latencies={},
        environment=Environment(),
        streams=tuple(records),
    )


def test_the_schema_file_is_that_of_the_summary() -> None:
    file = Path(loadtest.__file__).parent / "summary.schema.json"
    assert file.read_bytes() == json_schema(), "write it again: file.write_bytes(loadtest.summary.json_schema())"


def test_what_is_written_can_be_read() -> None:
    summary = summary_of(completed(3), failed(4))
    content = encode(summary)
    assert decode(content) == summary
    assert content.endswith(b"}\n")
    assert json.loads(content)["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a summary"),
        (b"[]", "not a summary"),
        (b"\xff\xfe", "not a summary"),
        (b'{"schema": "one"}', "not a summary"),
        (b'{"schema": 2}', "schema 2; this load tester reads schema 1"),
        (b'{"schema": 1}', "missing required field `verdict`"),
        (b'{"schema": 1, "verdict": "splendid"}', "Invalid enum value 'splendid' - at `$.verdict`"),
    ],
)
def test_what_is_no_summary_says_why(content: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(SummaryError) as caught:
        decode(content)
    assert says in str(caught.value)
    file = tmp_path / "summary.json"
    file.write_bytes(content)
    with pytest.raises(SummaryError) as caught:
        read_summary(tmp_path)
    assert str(caught.value).startswith(str(file))
    assert says in str(caught.value)


def test_files(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_bytes(encode(summary_of()))
    assert read_summary(tmp_path) == read_summary(tmp_path / "summary.json") == summary_of()
    assert streams_file(tmp_path) is None
    with pytest.raises(SummaryError, match="nothing: No such file"):
        read_summary(tmp_path / "nothing")
    with (tmp_path / "big.json").open("wb") as big:
        big.truncate(MAX_SUMMARY_BYTES + 1)  # without a byte on the disk
    with pytest.raises(SummaryError, match=r"big\.json: too big for a summary"):
        read_summary(tmp_path / "big.json")
    (tmp_path / "streams.jsonl").write_bytes(b'{"number":1}\n')
    file = streams_file(tmp_path / "summary.json")
    assert file == tmp_path / "streams.jsonl"
    with pytest.raises(SummaryError, match="line 1 is not a record"):
        list(read_streams(file))
    with pytest.raises(SummaryError, match="nothing: No such file"):
        list(read_streams(tmp_path / "nothing"))


@given(st.lists(RECORDS, max_size=30, unique_by=lambda record: record.number))
def test_the_sample_depends_on_the_streams_alone_and_adds_up(records: list[StreamRecord]) -> None:
    limit = 5
    chosen = sample_streams(records, limit)
    assert sample_streams(reversed(records), limit) == chosen
    halves = [*sample_streams(records[::2], limit), *sample_streams(records[1::2], limit)]
    assert sample_streams(halves, limit) == chosen
    assert len(chosen) == min(limit, len(records))
    failures = sum(not record.is_success for record in records)
    assert sum(not record.is_success for record in chosen) == min(limit, failures)


def test_the_sample_of_a_long_run_is_even_and_in_order_of_arrival() -> None:
    chosen = sample_streams(completed(number) for number in range(30_000))
    assert len(chosen) == 300
    assert list(chosen) == sorted(chosen, key=lambda record: record.at_planned_s)
    tenths = [sum(number * 3000 <= record.number < (number + 1) * 3000 for record in chosen) for number in range(10)]
    assert all(10 <= tenth <= 60 for tenth in tenths)


def test_the_sample_has_no_text_and_no_endless_lists_and_leaves_the_records_alone() -> None:
    record = failed(1, Ending.LOST, text="private", at_finals_s=[0.1] * (MAX_FINALS + 1))
    (chosen,) = sample_streams([record])
    assert chosen.text is None
    assert len(chosen.at_finals_s) == MAX_FINALS
    assert record.text == "private"
