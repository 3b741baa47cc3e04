"""One side of an open WebSocket (RFC 6455) without I/O: bytes that came in, messages out, bytes to be sent. Pure.

The hot path is ours: a whole data frame in a read costs a look at its header, a slice, and one unmasking in C. All the
rest (control frames, fragments, reserved bits, opcodes, sizes, close codes, the closing handshake) is given, as it
comes, to the protocol object of `websockets`, which is at the boundary of a frame whenever the hot path goes on.
"""

import codecs
import logging
import os
from collections.abc import Sequence
from typing import Final

from websockets.exceptions import ProtocolError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side, State
from websockets.speedups import apply_mask

FAST_BYTES: Final = 64 * 1024
"""Larger frames go the long way, so that what has come of one is not copied again with each read."""

_MASKS_BYTES: Final = 128
_FINAL: Final = 0x80
_MASKED: Final = 0x80
_WHOLE_TEXT: Final = _FINAL | Opcode.TEXT
_WHOLE_BINARY: Final = _FINAL | Opcode.BINARY
_WHOLE: Final = (_WHOLE_BINARY, _WHOLE_TEXT)
_MAX_SHORT_BYTES: Final = 125
_TWO_MORE: Final = 126
"""In the place of a size: it follows in two bytes; 127, in eight (RFC 6455 section 5.2)."""
_CONTROL: Final = 0x08
_MAX_CONTROL_BYTES: Final = 125  # RFC 6455 section 5.5
_SILENT: Final = logging.Logger("websocket", logging.CRITICAL)  # what matters is told by state, not by lines
_DATA: Final = (Opcode.CONT, Opcode.TEXT, Opcode.BINARY)


