"""People who go on talking while something else happens, and who notice every word that is lost or a stranger's."""

import contextlib
from collections.abc import AsyncIterator
from typing import Final

import trio

from tests.support.stream_world import coded_pcm, silence
from tests.support.wire_phone import WirePhone, connected

FRAME_MS: Final = 100
_WORD_MS: Final = 300
_WORDS: Final = 3
_PAUSE_MS: Final = 1200
"""Ends a sentence: the recognizer's limit is 1000 ms."""
_VALUES_EACH: Final = 640
"""Each stream has words of its own: 50 of them, times this, stay within a 16-bit sample."""


class LiveStream:
    """One person: sentence after sentence until told to stop, and then the account."""

    def __init__(self, number: int) -> None:
        self._first = number * _VALUES_EACH + 1
        self._said: list[str] = []
        self._sent_bytes = 0
        self._is_over = False

    @property
    def sentences(self) -> int:
        """How many were said so far."""
        return len(self._said)

    def stop(self) -> None:
        """After the sentence that is being said."""
        self._is_over = True

    async def talk(self, base_url: str, *, task_status: trio.TaskStatus[None]) -> None:
        """The whole stream; `task_status` is told when it is ready. Fails where anything said is not heard again."""
        async with connected(base_url) as phone, trio.open_nursery() as nursery:
            task_status.started()
            nursery.start_soon(phone.hear, "stopped")
            while not self._is_over:
                await self._say_sentence(phone)
            await phone.say(type="stop")
        finals = [message for message in phone.seen if message["type"] == "result" and message["isFinal"]]
        stopped = phone.seen[-1]
        assert stopped["type"] == "stopped"
        assert [result["text"] for result in finals] == self._said
        assert [result["index"] for result in finals] == list(range(len(self._said)))
        assert stopped["text"] == " ".join(self._said)
        assert stopped["sentences"] == len(self._said)
        account = stopped["audio"]
        assert account["receivedBytes"] == account["relayedBytes"] == self._sent_bytes
        assert account["droppedBytes"] == 0

    async def _say_sentence(self, phone: WirePhone) -> None:
        place = len(self._said) * _WORDS
        values = [self._first + (place + word) % _VALUES_EACH for word in range(_WORDS)]
        pcm = coded_pcm([part for value in values for part in ((value, _WORD_MS), silence(FRAME_MS))])
        pcm += coded_pcm([silence(_PAUSE_MS)])
        self._said.append(" ".join(f"w{value}" for value in values))
        self._sent_bytes += len(pcm)
        await phone.talk(pcm, frame_ms=FRAME_MS)


@contextlib.asynccontextmanager
async def live_streams(base_url: str, count: int) -> AsyncIterator[list[LiveStream]]:
    """Streams that talk during the `async with`; at its end each is stopped, and must have everything it said."""
    streams = [LiveStream(number) for number in range(count)]
    async with trio.open_nursery() as nursery:
        for stream in streams:
            await nursery.start(stream.talk, base_url)
        yield streams
        for stream in streams:
            stream.stop()
