"""What one phone heard and did, written down as it happens; at the end it is a `StreamRecord`. Pure.

The first end that is noted counts: what follows from it (a close after an error, a failed send after a close) does not.
"""

from collections.abc import Callable, Sequence
from typing import Final

from loadtest.audio_clock import AudioClock
from loadtest.bounded import MAX_SLUG_CHARACTERS, MAX_SLUGS, count
from loadtest.messages import Result, ServerError, ServerMessageError, Stopped
from loadtest.plan import PlannedCall
from loadtest.record import AudioAccount, Ending, StreamRecord
from loadtest.scenario import Behavior
from loadtest.transcripts import compare, words
from service.text import joined

Samples = Callable[[str, float], None]
"""Takes one sample: the name of a latency, and seconds."""

INTERNAL: Final = ("internal", 1011)
"""How the service says that the fault is its own."""
TOO_SLOW: Final = ("client_too_slow", 4408)

MAX_SENTENCES: Final = 10_000
"""Of one stream: a service that says more has lost its mind, and must not take our memory with it."""
MAX_TEXT_CHARACTERS: Final = 1_000_000
"""Of all final results of one stream: an hour of speech has 60 thousand."""
MAX_PROBLEM_CHARACTERS: Final = 500

# A send that took longer than this was waiting for the service; anything less is this process's own event loop.
_WAIT_S: Final = 0.001


