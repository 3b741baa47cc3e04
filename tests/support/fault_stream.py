"""Streams that fail where a test wants it: a wrapper whose writes can stall or break."""

import trio


class FaultyStream(trio.abc.Stream):
    """Passes everything on until the write with the number `fault_at` (1-based); that one and all later ones fail."""

    def __init__(self, stream: trio.abc.Stream, *, fault_at: int, stalls: bool = False, delay_s: float = 0.0) -> None:
        """A failing write raises BrokenResourceError; with `stalls` it waits for ever instead. Each takes `delay_s`."""
        self._stream = stream
        self._fault_at = fault_at
        self._stalls = stalls
        self._delay_s = delay_s
        self._writes = 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._writes += 1
        await trio.sleep(self._delay_s)
        if self._writes < self._fault_at:
            await self._stream.send_all(data)
        elif self._stalls:
            await trio.sleep_forever()
        else:
            await trio.lowlevel.checkpoint()
            raise trio.BrokenResourceError

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()
