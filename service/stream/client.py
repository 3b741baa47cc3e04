"""What a session needs from the connection to its client, whichever transport serves it."""

from collections.abc import Callable
from typing import Final, Protocol

TICK_S: Final = 0.5
"""How often a taker is called when nothing comes. It is what a clock of relayed audio may be late."""

Taker = Callable[[list[bytes | str], float], int]


class ClientGone(Exception):
    """The client has closed the connection or vanished; nothing more comes and nothing can be sent."""


class ClientTooSlow(Exception):
    """A message could not be written in time: the client does not read. The connection has been dropped."""


class Client(Protocol):
    """One client's connection. `receive` belongs to one task at a time; `send` and `close` to any."""

    async def receive(self) -> list[bytes | str]:
        """All messages that are available now, at least one: text as `str`, binary as `bytes`, either may be empty.

        Waits while there are none. Cancelled, it has taken nothing. Raises ClientGone when the client has closed or
        vanished, after everything that came before was returned.
        """

    async def send(self, text: str) -> None:
        """Sends one text message, and always executes a checkpoint.

        Raises ClientGone when the client is gone, ClientTooSlow when the transport's deadline for a write has passed.
        After either, or when cancelled in the middle of a write, the connection is finished: later sends raise
        ClientGone.
        """

    def relay_to(self, taker: Taker | None) -> bool:
        """Offer messages to `taker` first while a task waits in `receive`: it returns how many of them it has taken.

        It is called when they come, without a task switch, and with no messages every TICK_S, both with the time on
        Trio's clock. Returns whether the transport can do so.
        """

    @property
    def can_send_now(self) -> bool:
        """Whether `send_now` may be called: the transport can, and nothing that was sent before is still waiting."""

    def send_now(self, text: str) -> bool:
        """Sends one text message without a wait. Returns whether all of it is on its way; else `flush` must follow."""

    async def flush(self) -> None:
        """Waits for what `send_now` left. Raises as `send`."""

    async def close(self, code: int, reason: str) -> None:
        """Starts the closing handshake and gives it at most 2 s. A client that is gone already is no error."""

    @property
    def last_heard(self) -> float:
        """When the last byte came from the client, on Trio's clock. Pongs count: any byte is life."""


class WaitingClient:
    """For a transport that can do nothing without a wait: that part of a `Client`."""

    def relay_to(self, taker: Taker | None) -> bool:
        """Not possible: every message goes through the tasks."""
        return False

    @property
    def can_send_now(self) -> bool:
        """Never: writes wait."""
        return False

    def send_now(self, text: str) -> bool:
        """Not to be called: see `can_send_now`."""
        raise NotImplementedError

    async def flush(self) -> None:
        """Nothing is ever left."""
