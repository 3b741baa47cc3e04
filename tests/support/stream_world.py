"""A stream in memory and in virtual time: a phone, the gateway's own code, and a scripted recognizer.

The recognizer is the real `service.localasr` behind the real driver; only the sockets are replaced by memory streams
and the microphone by coded audio (see `service.localasr.coded_audio`), so that every word and time is exact.
"""

import contextlib
import dataclasses
import json
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import trio
import trio.testing

from service.deps import Deps
from service.identity import Caller
from service.localasr.coded_audio import coded_pcm, silence
from service.localasr.faults import Fault, Script
from service.localasr.scripted import ScriptedEngine
from service.localasr.server import Recognizer, RecognizerConfig
from service.localasr.signature import Credentials
from service.recognizer.connection import Dial
from service.recognizer.target import RecognizerTarget
from service.recognizer.tencent import ENGINES
from service.settings import AuthMode, RecognizerKind, Settings, TencentCredentials
from service.stream.client import ClientGone, ClientTooSlow, WaitingClient
from service.stream.endpoint import serve_stream
from service.stream.limiter import Limiter
from service.stream.limits import Limits

BYTES_PER_MS = 32
NOW_S = 1_700_000_000.0
ACCOUNT = Credentials()
CREDENTIALS = TencentCredentials(ACCOUNT.app_id, ACCOUNT.secret_id, ACCOUNT.secret_key)

Message = dict[str, Any]


class Phone(WaitingClient):
    """Both ends of a client connection in memory: the gateway's side is a `Client`, the test drives the other."""

    def __init__(self) -> None:
        self._to_service, self._from_phone = trio.open_memory_channel[bytes | str](math.inf)
        self._to_phone, self._from_service = trio.open_memory_channel[Message](math.inf)
        self._last_heard = trio.current_time()
        self.closed: tuple[int, str] | None = None
        """Code and reason of the gateway's close."""
        self.was_closed = trio.Event()
        self.reads = True
        """False: a phone that does not read, so that a send runs into the transport's deadline of 5 s."""
        self.may_read = trio.Event()
        """Not set: a phone that takes nothing for now, so that a send waits."""
        self.may_read.set()
        self.seen: list[Message] = []

    # the gateway's side

    @property
    def last_heard(self) -> float:
        return self._last_heard

    async def receive(self) -> list[bytes | str]:
        try:
            messages = [await self._from_phone.receive()]
        except trio.EndOfChannel:
            raise ClientGone from None
        with contextlib.suppress(trio.WouldBlock, trio.EndOfChannel):
            while True:
                messages.append(self._from_phone.receive_nowait())
        self._last_heard = trio.current_time()
        return messages

    async def send(self, text: str) -> None:
        if not self.reads:
            await trio.sleep(5)
            self.reads = True
            self._to_phone.close()
            raise ClientTooSlow
        await self.may_read.wait()
        self.take(text)

    def take(self, text: str) -> None:
        """What the gateway sends arrives. Raises ClientGone when the phone is gone."""
        if self.closed:
            raise ClientGone
        message = json.loads(text)
        self.seen.append(message)
        try:
            self._to_phone.send_nowait(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ClientGone from None

    async def close(self, code: int, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        self.closed = self.closed or (code, reason)
        self.was_closed.set()
        self._to_phone.close()

    # the test's side

    def say(self, **fields: object) -> None:
        """A text message."""
        self.deliver(json.dumps(fields))

    def say_raw(self, text: str) -> None:
        self.deliver(text)

    def audio(self, pcm: bytes) -> None:
        """One binary frame."""
        self.deliver(pcm)

    def deliver(self, message: bytes | str) -> None:
        """Have the gateway receive it."""
        self._to_service.send_nowait(message)

    async def talk(self, pcm: bytes, *, frame_ms: int = 40, heartbeat: bool = False) -> None:
        """Send PCM in real time, frame by frame."""
        due = trio.current_time()
        for place in range(0, len(pcm), frame_ms * BYTES_PER_MS):
            self.audio(pcm[place : place + frame_ms * BYTES_PER_MS])
            due += frame_ms / 1000
            await trio.sleep_until(due)

    def hang_up(self) -> None:
        """Close without a word."""
        self._to_service.close()

    async def hear(self, *kinds: str) -> Message:
        """The next message of one of these types; those before it are passed over (all are kept in `seen`)."""
        while True:
            message = await self._from_service.receive()
            if not kinds or message["type"] in kinds:
                return message

    def all(self, kind: str) -> list[Message]:
        """Every message of a type so far."""
        return [message for message in self.seen if message["type"] == kind]

    @property
    def finals(self) -> list[Message]:
        return [message for message in self.all("result") if message["isFinal"]]


class World:
    """A gateway's parts and a recognizer, joined by memory streams."""

    def __init__(
        self, nursery: trio.Nursery, script: Script | None = None, capacity: int = 1000, **settings: Any
    ) -> None:
        chosen: dict[str, Any] = {
            "auth_mode": AuthMode.OFF,
            "recognizer": RecognizerKind.TENCENT,
            "credentials": CREDENTIALS,
            **settings,
        }
        self.settings = Settings(**chosen)
        self._nursery = nursery
        script = script or Script()
        clock: Callable[[], float] = lambda: NOW_S + trio.current_time()  # noqa: E731
        self.recognizer = Recognizer(
            ScriptedEngine(script.mode, capacity), RecognizerConfig(script=script, wall_clock=clock)
        )
        made = Deps.from_settings(self.settings)
        self.dials = 0
        self.deps = Deps(
            made.settings,
            made.metrics,
            made.lifecycle,
            made.admission,
            made.recognizer,
            dial=self._dial,
            limiter=Limiter(Limits.of(self.settings), wall_clock=clock),
            wall_clock=clock,
        )
        self.deps.recognizer.target = RecognizerTarget(
            RecognizerKind.TENCENT, "ws://recognizer.test", self.settings.credentials or CREDENTIALS, ENGINES
        )
        self.deps.lifecycle.serve()

    async def _dial(self, url: str) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.dials += 1
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self.recognizer.serve_stream, theirs)
        return ours

    def dial_with(self, dial: Dial) -> None:
        """Replace the way to the recognizer."""
        self.deps = dataclasses.replace(self.deps, dial=dial)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a sample; 0 when it was never set."""
        return self.deps.metrics.registry.get_sample_value(name, labels) or 0.0

    @contextlib.asynccontextmanager
    async def phone(
        self, *, bearer: str = "", caller: Caller | None = None, started: bool = True, **start: object
    ) -> AsyncIterator[Phone]:
        """A connected phone, by default with a stream that is ready. The stream has ended when the `with` has."""
        phone = Phone()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_stream, phone, caller or Caller(bearer=bearer), self.deps)
            if started:
                phone.say(type="start", **start)
                assert (await phone.hear("ready", "error"))["type"] == "ready"
            yield phone

    def assert_nothing_left(self) -> None:
        """No stream, slot or gauge is held."""
        assert self.deps.admission.streams == 0
        assert self.deps.admission.slots_used == 0
        assert self.metric("voice_streams_active") == 0
        assert self.metric("voice_recognizer_slots", state="used") == 0


def words(*values: int, each_ms: int = 300, gap_ms: int = 100) -> bytes:
    """PCM that says `w1 w2 …` for the values given, each followed by a short silence."""
    return coded_pcm([part for value in values for part in ((value, each_ms), silence(gap_ms))])


__all__ = ["Fault", "Phone", "Script", "World", "coded_pcm", "silence", "words"]
