"""A run that never was: streams drawn from distributions, and a summary whose figures follow from them."""

import math
import random
from collections import Counter

from loadtest.histograms import Histograms
from loadtest.record import AudioAccount, Ending, StreamRecord, Transcript
from loadtest.scenario import Behavior
from loadtest.summary import (
    AudioTotals,
    Counts,
    Environment,
    LatencyFigures,
    SeriesPoint,
    ServerPoint,
    Summary,
    Verdict,
    Words,
    Worker,
)

URL = "ws://127.0.0.1:8000/api/realtime-voice/stream"
TOML = """\
name = "steady"
description = "A steady evening: calls of ten seconds on average."
objectives = ["success >= 99.9%", "first_partial p99 <= 900ms", "finalization p99 <= 800ms", "truncated <= 0.1%"]

[audio]
files = ["goforward.wav", "something.wav"]
frame_ms = 40

[call]
length = "exponential"
mean_s = 10

[[arrivals]]
pattern = "poisson"
for_s = 120
streams = 40
"""


class Run:
    """Streams of one imaginary run, and the summary that follows from them."""

    def __init__(self, *, seed: int, duration_s: float, per_s: float, slow: float = 1.0, own_ms: float = 0.6) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        self.duration_s = duration_s
        self.slow = slow
        self.own_ms = own_ms
        self.streams: list[StreamRecord] = []
        at_s, number = self.random.expovariate(per_s), 0
        while at_s < duration_s:
            self.streams.append(self._stream(number, at_s))
            number += 1
            at_s += self.random.expovariate(per_s)

    def around(self, middle_s: float, spread: float = 0.35) -> float:
        return self.random.lognormvariate(math.log(middle_s), spread)

    def _stream(self, number: int, at_s: float) -> StreamRecord:
        said_s = min(45.0, 2.0 + self.random.expovariate(1 / 8))
        connect_s, upgrade_s, welcome_s, ready_s = (self.around(m) for m in (0.0009, 0.004, 0.002, 0.045 * self.slow))
        setup_s = connect_s + upgrade_s + welcome_s + ready_s
        finalization_s = self.around(0.24 * self.slow, 0.3)
        sent = int(said_s * 32000)
        begin_s = at_s + setup_s
        finals = [begin_s + at for at in (3.1, 6.8, 11.2, 16.0, 22.5, 30.0) if at < said_s]
        return StreamRecord(
            number=number,
            behavior=Behavior.PAUSER if self.random.random() < 0.08 else Behavior.TALKER,
            track=number % 8,
            at_planned_s=at_s,
            at_dialed_s=at_s,
            at_audio_s=begin_s,
            at_ended_s=begin_s + said_s + finalization_s,
            at_finals_s=[*finals, begin_s + said_s + finalization_s * 0.9],
            ending=Ending.COMPLETED,
            connect_s=connect_s,
            upgrade_s=upgrade_s,
            welcome_s=welcome_s,
            ready_s=ready_s,
            setup_s=setup_s,
            first_partial_s=self.around(0.42 * self.slow, 0.22),
            finalization_s=finalization_s,
            close_code=1000,
            results=int(said_s * 4),
            sentences=len(finals) + 1,
            transcript=Transcript.COMPLETE,
            audio=AudioAccount(sent, sent, sent, 0),
            audio_sent_s=said_s,
            frames=int(said_s / 0.04),
            connections=1,
            stream_id=f"{self.random.getrandbits(64):016x}",
        )

    def refuse(self, stream: StreamRecord, slug: str = "overloaded") -> None:
        stream.ending, stream.slug, stream.close_code = Ending.REFUSED, slug, 4503
        stream.problem = "refused before ready"
        self._cut(stream, stream.at_planned_s + 0.03)
        stream.ready_s = stream.setup_s = stream.at_audio_s = None
        stream.audio_sent_s = 0.0

    def fail(self, stream: StreamRecord, ending: Ending, slug: str | None, close_code: int | None) -> None:
        stream.ending, stream.slug, stream.close_code = ending, slug, close_code
        stream.problem = {
            Ending.LOST: "the connection ended in mid-speech",
            Ending.UNANSWERED: "no `stopped` within 30 s",
        }.get(ending, "a fatal error after ready")
        begin_s = stream.at_audio_s or stream.at_planned_s
        stream.audio_sent_s *= 0.6
        self._cut(stream, begin_s + stream.audio_sent_s)

    def _cut(self, stream: StreamRecord, end_s: float) -> None:
        stream.at_ended_s = end_s
        stream.at_finals_s = [at for at in stream.at_finals_s if at < end_s]
        stream.sentences = len(stream.at_finals_s)
        stream.finalization_s = stream.audio = stream.transcript = None
        if stream.ending is Ending.REFUSED:
            stream.first_partial_s = None

    def latencies(self) -> dict[str, LatencyFigures]:
        histograms = Histograms()
        names = ("connect", "upgrade", "welcome", "ready", "setup", "first_partial", "finalization")
        missing: Counter[str] = Counter()
        for stream in self.streams:
            for name in names:
                value_s = getattr(stream, f"{name}_s")
                if value_s is None:
                    missing[name] += 1
                else:
                    histograms.record(name, value_s)
            for _ in range(min(stream.results, 40)):
                histograms.record("word_final", self.around(0.55 * self.slow, 0.3))
                histograms.record("result_lateness", self.around(0.2 * self.slow, 0.4))
                histograms.record("send_lateness", self.around(self.own_ms / 4000, 0.6))
                histograms.record("loop_lag", self.around(self.own_ms / 5000, 0.5))
        every = (*names, "word_final", "result_lateness", "send_lateness", "loop_lag")
        return {name: histograms.figures(name, missing=missing[name]) for name in every}

    def series(self, every_s: float) -> tuple[SeriesPoint, ...]:
        last_s = max((stream.at_ended_s for stream in self.streams), default=self.duration_s)
        points = []
        for n in range(int(last_s / every_s) + 1):
            begin_s, end_s = n * every_s, (n + 1) * every_s
            ended = [stream for stream in self.streams if begin_s <= stream.at_ended_s < end_s]
            latencies = {}
            for name in ("setup", "first_partial", "finalization"):
                values = sorted(v * 1000 for s in ended if (v := getattr(s, f"{name}_s")) is not None)
                if values:
                    latencies[name] = (values[len(values) // 2], values[int(len(values) * 0.99)], len(values))
            points.append(
                SeriesPoint(
                    at_s=begin_s,
                    arrivals=sum(begin_s <= stream.at_planned_s < end_s for stream in self.streams),
                    active=sum(stream.at_planned_s < end_s <= stream.at_ended_s for stream in self.streams),
                    succeeded=sum(stream.is_success for stream in ended),
                    not_succeeded=sum(not stream.is_success for stream in ended),
                    slugs=dict(Counter(s.slug or s.ending.value for s in ended if not s.is_success)),
                    latencies_ms=latencies,
                    send_lateness_p99_ms=self.around(self.own_ms, 0.25) if ended else None,
                )
            )
        return tuple(points)

    def server(self, series: tuple[SeriesPoint, ...]) -> tuple[ServerPoint, ...]:
        return tuple(
            ServerPoint(
                at_s=point.at_s,
                values={
                    "cpu_share": 0.03 + point.active * 0.007 * self.around(1, 0.06),
                    "memory_mib": 61 + point.active * 0.31 + point.at_s * 0.002,
                    "streams": float(point.active),
                    "loop_lag_p99_ms": self.around(1.2 + point.active / 60, 0.2),
                    "gateway_delay_p99_ms": self.around(2.5, 0.2),
                    "recognizer_errors_per_s": 0.2 if point.slugs.get("recognizer_unavailable") else 0.0,
                },
            )
            for point in series
        )

    def counts(self) -> Counts:
        streams, attempts = self.streams, [stream for stream in self.streams if stream.is_attempt]

        def by(ending: Ending) -> dict[str, int]:
            found = [stream for stream in streams if stream.ending is ending]
            return dict(Counter(s.slug or str(s.close_code or "none") for s in found))

        behaviors: dict[str, dict[str, int]] = {}
        for stream in streams:
            row = behaviors.setdefault(stream.behavior.value, {})
            row[stream.ending.value] = row.get(stream.ending.value, 0) + 1
        return Counts(
            planned=len(streams),
            begun=len(streams),
            attempts=len(attempts),
            succeeded=sum(stream.is_success for stream in attempts),
            endings=dict(Counter(stream.ending.value for stream in streams)),
            behaviors=behaviors,
            refused=by(Ending.REFUSED),
            failed=by(Ending.FAILED),
            lost=by(Ending.LOST),
            close_codes=dict(Counter(str(s.close_code or "none") for s in streams)),
            problems=dict(Counter(stream.problem for stream in streams if stream.problem)),
        )

    def summary(self, verdict: Verdict, every_s: float = 1.0) -> Summary:
        done = [stream for stream in self.streams if stream.audio is not None]
        sent = sum(stream.audio.sent_bytes for stream in done if stream.audio)
        series = self.series(every_s)
        failed = [stream for stream in self.streams if not stream.is_success][:150]
        others = [stream for stream in self.streams if stream.is_success]
        sample = (failed + others[:: max(1, -(-len(others) // (300 - len(failed))))])[:300]
        return Summary(
            verdict=verdict,
            scenario="steady",
            description="A steady evening: calls of ten seconds on average.",
            scenario_toml=TOML,
            url=URL,
            seed=self.seed,
            started_at="2026-01-15T19:30:12Z",
            duration_s=self.duration_s + 14,
            counts=self.counts(),
            words=Words(
                compared=len(done),
                complete=len(done),
                finals=sum(stream.sentences for stream in self.streams),
            ),
            audio=AudioTotals(
                streams=len(done),
                sent_bytes=sent,
                received_bytes=sent,
                relayed_bytes=sent,
                sent_s=sum(stream.audio_sent_s for stream in self.streams),
            ),
            latencies=self.latencies(),
            series=series,
            server=self.server(series),
            streams=tuple(sample),
            workers=(
                Worker(streams=len(done) // 2, cpu_share=0.31, send_lateness_p99_ms=self.own_ms, loop_lag_p99_ms=0.4),
                Worker(
                    streams=len(done) - len(done) // 2, cpu_share=0.29, send_lateness_p99_ms=0.5, loop_lag_p99_ms=0.4
                ),
            ),
            environment=environment(),
        )


def environment() -> Environment:
    return Environment(
        host="c7i.large, same zone",
        system="Linux 6.1.0 x86_64, Debian GNU/Linux 12",
        python="CPython 3.11.2",
        cpu="Intel Xeon Platinum 8488C",
        cpus=2,
        memory_gib=4.0,
        load_tester="0.1.0",
        packages={"trio": "0.31.0", "trio-websocket": "0.12.2", "wsproto": "1.3.2", "msgspec": "0.20.0"},
        server={"version": "0.1.0", "python": "3.11.2"},
    )
