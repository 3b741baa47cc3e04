"""From what the recognizer hears to what the client is told: numbering, times, and what need not be kept any more."""

from collections.abc import Sequence

import trio

from service.recognizer.tencent import SentenceResult, Settled
from service.stream import protocol
from service.stream.audio import Mark
from service.stream.audio_path import AudioPath
from service.stream.client import Client
from service.stream.clocks import Clocks
from service.stream.observed import Observed
from service.stream.protocol import Result
from service.stream.transcript import Transcript, current


class ResultPath:
    """The way of one stream's results, for its recognizer task and, without a wait, for the pump's."""

    def __init__(self, client: Client, audio: AudioPath, observed: Observed, log_id: str | None = None) -> None:
        """`log_id` is the stream's record in the history, where it will have one."""
        resume = audio.settings.resume
        self._client = client
        self._audio = audio
        self._observed = observed
        self._log_id = log_id
        self.transcript = Transcript(*((resume.sentences, resume.settled_ms) if resume else ()))

    async def tell(self, heard: Sequence[SentenceResult | Settled]) -> bool:
        """Tell the client what was heard, without what is superseded already. Returns whether all is settled now.

        Raises as `Client.send`.
        """
        uplink = self._audio.uplink
        sent_ms = uplink.in_ms(uplink.sent_to)
        results = [self.transcript.apply(one, sent_ms) for one in heard if isinstance(one, SentenceResult)]
        is_settled = any(isinstance(one, Settled) for one in heard)
        if is_settled:
            results.append(self.transcript.withdraw())
        for result in current(results):
            await self._client.send(result.encode())
            self._told(result, trio.current_time())
        return is_settled

    def tell_now(self, heard: SentenceResult, now: float) -> bool:
        """As `tell`, without a wait; the client can be sent to. Returns whether all of it is on its way."""
        uplink = self._audio.uplink
        result = self.transcript.apply(heard, uplink.in_ms(uplink.sent_to))
        if result is None:
            return True
        is_sent = self._client.send_now(result.encode())
        self._told(result, now)
        return is_sent

    def _told(self, result: Result, now: float) -> None:
        if result.is_final:
            self._audio.uplink.settle_to_ms(self.transcript.recognized_ms)
        self._observed.told(self._audio.uplink, now)

    async def say_finalized(self, mark: Mark) -> None:
        """Answer a `finalize`. Raises as `Client.send`."""
        audio_ms = self._audio.uplink.in_ms(mark.position)
        await self._client.send(protocol.Finalized(mark.id, audio_ms, self.transcript.sentences).encode())

    async def say_stopped(self, clocks: Clocks) -> None:
        """The last word of a stream that was settled. Raises as `Client.send`."""
        lasted_s = trio.current_time() - clocks.began_at
        transcript = self.transcript
        account = self._audio.uplink.account(transcript.recognized_ms)
        stopped = protocol.Stopped(transcript.text, transcript.sentences, round(lasted_s * 1000), account, self._log_id)
        await self._client.send(stopped.encode())
        self._observed.settled(trio.current_time() - clocks.stopped_at)
