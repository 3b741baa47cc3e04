"""Bad networks between a phone and the gateway and between the gateway and its recognizer, on real sockets.

`make prove` tries 200 of them (PROVE_NETWORKS, PROVE_SEED); `make test` those among the first that are over soon. What
is wrong is drawn by number (`networks`): latency, a limited rate, pieces of single bytes, one-way loss, resets and
closes in the middle of a frame, half-open connections. The phone resumes where its link breaks, and every word has to
arrive once, at its place.
"""

import dataclasses
import itertools
import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import pytest
import trio

from tests.proof.histories.oracle import check, check_stream
from tests.proof.networks import Blow, Break, Network, Side, network
from tests.proof.resuming_phone import Attempt, ResumingPhone
from tests.support.fault_proxy import FaultProxy, Faults, Link
from tests.support.gateway_between import Between, gateway_between

SLICE: Final = 8
NETWORKS: Final = int(os.environ.get("PROVE_NETWORKS", SLICE))
SEED: Final = int(os.environ.get("PROVE_SEED", "1"))
AT_A_TIME: Final = 12
END_S: Final = 45.0
"""After its phone has gone, a stream has ended: 25 s without a byte, 10 s for the rest, and a busy machine."""
GUARD_S: Final = 150.0
"""Against hanging, for one network: at most 7 s of speech, two silent recognizers of 10 s each, and END_S."""


@dataclass
class Tally:
    """What became of the networks."""

    took_s: dict[str, list[float]] = field(default_factory=dict)
    """From the first word to `stopped`, beyond the length of the speech, by family."""
    streams: Counter[int] = field(default_factory=Counter)
    """Networks by how many streams their phone needed."""
    recognizers: int = 0
    """Recognizer connections, all in all."""
    blows: Counter[str] = field(default_factory=Counter)


@pytest.mark.proof
async def test_bad_networks(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    numbers = itertools.count()
    chosen = (network(SEED, number) for number in numbers)
    if NETWORKS <= SLICE:
        chosen = (one for one in chosen if one.is_quick)
    waiting, tally = itertools.islice(chosen, NETWORKS), Tally()
    attempts: list[Attempt] = []
    began = trio.current_time()
    with caplog.at_level(logging.INFO, "voice"):
        async with trio.open_nursery() as nursery:
            for _ in range(min(AT_A_TIME, NETWORKS)):
                nursery.start_soon(_try_some, waiting, tally, attempts)
    outcomes = _outcomes(caplog.records)
    for attempt in attempts:
        if attempt.stream_id is not None:
            check_stream(attempt.seen, attempt.closed, outcomes[attempt.stream_id], told=_is_told(attempt))
    with capsys.disabled():
        print(  # noqa: T201 - the figures of a proof are for whoever runs it
            f"\nbad networks: seed {SEED}, {NETWORKS} in {trio.current_time() - began:.0f} s; "
            f"streams of a phone {dict(sorted(tally.streams.items()))}; "
            f"recognizer connections {tally.recognizers}; blows {dict(tally.blows)}; "
            f"outcomes {dict(Counter(outcomes.values()))}; complete after the speech, median and most: "
            + ", ".join(f"{name} {_median(late):.1f} s, {max(late):.1f} s" for name, late in tally.took_s.items())
        )
    assert sum(map(len, tally.took_s.values())) == NETWORKS
    assert sum(outcome == "completed" for outcome in outcomes.values()) >= NETWORKS


def _outcomes(records: list[logging.LogRecord]) -> dict[str, str]:
    """How each stream ended. Fails where one did not, or twice."""
    opened, ended = [], []
    for record in records:
        fields = getattr(record, "voice_fields", {})
        if record.msg == "stream_opened":
            opened.append(fields["stream"])
        elif record.msg == "stream_ended":
            ended.append((fields["stream"], fields["outcome"]))
    assert sorted(opened) == sorted(stream for stream, _ in ended)
    assert len(set(opened)) == len(opened)
    return dict(ended)


def _is_told(attempt: Attempt) -> bool:
    return attempt.ending is not None and attempt.closed is not None


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


async def _try_some(waiting: Iterator[Network], tally: Tally, attempts: list[Attempt]) -> None:
    for one in waiting:
        try:
            await _try(one, tally, attempts)
        except BaseException as error:
            error.add_note(f"seed {SEED}: {one}")
            raise


async def _try(one: Network, tally: Tally, attempts: list[Attempt]) -> None:
    with trio.fail_after(GUARD_S):
        async with gateway_between(seed=one.number, hang_s=GUARD_S) as between:
            phone = ResumingPhone(between.phone_side.port, one.talk_ms, patience_s=one.patience_s)
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_disturb, between.phone_side, one.phone, tally)
                nursery.start_soon(_disturb, between.recognizer_side, one.recognizer, tally)
                await phone.talk()
                nursery.cancel_scope.cancel()
            late_s = trio.current_time() - began - one.talk_ms / 1000
            tally.took_s.setdefault(one.family, []).append(late_s)
            await _check_ends(one, between)
            _check_complete(one, phone)
            tally.streams[len(phone.attempts)] += 1
            tally.recognizers += between.recognizer_side.accepted
            attempts += phone.attempts


