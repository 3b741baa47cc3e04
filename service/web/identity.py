"""Who sends an HTTP request."""

from quart import request

from service.deps import Deps
from service.forwarded import client_address
from service.identity import Caller, Identity
from service.settings import Settings
from service.stream.authentication import authenticate
from service.stream.upgrade import caller_of


def caller_of_request(settings: Settings) -> Caller:
    """What the present request says about its sender; nothing of it has been checked."""
    address = client_address(request.remote_addr or "", request.headers.getlist, settings.trusted_proxies)
    return caller_of(request.headers.getlist, (), address)


def identify(deps: Deps) -> Identity:
    """Who sends the present request, for routes that recognize nothing. Raises StreamFailed where nobody is let in."""
    return authenticate(deps.settings, caller_of_request(deps.settings), now=deps.wall_clock())
