"""What must hold of a conversation, from what its phone has heard. Pure.

The audio is a track whose words are known by their place, so a word that was recognized says itself where it belongs:
nothing needs to be compared with another run, however often the conversation was cut.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.stream_world import BYTES_PER_MS, Message, coded_pcm, silence

SENTENCE_MS: Final = 2600
"""Three words of 300 ms with 100 ms between them, then silence, longer than the end of a sentence takes."""
WORDS_AT_MS: Final = (0, 400, 800)
WORD_MS: Final = 300
SENTENCES: Final = 40
TRACK: Final = coded_pcm(
    part
    for first in range(1, 3 * SENTENCES, 3)
    for part in (
        (first, WORD_MS), silence(100), (first + 1, WORD_MS), silence(100), (first + 2, WORD_MS), silence(1500),
    )
)  # fmt: skip
TRACK_MS: Final = SENTENCES * SENTENCE_MS
UNHEARD_MS: Final = 40
"""Of a word that is cut, a piece of less than 20 ms on either side is noise to the recognizer."""
ROUNDING_MS: Final = 2

Span = tuple[int, int]


class FoundError(Exception):
    """Something that must hold does not."""


def check(condition: object, what: str, *details: object) -> None:
    """Raises FoundError unless the condition holds."""
    if not condition:
        raise FoundError(" ".join([what, *map(str, details)]))


def span_of(value: int) -> Span:
    """Where the track says a word."""
    sentence, word = divmod(value - 1, 3)
    begin = sentence * SENTENCE_MS + WORDS_AT_MS[word]
    return begin, begin + WORD_MS


@dataclass
class Listener:
    """The phone's memory over all streams of a conversation."""

    stream_id: str = ""
    sentences: int = 0
    settled_ms: int = 0
    settled: list[Span] = field(default_factory=list)
    """Words that the phone has, in order."""
    missing: list[Span] = field(default_factory=list)
    """Audio that was said to be lost."""

    @property
    def resume(self) -> dict[str, Any] | None:
        """For `start`."""
        if not self.stream_id:
            return None
        return {"streamId": self.stream_id, "sentences": self.sentences, "settledMs": self.settled_ms}

    def hear(self, messages: list[Message], said_ms: int) -> None:
        """The messages of one stream, behind those heard before; so much of the track was sent until now."""
        for message in messages:
            match message["type"]:
                case "ready":
                    self.stream_id = message["streamId"]
                case "error" if message["code"] == "audio_lost":
                    lost = (message["fromMs"], message["toMs"])
                    check(0 <= lost[0] < lost[1] <= said_ms, "audio was lost that there is not", lost, said_ms)
                    self.missing.append(lost)
                case "result":
                    self._hear_result(message, said_ms)
                case "finalized":
                    check(message["sentences"] == self.sentences, "finalized counts other sentences", message)
                    check(message["audioMs"] <= said_ms, "finalized what was not said", message, said_ms)

    def _hear_result(self, result: Message, said_ms: int) -> None:
        check(result["index"] == self.sentences, "index", result["index"], "instead of", self.sentences)
        check(0 <= result["startMs"] <= result["endMs"] <= said_ms, "times outside the audio", result, said_ms)
        if not result["isFinal"]:
            return
        self.sentences += 1
        spans = []
        for word in result["wordList"]:
            spans.append((word["startMs"], word["endMs"]))
            begin, end = span_of(int(word["word"].removeprefix("w")))
            is_there = begin - ROUNDING_MS <= word["startMs"] <= word["endMs"] <= end + ROUNDING_MS
            check(is_there, "a word where it was not said", word, (begin, end))
        for begin, end in spans:
            before = self.settled[-1][1] if self.settled else 0
            check(begin >= before - ROUNDING_MS, "doubled or out of order", (begin, end), "behind", before)
            self.settled.append((begin, end))
        check(result["settledMs"] >= max(self.settled_ms, result["endMs"]), "settledMs goes back", result)
        check(result["settledMs"] <= said_ms, "settledMs outside the audio", result, said_ms)
        self.settled_ms = result["settledMs"]

    def check_complete(self, until_ms: int) -> None:
        """Every word that was said until then is here, or was announced as lost."""
        known = sorted([*self.settled, *self.missing])
        for value in range(1, 3 * SENTENCES + 1):
            begin, end = span_of(value)
            if begin >= until_ms:
                return
            at, end = begin, min(end, until_ms)
            for from_ms, to_ms in [*known, (end, TRACK_MS)]:
                if to_ms <= at:
                    continue
                check(min(from_ms, end) - at <= UNHEARD_MS, f"w{value} is not there, nor announced as lost:", (at, end))
                at = max(at, to_ms)


def check_stream(seen: list[Message], closed: tuple[int, str] | None, outcome: str, *, told: bool) -> None:
    """One stream to its end: one terminal message, nothing behind it, and the outcome that was counted.

    `told`: the phone was there until the end, and did not cancel.
    """
    terminal = [one for one in seen if one["type"] == "stopped" or (one["type"] == "error" and one["fatal"])]
    check(len(terminal) <= 1, "two endings", terminal)
    check(not terminal or seen[-1] is terminal[0], "something behind the ending", seen[-2:])
    check(outcome != "internal", "an error of ours")
    if told:
        check(len(terminal) == 1 and closed is not None, "no ending", outcome, closed, seen[-1:])
        ending, reason = terminal[0], (closed or (0, ""))[1]
        is_settled = ending["type"] == "stopped"
        check(reason == ("restarting" if outcome == "drained" else outcome), "another outcome", outcome, closed)
        check(is_settled == (outcome in ("completed", "time_limit", "drained")), "another ending", outcome, ending)
        check(is_settled or ending["code"] == outcome, "another error", outcome, ending)
        if is_settled:
            check_account(ending["audio"])
            said = " ".join(one["text"] for one in seen if one["type"] == "result" and one["isFinal"])
            results = [one for one in seen if one["type"] == "result"]
            is_open = bool(results) and not results[-1]["isFinal"] and bool(results[-1]["text"])
            check(not is_open, "an open text is left", results[-1:])
            check(ending["text"] == said, "stopped has another text", ending["text"], "instead of", said)


def check_account(audio: dict[str, int]) -> None:
    """The balance of `stopped`."""
    for unit in ("Bytes", "Ms"):
        received, relayed, dropped = (audio[f"{what}{unit}"] for what in ("received", "relayed", "dropped"))
        check(received == relayed + dropped, "the account does not balance", audio)
        check(min(received, relayed, dropped) >= 0, "a negative account", audio)
    check(audio["receivedBytes"] // BYTES_PER_MS == audio["receivedMs"], "bytes and ms differ", audio)