async def _check_ends(one: Network, between: Between) -> None:
    """All streams end, and leave nothing, also those whose phone is gone without a word."""
    if one.forgets:
        between.phone_side.reset_present()
    admission = between.deps.admission
    with trio.move_on_after(END_S):
        while admission.streams or admission.slots_used:  # noqa: ASYNC110 - what happens behind sockets has no event
            await trio.sleep(0.02)
    check(admission.streams == 0, "streams left:", admission.streams)
    check(admission.slots_used == 0, "slots left:", admission.slots_used)


def _check_complete(one: Network, phone: ResumingPhone) -> None:
    listener = phone.listener
    check(not listener.missing, "audio lost that was kept for less than REPLAY_S:", listener.missing)
    listener.check_complete(one.talk_ms)
    streams = len(phone.attempts)
    if one.family in ("gentle", "recognizer"):
        check(streams == 1, "the phone's side did not break, and yet:", *phone.attempts)


async def _disturb(proxy: FaultProxy, side: Side, tally: Tally) -> None:
    """What is wrong on one side, from now on."""
    proxy.change_all(up=side.up, down=side.down)
    async with trio.open_nursery() as nursery:
        if side.slicing is not None:
            nursery.start_soon(_slice, proxy, side)
        began = trio.current_time()
        for blow in side.blows:
            await trio.sleep_until(began + blow.at_s)
            while not proxy.links:  # noqa: ASYNC110 - of the proxy's next connection
                await trio.sleep(0.005)
            for link in proxy.links:
                _strike(link, blow)
            tally.blows[blow.how.name.lower()] += 1


async def _slice(proxy: FaultProxy, side: Side) -> None:
    assert side.slicing is not None
    await trio.sleep(side.slicing.at_s)
    _change_size(proxy, side, side.slicing.size_bytes)
    await trio.sleep(side.slicing.for_s)
    _change_size(proxy, side, None)


def _change_size(proxy: FaultProxy, side: Side, size_bytes: int | None) -> None:
    """On the present connections as on those to come; what was struck stays struck."""
    proxy.change_new(
        up=dataclasses.replace(side.up, slice_bytes=size_bytes),
        down=dataclasses.replace(side.down, slice_bytes=size_bytes),
    )
    for link in proxy.links:
        for way in (link.up, link.down):
            way.change(dataclasses.replace(way.faults, slice_bytes=size_bytes))


def _strike(link: Link, blow: Blow) -> None:
    up, down = link.up.faults, link.down.faults
    match blow.how:
        case Break.RESET:
            link.reset()
        case Break.RESET_IN_FRAME | Break.CLOSE_IN_FRAME:
            link.change(up=_cut(up, link.up.delivered_bytes + blow.after_bytes, blow.how is Break.CLOSE_IN_FRAME))
        case Break.LOSS_UP:
            link.change(up=dataclasses.replace(up, is_lost=True))
        case Break.LOSS_DOWN:
            link.change(down=dataclasses.replace(down, is_lost=True))
        case Break.HALF_OPEN:
            link.freeze()


def _cut(faults: Faults, at_bytes: int, is_soft: bool) -> Faults:
    return dataclasses.replace(faults, cut_at_bytes=at_bytes, is_soft_cut=is_soft)
