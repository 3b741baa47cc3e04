"""Engine events into Tencent's slices: types, indexes and times (Tencent doc 1093/48982, "slice_type"). Pure.

A sentence is a slice 0 (it began), slices 1 (its text so far, each replaces the one before) and a slice 2 (settled),
all of one index. Empty results are left out by default (``filter_empty_result=1``): then the slice 0 carries the
first words, and a sentence that turns out to be empty takes no index.
"""

from __future__ import annotations

import msgspec

from service.localasr.engine import SentenceClosed, SentenceHeard, SentenceOpened, Word

BEGAN, SO_FAR, SETTLED = 0, 1, 2


class Slice(msgspec.Struct, frozen=True):
    """One result; ``end_ms`` is the end of its last word."""

    slice_type: int
    index: int
    start_ms: int
    end_ms: int
    text: str
    words: tuple[Word, ...] = ()


class Slicer:
    """Numbers the sentences of one stream.

    ``leave_out`` names slice types that are never made: Tencent's service has been seen to send a 1 or a 2 without a 0.
    """

    def __init__(self, *, filter_empty: bool = True, leave_out: tuple[int, ...] = ()) -> None:
        self._filter_empty = filter_empty
        self._leave_out = leave_out
        self._index = 0
        self._start_ms = 0
        self._shown = False  # this sentence has appeared, so it owns the index

    def take(self, event: SentenceOpened | SentenceHeard | SentenceClosed) -> Slice | None:
        """The slice for an event, or None when it is filtered. Events come in the order open, heard, closed."""
        if isinstance(event, SentenceOpened):
            self._start_ms = event.start_ms
            self._shown = False
            return None if self._filter_empty else self._slice(BEGAN, ())
        if isinstance(event, SentenceHeard):
            if self._filter_empty and not event.words:
                return None
            return self._slice(SO_FAR if self._shown else BEGAN, event.words)
        piece = None if self._filter_empty and not event.words else self._slice(SETTLED, event.words)
        if self._shown:
            self._index += 1
        self._shown = False
        return piece

    def _slice(self, slice_type: int, words: tuple[Word, ...]) -> Slice | None:
        self._shown = True
        if slice_type in self._leave_out:
            return None
        start_ms = min(self._start_ms, words[0].start_ms) if words else self._start_ms
        end_ms = words[-1].end_ms if words else start_ms
        return Slice(slice_type, self._index, start_ms, end_ms, " ".join(word.text for word in words), words)
