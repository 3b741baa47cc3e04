"""Short visits to a gateway: one stream or one upload each, in words of its own."""

import enum
import io
import random
import wave
from typing import Final
from urllib.parse import urlsplit

import pytest
import trio
from trio_websocket import ConnectionClosed

from tests.support.edge import HttpClient
from tests.support.phone_line import phone_line, reset_on_close
from tests.support.stream_world import words
from tests.support.wire_phone import WirePhone

_RECOGNIZE: Final = "/api/realtime-voice/recognize"
_BOUNDARY: Final = "----one-of-many"
_WORD_MS: Final = 400
"""With the silence behind it."""


class Visit(enum.Enum):
    """What a visitor does."""

    TALK = "talk"
    FINALIZE = "finalize"
    """Talks, and has the first half settled before the second one."""
    CANCEL = "cancel"
    CUT = "cut"
    """Goes without a close, at any moment: FIN."""
    RESET = "reset"
    """The same with RST."""
    UPLOAD = "upload"


class _GoneError(Exception):
    """The visitor leaves now."""


def _values(number: int) -> tuple[int, int]:
    first = 2 * (number % 16_000) + 1
    return first, first + 1


async def visit(base_url: str, number: int, kind: Visit, chance: random.Random) -> None:
    """One stream, which must say what this kind of visit has to hear. Audio goes out as fast as it is taken."""
    port = urlsplit(base_url).port
    assert port is not None
    try:
        async with phone_line(port) as (phone, stream):
            if kind is Visit.RESET:
                reset_on_close(stream)
            leaves_at = chance.randrange(6) if kind in (Visit.CUT, Visit.RESET) else None
            await _Visitor(phone, number, leaves_at).conduct(kind, chance)
    except* _GoneError:
        pass


class _Visitor:
    def __init__(self, phone: WirePhone, number: int, leaves_at: int | None) -> None:
        self._phone = phone
        self._values = _values(number)
        self._leaves_at = leaves_at
        self._moments = 0

    async def conduct(self, kind: Visit, chance: random.Random) -> None:
        first, second = self._values
        self._maybe_leave()
        await self._phone.say(type="start", wordInfo=1)
        self._maybe_leave()
        await self._phone.hear("ready")
        self._maybe_leave()
        await self._phone.talk_at_once(words(first))
        self._maybe_leave()
        if kind is Visit.CANCEL:
            await trio.sleep(chance.uniform(0, 0.3))
            await self._phone.say(type="cancel")
            await self._hear_close("canceled")
            return
        if kind is Visit.FINALIZE:
            await self._phone.say(type="finalize", id=first)
            finalized = await self._phone.hear("finalized")
            assert finalized == {"type": "finalized", "id": first, "audioMs": _WORD_MS, "sentences": 1}
        await self._phone.talk_at_once(words(second))
        self._maybe_leave()
        await self._phone.say(type="stop")
        self._maybe_leave()
        stopped = await self._phone.hear("stopped")
        assert stopped["text"] == f"w{first} w{second}"
        assert stopped["sentences"] == (2 if kind is Visit.FINALIZE else 1)
        assert stopped["audio"]["receivedMs"] == stopped["audio"]["relayedMs"] == 2 * _WORD_MS
        await self._hear_close("completed")

    def _maybe_leave(self) -> None:
        if self._moments == self._leaves_at:
            raise _GoneError
        self._moments += 1

    async def _hear_close(self, reason: str) -> None:
        """The end, behind results that may still come."""
        with pytest.raises(ConnectionClosed) as closed:
            await self._phone.hear("stopped")
        assert closed.value.reason is not None
        assert (closed.value.reason.code, closed.value.reason.reason) == (1000, reason)


async def upload(base_url: str, number: int) -> None:
    """One recording of 800 ms, recognized in one request on a connection of its own."""
    port = urlsplit(base_url).port
    assert port is not None
    first, second = _values(number)
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
    body = head.encode() + _wav(words(first, second)) + f"\r\n--{_BOUNDARY}--\r\n".encode()
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        kind = f"Content-Type: multipart/form-data; boundary={_BOUNDARY}"
        reply = await HttpClient(stream).request("POST", _RECOGNIZE, [kind, "Connection: close"], body)
    assert reply.status == 200, reply
    assert reply.envelope()["data"]["text"] == f"w{first} w{second}"


def _wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(pcm)
    return file.getvalue()
