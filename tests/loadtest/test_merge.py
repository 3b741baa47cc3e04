"""Shards add up to the run that they are parts of."""

import argparse
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.merge import MergeError, merge
from loadtest.merge_command import add_command, run_merge
from loadtest.record import Ending, StreamRecord
from loadtest.series import Series
from loadtest.summary import EventResult, Knee, ServerPoint, Summary, Verdict, decode, encode
from tests.loadtest.runs import run_of, shards_of
from tests.loadtest.stream_records import RECORDS, completed, failed

SERVED = [completed(number, finalization_s=0.1 + number / 100) for number in range(20)]


def merge_command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers(dest="command"))
    return run_merge(parser.parse_args(["merge", *map(str, arguments)]))


def write(directory: Path, summary: Summary, records: list[StreamRecord] | None = None) -> Path:
    directory.mkdir()
    (directory / "summary.json").write_bytes(encode(summary))
    if records is not None:
        lines = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
        (directory / "streams.jsonl").write_bytes(lines)
    return directory


@given(st.lists(RECORDS, min_size=1, max_size=12, unique_by=lambda record: record.number), st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_shards_add_up_exactly(records: list[StreamRecord], total: int) -> None:
    whole = run_of(records, send_lateness_s=[0.001] * total)
    merged = merge(list(reversed(shards_of(records, total))))
    assert merged.counts == whole.counts
    assert merged.words == whole.words
    assert merged.latencies == whole.latencies
    assert merged.objectives == whole.objectives
    assert merged.streams == whole.streams
    assert merged.verdict is whole.verdict
    assert (merged.shard, merged.shards_merged) == ((0, 1), total)
    assert merged.audio.sent_bytes == whole.audio.sent_bytes
    assert merged.audio.sent_s == pytest.approx(whole.audio.sent_s)
    if max(record.at_ended_s for record in records) < 600:
        assert [(point.at_s, point.arrivals, point.active, point.slugs) for point in merged.series] == [
            (point.at_s, point.arrivals, point.active, point.slugs) for point in whole.series
        ]


def test_the_whole_may_meet_what_a_shard_misses_and_the_other_way_round() -> None:
    shards = [
        run_of([failed(0), *SERVED[:4]], shard=(0, 2)),
        run_of(SERVED[4:], shard=(1, 2)),
    ]
    assert [shard.verdict for shard in shards] == [Verdict.MISSED, Verdict.MET]
    merged = merge(shards)
    assert merged.verdict is Verdict.MET
    assert merged.reasons == ()
    assert merged.objectives[0].actual == "95.24% (20 of 21)"
    assert (merged.started_at, merged.duration_s) == ("2026-01-01T00:00:00Z", 11.0)
    assert merged.environment.host == "pod-0, pod-1"
    assert len(merged.workers) == 2


def test_one_shard_that_was_late_makes_the_whole_invalid() -> None:
    shards = [
        run_of(SERVED[:10], shard=(0, 2), send_lateness_s=[0.001] * 1000),
        run_of(SERVED[10:], shard=(1, 2), send_lateness_s=[0.050]),
    ]
    merged = merge(shards)
    assert merged.verdict is Verdict.INVALID
    assert merged.reasons[1:] == ("send lateness p99 was 50.0 ms in worker 2 of 2: more than 10 ms",)


def test_what_only_the_conductor_of_a_shard_knew_is_kept() -> None:
    broken = run_of([*SERVED[:9], failed(9)], shard=(0, 2), verdict=Verdict.INVALID, reasons=("worker 1 died",))
    merged = merge([broken, run_of(SERVED[10:], shard=(1, 2))])
    assert (merged.verdict, merged.reasons) == (Verdict.INVALID, ("shard 0/2: worker 1 died",))


def test_an_interrupted_shard_interrupts_the_whole() -> None:
    shards = shards_of(SERVED, 2)
    shards[1].verdict = Verdict.INTERRUPTED
    assert merge(shards).verdict is Verdict.INTERRUPTED


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seed": 8}, "the seed differs between the shards: 7 and 8"),
        ({"scenario": "spike"}, "the scenario differs between the shards: steady and spike"),
        ({"scenario_toml": ""}, "see their `scenario_toml`"),
        ({"url": "ws://10.0.0.1:8000/other"}, "the path of the URL differs between the shards: /api and /other"),
        ({"shard": (1, 3)}, "the number of shards differs between the shards: 2 and 3"),
        ({"shard": (0, 2)}, "shard 0/2 is there twice"),
        ({"shard": (2, 2)}, "no such shard: 2/2"),
        ({"shards_merged": 2}, "merge the shards themselves"),
        ({"knee": Knee(max_streams=1, first_broken=2)}, "a search for the knee cannot be merged"),
    ],
)
def test_what_is_not_a_shard_of_the_same_run_is_refused(changes: dict[str, object], says: str) -> None:
    one, other = shards_of(SERVED, 2)
    with pytest.raises(MergeError) as caught:
        merge([one, msgspec.structs.replace(other, **changes)])
    assert says in str(caught.value)


