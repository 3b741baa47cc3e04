"""What an orderly stop waits for, in virtual time."""

import trio
import trio.testing

from service.deps import Deps
from service.settings import Settings


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
