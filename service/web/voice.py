"""`WS /api/realtime-voice/stream`: a voice stream over a Quart-Trio websocket."""

from collections.abc import Sequence
from typing import Final

from quart import websocket
from quart_trio import QuartTrio
from werkzeug.datastructures import Headers

from service.deps import Deps
from service.stream.endpoint import serve_stream
from service.web.websocket import QuartClient

PATH: Final = "/api/realtime-voice/stream"
SUBPROTOCOL: Final = "voice.v1"
_TOKEN_SUBPROTOCOL: Final = "bearer."  # noqa: S105 - the prefix of one, for browsers, which cannot set headers


def register_voice(app: QuartTrio, deps: Deps) -> None:
    """Adds the voice route to the application."""

    async def stream() -> None:
        """Accepts the upgrade; everything else is said in-band, since phones cannot read a refused upgrade."""
        offered = websocket.requested_subprotocols
        await websocket.accept(subprotocol=chosen_subprotocol(offered))
        await serve_stream(QuartClient(websocket), bearer_of(websocket.headers, offered), deps)

    app.add_websocket(PATH, endpoint="voice_stream", view_func=stream)


def chosen_subprotocol(offered: Sequence[str]) -> str | None:
    """Ours where it is offered, else the first that is no token: a client that offers some expects one back."""
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    return next((name for name in offered if not name.startswith(_TOKEN_SUBPROTOCOL)), None)


def bearer_of(headers: Headers, offered: Sequence[str]) -> str:
    """The token of an upgrade request: `Authorization`, the old `token` header, or a subprotocol; empty without one."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    named = [name.removeprefix(_TOKEN_SUBPROTOCOL) for name in offered if name.startswith(_TOKEN_SUBPROTOCOL)]
    return headers.get("token", "") or next(iter(named), "")