class Notes:
    """The notes on one call. All times are those of one clock."""

    def __init__(self, planned: PlannedCall, onset_s: float, begins_at_s: float, samples: Samples) -> None:
        self.record = StreamRecord(
            number=planned.number,
            behavior=planned.behavior,
            track=planned.track,
            at_planned_s=planned.at_s,
            ending=Ending.CANCELED,
        )
        self.is_ended = False
        self.clock: AudioClock | None = None
        """None until `ready` has come for the first time."""
        self.is_audio_over = False
        """Whether `stop` has been sent."""
        self.is_close_owed = False
        """Whether the service has said its last word and closes next."""
        self.has_heard_goaway = False
        """Whether the service has said that it will end this stream."""
        self.is_retryable = False
        """Whether the service has said so of the error that ended the stream."""
        self.retry_after_s = 0.0
        self.settled_s = 0.0
        """The audio before this position has its final results."""
        self.next_index = 0
        """Of the first sentence that is not final."""
        self._onset_s = onset_s
        self._begins_at_s = begins_at_s
        self._samples = samples
        self._measures = planned.behavior is not Behavior.SLOW_READER  # what it reads late says nothing of the service
        self._is_ready = False
        self._finals: dict[int, str] = {}
        self._final_characters = 0
        self._deaf_until_s = 0.0
        self._has_heard_words = False
        self._first_index = 0
        self._first_position_s = 0.0
        self._sent_bytes = 0
        self._stopped_text: str | None = None
        self._sentences = 0  # that the last `stopped` counts, with those of the streams before
        self._lost_at_s: float | None = None
        self._away_s = 0.0  # of the times that are over, since a sentence became final

    # How it began.

    def dialed(self, now_s: float) -> None:
        """A connection is about to be made."""
        if self.record.at_dialed_s is None:
            self.record.at_dialed_s = now_s - self._begins_at_s

    def connected(self, connect_s: float, upgrade_s: float) -> None:
        """A connection was made."""
        self._is_ready = False
        self.record.connections += 1
        if self.record.connections == 1:
            self.record.connect_s, self.record.upgrade_s = connect_s, upgrade_s

    def welcomed(self, after_s: float) -> None:
        """`welcome` came."""
        if self.record.welcome_s is None:
            self.record.welcome_s = after_s

    def ready(self, now_s: float, after_s: float, stream_id: str, ends_s: Sequence[float]) -> AudioClock:
        """`ready` came: the audio begins, unless it has begun before. Returns its clock."""
        record = self.record
        self._is_ready = True
        record.stream_id = stream_id
        self._sent_bytes = 0
        self._is_back(now_s)
        if self.clock is None:
            self.clock = AudioClock(now_s, ends_s)
            record.ready_s = after_s
            record.at_audio_s = now_s - self._begins_at_s
            record.setup_s = max(0.0, record.at_audio_s - record.at_planned_s)
        return self.clock

    def goes_on(self, *, resumed: bool) -> None:
        """A new stream takes the audio from `settled_s` on; one that is resumed counts on from there itself."""
        self.record.resumed = resumed
        self._first_index = 0 if resumed else self.next_index
        self._first_position_s = 0.0 if resumed else self.settled_s

    def lost(self, now_s: float) -> None:
        """The stream has ended, whoever ended it; what ends after it counts from here, too."""
        if self._lost_at_s is None:
            self._lost_at_s = now_s

    def away_s(self, now_s: float) -> float:
        """How long the phone was without a stream since the last sentence became final, or since it came back."""
        return self._away_s + (0.0 if self._lost_at_s is None else now_s - self._lost_at_s)

    def comes_back(self, reason: str | None = None) -> None:
        """The stream has ended, not the call: the phone is about to go on with another one."""
        record = self.record
        if reason is not None:
            count(record.breaks, reason, limit=MAX_SLUGS)
        record.is_away = self.clock is not None
        record.ending, record.slug, record.http_status, record.problem = Ending.CANCELED, None, None, None
        record.close_code = record.audio = self._stopped_text = None
        self.is_ended = self.is_audio_over = self.is_close_owed = self.has_heard_goaway = False
        self.is_retryable, self.retry_after_s = False, 0.0

    def gave_up(self) -> None:
        """The time is over in which the phone wanted to come back: the last end stays the end."""
        record = self.record
        record.is_away = self.clock is not None
        record.problem = f"{record.problem or record.ending} (tried again until `resume_limit_s` was over)"

    def _is_back(self, now_s: float) -> None:
        record = self.record
        if record.is_away and self._lost_at_s is not None:
            away_s = now_s - self._lost_at_s
            record.away_s.append(away_s)
            self._away_s += away_s
        record.is_away, self._lost_at_s = False, None

    # What was said.

    def sent(self, audio_bytes: int, lateness_s: float, waited_s: float) -> bool:
        """A frame was sent, so late, and the service had us wait so long. Returns whether that was a wait."""
        record = self.record
        record.frames += 1
        self._sent_bytes += audio_bytes
        self._samples("send_lateness", lateness_s)
        record.lateness_max_s = max(record.lateness_max_s, lateness_s)
        if waited_s < _WAIT_S:
            return False
        record.backpressure_s += waited_s
        return True

    def held_up(self, waited_s: float) -> None:
        """The service had us wait so long with a frame that it never took."""
        self.record.backpressure_s += waited_s

    def sent_again(self, audio_bytes: int, messages: int) -> None:
        """Audio that was due before there was a stream to take it: it is nobody's lateness."""
        self.record.frames += messages
        self._sent_bytes += audio_bytes

    def was_deaf(self, until_s: float) -> None:
        """Nothing was read until now: what waits says nothing about the service."""
        self._deaf_until_s = until_s

    # What was heard.

    def heard(self, result: Result, now_s: float) -> None:
        """A result came. Raises ServerMessageError for more of them than a service can mean."""
        if self._stopped_text is not None:  # after the last word there is none
            return
        record = self.record
        record.results += 1
        if self.clock is not None and self._measures:
            self._measure(result, now_s, self.clock)
        if result.is_final:
            self._note_final(result, now_s)

    def _measure(self, result: Result, now_s: float, clock: AudioClock) -> None:
        record = self.record
        if result.text and not self._has_heard_words:
            self._has_heard_words = True
            onset_s = clock.time_of(self._onset_s)
            if onset_s >= self._deaf_until_s:  # else it may have waited to be read, and how long is not known
                record.first_partial_s = max(0.0, now_s - onset_s)
        lateness_s = self._lateness_s(result.end_ms, now_s, clock)
        if lateness_s is None:
            return
        self._samples("result_lateness", lateness_s)
        record.result_lateness_max_s = max(record.result_lateness_max_s or 0.0, lateness_s)
        if result.is_final:
            for end_ms in [word.end_ms for word in result.word_list] or [result.end_ms]:
                word_lateness_s = self._lateness_s(end_ms, now_s, clock)
                if word_lateness_s is not None:
                    self._samples("word_final", word_lateness_s)

    def _lateness_s(self, end_ms: int, now_s: float, clock: AudioClock) -> float | None:
        """From when that audio was said until now; None when we were not listening in between."""
        said_s = clock.time_of(self._first_position_s + max(0, end_ms) / 1000)
        return None if said_s < self._deaf_until_s else max(0.0, now_s - said_s)

    def _note_final(self, result: Result, now_s: float) -> None:
        record = self.record
        index = self._first_index + result.index
        record.sentences += 1
        if len(record.at_finals_s) < MAX_SENTENCES:
            record.at_finals_s.append(now_s - self._begins_at_s)
        record.doubled_finals += index in self._finals
        self._final_characters += len(result.text) - len(self._finals.get(index, ""))
        self._finals[index] = result.text
        if len(self._finals) > MAX_SENTENCES or self._final_characters > MAX_TEXT_CHARACTERS:
            raise ServerMessageError(
                f"the server sent more than {MAX_SENTENCES} sentences, or {MAX_TEXT_CHARACTERS} characters of them"
            )
        settled_ms = result.end_ms if result.settled_ms is None else result.settled_ms
        self.settled_s = max(self.settled_s, self._first_position_s + settled_ms / 1000)
        if index >= self.next_index:
            self.next_index, self._away_s = index + 1, 0.0

    def stopped(self, stopped: Stopped, now_s: float) -> None:
        """The last word of the service; only the first one is."""
        self.lost(now_s)
        if self._stopped_text is not None:
            return
        record = self.record
        self.is_close_owed = True
        audio = stopped.audio
        record.audio = AudioAccount(self._sent_bytes, audio.received_bytes, audio.relayed_bytes, audio.dropped_bytes)
        self._sentences = self._first_index + stopped.sentences
        # It may have settled the stream by itself just when we said `stop`, and not have heard all before it.
        was_heard = not self.has_heard_goaway or audio.relayed_bytes >= self._sent_bytes
        # A stream for the rest knows only its own sentences.
        self._stopped_text = stopped.text if record.connections == 1 else self._joined_finals()
        if self.is_audio_over and was_heard and self.clock is not None:
            if self._measures:
                over_s = max(self.clock.over_s, self._deaf_until_s)
                record.finalization_s = max(0.0, now_s - over_s)
            self.end(Ending.COMPLETED)
        else:
            # It ends a stream by itself when its time is up: what it settled is there, the rest was not heard.
            self.end(Ending.CUT_SHORT, "the server ended the stream before the audio was over")

    def _joined_finals(self) -> str:
        return joined(text for _, text in sorted(self._finals.items()))

    def failed(self, error: ServerError, now_s: float) -> None:
        """The service reported an error. Of nonsense that is the answer; another one that is not fatal is counted."""
        record = self.record
        if error.fatal:
            self.lost(now_s)
            self.is_retryable, self.retry_after_s = error.retryable, max(0, error.retry_after_ms or 0) / 1000
        slug = error.code[:MAX_SLUG_CHARACTERS]
        self.is_close_owed = self.is_close_owed or error.fatal
        is_answer = record.behavior is Behavior.NONSENSE and error.code != INTERNAL[0]
        if is_answer or (record.behavior is Behavior.SLOW_READER and error.code == TOO_SLOW[0]):
            self.end(Ending.AS_MEANT, slug=slug)
        elif error.fatal or record.behavior is Behavior.NONSENSE:
            ending = Ending.REFUSED if not self._is_ready and error.code != INTERNAL[0] else Ending.FAILED
            self.end(ending, f"{slug}: {error.message}", slug=slug)
        else:
            count(record.warnings, slug, limit=MAX_SLUGS)

    def closed(self, code: int | None, awaited: str, now_s: float) -> None:
        """The service ended the connection: with this code, or without a close frame."""
        self.lost(now_s)
        self.record.close_code = code
        behavior = self.record.behavior
        how = f"with code {code}" if code else "without a code"
        if behavior is Behavior.NONSENSE:
            self.end(Ending.FAILED if code == INTERNAL[1] else Ending.AS_MEANT)
        elif behavior is Behavior.SLOW_READER and code == TOO_SLOW[1]:
            self.end(Ending.AS_MEANT)
        else:
            self.end(Ending.LOST, f"the server closed the connection before {awaited}, {how}")

    # How it ended.

    def end(
        self, ending: Ending, problem: str | None = None, *, slug: str | None = None, http_status: int | None = None
    ) -> None:
        """Note how the call ended, unless that is known already."""
        if not self.is_ended:
            self.is_ended = True
            record = self.record
            record.ending, record.slug, record.http_status = ending, slug, http_status
            record.problem = None if problem is None else problem[:MAX_PROBLEM_CHARACTERS]

    def finished(
        self, now_s: float, sent_s: float, expected_words: Sequence[str] | None, *, keep_text: bool
    ) -> StreamRecord:
        """The record of the call, complete. `sent_s`: how much of the audio was sent."""
        record = self.record
        record.at_ended_s = now_s - self._begins_at_s
        record.audio_sent_s = sent_s
        record.lost_finals = self._sentences - sum(index < self._sentences for index in self._finals)
        text = self._stopped_text
        if expected_words is not None and text is not None:
            compared = compare(expected_words, words(text))
            record.transcript = compared.verdict
            record.missing_words, record.extra_words = compared.missing_words, compared.extra_words
        if keep_text:
            record.text = self._joined_finals() if text is None else text
        return record
