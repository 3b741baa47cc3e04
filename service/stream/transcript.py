"""Recognizer results into client results: one numbering and one clock over all recognizer connections. Pure.

Each connection numbers its sentences from 0 and counts time from its own first byte. The client sees one stream: an
index is the number of sentences settled before it. So a sentence that the recognizer began and then dropped (it
suppresses empty results) leaves no hole: the next one takes its index and replaces its text.
"""

from collections.abc import Iterable

from service.recognizer.tencent import SentenceResult
from service.store.records import Sentence
from service.stream.protocol import Result, Word
from service.text import joined


class Transcript:
    """What was recognized so far. Bound: the text of `MAX_STREAM_S` of speech, some 20 kB for 10 minutes."""

    def __init__(self, first_index: int = 0, settled_ms: int = 0) -> None:
        """Goes on behind so many sentences, settled up to there: not 0 in a stream that resumes another one."""
        self.finals: list[Sentence] = []
        """The settled sentences of this stream."""
        self._first_index = first_index
        self._base_ms = 0
        self._voice_id = ""
        self._last_settled = -1
        """The connection's own index of the last settled sentence."""
        self._open_text = ""
        """A text at the present index that the client has and that is not settled."""
        self._open_at_ms = 0
        self.recognized_ms = settled_ms
        """The end of the last settled sentence, on the client's clock."""

    @property
    def sentences(self) -> int:
        """How many sentences are settled, those of the stream that this one resumes included."""
        return self._first_index + len(self.finals)

    @property
    def text(self) -> str:
        """All settled sentences."""
        return joined(sentence.text for sentence in self.finals)

    def begin_connection(self, voice_id: str, base_ms: int) -> None:
        """A new recognizer connection, whose clock starts at `base_ms` of the client's audio."""
        self._voice_id = voice_id
        self._base_ms = base_ms
        self._last_settled = -1

    def apply(self, heard: SentenceResult, relayed_ms: int) -> Result | None:
        """The message for the client; None for what it does not need (a sentence that is settled already, or empty).

        Times are kept within `relayed_ms`, the audio that the recognizer was sent: a client forgets audio before
        `settledMs`, so a recognizer that counts wrong must not make it forget what nobody heard.
        """
        if heard.index <= self._last_settled:
            return None
        if heard.settled:
            self._last_settled = heard.index
        if heard.settled and not heard.text:
            return self.withdraw()
        if not heard.text and not self._open_text:
            return None
        start_ms, end_ms = self._span(heard.start_ms, heard.end_ms, relayed_ms)
        self._open_text, self._open_at_ms = ("" if heard.settled else heard.text), start_ms
        words = tuple(
            Word(word.text, *self._span(word.start_ms, word.end_ms, relayed_ms), word.stable or heard.settled)
            for word in heard.words
        )
        index = self.sentences
        if not heard.settled:
            return Result(self._voice_id, index, heard.text, False, start_ms, end_ms, words)
        self.finals.append(Sentence(index, heard.text, start_ms, end_ms))
        self.recognized_ms = max(self.recognized_ms, end_ms)
        return Result(self._voice_id, index, heard.text, True, start_ms, end_ms, words, settled_ms=self.recognized_ms)

    def _span(self, start_ms: int, end_ms: int, relayed_ms: int) -> tuple[int, int]:
        """Times of the connection on the client's clock, in order and within what was sent."""
        end = max(self._base_ms, min(self._base_ms + end_ms, relayed_ms))
        return max(self._base_ms, min(self._base_ms + start_ms, end)), end

    def withdraw(self) -> Result | None:
        """Take back an open text: everything is settled and no sentence came of it. None when there is none."""
        if not self._open_text:
            return None
        self._open_text = ""
        return Result(self._voice_id, self.sentences, "", False, self._open_at_ms, self._open_at_ms)


def current(results: Iterable[Result | None]) -> list[Result]:
    """What is left to say of results that come together: the finals, and the last of all, which replaces open texts."""
    said = [result for result in results if result is not None]
    return [result for number, result in enumerate(said) if result.is_final or number == len(said) - 1]