def test_shards_may_speak_to_the_same_service_by_another_address() -> None:
    one, other = shards_of(SERVED, 2)
    other.url = "wss://elsewhere/api/"
    assert merge([one, other]).counts.begun == 20


def test_missing_shards_are_named_and_only_merged_when_asked_for() -> None:
    shards = shards_of(SERVED, 4)
    with pytest.raises(MergeError, match="missing: shards 1/4, 3/4; merge what there is with --partial"):
        merge([shards[0], shards[2]])
    merged = merge([shards[0], shards[2]], partial=True)
    assert (merged.verdict, merged.reasons) == (Verdict.INVALID, ("missing: shards 1/4, 3/4",))
    assert (merged.counts.begun, merged.shards_merged) == (10, 2)
    with pytest.raises(MergeError, match="and 5 more"):
        merge([run_of(SERVED, shard=(0, 16))])
    with pytest.raises(MergeError, match="nothing to merge"):
        merge([])


def test_a_histogram_that_cannot_be_read_or_does_not_fit_its_count_is_refused() -> None:
    shard = run_of(SERVED)
    figures = shard.latencies["setup"]
    shard.latencies["setup"] = msgspec.structs.replace(figures, histogram="AAAA")
    with pytest.raises(MergeError, match="shard 0/1: the histogram of 'setup': not an HdrHistogram"):
        merge([shard])
    shard.latencies["setup"] = msgspec.structs.replace(figures, count=3)
    with pytest.raises(MergeError, match="has 20 samples, and `count` says 3"):
        merge([shard])
    shard.latencies["setup"] = figures
    shard.objectives = (msgspec.structs.replace(shard.objectives[0], text="quick"),)
    with pytest.raises(MergeError, match="objective 'quick'"):
        merge([shard])


def test_curves_of_different_intervals_add_up() -> None:
    one, other = shards_of([completed(number) for number in range(8)], 2)
    coarse = Series(2.0)
    for record in other.streams:
        coarse.add(record)
    other.series = coarse.points()
    one.server = (ServerPoint(at_s=1.0, values={"streams": 2.0}),)
    one.events = (EventResult(at_s=5.0, command="restart"),)
    other.events = (EventResult(at_s=3.0, command="reload"),)
    merged = merge([one, other])
    assert [point.at_s for point in merged.series] == [0, 2, 4, 6, 8]
    assert [point.arrivals for point in merged.series] == [2, 2, 2, 2, 0]
    assert merged.series[-1].active == 0
    assert merged.server == one.server
    assert [event.command for event in merged.events] == ["reload", "restart"]


def test_percentiles_of_curves_are_those_of_the_worst_shard_and_the_median_shard() -> None:
    quick = [completed(0, finalization_s=0.1), completed(0, finalization_s=0.1), completed(0, finalization_s=0.1)]
    shards = [run_of(quick, shard=(0, 2)), run_of([completed(0, finalization_s=0.9)], shard=(1, 2))]
    value = merge(shards).series[1].latencies_ms["finalization"]
    assert value == pytest.approx((100, 900, 4), rel=0.001)


def test_the_command_writes_a_summary_a_report_and_all_streams(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [*SERVED, failed(20, Ending.REFUSED, slug="overloaded")]
    shards = shards_of(records, 3)
    paths = [write(tmp_path / str(index), shard, records[index::3]) for index, shard in enumerate(shards)]
    assert merge_command(tmp_path / "out", *reversed(paths)) == 0
    assert capsys.readouterr().out == f"met: 3 shards in {tmp_path / 'out'}\n"
    merged = decode((tmp_path / "out" / "summary.json").read_bytes())
    assert merged.series == run_of(records).series  # exact, percentiles included
    lines = (tmp_path / "out" / "streams.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["number"] for line in lines) == list(range(21))
    assert "<html" in (tmp_path / "out" / "report.html").read_text()


def test_the_command_merges_summaries_alone_and_says_why_a_run_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = shards_of([*SERVED[:4], failed(4), failed(5)], 2)
    paths = [write(tmp_path / str(index), shard) for index, shard in enumerate(shards)]
    assert merge_command(tmp_path / "out", paths[0], paths[1] / "summary.json") == 1
    assert "  missed: success >= 90% (was 66.67% (4 of 6))\n" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.html", "summary.json"]


def test_the_command_refuses_what_it_cannot_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write(tmp_path / "0", shards_of(SERVED, 2)[0], SERVED[::2])
    assert merge_command(tmp_path / "out", one) == 2
    assert capsys.readouterr().err == "loadtest: missing: shard 1/2; merge what there is with --partial\n"
    assert merge_command(one, one, "--partial") == 2
    assert "is one of the shards" in capsys.readouterr().err
    assert merge_command(tmp_path / "out", tmp_path / "none") == 2
    assert "No such file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    assert merge_command(tmp_path / "file", one, "--partial") == 2
    assert "File exists" in capsys.readouterr().err
    assert merge_command(tmp_path / "out", one, "--partial") == 3
