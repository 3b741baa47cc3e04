"""A phone on a blocking socket, for what the load tester's speakers do not do: keep silent, and time a refusal."""

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.uri import parse_uri

from loadtest.bench.figures import BenchError
from loadtest.messages import Ready, ServerError, ServerMessage, Welcome, decode, encode
from loadtest.urls import stream_url

LIMIT_S: Final = 10.0


class Phone:
    """One connection, from `welcome` on. Use `open_phone`."""

    def __init__(self, url: str) -> None:
        uri = parse_uri(stream_url(url))
        self.dialed_s = time.monotonic()
        self._socket = socket.create_connection((uri.host, uri.port), timeout=LIMIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._protocol = ClientProtocol(uri)
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def start(self) -> None:
        """Ask for a stream."""
        said = encode("start", engineType="16k_en", voiceFormat=1, sampleRate=16000)
        self._protocol.send_text(said.encode())
        self._flush()

    def hear(self) -> ServerMessage:
        """The next message that matters. Raises BenchError when the connection ends before, or none comes in time."""
        while True:
            for event in self._protocol.events_received():
                if isinstance(event, Frame) and event.opcode == 1:
                    message = decode(bytes(event.data).decode())
                    if message is not None:
                        return message
            try:
                data = self._socket.recv(65536)
            except (TimeoutError, ConnectionError) as error:
                raise BenchError(f"a phone heard nothing: {error}") from None
            if not data:
                raise BenchError(f"the gateway closed: {self._protocol.handshake_exc or self._protocol.close_exc}")
            self._protocol.receive_data(data)
            self._flush()

    def close(self) -> None:
        """Vanish."""
        self._socket.close()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._socket.sendall(data)


@contextlib.contextmanager
def open_phone(url: str) -> Iterator[Phone]:
    """A phone that has heard `welcome`."""
    phone = Phone(url)
    try:
        expect(phone.hear(), Welcome)
        yield phone
    finally:
        phone.close()


def expect(message: ServerMessage, kind: type[ServerMessage]) -> None:
    """Raises BenchError when this is a message of another kind."""
    if not isinstance(message, kind):
        raise BenchError(f"expected {kind.__name__}, and heard {message}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a stream that had no room was told."""

    dialed_ms: float
    """From dialing to the refusal."""
    asked_ms: float
    """From `start` to the refusal."""
    slug: str
    retry_after_ms: int | None
    """The hint."""


def ask(url: str) -> Refusal | None:
    """Ask for a stream: how it was refused, or None when it was not. Raises BenchError for no answer."""
    with open_phone(url) as phone:
        asked_s = time.monotonic()
        phone.start()
        message = phone.hear()
        now_s = time.monotonic()
        if isinstance(message, ServerError):
            dialed_ms, asked_ms = 1000 * (now_s - phone.dialed_s), 1000 * (now_s - asked_s)
            return Refusal(dialed_ms, asked_ms, message.code, message.retry_after_ms)
        expect(message, Ready)
        return None
