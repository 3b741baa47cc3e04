"""What an orderly stop waits for, in virtual time."""

import pytest
import trio
import trio.testing

from service.deps import Deps
from service.failures import Slug, StreamFailed
from service.settings import Settings
from service.telemetry.overload import LATE


async def test_idle_is_when_streams_and_uploads_have_ended(nursery: trio.Nursery, autojump_clock: object) -> None:
    deps = Deps.from_settings(Settings())
    deps.lifecycle.serve()
    admission = deps.admission

    async def stream(seconds: float) -> None:
        with admission.stream():
            await trio.sleep(seconds)

    async def upload(seconds: float) -> None:
        with admission.sentence():
            await trio.sleep(seconds)

    await admission.wait_idle()
    began = trio.current_time()
    nursery.start_soon(stream, 1)
    nursery.start_soon(upload, 3)
    nursery.start_soon(stream, 2)
    await trio.testing.wait_all_tasks_blocked()
    await admission.wait_idle()
    assert trio.current_time() == began + 3


@pytest.mark.parametrize("max_lag_ms", [10, 100])
async def test_a_late_loop_refuses_new_streams_and_counts_them(max_lag_ms: int, autojump_clock: object) -> None:
    deps = Deps.from_settings(Settings(max_lag_ms=max_lag_ms, max_streams=1))
    sample = deps.metrics.registry.get_sample_value
    deps.lifecycle.serve()

    def refused() -> Slug:
        with pytest.raises(StreamFailed) as caught, deps.admission.stream():
            pass
        return caught.value.problem.slug

    with deps.admission.stream():
        assert refused() is Slug.OVERLOADED  # it is full
        assert sample("voice_streams_shed_total") == 0
        for _ in range(LATE):
            deps.admission.overload.note(max_lag_ms / 1000, trio.current_time())
        assert sample("voice_shedding") == 0  # at the bound, not over it
        for _ in range(LATE):
            deps.admission.overload.note(max_lag_ms / 1000 + 0.001, trio.current_time())
        assert sample("voice_shedding") == 1
        with deps.admission.sentence():
            pass  # an upload may wait, and is no stream
    assert refused() is Slug.OVERLOADED
    assert sample("voice_streams_shed_total") == 1
    deps.lifecycle.drain()
    assert refused() is Slug.RESTARTING
    assert sample("voice_streams_shed_total") == 1
