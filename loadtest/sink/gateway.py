"""The client's contract, protocol 1, answered at once from where there is sound (docs/protocol.md). Pure.

The messages, the rules of `start` and the failures are those of the service, taken from its own pure files. What
differs: tokens are not looked at, only PCM is taken, neither its format nor stereo is found out, and there is no limit
to the length of a stream.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

import msgspec

from loadtest.sink.answer import NOTHING, Answer, Close
from loadtest.sink.hearing import SAMPLE_BYTES, Heard, Hearing, Manner
from service.failures import NORMAL_CLOSE, Problem, Slug, problem
from service.stream import protocol
from service.stream.protocol import AudioAccount, ErrorMessage, Finalized, Pong, Result, Stopped, Welcome, Word
from service.stream.stream_settings import PCM, settle
from service.text import joined

# The service's own (service.stream): they are constants of its shells, which a pure file must not import.
START_S: Final = 10
IDLE_S: Final = 25
MAX_BAD_MESSAGES: Final = 10

DEFAULT_ENGINE: Final = "16k_zh"
VOICE_ID: Final = "sink"
"""The same for all streams: so are their results, which are then made once."""
_NO_LIMIT_MS: Final = 7 * 24 * 3600 * 1000
_KEPT_RESULTS: Final = 4096


class GatewayStream:
    """One stream of a client."""

    def __init__(self, stream_id: str, manner: Manner) -> None:
        self._stream_id = stream_id
        self._manner = manner
        self._hearing: Hearing | None = None
        """None before `start`."""
        self._with_words = False
        self._bytes_per_ms = 1
        self._began_s = 0.0
        self._stopped = False
        self._late_bytes = 0
        """Audio that came behind `stop`."""
        self._texts: list[str] = []
        """Of settled sentences. Bound: the words of the stream, some 30 bytes a second."""
        self._bad_messages = 0
        self._said_not_started = False
        self._silent_s = 0

    def opened(self, unix_ms: int) -> Answer:
        """`welcome`."""
        return _said(Welcome(unix_ms, max_stream_ms=_NO_LIMIT_MS))

    def audio(self, pcm: bytes) -> Sequence[bytes]:
        """Results; before `start` one `not_started`. Audio behind `stop` is dropped and counted."""
        if self._hearing is None:
            return self._not_started().messages
        self._silent_s = 0
        if self._stopped:
            self._late_bytes += len(pcm)
            return ()
        heard = self._hearing.hear(pcm)
        return [self._result(result) for result in heard]

    def said(self, text: str, now_s: float) -> Answer:
        """The answer to any message of the protocol, and to what is none."""
        self.alive()
        message = protocol.parse(text)
        match message:
            case Problem():
                return self._refuse(message)
            case protocol.Ping():
                return _said(Pong(message.t))
            case protocol.Cancel():
                return Answer(close=Close(NORMAL_CLOSE, "canceled"))
            case protocol.Start():
                return self._start(message, now_s)
        if self._hearing is None:
            return self._not_started()
        match message:
            case protocol.Audio():
                results = tuple(self.audio(message.data or b""))
                return Answer(results, finish=message.is_end and self._stop())
            case protocol.Finalize():
                return self._finalize(self._hearing, message)
        return Answer(finish=self._stop())

    def alive(self) -> None:
        """Any byte is a sign of life, but puts off no `start`."""
        if self._hearing is not None:
            self._silent_s = 0

    def tick(self) -> Answer:
        """`start_timeout` or `idle_timeout`, when it is time; the clock of the latter stands still behind `stop`."""
        self._silent_s += 1
        if self._hearing is None:
            late = self._silent_s > START_S
            return _fatal(problem(Slug.START_TIMEOUT, f"No start came within {START_S} s.")) if late else NOTHING
        if self._silent_s > IDLE_S and not self._stopped:
            return _fatal(problem(Slug.IDLE_TIMEOUT, f"Nothing came for {IDLE_S} s."))
        return NOTHING

    def finish(self, now_s: float) -> Answer:
        """The last sentence, `stopped` with the account, and the close."""
        hearing = self._hearing
        if hearing is None:  # nothing has begun, so nothing is owed
            return NOTHING
        last = self._settled(hearing)
        stopped = Stopped(
            joined(self._texts), hearing.sentences, round((now_s - self._began_s) * 1000), self._account(hearing)
        )
        return Answer((*last, msgspec.json.encode(stopped)), Close(NORMAL_CLOSE, "completed"))

    def _start(self, start: protocol.Start, now_s: float) -> Answer:
        if self._hearing is not None:
            return self._refuse(problem(Slug.ALREADY_STARTED, "The stream has started; this is ignored."))
        settings = settle(start, DEFAULT_ENGINE)
        if isinstance(settings, Problem):
            return self._refuse(settings)
        if settings.voice_format != PCM:
            return self._refuse(
                problem(Slug.UNSUPPORTED_AUDIO, "This sink counts the bytes of pcm, and takes no other.")
            )
        self._hearing = Hearing(settings.sample_rate, self._manner)
        self._with_words = settings.word_info != 0
        self._bytes_per_ms = settings.bytes_per_ms
        self._began_s = now_s
        self._silent_s = 0
        return _said(settings.ready(self._stream_id, VOICE_ID))

    def _finalize(self, hearing: Hearing, request: protocol.Finalize) -> Answer:
        if self._stopped:
            return self._refuse(problem(Slug.BAD_MESSAGE, "finalize after stop"))
        last = self._settled(hearing)
        finalized = Finalized(request.id, hearing.audio_ms, hearing.sentences)
        return Answer((*last, msgspec.json.encode(finalized)))

    def _stop(self) -> bool:
        """End the audio; returns whether it had not ended before."""
        first = not self._stopped
        self._stopped = True
        return first

    def _settled(self, hearing: Hearing) -> tuple[bytes, ...]:
        last = hearing.settle()
        return () if last is None else (self._result(last),)

    def _result(self, heard: Heard) -> bytes:
        if heard.settled:
            self._texts.append(heard.text)
        return _result_json(heard, self._with_words)

    def _account(self, hearing: Hearing) -> AudioAccount:
        """Half a sample at the end is dropped, as the service has it."""
        received_bytes = hearing.audio_bytes + self._late_bytes
        dropped_bytes = self._late_bytes + hearing.audio_bytes % SAMPLE_BYTES
        received_ms, dropped_ms = received_bytes // self._bytes_per_ms, dropped_bytes // self._bytes_per_ms
        return AudioAccount(
            received_ms=received_ms,
            relayed_ms=received_ms - dropped_ms,
            recognized_ms=hearing.settled_ms,
            dropped_ms=dropped_ms,
            received_bytes=received_bytes,
            relayed_bytes=received_bytes - dropped_bytes,
            dropped_bytes=dropped_bytes,
        )

    def _not_started(self) -> Answer:
        """Said once: a recorder that runs already sends many frames a second."""
        if self._said_not_started:
            return NOTHING
        self._said_not_started = True
        return self._refuse(problem(Slug.NOT_STARTED, "Send start first, and audio when ready came."))

    def _refuse(self, refused: Problem) -> Answer:
        if refused.slug is Slug.BAD_MESSAGE:
            self._bad_messages += 1
            refused = replace(refused, fatal_now=self._bad_messages >= MAX_BAD_MESSAGES)
        return _fatal(refused) if refused.fatal else _said(ErrorMessage.of(refused))


def _said(message: msgspec.Struct) -> Answer:
    return Answer((msgspec.json.encode(message),))


def _fatal(refused: Problem) -> Answer:
    message = msgspec.json.encode(ErrorMessage.of(refused))
    return Answer((message,), Close(refused.failure.close_code, refused.slug))


@lru_cache(_KEPT_RESULTS)
def _result_json(heard: Heard, with_words: bool) -> bytes:
    words = tuple(Word(*word, True) for word in heard.words)
    return msgspec.json.encode(
        Result(
            VOICE_ID,
            heard.sentence,
            heard.text,
            heard.settled,
            heard.start_ms,
            heard.end_ms,
            words if with_words else (),
            settled_ms=heard.end_ms if heard.settled else msgspec.UNSET,
        )
    )
