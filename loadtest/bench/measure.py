"""One load, measured from start to end: recognizer, gateway, speakers; a row of figures.

CPU time is the gateway's own, from /proc, between two moments in which nobody comes or goes.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from loadtest.bench.figures import FRAME_MS, Idle, Row, counter, problems_of, results_share
from loadtest.bench.phone import Phone, expect, open_phone
from loadtest.bench.programs import Running, gateway_settings, make_certificate, serving
from loadtest.bench.speakers import Talk, speaking, wait_open
from loadtest.figures import MAX_OWN_LATENESS_S
from loadtest.messages import Ready
from loadtest.scrape import parse
from loadtest.server_curves import quantile
from loadtest.summary import Summary, Verdict

RESULT_EVERY_S: Final = 0.2
OPEN_LIMIT_S: Final = 10.0
"""Over what the openings take by plan."""
IDLE_AFTER_S: Final = 7.5
"""The gateway gives the recognizer's connection back after 5 s without audio."""
_IDLE_WINDOW_S: Final = 4.0
_RELAYED: Final = "voice_audio_relayed_seconds_total"
_LAG: Final = "voice_event_loop_lag_seconds"


@dataclass(frozen=True, slots=True)
class Places:
    """Which CPU is whose; None leaves it to the system."""

    gateway: int | None = None
    others: int | None = None


@contextlib.contextmanager
def world(places: Places, max_streams: int, tls: bool) -> Iterator[tuple[Running, Path]]:
    """A gateway at a sink, and a directory that is gone afterwards."""
    with TemporaryDirectory(prefix="voice-bench-") as name:
        directory = Path(name)
        sink = ["loadtest", "sink"]
        authority: Path | None = None
        if tls:
            authority, certificate, key = make_certificate(directory)
            sink += ["--tls", str(certificate), str(key)]
        with serving(*sink, cpu=places.others, directory=directory, name="sink") as recognizer:
            url = recognizer.url.replace("127.0.0.1", "localhost") if tls else recognizer.url
            settings = gateway_settings(url, authority, max_streams)
            with serving(
                "service", cpu=places.gateway, directory=directory, name="gateway", settings=settings
            ) as gateway:
                yield gateway, directory


def measure(streams: int, seconds: float, *, tls: bool, places: Places) -> Row:
    """A row for so many streams that talk together for so long. Raises BenchError when a program fails."""
    talk = Talk(streams, seconds)
    with (
        world(places, max_streams=2 * streams, tls=tls) as (gateway, directory),
        speaking(gateway.url, talk.scenario, talk.call_s, cpu=places.others, directory=directory) as speakers,
    ):
        opening = wait_open(gateway, speakers, streams, talk.opening_s + OPEN_LIMIT_S)
        time.sleep(talk.settle_s)
        first = gateway.scrape()
        cpu_s, began_s = gateway.cpu_s(), time.monotonic()
        time.sleep(seconds)
        used_s, took_s = gateway.cpu_s() - cpu_s, time.monotonic() - began_s
        resident_kib = gateway.resident_kib()
        last = gateway.scrape()
        exit_code, summary, records = speakers.wait()
    frames = round((relayed_s(last) - relayed_s(first)) * 1000 / FRAME_MS)
    us_per_frame = 1e6 * used_s / max(1, frames)
    before_frames = relayed_s(first) * 1000 / FRAME_MS
    opening_s = cpu_s - opening.cpu_before_s - before_frames * us_per_frame / 1e6
    lateness = summary.latencies["result_lateness"]
    late_ms = own_lateness_ms(summary)
    return Row(
        streams=streams,
        tls=tls,
        frames=frames,
        cpu_us_per_frame=us_per_frame,
        cpu_share=used_s / took_s,
        p50_ms=lateness.p50_ms,
        p99_ms=lateness.p99_ms,
        live_kib=(resident_kib - opening.resident_before_kib) / streams,
        opening_cpu_ms=max(0.0, 1000 * opening_s / streams),
        loop_lag_p99_ms=loop_lag_p99_ms(first, last),
        success=summary.counts.succeeded / streams,
        results_share=results_share(((one.results, one.audio_sent_s) for one in records), RESULT_EVERY_S),
        late_ms=late_ms,
        problems=problems_of(
            late_ms=late_ms,
            late_limit_ms=1000 * MAX_OWN_LATENESS_S,
            exit_code=exit_code,
            is_invalid=summary.verdict is Verdict.INVALID,
            all_open=opening.all_open,
            frames=frames,
        ),
    )


def measure_idle(streams: int, *, tls: bool, places: Places) -> Idle:
    """What silent streams cost. Raises BenchError when a program fails."""
    with world(places, max_streams=2 * streams, tls=tls) as (gateway, _), contextlib.ExitStack() as phones:
        with open_phone(gateway.url) as first:  # whatever the first stream of a process loads is no cost of the others
            _have_started(first)
        time.sleep(1)
        before_kib = gateway.resident_kib()
        for _ in range(streams):
            _have_started(phones.enter_context(open_phone(gateway.url)))
        ready_kib = gateway.resident_kib()
        time.sleep(IDLE_AFTER_S)
        idle_kib, cpu_s, began_s = gateway.resident_kib(), gateway.cpu_s(), time.monotonic()
        time.sleep(_IDLE_WINDOW_S)
        used_s, took_s = gateway.cpu_s() - cpu_s, time.monotonic() - began_s
    return Idle(
        streams=streams,
        tls=tls,
        ready_kib=(ready_kib - before_kib) / streams,
        idle_kib=(idle_kib - before_kib) / streams,
        idle_cpu_us_per_s=1e6 * used_s / took_s / streams,
    )


def relayed_s(exposition: str) -> float:
    """Seconds of audio that the gateway has sent to the recognizer so far. Raises BenchError when it does not say."""
    return counter(exposition, _RELAYED)


def loop_lag_p99_ms(before: str, after: str) -> float | None:
    """Between two scrapes; None when nothing was observed."""
    earlier = parse(before, 0.0).buckets(_LAG)
    between = [(bound, count - earlier.get(bound, 0.0)) for bound, count in parse(after, 0.0).buckets(_LAG).items()]
    lag_s = quantile(0.99, between)
    return None if lag_s is None else 1000 * lag_s


def own_lateness_ms(summary: Summary) -> float | None:
    """p99 of how late the speakers were themselves, by send or by loop."""
    found = [summary.latencies[name].p99_ms for name in ("send_lateness", "loop_lag")]
    return max((value for value in found if value is not None), default=None)


def _have_started(phone: Phone) -> None:
    phone.start()
    expect(phone.hear(), Ready)
