"""Streams that resumed one another are one record: which of them belong together, and what they say together. Pure.

Every stream has a row of its own. Those of a chain share a `root`: the id of the first stream of the chain, or, as long
as its row is missing (it may wait on another replica's disk), of the missing one. So a chain comes together in
whatever order its rows are written. One row of each root is its head, for lists to show once: the first of the chain.

A phone may try to resume the same stream twice; then the later one's sentences supersede the earlier one's.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from service.store.records import Sentence
from service.text import joined

PREVIEW_CHARACTERS: Final = 200
"""Of a text in a list."""
MAX_CHAIN: Final = 1000
"""Streams of one record; one more begins a record of its own. A phone in a bad network makes some dozens."""


@dataclass(frozen=True, slots=True)
class Link:
    """What decides about the place of one row."""

    id: str
    root: str
    resumed_from: str | None
    started_at_ms: int
    deleted_at_ms: int | None = None
    is_head: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """What changes when a row comes."""

    root: str
    """The root of the new row, and of all that come under it."""
    head: str | None
    """Whose row the head is from now on; None where nothing of the chain is to be shown."""
    deleted_at_ms: int | None
    """Not None: the record was deleted after this stream had begun, so the row comes as a deleted one."""


def join(new: Link, related: Sequence[Link]) -> Joined:
    """The place of a new row; its `root` is not looked at.

    `related` are the rows of the same user whose root is the new row's id, or that of the stream which it resumes.
    """
    if sum(link.root != new.id for link in related) >= MAX_CHAIN:
        related, new = [link for link in related if link.root == new.id], replace(new, resumed_from=None)
    parent = next((link for link in related if link.id == new.resumed_from), None)
    root = parent.root if parent is not None else (new.resumed_from or new.id)
    deletions = [link.deleted_at_ms for link in related if link.deleted_at_ms is not None]
    deleted_at_ms = max(deletions, default=None)
    if deleted_at_ms is not None and deleted_at_ms < new.started_at_ms:
        deleted_at_ms = None  # said after the deletion: it is not what was deleted
    shown = [link for link in related if link.deleted_at_ms is None]
    order = in_order([*shown, new] if deleted_at_ms is None else shown)
    return Joined(root, order[0].id if order else None, deleted_at_ms)


def in_order(links: Iterable[Link]) -> list[Link]:
    """Streams in the order of their chain: each behind the one that it resumes, else by the time of their beginning.

    Times alone do not decide: they are of different machines' clocks.
    """
    by_time = sorted(links, key=_by_time)
    there = {link.id for link in by_time}
    behind: dict[str, list[Link]] = defaultdict(list)
    for link in by_time:
        if link.resumed_from in there and link.resumed_from != link.id:
            behind[str(link.resumed_from)].append(link)
    placed: dict[str, Link] = {}
    followers = {link.id for links_behind in behind.values() for link in links_behind}
    ready = [(_by_time(link), link) for link in by_time if link.id not in followers]  # sorted, so it is a heap
    while ready:
        _, first = heapq.heappop(ready)
        placed[first.id] = first
        for link in behind[first.id]:
            heapq.heappush(ready, (_by_time(link), link))
    return [*placed.values(), *(link for link in by_time if link.id not in placed)]  # no honest client draws a circle


def _by_time(link: Link) -> tuple[int, str]:
    return link.started_at_ms, link.id


def assemble(streams: Iterable[tuple[int, Iterable[Sentence]]]) -> list[Sentence]:
    """What streams of a chain say together; each as (its first index, its sentences), in order.

    A sentence that was settled and did not reach the client is recognized again: from its first index on, a stream
    takes the place of what was there.
    """
    said: dict[int, Sentence] = {}
    for first_index, sentences in streams:
        said = {index: sentence for index, sentence in said.items() if index < first_index}
        said.update((sentence.index, sentence) for sentence in sentences)
    return [said[index] for index in sorted(said)]


def text_of(sentences: Iterable[Sentence]) -> str:
    """All of it as one text."""
    return joined(sentence.text for sentence in sentences)


def opening(sentences: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """As many sentences as a preview can need."""
    characters = 0
    for number, sentence in enumerate(sentences):
        characters += len(sentence.text)
        if characters >= PREVIEW_CHARACTERS:
            return tuple(sentences[: number + 1])
    return tuple(sentences)


def preview(openings: Sequence[Sentence]) -> str:
    """The beginning of the text, of assembled openings. It ends before the first sentence that none of them has."""
    first = openings[0].index if openings else 0
    run = [sentence for place, sentence in enumerate(openings) if sentence.index == first + place]
    return text_of(run)[:PREVIEW_CHARACTERS]


def grouped(roots: Sequence[str], of_root: Mapping[str, Sequence[Link]]) -> list[list[Link]]:
    """The rows of each root in order, without deleted ones."""
    return [in_order(link for link in of_root.get(root, ()) if link.deleted_at_ms is None) for root in roots]
