"""What the pump leaves to the receiving task, where the kernel takes nothing at once."""

from collections.abc import Callable
from typing import cast

import pytest
import trio
from websockets.protocol import Side

from service.websocket.pump import Pump
from service.websocket.websocket import WebSocket, WebSocketEnded
from service.websocket.wire import Wire
from tests.support.frames import close_frame


class FullSocket:
    """Brings one close frame, and takes bytes only from those who wait."""

    def __init__(self) -> None:
        self.sent = b""

    def fileno(self) -> int:
        return 5

    def read_now(self) -> bytes | None:
        return close_frame(1000)

    def write_now(self, data: bytes) -> int:
        return 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        raise AssertionError("the pump reads")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self.sent += data


class OnePump:
    """A pump for one socket."""

    is_running = True

    def register(self, descriptor: int, callback: Callable[[float], None]) -> None:
        self.readable = callback

    def unregister(self, descriptor: int, callback: Callable[[float], None]) -> None:
        pass


async def test_a_close_is_answered_when_the_kernel_takes_nothing_at_once() -> None:
    stream, pump = FullSocket(), OnePump()
    websocket = WebSocket(stream, Wire(Side.SERVER, 100), send_s=1)
    websocket.start_pump(cast(Pump, pump), stream)
    pump.readable(trio.current_time())
    with pytest.raises(WebSocketEnded) as ended:
        await websocket.receive()
    assert ended.value.code == 1000
    assert stream.sent == b"\x88\x02\x03\xe8"