class Wire:
    """One side of one connection, from the moment it is open.

    Kept are at most one frame and one message, each within the bound: a frame that would pass it is refused with 1009
    at its header. Text is decoded fragment by fragment: bad UTF-8 is refused with 1007 in the fragment where it stands.
    """

    def __init__(self, side: Side, max_message_bytes: int) -> None:
        """For our side of a connection whose handshake is done, without extensions."""
        self._protocol = Protocol(side, state=State.OPEN, max_size=max_message_bytes, logger=_SILENT)
        self._mask_bit = _MASKED if side is Side.SERVER else 0
        self._max_message_bytes = max_message_bytes
        self._fast_bytes = min(FAST_BYTES, max_message_bytes)
        self._masks = b""
        self._mask_at = 0
        self._rest = b""
        """The beginning of a frame whose header is not whole, or that goes the short way."""
        self._owed = 0
        """How much is still to come of a frame that goes the long way."""
        self._is_text: bool | None = None
        """Of which kind the message is whose fragments are coming; None between messages."""
        self._message = bytearray()
        """What has come of it. Not a list: fragments may be empty, and any number of them may come."""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.is_open = True
        """Whether no close frame has gone in either direction, and the protocol was kept."""
        self.is_over = False
        """Whether the other side has nothing more to say: it has closed, or broken the protocol."""
        self.has_outgoing = False
        """Whether `take_outgoing` has something."""

    @property
    def close_code(self) -> int | None:
        """The code of the other side's close frame: 1005 when it had none, None without a close frame."""
        received = self._protocol.close_rcvd
        return None if received is None else int(received.code)

    @property
    def has_broken_the_protocol(self) -> bool:
        """Whether the connection was given up for what the other side sent."""
        return isinstance(self._protocol.parser_exc, Exception) and not isinstance(self._protocol.parser_exc, EOFError)

    # -- in -----------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[bytes | str]:
        """The messages that are complete with `data`; what has to be answered at once is in `take_outgoing`.

        Nothing is read behind a close frame, or behind what is against the protocol.
        """
        messages: list[bytes | str] = []
        if self._owed or self._rest:
            data = self._go_on(data, messages)
        position, end = 0, len(data)
        mask_bit = self._mask_bit
        while end - position >= 2 and not self.is_over:
            first, second = data[position], data[position + 1]
            size = second & 0x7F
            body = position + 2
            if size > _MAX_SHORT_BYTES:
                body += 2 if size == _TWO_MORE else 8
                size = int.from_bytes(data[position + 2 : body], "big")
            if end < body:
                break
            if second & _MASKED:
                body += 4
            stop = body + size
            is_whole = first in _WHOLE and second & _MASKED == mask_bit
            if is_whole and self._is_text is None and size <= self._fast_bytes:
                if end < stop:
                    break
                payload = data[body:stop]
                if mask_bit:
                    payload = apply_mask(payload, data[body - 4 : body])
                position = stop
                if first == _WHOLE_BINARY:
                    messages.append(payload)
                else:
                    self._take_text(payload, messages)
                continue
            part = data[position:stop]
            position += len(part)
            self._owed = stop - position
            self._begin(first, size)
            self._pass(part, messages)
        if position < end and not self.is_over:
            self._rest = data[position:]
        return messages

    def _go_on(self, data: bytes, messages: list[bytes | str]) -> bytes:
        """With the frame that the last bytes have left; what is to be read next is returned."""
        if self._owed:
            part = data[: self._owed]
            data = data[len(part) :]
            self._owed -= len(part)
            self._pass(part, messages)
        data, self._rest = self._rest + data, b""
        return data

    def receive_eof(self) -> None:
        """Nothing more comes."""
        self._protocol.receive_eof()
        self._note()

    def _begin(self, first: int, size: int) -> None:
        """A frame begins that goes the long way. A control frame is no part of the message that it interrupts.

        `websockets` counts it into that message's size, and calls a close frame in there an error.
        """
        self._protocol.max_message_size = self._max_message_bytes
        if first & _CONTROL:
            if size > _MAX_CONTROL_BYTES:
                self._refuse(CloseCode.PROTOCOL_ERROR, "control frame too long")
            self._protocol.max_message_size += _MAX_CONTROL_BYTES
            if first & 0x0F == Opcode.CLOSE:
                self._protocol.current_size = None

    def _take_text(self, payload: bytes, messages: list[bytes | str]) -> None:
        try:
            messages.append(payload.decode())
        except UnicodeDecodeError:
            self._refuse_text()

    def _pass(self, data: bytes, messages: list[bytes | str]) -> None:
        if self.is_over:
            return
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            if isinstance(frame, Frame) and frame.opcode in _DATA and not self._protocol.eof_sent:
                self._collect(frame, messages)
        self._note()

    def _note(self) -> None:
        """What the protocol's state is now; the hot path changes nothing of it."""
        protocol = self._protocol
        self.is_open = protocol.state is State.OPEN
        self.is_over = protocol.close_rcvd is not None or protocol.parser_exc is not None or protocol.eof_sent
        self.has_outgoing = bool(protocol.writes)

    def _collect(self, frame: Frame, messages: list[bytes | str]) -> None:
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        if self._is_text:
            try:
                self._decoder.decode(bytes(frame.data), frame.fin)
            except UnicodeDecodeError:
                self._refuse_text()
                return
        self._message += frame.data
        if frame.fin:
            messages.append(self._message.decode() if self._is_text else bytes(self._message))
            self._message, self._is_text = bytearray(), None

    def _refuse_text(self) -> None:
        self._refuse(CloseCode.INVALID_DATA, "text that is not UTF-8")

    def _refuse(self, code: CloseCode, reason: str) -> None:
        self._protocol.parser_exc = ProtocolError(reason)
        self._protocol.fail(code, reason)
        self._note()

    # -- out ----------------------------------------------------------------------------------------------------------

    def encode(self, message: bytes | str) -> bytes:
        """A whole message as a frame. The caller sees to it that the connection `is_open`."""
        if isinstance(message, str):
            return self._frame(_WHOLE_TEXT, message.encode())
        return self._frame(_WHOLE_BINARY, message)

    def encode_all(self, messages: Sequence[bytes]) -> bytes:
        """Several binary messages, for one write."""
        if len(messages) == 1:
            return self._frame(_WHOLE_BINARY, messages[0])
        return b"".join([self._frame(_WHOLE_BINARY, message) for message in messages])

    def ping(self) -> None:
        """Put a ping into `take_outgoing`, while the connection is open."""
        if self.is_open:
            self._protocol.send_ping(b"")
            self._note()

    def close(self, code: int, reason: str) -> None:
        """Put a close frame into `take_outgoing`, while the connection is open."""
        if self.is_open:
            self._protocol.send_close(code, reason.encode()[:123].decode(errors="ignore"))  # RFC 6455 section 5.5
            self._note()

    def take_outgoing(self) -> bytes:
        """Answers to pings and closes, and what `ping` and `close` asked for."""
        self.has_outgoing = False
        return b"".join(self._protocol.data_to_send())

    def _frame(self, first: int, payload: bytes) -> bytes:
        size = len(payload)
        masked = _MASKED ^ self._mask_bit
        if size <= _MAX_SHORT_BYTES:
            head = bytes((first, masked | size))
        elif size < 65536:
            head = bytes((first, masked | _TWO_MORE, size >> 8, size & 0xFF))
        else:
            head = bytes((first, masked | 127)) + size.to_bytes(8, "big")
        if not masked:
            return head + payload
        mask = self._next_mask()
        return head + mask + apply_mask(payload, mask)

    def _next_mask(self) -> bytes:
        """From a strong source (RFC 6455 section 10.3), which is asked once for many frames: it is a system call."""
        place = self._mask_at
        if place == len(self._masks):
            self._masks, place = os.urandom(_MASKS_BYTES), 0
        self._mask_at = place + 4
        return self._masks[place : place + 4]
