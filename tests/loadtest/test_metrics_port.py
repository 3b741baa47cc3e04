"""`--metrics-port`: what Prometheus reads of a run, from a real port."""

import dataclasses
import shutil
import socket

import httpx2
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from loadtest.metrics_port import MAX_LABELS, serve_metrics
from loadtest.run_state import Percentiles, Phase, RunState
from tests.loadtest.test_live import full

HANG_S = 20

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def exposition(state: RunState) -> str:
    """What one scrape of the state gets."""
    with trio.fail_after(HANG_S):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve_metrics, state, 0)
            async with httpx2.AsyncClient(trust_env=False) as client:
                response = await client.get(f"http://127.0.0.1:{port}/metrics")
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/plain")
            nursery.cancel_scope.cancel()
    return response.text


def parsed(text: str) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"loadtest_{name}", frozenset(labels.items())


async def test_the_metrics_of_a_run() -> None:
    state = full()
    state.latencies["first_partial"] = Percentiles(412, 2, 320.0, 400.0, None, 12_345.0)
    state.failed['a"\\\n'] = 1
    series = parsed(await exposition(state))
    expected = {
        of("scenario_info", scenario="steady", step="80 streams"): 1,
        of("phase", phase="running"): 1,
        of("phase", phase="done"): 0,
        of("elapsed_seconds"): 83.2,
        of("duration_seconds"): 3661,
        of("streams_planned"): 4000,
        of("streams_begun_total"): 531,
        of("streams_active"): 118,
        of("attempts_total"): 412,
        of("successes_total"): 410,
        of("streams_ended_total", ending="completed"): 410,
        of("refused_total", slug="overloaded"): 2,
        of("refused_total", slug="http_503"): 1,
        of("failed_total", slug="recognizer_busy"): 3,
        of("failed_total", slug='a"\\ '): 1,
        of("lost_total", close_code="1006"): 1,
        of("latency_seconds", metric="setup", quantile="0.5"): 0.0121,
        of("latency_seconds", metric="setup", quantile="0.9"): 0.02,
        of("latency_seconds", metric="setup", quantile="0.99"): 0.042,
        of("latency_seconds", metric="setup", quantile="1"): 0.08,
        of("latency_seconds", metric="first_partial", quantile="1"): 12.345,
        of("latency_seconds_count", metric="first_partial"): 412,
        of("latency_missing_total", metric="first_partial"): 2,
        of("own_lateness_seconds", metric="send_lateness", worker="all"): 0.00123,
        of("own_lateness_seconds", metric="loop_lag", worker="2"): 0.0044,
        of("worker_cpu_share", worker="2"): 0.93,
        of("objective_met", objective="finalization p99 <= 800ms"): 1,
        of("objective_met", objective="success >= 99.9%"): 0,
    }
    assert {key: pytest.approx(series.get(key)) for key in expected} == expected
    assert of("latency_seconds", metric="first_partial", quantile="0.99") not in series
    assert sum(value for (name, _), value in series.items() if name == "loadtest_phase") == 1
    assert all(name.startswith("loadtest_") for name, _ in series)


async def test_before_the_run_begins() -> None:
    series = parsed(await exposition(RunState()))
    assert series[of("phase", phase=Phase.PREPARING)] == 1
    assert series[of("streams_begun_total")] == 0


async def test_labels_are_bounded() -> None:
    slugs = {f"slug{number:03}": 1 for number in range(1000)} | {"x" * 1000: 1}
    state = RunState(refused=slugs, failed={"y" * 1000: 5})
    series = parsed(await exposition(state))
    refused = {labels: value for (name, labels), value in series.items() if name == "loadtest_refused_total"}
    assert len(refused) == MAX_LABELS + 1
    assert sum(refused.values()) == len(slugs)
    assert series[of("refused_total", slug="slug000")] == 1
    assert series[of("refused_total", slug="other")] == len(slugs) - MAX_LABELS
    assert series[of("failed_total", slug="y" * 64)] == 5


async def test_a_scrape_sees_the_state_as_it_is_then() -> None:
    state = RunState()
    with trio.fail_after(HANG_S):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve_metrics, state, 0)
            async with httpx2.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client:
                for number in (1, 2):
                    state.active = number
                    assert parsed((await client.get("/metrics")).text)[of("streams_active")] == number
                assert (await client.get("/")).status_code == 404
                assert (await client.post("/metrics", content=b"x" * 100_000)).status_code == 404
                head = await client.head("/metrics")
                assert (head.status_code, head.content) == (200, b"")
                # It ends at once, although a connection is open.
                nursery.cancel_scope.cancel()
        with pytest.raises(OSError, match=r"refused|connect"):
            await trio.open_tcp_stream("127.0.0.1", port)


async def test_it_is_on_this_machine_only_unless_told() -> None:
    with trio.fail_after(HANG_S):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve_metrics, RunState(), 0)
            with socket.socket() as probe:
                probe.bind(("127.0.0.2", port))  # free: it is not bound to every address
            nursery.cancel_scope.cancel()


async def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        await serve_metrics(RunState(), taken.getsockname()[1])


def test_every_count_of_the_state_is_told() -> None:
    """A dictionary of counts that is added to the state belongs here too."""
    counts = {field.name for field in dataclasses.fields(RunState) if field.type == dict[str, int]}
    assert counts == {"endings", "refused", "failed", "lost"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not on the PATH")
async def test_promtool_accepts_the_metrics() -> None:
    text = await exposition(full())
    done = await trio.run_process(
        ["promtool", "check", "metrics"], stdin=text.encode(), capture_stdout=True, capture_stderr=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
