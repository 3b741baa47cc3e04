"""Chains of streams, their lines on the disk, and cursors: without a database."""

import base64
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store import cursor
from service.store.conversations import (
    MAX_CHAIN,
    PREVIEW_CHARACTERS,
    Joined,
    Link,
    assemble,
    grouped,
    in_order,
    join,
    opening,
    preview,
    text_of,
)
from service.store.records import MAX_ID, Sentence, StreamRecord, UserRecord, decode_line, encode_line, owner_of


def said(first: int, *texts: str) -> list[Sentence]:
    return [Sentence(first + number, text, 0, 1) for number, text in enumerate(texts)]


class Rows:
    """What the database does with what `join` says."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}

    def write(self, new: Link) -> Joined:
        parent = self.links.get(new.resumed_from or "")
        roots = {new.id, new.resumed_from, parent.root if parent else None}
        place = join(new, [link for link in self.links.values() if link.root in roots])
        for link in list(self.links.values()):
            if link.root in (new.id, place.root):
                self.links[link.id] = Link(
                    link.id, place.root, link.resumed_from, link.started_at_ms, None, link.id == place.head
                )
        self.links[new.id] = Link(new.id, place.root, new.resumed_from, new.started_at_ms, None, new.id == place.head)
        return place


@given(st.integers(1, 12), st.randoms(use_true_random=False))
def test_a_tree_of_streams_comes_together_in_any_order(count: int, chance: random.Random) -> None:
    """Each resumes some earlier one, as a phone that tries more than once; clocks are wrong."""
    made = [
        Link(f"s{number}", "", f"s{chance.randrange(number)}" if number else None, chance.randrange(5))
        for number in range(count)
    ]
    chance.shuffle(made)
    rows = Rows()
    for link in made:
        rows.write(link)
        heads = [one.root for one in rows.links.values() if one.is_head]
        assert sorted(heads) == sorted({one.root for one in rows.links.values()})
    assert {link.root for link in rows.links.values()} == {"s0"}
    assert [link.id for link in rows.links.values() if link.is_head] == ["s0"]
    order = [link.id for link in in_order(rows.links.values())]
    assert len(order) == count
    for link in made:
        assert link.resumed_from is None or order.index(link.resumed_from) < order.index(link.id)


def test_a_chain_whose_beginning_is_missing_is_shown_once() -> None:
    rows = Rows()
    assert rows.write(Link("b", "", "a", 2)) == Joined("a", "b", None)
    assert rows.write(Link("c", "", "a", 1)) == Joined("a", "c", None)
    assert [link.id for link in rows.links.values() if link.is_head] == ["c"]


def test_a_circle_is_no_trap() -> None:
    rows = Rows()
    rows.write(Link("a", "", "b", 1))
    rows.write(Link("b", "", "a", 2))
    rows.write(Link("c", "", "c", 3))
    assert [link.id for link in in_order(rows.links.values())] == ["c", "a", "b"]
    assert sum(link.is_head for link in rows.links.values()) == 2


def test_a_chain_has_an_end() -> None:
    links = [Link(f"s{number}", "s0", f"s{number - 1}", number) for number in range(MAX_CHAIN)]
    assert join(Link("more", "", "s5", 5000), links) == Joined("more", "more", None)
    assert join(Link("more", "", "s5", 5000), links[1:]) == Joined("s0", "s1", None)


@pytest.mark.parametrize(("began", "joined"), [(50, Joined("a", None, 60)), (61, Joined("a", "b", None))])
def test_what_began_before_a_deletion_is_deleted(began: int, joined: Joined) -> None:
    assert join(Link("b", "", "a", began), [Link("a", "a", None, 10, deleted_at_ms=60)]) == joined


def test_groups_leave_deleted_streams_out() -> None:
    gone, here = Link("a", "r", None, 1, deleted_at_ms=9), Link("b", "r", "a", 2)
    assert grouped(["r", "x"], {"r": [here, gone]}) == [[here], []]


def test_a_continuation_supersedes_what_its_client_did_not_have() -> None:
    streams = [(0, said(0, "one", "two", "three")), (1, said(1, "zwei", "drei")), (3, said(3, "四"))]
    assert text_of(assemble(streams)) == "one zwei drei四"
    assert assemble([(0, said(0, "one", "two")), (0, ())]) == []


@given(st.lists(st.lists(st.text(max_size=90), max_size=6), max_size=4), st.data())
def test_a_preview_is_the_beginning_of_the_text(texts: list[list[str]], data: st.DataObject) -> None:
    streams: list[tuple[int, list[Sentence]]] = []
    there = 0
    for spoken in texts:
        first = data.draw(st.integers(0, there))
        streams.append((first, said(first, *spoken)))
        there = first + len(spoken)
    whole = text_of(assemble(streams))
    short = preview(assemble((first, opening(sentences)) for first, sentences in streams))
    assert whole.startswith(short)
    assert len(short) == min(len(whole), PREVIEW_CHARACTERS)


def test_a_preview_ends_before_a_hole() -> None:
    assert preview([*said(2, "a", "b"), *said(9, "c")]) == "a b"
    assert preview([]) == ""


_IDS = st.from_regex(r"[0-9A-Za-z_-]{1,64}", fullmatch=True)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(_IDS, _TEXTS, st.integers(0, 2**53), st.none() | _IDS)
def test_a_record_is_one_line_and_comes_back(id_: str, text: str, at: int, resumed_from: str | None) -> None:
    record = StreamRecord(
        id_, "u", at, at + 1, "completed", "16k_zh", resumed_from=resumed_from, sentences=(Sentence(0, text, 1, 2),)
    )
    line = encode_line(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_line(line) == record


def test_other_kinds_and_later_fields() -> None:
    user = UserRecord("u", "o", 5, "x")
    assert decode_line(encode_line(user)) == user
    assert decode_line(b'{"t":"user","id":"u","openid":"o","seen_at_ms":5,"added":1}') == UserRecord("u", "o", 5)
    for wrong in (b"", b"{", b'{"t":"other"}', b'{"t":"user"}', b"\x00" * 9, b'{"t":"user","id":"\xff'):
        with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
            decode_line(wrong)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_users_stay_different_and_fit(one: str, other: str) -> None:
    assert (owner_of(one) == owner_of(other)) == (one == other)
    assert len(owner_of(one)) <= MAX_ID
    assert owner_of(one).isascii()


def test_ids_of_ours_stay_as_they_are() -> None:
    assert [owner_of(id_) for id_ in ("", "u_0af", "a" * 64)] == ["", "u_0af", "a" * 64]
    assert owner_of("a ") != owner_of("a")


@given(st.integers(0, 10**15), _IDS)
def test_a_cursor_comes_back(at: int, id_: str) -> None:
    encoded = cursor.Cursor(at, id_).encode()
    assert cursor.decode(encoded) == cursor.Cursor(at, id_)
    assert set(encoded) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text() | st.binary(max_size=90).map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_anything_else_is_none(text: str) -> None:
    got = cursor.decode(text)
    assert got is None or cursor.decode(got.encode()) == got


@pytest.mark.parametrize("plain", [b"x.a", b"-1.a", b"1.", b"1.a b", b"1", b"1" * 17 + b".a", b"1.a\n"])
def test_wrong_cursors(plain: bytes) -> None:
    assert cursor.decode(base64.urlsafe_b64encode(plain).decode().rstrip("=")) is None
    assert cursor.decode("a" * 121) is None


def test_an_opening_has_no_more_than_a_preview_needs() -> None:
    sentences = said(0, "a" * 150, "b" * 60, "c" * 60)
    assert opening(sentences) == tuple(sentences[:2])
    assert preview(opening(sentences)) == text_of(sentences)[:PREVIEW_CHARACTERS]
