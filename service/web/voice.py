"""`WS /api/realtime-voice/stream`: a voice stream over a Quart-Trio websocket."""

from typing import Final

from quart import websocket
from quart_trio import QuartTrio

from service.deps import Deps
from service.forwarded import client_address
from service.stream.endpoint import serve_stream
from service.stream.upgrade import caller_of, chosen_subprotocol
from service.web.websocket import QuartClient

PATH: Final = "/api/realtime-voice/stream"


def register_voice(app: QuartTrio, deps: Deps) -> None:
    """Adds the voice route to the application."""

    async def stream() -> None:
        """Accepts the upgrade; everything else is said in-band, since phones cannot read a refused upgrade."""
        offered = websocket.requested_subprotocols
        await websocket.accept(subprotocol=chosen_subprotocol(offered))
        trusted = deps.settings.trusted_proxies
        address = client_address(websocket.remote_addr or "", websocket.headers.getlist, trusted)
        caller = caller_of(websocket.headers.getlist, offered, address)
        await serve_stream(QuartClient(websocket), caller, deps)

    app.add_websocket(PATH, endpoint="voice_stream", view_func=stream)
