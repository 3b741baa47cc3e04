"""docs/capacity.md, in both languages, says what comes out of what was measured and of the assumptions it states."""

import json
import re
import subprocess
import sys
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops import capacity
from ops.capacity import Assumptions, blocking, memory_mib, plan, slots_for
from service.settings import Settings
from service.stream.clocks import PAUSE_S
from service.web.recognize import MAX_PENDING_BYTES
from tests.support.processes import ROOT

PAGES = {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("capacity.md", "capacity.zh-CN.md")}
BOTH = pytest.mark.parametrize("name", PAGES)
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
GIVEN = Assumptions()
PLAN = plan(GIVEN)


def offered(slots: int) -> float:
    """The mean of streams at a time for which that many slots are enough, to a tenth."""
    tenths = 0
    while blocking((tenths + 1) / 10, slots) <= GIVEN.blocked:
        tenths += 1
    return tenths / 10


@BOTH
def test_the_tables_are_what_the_module_prints(name: str) -> None:
    chinese = "zh" in name
    assert capacity.plan_table(PLAN, chinese=chinese) + "\n" in PAGES[name]
    assert capacity.shares_table(GIVEN, chinese=chinese) + "\n" in PAGES[name]


@BOTH
def test_the_assumptions_of_the_page_are_those_that_were_computed_with(name: str) -> None:
    rows = re.findall(r"^\| [^|]+ \| ([\d.,]+) ?(%|s|) \| `--([\w-]+)` \|$", PAGES[name], re.MULTILINE)
    stated = {
        option.replace("-", "_"): float(number.replace(",", "")) / (100 if unit == "%" else 1)
        for number, unit, option in rows
    }
    assert stated == pytest.approx({item.name: getattr(GIVEN, item.name) for item in fields(Assumptions)})


@BOTH
def test_every_figure_of_the_text_is_recomputed(name: str) -> None:
    each = PLAN.peak_streams / PLAN.replicas
    missing_one = slots_for(PLAN.peak_streams / (PLAN.replicas - 1), GIVEN.blocked)
    moved = each / (PLAN.replicas - 1)
    per_s = capacity.FRAMES_PER_S * capacity.US_PER_FRAME
    wire = capacity.AUDIO_BYTES_PER_S * capacity.PACKET_WIRE_BYTES / capacity.PACKET_AUDIO_BYTES
    figures = [
        f"× {capacity.US_PER_FRAME:.0f} µs =",
        f"{per_s / 1000:.2f} ms",
        f"{capacity.CPU_USE} × 1,000,000 / ({capacity.FRAMES_PER_S} × {capacity.US_PER_FRAME:.0f}) "
        f"= {PLAN.streams_per_core}",
        f"{capacity.LIVE_KIB} KiB",
        f"{capacity.STALLED_KIB * 1024 / 1e6:.2f} MB",
        f"{capacity.OPENING_CPU_MS} ms",
        f"{wire / 1000:.1f} kB/s",
        f"{memory_mib(0):.0f} MiB",
        f"{MAX_PENDING_BYTES / 2**20:.0f} MiB",
        f"{capacity.ACCOUNT_SLOTS} ",
        f"{int(offered(capacity.ACCOUNT_SLOTS))}",
        f"4 × {offered(capacity.ACCOUNT_SLOTS // 4)} = {4 * offered(capacity.ACCOUNT_SLOTS // 4):.0f}",
        f"{3600 * per_s / 1e6 / capacity.CPU_USE:.1f} ",
        f"{3600 / PLAN.core_s_per_speech_h:.0f} ",
        f" {GIVEN.burst} = {PLAN.peak_streams:.0f}",
        f"{PLAN.slots / capacity.ACCOUNT_SLOTS:.1f} ",
        f"{PLAN.slots} ",
        f"{PLAN.blocked_one_missing:.1%}".replace("%", ""),
        f" {missing_one} ",
        f"{PLAN.replicas * missing_one:,}",
        f" {PLAN.shared_slots} ",
        f"{each:.0f} ",
        f"{moved:.0f} ",
        f"{moved * capacity.OPENING_CPU_MS / 1000:.2f} ",
        f"{PLAN.uplink_mbit_per_s:.0f} Mbit/s",
        f"{PLAN.memory_mib:.0f} MiB",
        f" {PLAN.memory_stalled_mib:.0f}",
        f"MinNum = MaxNum = {PLAN.replicas}",
    ]
    text = re.sub(r"^\|.*\n", lambda row: row[0] if "µs" in row[0] or "KiB" in row[0] else "", PAGES[name])
    assert [figure for figure in figures if figure not in re.sub(r"\s+", " ", text)] == []


