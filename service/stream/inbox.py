"""The client's messages, understood: what every phase of a stream does with them is done here."""

import dataclasses
from typing import Final

from service.failures import Problem, Slug, StreamFailed, problem
from service.settings import MAX_MESSAGE_BYTES
from service.stream import protocol
from service.stream.client import Client
from service.stream.meter import MessageMeter
from service.stream.protocol import ClientMessage, ErrorMessage, Ping, Pong
from service.telemetry.metrics import Metrics

MAX_BAD_MESSAGES: Final = 10


class Inbox:
    """Reads from one client. Answers pings, refuses what is wrong, counts what was refused."""

    def __init__(self, client: Client, metrics: Metrics, meter: MessageMeter) -> None:
        self.client = client
        self.meter = meter
        """Whoever takes messages charges it with their number."""
        self._metrics = metrics
        self._bad_messages = 0
        self._said_not_started = False

    async def understand(self, raw: bytes | str) -> bytes | ClientMessage | None:
        """Audio or a message to act on; None when it has been dealt with.

        Raises StreamFailed for what ends the stream, and what `Client.send` raises.
        """
        length = len(raw) if isinstance(raw, bytes) else len(raw.encode())
        if length > MAX_MESSAGE_BYTES:
            raise StreamFailed(
                problem(Slug.MESSAGE_TOO_BIG, f"A message of {length} bytes: at most {MAX_MESSAGE_BYTES} are taken.")
            )
        if isinstance(raw, bytes):
            return raw
        message = protocol.parse(raw)
        if isinstance(message, Problem):
            await self.refuse(message)
            return None
        if isinstance(message, Ping):
            await self.client.send(Pong(message.t).encode())
            return None
        return message

    async def refuse(self, refused: Problem) -> None:
        """Tell the client what was wrong. Raises StreamFailed when the stream ends with it."""
        if refused.slug is Slug.BAD_MESSAGE:
            self._bad_messages += 1
            if self._bad_messages >= MAX_BAD_MESSAGES:
                refused = dataclasses.replace(refused, fatal_now=True)
        if refused.fatal:
            raise StreamFailed(refused)
        self._metrics.messages_rejected.labels(refused.slug).inc()
        await self.client.send(ErrorMessage.of(refused).encode())

    async def refuse_before_start(self) -> None:
        """Say `not_started`: once, since a recorder that runs already sends many frames a second; each is counted."""
        early = problem(Slug.NOT_STARTED, "Send start first, and audio when ready came; this was discarded.")
        if self._said_not_started:
            self._metrics.messages_rejected.labels(early.slug).inc()
            return
        self._said_not_started = True
        await self.refuse(early)
