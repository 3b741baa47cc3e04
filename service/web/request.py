"""Requests of the application, with a limit on bodies that Quart does not keep.

Quart 0.22 compares the limit with what waits to be read. A body that is read while it comes (a form) is emptied all the
time, so one without an announced length could be of any size.
"""

import io
from typing import IO

import trio
from quart import request
from quart.formparser import FormDataParser
from quart_trio.wrappers import TrioRequest
from quart_trio.wrappers.request import TrioBody
from werkzeug.exceptions import RequestEntityTooLarge


class LimitedBody(TrioBody):
    """A body whose limit counts every byte."""

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(expected_content_length, max_content_length)
        self._left_bytes = max_content_length
        self._ended = trio.Event()
        self._unwanted = False

    async def __anext__(self) -> bytes:
        """The next piece. Quart looks for an error before it waits, and not after."""
        try:
            return await super().__anext__()
        except StopAsyncIteration:
            if self._must_raise is not None:
                raise self._must_raise from None
            raise

    def append(self, data: bytes) -> None:
        """Takes what came; from the limit on, drops it and makes reading raise RequestEntityTooLarge."""
        if self._unwanted:
            return
        if self._left_bytes is not None:
            self._left_bytes -= len(data)
            if self._left_bytes < 0 and self._must_raise is None:
                self._data.clear()
                self._must_raise = RequestEntityTooLarge()
                super().set_complete()
        super().append(data)

    def set_complete(self) -> None:
        """The last byte has come."""
        self._ended.set()
        super().set_complete()

    async def pass_over(self, within_s: float) -> None:
        """Drops what is still to come, until its end or for `within_s`.

        A client that is answered while it sends sees a reset connection, often before it sees the answer.
        """
        self._unwanted = True
        self._data.clear()
        with trio.move_on_after(within_s):
            await self._ended.wait()


async def pass_over_body(within_s: float) -> None:
    """Drops what is still to come of the present request's body: see `LimitedBody.pass_over`."""
    if isinstance(request.body, LimitedBody):
        await request.body.pass_over(within_s)


class LimitedRequest(TrioRequest):
    """Set as `request_class` of the application."""

    body_class = LimitedBody

    def make_form_data_parser(self) -> FormDataParser:
        """The parser of forms. Files stay in memory: the body is bounded, and a disk would block the event loop."""
        parser = super().make_form_data_parser()
        parser.stream_factory = _in_memory
        return parser


def _in_memory(*_: object) -> IO[bytes]:
    return io.BytesIO()
