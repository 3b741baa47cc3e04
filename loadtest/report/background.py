"""What is needed to believe the figures and to get them again: environment, scenario, command, terms. Pure."""

import shlex
from collections.abc import Iterable
from typing import Final

from loadtest.figures import MAX_OWN_LATENESS_S
from loadtest.formats import NO_VALUE, format_count, format_ms, format_ratio, format_seconds
from loadtest.report.markup import Child, Html, element, join, table
from loadtest.summary import Summary

TERMS: Final = (
    (
        "Open model",
        "People call when they want to, not when the service has time for them. Arrivals are planned beforehand and "
        "never wait for an answer, so a slow service meets the same load as a fast one.",
    ),
    (
        "Intended time",
        "When something should have happened by the plan: a frame is due when its last sample has been said. Every "
        "latency is counted from intended times, never from when something was really sent.",
    ),
    (
        "Coordinated omission",
        "The error of a tester that waits for a slow answer before it asks again: it leaves out just the moments in "
        "which people would have waited. Open arrivals and intended times avoid it.",
    ),
    (
        "Failures in the denominator",
        "A stream that failed never got its words. To an objective its latency is infinite, so a service cannot look "
        "fast by failing. The success ratio is of all attempts.",
    ),
    (
        "p99",
        "99 of 100 samples are at or below it. The axis of percentiles gives every further nine the same room, because "
        "that is where users suffer.",
    ),
    (
        "Own lateness",
        "How late the load tester itself sent frames. Over 10 ms at p99 the run is invalid: it measured the tester.",
    ),
    (
        "Backpressure",
        "Time that sends waited because the service did not read. Its doing, and not counted as lateness.",
    ),
    (
        "Misbehaving phones",
        "Those that hang up, vanish, read slowly or send nonsense on purpose. They are in their own table, not in the "
        "success ratio.",
    ),
    ("Warm-up", "Streams that arrive before its end are spoken and counted, but are not in the latencies."),
)


def environment(summary: Summary) -> Html:
    """Where it was measured: the load tester's machine, its processes, and what the service says of itself."""
    found = summary.environment
    machine: list[tuple[str, Child]] = [
        ("Machine", found.host),
        ("System", found.system),
        ("CPU", found.cpu),
        ("CPUs", format_count(found.cpus) if found.cpus else ""),
        ("Memory", f"{found.memory_gib:.1f} GiB" if found.memory_gib else ""),
        ("Python", found.python),
        ("Load tester", found.load_tester),
        ("Packages", ", ".join(f"{name} {version}" for name, version in sorted(found.packages.items()))),
    ]
    service: list[tuple[str, Child]] = [("Address", element("code", summary.url))]
    service += list(found.server.items())
    if not found.server:
        service.append(("Metrics", "not reachable, or not scraped"))
    return join(
        element(
            "div",
            element("div", element("h4", "Load tester"), _list(machine)),
            element("div", element("h4", "Service"), _list(service)),
            class_="columns",
        ),
        _workers(summary),
    )


def scenario(summary: Summary) -> Html:
    """The scenario as it was run."""
    if not summary.scenario_toml.strip():
        return element("p", "The summary does not hold the scenario.", class_="empty")
    return element(
        "details",
        element("summary", "The scenario as it was run, overrides included"),
        element("pre", element("code", summary.scenario_toml), tabindex=0),
        id="scenario-toml",
    )


def rerun(summary: Summary) -> Html:
    """The command that runs the same plan again."""
    return join(
        element("p", "Save the scenario as ", element("code", "scenario.toml"), ". The same seed gives the same plan."),
        element("pre", element("code", command(summary)), class_="command", tabindex=0),
    )


def command(summary: Summary) -> str:
    """The command line, quoted for a POSIX shell."""
    words = ["python", "-m", "loadtest", "run", "--url", summary.url, "--scenario", "scenario.toml"]
    words += ["--seed", str(summary.seed)]
    if summary.shard != (0, 1) and summary.shards_merged == 1:
        words += ["--shard", "/".join(map(str, summary.shard))]
    if summary.knee is not None:
        words.append("--find-knee")
    return shlex.join(words)


def terms() -> Html:
    """What the words of the report mean."""
    return element("dl", [join(element("dt", name), element("dd", meaning)) for name, meaning in TERMS], class_="terms")


def facts(summary: Summary) -> Html:
    """The line under the title: when, how long, where, which seed."""
    shard, shards = summary.shard
    parts: list[tuple[str, Child]] = [
        ("Started", element("time", summary.started_at.replace("T", " ").replace("Z", " UTC"))),
        ("Duration", format_seconds(summary.duration_s)),
        ("Service", element("code", summary.url)),
        ("Seed", str(summary.seed)),
    ]
    if summary.shards_merged > 1:
        parts.append(("Shards", f"{summary.shards_merged} merged"))
    elif shards > 1:
        parts.append(("Shard", f"{shard} of {shards}, from 0"))
    return element("dl", [element("div", element("dt", n), element("dd", v)) for n, v in parts], class_="facts")


def _list(entries: Iterable[tuple[str, Child]]) -> Html:
    return element(
        "dl", [join(element("dt", name), element("dd", text)) for name, text in entries if text], class_="pairs"
    )


def _workers(summary: Summary) -> Html | None:
    if not summary.workers:
        return None
    limit_ms = MAX_OWN_LATENESS_S * 1000

    def late(value_ms: float | None) -> Child:
        if value_ms is None:
            return NO_VALUE
        return element("span", format_ms(value_ms), class_="bad" if value_ms > limit_ms else "")

    rows = [
        [
            f"{order}",
            format_count(worker.streams),
            format_ratio(worker.cpu_share),
            late(worker.send_lateness_p99_ms),
            late(worker.loop_lag_p99_ms),
        ]
        for order, worker in enumerate(summary.workers, 1)
    ]
    return table(
        f"Processes of the load tester; late is over {limit_ms:g} ms",
        ["Process", "Streams", "CPU", "Send lateness p99", "Loop lag p99"],
        rows,
        numbers=range(1, 5),
    )
