"""Asks a recognizer that is not being dialed whether it is back: `GET /server_time`, as Tencent's own clients do.

Runs only while the breaker is open. A success lets a dial through before the pause is over; a failure changes nothing.
"""

import re
from typing import Final
from urllib.parse import urlsplit

import trio

from service.dialing import dial
from service.recognizer.breaker import Breaker
from service.recognizer.connection import Dial
from service.recognizer.target import RecognizerDirectory

PROBE_S: Final = 2.0
"""For one probe: name, TCP, TLS and answer. A recognizer that needs longer does not feel live."""
EVERY_S: Final = 1.0
"""From the end of a probe to the next: a process sends at most 60 a minute, and only while it sends nothing else."""
_MAX_LINE_BYTES: Final = 1024
_OK: Final = re.compile(rb"HTTP/1\.[01] 200[ \r]")


async def keep_probing(breaker: Breaker, directory: RecognizerDirectory, dial: Dial = dial) -> None:
    """Probe while the breaker is open, and let it know when a pause is over, until cancelled."""
    while True:
        await breaker.wait_open()
        with trio.move_on_at(breaker.pause_ends_at):
            await trio.sleep_until(breaker.probe_from)
            if directory.target is not None and await answers(directory.target.url, dial):
                breaker.probed()
            else:
                await trio.sleep(EVERY_S)
        breaker.tick()


async def answers(url: str, dial: Dial = dial) -> bool:
    """Whether the host at this `ws://` or `wss://` address answers `GET /server_time` with 200 within PROBE_S.

    Raises nothing. Cancelled, it leaves nothing open.
    """
    with trio.move_on_after(PROBE_S):
        try:
            stream = await dial(url)
        except (OSError, trio.BrokenResourceError, UnicodeError):  # the last: a name that is none, such as "a..b"
            return False
        try:
            host = urlsplit(url).netloc
            request = f"GET /server_time HTTP/1.1\r\nHost: {host}\r\nAccept: text/plain\r\nConnection: close\r\n\r\n"
            await stream.send_all(request.encode("ascii"))
            return _OK.match(await _first_line(stream)) is not None
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        finally:
            await trio.aclose_forcefully(stream)
    return False


async def _first_line(stream: trio.abc.Stream) -> bytes:
    """What has come when the first line is there, or is too long, or the connection ended."""
    received = b""
    while b"\n" not in received and len(received) < _MAX_LINE_BYTES:
        data = await stream.receive_some(_MAX_LINE_BYTES)
        if not data:
            break
        received += data
    return received
