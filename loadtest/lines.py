"""Lines out of a stream of bytes, with a bound."""

from typing import Final

import trio

_READ_BYTES: Final = 64 * 1024


class LineTooLong(ValueError):
    """No end of a line within the bound."""


class Lines:
    """The lines of `stream`. It belongs to whoever opened it, and is not closed here."""

    def __init__(self, stream: trio.abc.ReceiveStream, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._searched = 0

    async def next(self) -> bytes | None:
        """The next line without its end, or None at the end of the stream: a piece of a line before it is dropped.

        Raises LineTooLong, and what the stream raises. Cancelled, nothing is lost.
        """
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            if self._searched > self._max_bytes:
                raise LineTooLong(f"a line of more than {self._max_bytes} bytes")
            data = await self._stream.receive_some(_READ_BYTES)
            if not data:
                return None
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line
