"""The phone whose line the test holds: a line that breaks early shows at once, not as a hang."""

import pytest
import trio

from tests.support.phone_line import phone_line, reset_on_close


@pytest.mark.parametrize("is_reset", [True, False])
async def test_a_line_that_ends_before_the_upgrade(nursery: trio.Nursery, is_reset: bool) -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        if is_reset:
            reset_on_close(stream)
        await stream.aclose()

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, hang_up, [listener])
    with trio.fail_after(20):
        ended = pytest.RaisesExc(trio.BrokenResourceError, match="before the upgrade")
        with pytest.RaisesGroup(ended):
            async with phone_line(listener.socket.getsockname()[1]):
                pass
    nursery.cancel_scope.cancel()
