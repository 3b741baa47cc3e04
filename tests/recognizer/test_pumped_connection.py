"""A recognizer connection that the pump reads: who waits for it learns of its end, and its number is not used after."""

import os
import socket
from typing import cast

import pytest
import trio
import trio.testing

from service.dialing import dial
from service.failures import Slug, StreamFailed
from service.localasr.scripted import ScriptedEngine
from service.localasr.server import Recognizer, serve
from service.localasr.signature import Credentials
from service.recognizer.connection import ConnectionGoneError, RecognizerConnection, open_recognizer
from service.recognizer.target import RecognizerTarget
from service.recognizer.tencent import ENGINES
from service.settings import RecognizerKind, TencentCredentials
from service.telemetry.metrics import Metrics
from service.websocket.pump import Pump

PARAMETERS = {"engine_model_type": "16k_zh", "voice_format": "1", "needvad": "1"}
ACCOUNT = Credentials()
CREDENTIALS = TencentCredentials(ACCOUNT.app_id, ACCOUNT.secret_id, ACCOUNT.secret_key)
HANG_S = 5


class Interrupted(Exception):
    """What ends a stream while its connection is open."""


class LatePump:
    """A pump whose turn does not come."""

    is_running = True

    def register(self, descriptor: int, callback: object) -> None:
        pass

    def unregister(self, descriptor: int, callback: object) -> None:
        pass


async def test_whoever_waits_learns_of_an_end_that_a_send_has_found(nursery: trio.Nursery) -> None:
    """Before the pump had its turn: what ended the connection is not read by anybody any more."""
    ours, theirs = socket.socketpair()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    target = RecognizerTarget(RecognizerKind.TENCENT, "ws://recognizer.test", CREDENTIALS, ENGINES)
    connection = RecognizerConnection(stream, b"", cast(Pump, LatePump()), "id", target, "16k_zh", Metrics())
    failures: list[StreamFailed] = []
    told = trio.Event()

    async def wait() -> None:
        with pytest.raises(StreamFailed) as failed:
            await connection.receive()
        failures.append(failed.value)
        told.set()

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    theirs.close()
    with pytest.raises(ConnectionGoneError):
        await connection.send_audio([b"audio"])
    with trio.fail_after(HANG_S):
        await told.wait()
    assert [failed.problem.slug for failed in failures] == [Slug.RECOGNIZER_UNAVAILABLE]


async def test_nothing_is_written_to_the_next_owner_of_its_number() -> None:
    """The pump may relay once more before the stream's tasks have ended."""
    numbers: list[int] = []

    async def noting_dial(url: str) -> trio.abc.Stream:
        stream = await dial(url)
        assert isinstance(stream, trio.SocketStream)
        numbers.append(stream.socket.fileno())
        return stream

    pump = Pump()
    with trio.fail_after(HANG_S):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(serve, Recognizer(ScriptedEngine("coded", 10)), "127.0.0.1", 0)
            await nursery.start(pump.run)
            target = RecognizerTarget(RecognizerKind.TENCENT, url, CREDENTIALS, ENGINES)
            with pytest.raises(Interrupted):
                async with open_recognizer(target, PARAMETERS, Metrics(), pump=pump, dial=noting_dial) as connection:
                    raise Interrupted
            ours, theirs = socket.socketpair()
            with ours, theirs:
                if ours.fileno() != numbers[0]:
                    os.dup2(ours.fileno(), numbers[0])
                if connection.can_send_now:
                    connection.send_audio_now([b"somebody's words"])
                if ours.fileno() != numbers[0]:
                    os.close(numbers[0])
                theirs.setblocking(False)
                with pytest.raises(BlockingIOError):
                    theirs.recv(100)
            nursery.cancel_scope.cancel()
