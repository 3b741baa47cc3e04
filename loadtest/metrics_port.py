"""`--metrics-port`: the running load test as Prometheus metrics, so that a long run can be watched and alerted on.

Names begin with `loadtest_`. Labels have fixed values, but for slugs and close codes, which are the service's: of each
at most 50 different ones are told, the rest together as `other`.
"""

import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from prometheus_client import CollectorRegistry, make_asgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from loadtest.printing import printable
from loadtest.run_state import Phase, RunState

LOOPBACK: Final = "127.0.0.1"
MAX_LABELS: Final = 50
"""Different values of one label; our service has 25 slugs."""
_MAX_LABEL_CHARACTERS: Final = 64
_READ_TIMEOUT_S: Final = 10
_OTHER: Final = "other"


async def serve_metrics(
    state: RunState,
    port: int,
    *,
    host: str = LOOPBACK,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answers `GET /metrics` with the state of the run until cancelled, which closes every connection.

    Starts with the port, which is a free one when `port` is 0. Raises OSError when it cannot be had. There is no
    authentication: anybody who reaches `host` can read it, so the default is this machine only.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        config = Config()
        config.bind = [f"fd://{listener.detach()}"]  # hypercorn owns and closes it from here on
        config.errorlog = None
        config.read_timeout = _READ_TIMEOUT_S
        config.graceful_timeout = 0.0
        registry = CollectorRegistry()
        registry.register(RunCollector(state))
        async with trio.open_nursery() as nursery:
            binds = await nursery.start(serve, _app(registry), config)
            task_status.started(int(binds[0].rpartition(":")[2]))


def _app(registry: CollectorRegistry) -> Any:
    exposition = make_asgi_app(registry, disable_compression=True)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError  # which is how an application says that it has none
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["path"] == "/metrics" and scope["method"] in ("GET", "HEAD"):
            await exposition(scope, receive, send)
        else:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    return app


class RunCollector(Collector):
    """A run as metrics. Reads the state when it is asked, in the thread that asks."""

    def __init__(self, state: RunState) -> None:
        self._state = state

    def describe(self) -> Iterable[Metric]:
        """The names do not depend on the state, and nothing has to be collected to know them."""
        return _metrics(RunState())

    def collect(self) -> Iterable[Metric]:
        """The metrics as the state is now."""
        return _metrics(self._state)


def _metrics(state: RunState) -> Iterator[Metric]:
    yield InfoMetricFamily(
        "loadtest_scenario", "What is run", {"scenario": _label(state.scenario), "step": _label(state.step)}
    )
    phase = GaugeMetricFamily("loadtest_phase", "1 for the phase that the run is in", labels=["phase"])
    for each in Phase:
        phase.add_metric([each.value], float(each is state.phase))
    yield phase
    yield GaugeMetricFamily("loadtest_elapsed_seconds", "Since the run began", state.elapsed_s)
    yield GaugeMetricFamily("loadtest_duration_seconds", "Until the last planned arrival", state.duration_s)
    yield GaugeMetricFamily("loadtest_streams_planned", "Streams in the plan", state.planned)
    yield GaugeMetricFamily("loadtest_streams_active", "Streams that are open", state.active)
    yield CounterMetricFamily("loadtest_streams_begun", "Streams that were begun", value=state.begun)
    yield CounterMetricFamily("loadtest_attempts", "Ended streams to which a transcript was owed", value=state.attempts)
    yield CounterMetricFamily("loadtest_successes", "Attempts that got what they were owed", value=state.succeeded)
    yield _counts("loadtest_streams_ended", "Streams that ended, by ending", "ending", state.endings)
    yield _counts("loadtest_refused", "Streams refused, by slug or HTTP status", "slug", state.refused)
    yield _counts("loadtest_failed", "Streams failed after they were ready, by slug", "slug", state.failed)
    yield _counts("loadtest_lost", "Connections lost, by close code", "close_code", state.lost)
    yield from _latencies(state)
    yield from _own(state)
    objectives = GaugeMetricFamily(
        "loadtest_objective_met", "1 while the objective is met by the run so far", labels=["objective"]
    )
    for text, met in {_label(each.text): each.met for each in state.objectives[:MAX_LABELS]}.items():
        objectives.add_metric([text], float(met))
    yield objectives


def _latencies(state: RunState) -> Iterator[Metric]:
    # A summary, as far as there are figures for one: `quantile` is a label of summaries only, says promtool.
    latency = Metric("loadtest_latency_seconds", "Percentiles of the whole run so far", "summary")
    missing = CounterMetricFamily(
        "loadtest_latency_missing", "Streams that owed a sample and gave none", labels=["metric"]
    )
    for name, figures in state.latencies.items():
        quantiles = {"0.5": figures.p50_ms, "0.9": figures.p90_ms, "0.99": figures.p99_ms, "1": figures.max_ms}
        for quantile, value_ms in quantiles.items():
            if value_ms is not None:
                latency.add_sample(latency.name, {"metric": name, "quantile": quantile}, value_ms / 1000)
        latency.add_sample(f"{latency.name}_count", {"metric": name}, figures.count)
        missing.add_metric([name], figures.missing)
    yield from (latency, missing)


def _own(state: RunState) -> Iterator[Metric]:
    late = GaugeMetricFamily(
        "loadtest_own_lateness_seconds",
        "How late the load tester itself was at p99: over 0.01 the run is invalid",
        labels=["metric", "worker"],
    )
    cpu = GaugeMetricFamily("loadtest_worker_cpu_share", "Of one CPU, over the run so far", labels=["worker"])
    for worker, source in [("all", state), *((str(number), each) for number, each in enumerate(state.workers, 1))]:
        for metric in ("send_lateness", "loop_lag"):
            value_ms = getattr(source, f"{metric}_p99_ms")
            if value_ms is not None:
                late.add_metric([metric, worker], value_ms / 1000)
    for number, each in enumerate(state.workers, 1):
        cpu.add_metric([str(number)], each.cpu_share)
    yield from (late, cpu)


def _counts(name: str, meaning: str, label: str, counts: Mapping[str, int]) -> Metric:
    """A counter by label. Once a label has a series of its own it keeps it: the first ones that came have them."""
    metric = CounterMetricFamily(name, meaning, labels=[label])
    told: dict[str, int] = {}
    for value, count in counts.items():
        shown = _label(value)
        if shown not in told and len(told) >= MAX_LABELS:
            shown = _OTHER
        told[shown] = told.get(shown, 0) + count
    for shown, count in told.items():
        metric.add_metric([shown], count)
    return metric


def _label(text: str) -> str:
    return printable(text[:_MAX_LABEL_CHARACTERS])