@BOTH
def test_no_price_is_stated(name: str) -> None:
    """None is known here; one that was written down would be wrong by the time it is read."""
    assert not re.search(r"[¥￥$€]|\d ?(元|yuan|CNY|RMB|USD)", PAGES[name])


def test_what_was_measured_is_what_is_planned_with() -> None:
    measured = json.loads((ROOT / "loadtest" / "bench" / "baseline.json").read_text(encoding="utf-8"))["rows"]
    rows = {row["streams"]: row for row in measured if row["tls"]}
    assert rows[200]["cpu_us_per_frame"] <= capacity.US_PER_FRAME < 1.1 * rows[200]["cpu_us_per_frame"]
    assert rows[400]["opening_cpu_ms"] == pytest.approx(capacity.OPENING_CPU_MS, abs=0.05)
    assert max(row["live_kib"] for row in rows.values()) <= capacity.LIVE_KIB - 40 + 1
    for page in PAGES.values():
        shown = [f"{rows[streams]['cpu_us_per_frame']:.0f}" for streams in (200, 400)]
        (row,) = [line for line in page.splitlines() if "µs" in line and line.startswith("|")]
        assert re.findall(r"\d+", row.split("|")[3]) in (
            [shown[0], "200", shown[1], "400"],
            ["200", shown[0], "400", shown[1]],
        )


def test_the_same_is_said_as_in_performance_md() -> None:
    assert f"The table takes {capacity.US_PER_FRAME:.0f} µs" in PERFORMANCE
    assert f"streams = {capacity.CPU_USE} × CPU share" in PERFORMANCE
    assert f"some {capacity.LIVE_KIB - 76} KiB more" in PERFORMANCE
    assert "72,012 at most" in PERFORMANCE
    assert "`MAX_STREAMS` × 0.85 MB" in PERFORMANCE
    # There, for 1 CPU: rounded down to a number that is easily remembered.
    assert "| 1 | 2 | 340 |" in PERFORMANCE
    assert 0 <= PLAN.streams_per_core - 340 < 5
    assert Settings().upstream_packet_ms * capacity.AUDIO_BYTES_PER_S == capacity.PACKET_AUDIO_BYTES * 1000
    assert Settings().upstream_concurrency == capacity.ACCOUNT_SLOTS
    assert PAUSE_S == 5


@pytest.mark.parametrize(
    ("erlangs", "slots", "published"),
    # The last column of published Erlang B tables: offered load for 0.1 % (ITU, Teletraffic Engineering Handbook).
    [(0.194, 3, 0.001), (3.09, 10, 0.001), (75.2, 100, 0.001)],
)
def test_erlang_b_agrees_with_the_published_tables(erlangs: float, slots: int, published: float) -> None:
    assert blocking(erlangs, slots) == pytest.approx(published, rel=0.02)


@settings(deadline=None, max_examples=50)
@given(st.floats(0.01, 3000), st.floats(1e-6, 0.5))
def test_slots_are_just_enough(erlangs: float, blocked: float) -> None:
    slots = slots_for(erlangs, blocked)
    assert blocking(erlangs, slots) <= blocked
    assert blocking(erlangs, slots - 1) > blocked


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 20_000_000), st.floats(0.001, 1), st.integers(0, 5))
def test_a_plan_holds_what_it_promises(users: int, share: float, spare: int) -> None:
    made = plan(replace(GIVEN, users=users, daily_share=share, spare=spare))
    assert made.slots_per_replica <= made.streams_per_core
    assert blocking(made.peak_streams / made.replicas, made.slots_per_replica) <= GIVEN.blocked
    assert made.shared_slots <= made.slots  # dividing never saves any
    assert made.cpu_use <= 1
    assert made.replicas >= 2


def test_the_command_line() -> None:
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ops.capacity", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)

    done = run("--users", "2000000", "--daily-share", "0.05")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == capacity.plan_table(PLAN) + "\n"  # the same number of people


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("--daily-share 10", "a share is at most 1"),
        ("--users 0", "must be over 0"),
        ("--burst 0.5", "burst is at least 1"),
        ("--blocked 0", "blocked is a part"),
        ("--spare -1", "0 or more"),
        ("--stream-s inf", "expected numbers"),
        ("--minutes-per-day 1500", "1440"),
        ("--users 10000000000 --minutes-per-day 600", "streams at a time"),
    ],
)
def test_assumptions_that_cannot_be(options: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        capacity.main(options.split())
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err
