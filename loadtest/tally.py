"""Adds up the records of streams into the figures of a summary. Pure; memory does not grow with the run.

Which streams owe which latency:

* every attempt (a transcript is owed, and we did not cancel it) owes one sample of every stream latency, from `connect`
  to `finalization`. What did not come is `missing`. Only `first_partial` can be absent by right: of audio in which
  nothing was to be heard, as the comparison of transcripts shows, and of a frozen phone that did not read when it came;
* each attempt owes one sample of `resume` for each time that it came back or wanted to;
* misbehaving phones and canceled streams give and owe none: what they see is their own doing;
* streams that arrive in the warm-up give and owe none either, but are counted in everything else.

Latencies by sample (words, results, frames) come from the worker, which leaves out the words and results of the warm-up
and of misbehaving phones by the same rules (`gives_latencies`). The load tester's own lateness is never left out.

Keys that come from the service are bounded: a hostile one cannot fill memory with new slugs.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from loadtest.bounded import MAX_PROBLEM_CHARACTERS, MAX_PROBLEMS, MAX_SLUGS, count
from loadtest.figures import LATENCIES, SAMPLE_LATENCIES, STREAM_LATENCIES
from loadtest.histograms import Histograms
from loadtest.objectives import Measured
from loadtest.record import Ending, StreamRecord, Transcript
from loadtest.scenario import Behavior
from loadtest.summary import AudioTotals, Counts, LatencyFigures, Words

NONE: Final = "none"
UNKNOWN: Final = "unknown"
RESUME: Final = "resume"


class Tally:
    """The totals of one run, or of one shard of it."""

    def __init__(self, planned: int, warm_up_s: float = 0.0) -> None:
        self._warm_up_s = warm_up_s
        self._counts = Counts(planned=planned)
        self._words = Words()
        self._audio = AudioTotals()
        self._histograms = Histograms()
        self._missing = dict.fromkeys((*STREAM_LATENCIES, RESUME), 0)
        self._missing_refused = dict.fromkeys((*STREAM_LATENCIES, RESUME), 0)

    def add(self, record: StreamRecord) -> None:
        """Add one stream that has ended."""
        self._add_counts(record)
        self._add_words(record)
        self._add_audio(record)
        if gives_latencies(record, self._warm_up_s):
            self._add_latencies(record)

    def add_samples(self, encoded: Mapping[str, str]) -> None:
        """Add a worker's histograms of the latencies by sample.

        Raises `HistogramError` when one cannot be read, `ValueError` for another name; nothing is added then.
        """
        _check_names(encoded)
        self._histograms.add_encoded(encoded)

    def add_buckets(self, counts: Mapping[str, Mapping[int, int]]) -> None:
        """The same of histograms that come as counts by bucket. Raises `ValueError` for another name."""
        _check_names(counts)
        self._histograms.add_buckets(counts)

    def missing(self, name: str) -> int:
        """How many streams owed this latency and did not give it, so far."""
        return self._missing.get(name, 0)

    @property
    def counts(self) -> Counts:
        """The streams so far. `dropped` is meaningful once every stream that began has been added."""
        self._counts.dropped = max(0, self._counts.planned - self._counts.begun)
        return self._counts

    @property
    def words(self) -> Words:
        """Transcripts and finals so far."""
        return self._words

    @property
    def audio(self) -> AudioTotals:
        """Audio so far."""
        return self._audio

    @property
    def histograms(self) -> Histograms:
        """All samples so far, by the names in `LATENCIES`."""
        return self._histograms

    def latencies(self) -> dict[str, LatencyFigures]:
        """All latencies so far, those without samples included. Takes some tens of milliseconds."""
        return {
            name: self._histograms.figures(name, self._missing.get(name, 0), self._missing_refused.get(name, 0))
            for name in LATENCIES
        }

    def measured(self) -> Measured:
        """What objectives are evaluated on."""
        return Measured(self.counts, self._words, self._audio, self.latencies())

    def _add_counts(self, record: StreamRecord) -> None:
        counts = self._counts
        counts.begun += 1
        if record.is_attempt:
            counts.attempts += 1
            counts.succeeded += record.is_success
        count(counts.endings, record.ending)
        count(counts.behaviors.setdefault(record.behavior, {}), record.ending)
        if record.ending is Ending.REFUSED:
            count(counts.refused, refusal(record), limit=MAX_SLUGS)
        elif record.ending is Ending.FAILED:
            count(counts.failed, record.slug or UNKNOWN, limit=MAX_SLUGS)
        elif record.ending is Ending.LOST:
            count(counts.lost, _close_code(record), limit=MAX_SLUGS)
        if record.upgrade_s is not None and record.http_status in (None, 101):
            count(counts.close_codes, _close_code(record), limit=MAX_SLUGS)
        for slug, times in record.warnings.items():
            count(counts.warnings, slug, times, limit=MAX_SLUGS)
        if record.problem:
            count(counts.problems, record.problem, limit=MAX_PROBLEMS, characters=MAX_PROBLEM_CHARACTERS)
        counts.reconnects += max(0, record.connections - 1)
        counts.resumed += bool(record.away_s)
        counts.resumes += len(record.away_s)
        for reason, times in record.breaks.items():
            count(counts.breaks, reason, times, limit=MAX_SLUGS)

    def _add_words(self, record: StreamRecord) -> None:
        words = self._words
        if record.transcript is not None:
            words.compared += 1
            words.complete += record.transcript is Transcript.COMPLETE
            words.truncated += record.transcript is Transcript.TRUNCATED
            words.different += record.transcript is Transcript.DIFFERENT
            words.missing_words += record.missing_words
            words.extra_words += record.extra_words
        words.finals += record.sentences
        words.lost_finals += record.lost_finals
        words.doubled_finals += record.doubled_finals

    def _add_audio(self, record: StreamRecord) -> None:
        totals = self._audio
        totals.sent_s += record.audio_sent_s
        totals.backpressure_s += record.backpressure_s
        account = record.audio
        if account is not None:
            totals.streams += 1
            totals.sent_bytes += account.sent_bytes
            totals.received_bytes += account.received_bytes
            totals.relayed_bytes += account.relayed_bytes
            totals.dropped_bytes += account.dropped_bytes
            # Of each stream: bytes counted twice in one must not hide bytes lost in another.
            totals.unaccounted_bytes += max(0, account.sent_bytes - account.received_bytes)

    def _add_latencies(self, record: StreamRecord) -> None:
        for name in STREAM_LATENCIES:
            value_s: float | None = getattr(record, f"{name}_s")
            if value_s is not None:
                self._histograms.record(name, value_s)
            elif _owes(record, name):
                self._missing[name] += 1
                self._missing_refused[name] += record.ending is Ending.REFUSED
        for away_s in record.away_s:
            self._histograms.record(RESUME, away_s)
        if record.is_away:
            self._missing[RESUME] += 1
            self._missing_refused[RESUME] += record.ending is Ending.REFUSED


def gives_latencies(record: StreamRecord, warm_up_s: float) -> bool:
    """Whether a stream counts in the latencies of the service."""
    return record.is_attempt and record.at_planned_s >= warm_up_s


def refusal(record: StreamRecord) -> str:
    """Why a stream was refused: the slug, or `http_<status>`."""
    if record.slug:
        return record.slug
    return UNKNOWN if record.http_status is None else f"http_{record.http_status}"


def _check_names(samples: Iterable[str]) -> None:
    unknown = set(samples) - set(SAMPLE_LATENCIES)
    if unknown:
        raise ValueError(f"not latencies by sample: {', '.join(sorted(unknown))}")


def _owes(record: StreamRecord, name: str) -> bool:
    if name != "first_partial" or record.ending is not Ending.COMPLETED:
        return True
    nothing_to_hear = record.transcript is Transcript.COMPLETE
    could_not_tell = record.behavior is Behavior.FROZEN
    return not (nothing_to_hear or could_not_tell)


def _close_code(record: StreamRecord) -> str:
    return NONE if record.close_code is None else str(record.close_code)
