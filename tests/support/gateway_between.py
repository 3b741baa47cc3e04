"""A whole gateway in this process, with a fault proxy on either side of it: to the phone, and to the recognizer."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import trio

from service.background import run_background
from service.deps import Deps
from service.localasr.scripted import ScriptedEngine
from service.localasr.server import Recognizer, serve
from service.settings import AuthMode, RecognizerKind, Settings
from service.telemetry.loop_watch import Heartbeat
from tests.support.edge import running_edge
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.gateway import CREDENTIALS


@dataclass(frozen=True)
class Between:
    """A gateway, and what is between it and its peers."""

    deps: Deps
    phone_side: FaultProxy
    """Phones connect to its port."""
    recognizer_side: FaultProxy


@contextlib.asynccontextmanager
async def gateway_between(*, seed: int, hang_s: float) -> AsyncIterator[Between]:
    """Serves until the end of the `async with`, with all that runs beside the connections in production.

    The test fails when it takes longer than `hang_s`. `seed` decides the jitter.
    """
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, Recognizer(ScriptedEngine("coded", 100)), "127.0.0.1", 0)
        recognizer_port = urlsplit(url).port
        assert recognizer_port is not None
        async with fault_proxy(recognizer_port, seed=seed) as recognizer_side:
            settings = Settings(
                auth_mode=AuthMode.OFF,
                recognizer=RecognizerKind.TENCENT,
                credentials=CREDENTIALS,
                tencent_asr_url=f"ws://127.0.0.1:{recognizer_side.port}",
                max_lag_ms=60_000,  # several worlds share one loop here
            )
            deps = Deps.from_settings(settings)
            await nursery.start(run_background, deps, Heartbeat())
            async with (
                running_edge(deps, hang_s=hang_s) as running,
                fault_proxy(running.port, seed=seed + 1) as phone_side,
            ):
                yield Between(deps, phone_side, recognizer_side)
        nursery.cancel_scope.cancel()
