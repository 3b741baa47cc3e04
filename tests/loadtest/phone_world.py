"""A gateway in memory, on the virtual clock: what a phone measures there is exact."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, wrap_server_stream

from loadtest.audio import Track, frames
from loadtest.messages import Result, ServerMessage
from loadtest.plan import PlannedCall
from loadtest.record import StreamRecord
from loadtest.scenario import Audio, Behavior, Scenario, Stage
from loadtest.scenario import Phone as PhoneSettings
from loadtest.speaker import Call, Target, place_call
from loadtest.wav import Speech
from tests.loadtest.protocol_server import Phone, Script

AUDIO_S = 2.0
AUDIO_BYTES = 64_000
ONSET_S = 0.3
PCM = bytes(position % 251 for position in range(AUDIO_BYTES))


Wrap = Callable[[trio.abc.Stream], trio.abc.Stream]


class Pipe(trio.abc.Stream):
    """The phone's end of a connection: it can be held up, as when the service does not read."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._open = trio.Event()
        self._open.set()
        self._is_deaf = False

    def deafen(self) -> None:
        """From now on nothing that the phone sends arrives."""
        self._is_deaf = True

    def hold(self) -> None:
        self._open = trio.Event()

    def release(self) -> None:
        self._open.set()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._open.wait()
        if not self._is_deaf:
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._open.wait()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        self._open.set()
        await self._stream.aclose()


class World:
    """Scripts for the connections to come, in order; the last one serves all that follow.

    In place of a script: the HTTP status that refuses the upgrade, or None where nobody listens.
    """

    def __init__(self, nursery: trio.Nursery, scripts: Sequence[Script | int | None]) -> None:
        self.phones: list[Phone] = []
        self.dials = 0
        self.wrap_client: Wrap = lambda stream: stream
        self.wrap_server: Wrap = lambda stream: stream
        self.pipe: Pipe
        self.samples: dict[str, list[float]] = {}
        self._nursery = nursery
        self._scripts = scripts

    async def dial(self, _url: str) -> trio.abc.Stream:
        client, server = memory_stream_pair()
        script = self._scripts[min(self.dials, len(self._scripts) - 1)]
        self.dials += 1
        if script is None:
            await trio.lowlevel.checkpoint()
            raise ConnectionRefusedError(111, "Connection refused")
        self._nursery.start_soon(self._serve, self.wrap_server(server), script)
        await trio.lowlevel.checkpoint()
        self.pipe = Pipe(client)
        return self.wrap_client(self.pipe)

    async def _serve(self, stream: trio.abc.Stream, script: Script | int) -> None:
        try:
            async with trio.open_nursery() as nursery:
                request = await wrap_server_stream(nursery, stream)
                if isinstance(script, int):
                    await request.reject(script)
                else:
                    phone = Phone(request, await request.accept(), stream)
                    self.phones.append(phone)
                    with suppress(ConnectionClosed):
                        await script(phone)
                nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(stream)

    def take_sample(self, name: str, value_s: float) -> None:
        self.samples.setdefault(name, []).append(value_s)

    def target(self) -> Target:
        return Target(url="ws://gateway/api/realtime-voice/stream", get_token=lambda: None, dial=self.dial)

    async def call(
        self,
        behavior: Behavior = Behavior.TALKER,
        *,
        turn_at: float = 0.5,
        seed: int = 0,
        number: int = 0,
        expected: str | None = None,
        interrupted: trio.Event | None = None,
        heard_s: list[float] | None = None,
        audio: Audio | None = None,
        **settings: Any,
    ) -> StreamRecord:
        """Place one call, now. `heard_s` takes when each result was read."""
        audio = audio or Audio(frame_ms=40)
        track = Track(Speech(PCM, 16000), ONSET_S, (0,))
        call = Call(
            planned=PlannedCall(number=number, at_s=0.0, track=0, behavior=behavior, seed=seed, turn_at=turn_at),
            track=track,
            frames=frames(track, audio),
            scenario=Scenario(
                name="test", audio=audio, arrivals=(Stage(for_s=1, per_s=1),), phone=PhoneSettings(**settings)
            ),
            begins_at_s=trio.current_time(),
            expected_words=None if expected is None else tuple(expected.split()),
            keep_text=True,
        )

        def observe(message: ServerMessage, now_s: float) -> None:
            if heard_s is not None and isinstance(message, Result):
                heard_s.append(now_s - call.begins_at_s)

        return await place_call(call, self.target(), self.take_sample, interrupted=interrupted, observe=observe)


@asynccontextmanager
async def world(*scripts: Script | int | None) -> AsyncIterator[World]:
    """Leaving it ends the gateway at once."""
    async with trio.open_nursery() as nursery:
        yield World(nursery, scripts)
        nursery.cancel_scope.cancel()


def account(audio_bytes: int) -> dict[str, int]:
    """The audio account of a gateway that relayed everything."""
    return {"receivedBytes": audio_bytes, "relayedBytes": audio_bytes, "droppedBytes": 0}


async def say_final(phone: Phone, text: str, index: int, end_ms: int, **fields: Any) -> None:
    """One final result."""
    await phone.say("result", text=text, isFinal=True, index=index, startMs=0, endMs=end_ms, **fields)


async def say_stopped(phone: Phone, text: str, sentences: int, close_code: int = 1000) -> None:
    """`stopped`, and the close."""
    await phone.say("stopped", text=text, sentences=sentences, durationMs=1, audio=account(phone.audio_bytes))
    await phone.close(close_code)


def answering(text: str = "go forward", after_s: float = 0.0) -> Script:
    """A gateway that does everything right, so long after `stop`."""

    async def script(phone: Phone) -> None:
        await phone.greet()
        await phone.hear("stop")
        await trio.sleep(after_s)
        await say_final(phone, text, 0, round(AUDIO_S * 1000))
        await say_stopped(phone, text, 1)

    return script


def refusing(code: str, close_code: int) -> Script:
    """A gateway that refuses the stream in-band."""

    async def script(phone: Phone) -> None:
        await phone.say("welcome", protocol=1)
        await phone.hear("start")
        await phone.say("error", code=code, message="No.", retryable=True, fatal=True)
        await phone.close(close_code)

    return script


def failing(code: str, close_code: int) -> Script:
    """A gateway that fails in mid-audio."""

    async def script(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(AUDIO_BYTES // 4)
        await phone.say("error", code=code, message="Sorry.", retryable=True, fatal=True)
        await phone.close(close_code)

    return script


async def losing(phone: Phone) -> None:
    """A gateway whose connection breaks in mid-audio."""
    await phone.greet()
    await phone.hear_audio(AUDIO_BYTES // 4)
    await phone.drop()
