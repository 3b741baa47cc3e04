"""What no client should send. The service answers with an error, a close, or the end of the connection.

Which nonsense a phone sends follows from its seed, so that a run can be repeated.
"""

import base64
import random
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

import trio

from loadtest.connection import Target, status_of
from loadtest.conversation import ANSWER_LIMIT_S, Conversation
from loadtest.messages import encode
from loadtest.notes import Notes
from loadtest.record import Ending

_RESERVED_OPCODE: Final = b"\x83\x84\x00\x00\x00\x00what"  # opcode 3
_UNMASKED: Final = b"\x82\x04\x00\x01\x02\x03"
_BAD_UTF_8: Final = b"\x81\x84\x00\x00\x00\x00\xff\xfe\xff\xfe"  # a text message
_LONG_CONTROL: Final = b"\x89\xfe\x00\x80\x00\x00\x00\x00" + bytes(128)  # a ping with more than 125 bytes
_LARGEST_BYTES: Final = 4 * 1024 * 1024  # the most that is sent to find a service's limit
_HEAD_BYTES: Final = 64


def _request(*headers: str) -> Callable[[str, str], bytes]:
    def build(path: str, host: str) -> bytes:
        return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode()

    return build


_UPGRADE: Final = ("Connection: Upgrade", "Upgrade: websocket")
_KEY: Final = f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}"
HANDSHAKES: Final[dict[str, Callable[[str, str], bytes]]] = {
    "no upgrade": _request(),
    "no key": _request(*_UPGRADE, "Sec-WebSocket-Version: 13"),
    "old version": _request(*_UPGRADE, _KEY, "Sec-WebSocket-Version: 7"),
    "not http": lambda path, host: b"\x16\x03\x01" + bytes(range(128)) + b"\r\n\r\n",
}
"""Upgrades that cannot succeed: functions of path and host."""


async def _not_json(conversation: Conversation) -> None:
    await conversation.send("{not json")


async def _unknown_type(conversation: Conversation) -> None:
    await conversation.send('{"type":"sing"}')


async def _no_object(conversation: Conversation) -> None:
    await conversation.send('["start"]')


async def _audio_before_start(conversation: Conversation) -> None:
    await conversation.send(bytes(1280))


async def _wrong_start(conversation: Conversation) -> None:
    await conversation.send(encode("start", sampleRate="loud", voiceFormat=["pcm"]))


async def _too_much(conversation: Conversation) -> None:
    await conversation.send(bytes(min(conversation.welcome.max_message_bytes + 1, _LARGEST_BYTES)))


async def _bad_base64(conversation: Conversation) -> None:
    await conversation.start()
    await conversation.send(encode("audio", data="*** not base64 ***"))


async def _second_start(conversation: Conversation) -> None:
    await conversation.start()
    await conversation.send(encode("start"))


def _bytes(wire: bytes) -> Callable[[Conversation], Awaitable[None]]:
    async def send(conversation: Conversation) -> None:
        await conversation.connection.send_raw(wire, conversation.phone.send_limit_s)

    return send


MESSAGES: Final[dict[str, Callable[[Conversation], Awaitable[None]]]] = {
    "not json": _not_json,
    "unknown type": _unknown_type,
    "no object": _no_object,
    "audio before start": _audio_before_start,
    "wrong start": _wrong_start,
    "too much": _too_much,
    "bad base64": _bad_base64,
    "second start": _second_start,
    "reserved opcode": _bytes(_RESERVED_OPCODE),
    "unmasked": _bytes(_UNMASKED),
    "bad utf-8": _bytes(_BAD_UTF_8),
    "long control": _bytes(_LONG_CONTROL),
}
"""Nonsense after the upgrade."""


def kind_of(seed: int) -> str:
    """Which of HANDSHAKES or MESSAGES it is."""
    return random.Random(seed).choice([*HANDSHAKES, *MESSAGES])  # noqa: S311 - to be repeated, not to be secret


async def talk_nonsense(conversation: Conversation, seed: int) -> None:
    """Send one of MESSAGES after `welcome`, and wait for the answer."""
    await conversation.hear_welcome()
    try:
        await MESSAGES[kind_of(seed)](conversation)
    except trio.TooSlowError:
        conversation.notes.end(Ending.UNANSWERED, "the server did not read nonsense, nor close")
        return
    await conversation.hear_the_answer()


async def shake_hands_wrongly(target: Target, kind: str, notes: Notes, connect_limit_s: float) -> None:
    """Send one of HANDSHAKES, and wait for the answer. Closes what it dials."""
    parts = urlsplit(target.url)
    try:
        with trio.fail_after(connect_limit_s):
            stream = await target.dial(target.url)
    except (OSError, trio.BrokenResourceError, trio.TooSlowError):
        notes.end(Ending.UNREACHABLE, f"{target.url} cannot be reached")
        return
    try:
        with trio.fail_after(ANSWER_LIMIT_S):
            await stream.send_all(HANDSHAKES[kind](parts.path, parts.netloc))
            judge_handshake(await _head(stream), notes)
    except trio.TooSlowError:
        notes.end(Ending.UNANSWERED, f"the server did not answer nonsense within {ANSWER_LIMIT_S:g} s")
    except trio.BrokenResourceError:
        notes.end(Ending.AS_MEANT)
    finally:
        await trio.aclose_forcefully(stream)


async def _head(stream: trio.abc.Stream) -> bytes:
    """The first bytes of the answer; fewer when it ends."""
    head = b""
    while len(head) < _HEAD_BYTES and (data := await stream.receive_some(_HEAD_BYTES)):
        head += data
        if b"\r\n" in head:
            break
    return head


def judge_handshake(head: bytes, notes: Notes) -> None:
    """Note what the answer to a wrong upgrade is worth: HTTP 4xx and no answer at all are right."""
    status = status_of(head)
    if not head or (status is not None and 400 <= status < 500):
        notes.end(Ending.AS_MEANT, http_status=status)
    else:
        answer = "something that is not HTTP" if status is None else f"HTTP {status}"
        notes.end(Ending.FAILED, f"the server answered a wrong upgrade with {answer}", http_status=status)
