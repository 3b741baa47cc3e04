"""Malformed connections by the thousand against the real program, while 50 people talk.

`make prove` makes 100,000 of them (PROVE_CONNECTIONS, PROVE_SEED); `make test` a slice. A connection is the same
whenever seed and number are: what fails is made again with the seed and the kind that the test prints.
"""

import json
import os
import time
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.proof.attackers import Ended, Tally, assault
from tests.proof.live_streams import live_streams
from tests.proof.watch import Watch
from tests.support import processes
from tests.support.processes import ACCOUNT_SETTINGS, Program, gateway, scripted_recognizer

SLICE: Final = 1500
CONNECTIONS: Final = int(os.environ.get("PROVE_CONNECTIONS", SLICE))
SEED: Final = int(os.environ.get("PROVE_SEED", "1"))
LIVE: Final = 50
GUARD_S: Final = 90 + CONNECTIONS / 20
"""Against hanging: 20 connections a second. The slowest run measured, on two busy cores, made 130."""

MAX_GROWTH_KIB: Final = 16 * 1024
"""How much larger the process may be than after the first tenth, which has filled its caches and pools and has touched
every code path. Measured: 620 KiB over 7,200 connections. Over the 90,000 connections of the full size, 186 bytes that
each left behind would pass it."""
MAX_WARNINGS_EACH: Final = 0.02
"""Lines of level WARNING for each connection; measured 0.0015. Only what breaks inside Hypercorn makes one, and never
more than one: a stranger who floods the port makes the log grow by one short line a connection at most."""
MAX_LINE_BYTES: Final = 1000


@pytest.mark.proof
async def test_survival(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "REAL_TIME_GUARD_S", GUARD_S)
    numbers = range(CONNECTIONS)
    warm_up = CONNECTIONS // 10
    tally = Tally()
    async with (
        scripted_recognizer() as recognizer,
        gateway(
            TENCENT_ASR_URL=recognizer,
            TENCENT_API_URL=recognizer.replace("ws:", "http:"),
            MAX_STREAM_S="36000",
            **ACCOUNT_SETTINGS,
        ) as (running, url),
    ):
        port = urlsplit(url).port
        assert port is not None
        watch = Watch(running.process.pid, port)
        idle = await watch.usual_level()
        async with live_streams(url, LIVE) as streams:
            talking = await watch.usual_level()
            assert talking.streams == LIVE
            await assault(port, SEED, numbers[:warm_up], tally)
            await watch.settled(talking)
            before_kib = watch.resident_kib()
            began = time.monotonic()
            await assault(port, SEED, numbers[warm_up:], tally)
            took_s = time.monotonic() - began
            await watch.settled(talking)
            after_kib = watch.resident_kib()
        await watch.settled(idle)
        samples = await watch.samples()
        assert running.process.returncode is None

    warnings = _check_log(running)
    with capsys.disabled():
        print(  # noqa: T201 - the figures of a proof are for whoever runs it
            f"\nsurvival: seed {SEED}, {tally.connections} connections, {len(numbers[warm_up:]) / took_s:.0f}/s; "
            f"ended by the gateway {tally.by_end(Ended.BY_GATEWAY)}, by us {tally.by_end(Ended.BY_US)}; "
            f"statuses {dict(sorted(tally.statuses.items()))}; RSS {before_kib} -> {after_kib} KiB; "
            f"{warnings} warnings; {sum(stream.sentences for stream in streams)} sentences in {LIVE} streams; {talking}"
        )
    assert tally.connections == CONNECTIONS
    assert tally.overdue == []
    assert tally.internal_errors == []
    assert not [name for name, value in samples.items() if 'internal"' in name and value]
    assert samples['voice_streams_ended_total{outcome="completed"}'] >= LIVE
    assert warnings <= MAX_WARNINGS_EACH * CONNECTIONS
    assert after_kib - before_kib <= MAX_GROWTH_KIB


def _check_log(running: Program) -> int:
    """How many warnings there are. Fails on an error, and on a line that is none of ours, such as a traceback."""
    warnings = 0
    for text in running.errors.decode().splitlines():
        assert len(text) <= MAX_LINE_BYTES, text[:MAX_LINE_BYTES]
        level = json.loads(text)["level"]
        assert level in ("INFO", "WARNING"), text
        warnings += level == "WARNING"
    return warnings
