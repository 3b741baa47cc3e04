"""``POST /``: one sentence, recorded and sent whole (SentenceRecognition of API 3.0).

A request is read, then judged and decoded in a thread, then recognized by the engine, for which it holds a slot like a
stream does. The connection is closed behind the answer.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import msgspec
import trio

from service.localasr import tc3
from service.localasr.api import CONTENT_TYPE, ApiError, SentenceAnswer, WordTime, answer_text
from service.localasr.audio import AudioRejectedError
from service.localasr.decoders import FILE_FORMATS, Decoded, decode_sentence
from service.localasr.engine import (
    Engine,
    EngineUnavailableError,
    Event,
    SentenceClosed,
    StreamFailed,
    StreamFinished,
    StreamSettings,
    Word,
)
from service.localasr.faults import Fault, Script
from service.localasr.http_body import BodyTooLargeError, read_body
from service.localasr.http_head import BadHeadError, HttpAnswer, RequestHead, TappedStream
from service.localasr.sentence_request import (
    ACTION,
    MAX_SENTENCE_MS,
    NOT_RECOGNIZED,
    PADDING_MS,
    TOO_LONG,
    VERSION,
    SentenceRequest,
    parse_sentence,
)
from service.localasr.signature import Credentials

log = logging.getLogger(__name__)

# API 3.0 takes no more with TC3.
MAX_BODY_BYTES = 10_000_000
# Bodies in memory at once: 320 MB at worst. Beyond it, requests wait unread, and not for ever.
MAX_BODIES = 32
TURN_S = 30.0
# Judging and decoding a sentence costs 20 to 200 ms of CPU.
MAX_THREADS = 4
JUDGE_S = 30.0
# As long as a stream may take to finish.
RECOGNIZE_S = 120.0
# So much audio goes to the engine before other tasks have a turn.
_FEED_S = 1
_BUSY = ApiError("RequestLimitExceeded", "Every decoder is busy.")


class _Judged(msgspec.Struct, frozen=True):
    """A request that may be recognized."""

    request: SentenceRequest
    audio: Decoded


class SentenceService:
    """Answers SentenceRecognition with ``engine``.

    ``slot`` lends a slot of the engine: its context says whether there was one.
    """

    def __init__(
        self,
        engine: Engine,
        credentials: Credentials,
        script: Script,
        wall_clock: Callable[[], float],
        slot: Callable[[], AbstractContextManager[bool]],
    ) -> None:
        self._engine = engine
        self._credentials = credentials
        self._script = script
        self._wall_clock = wall_clock
        self._slot = slot
        self._turns = trio.CapacityLimiter(MAX_BODIES)
        self._threads = trio.CapacityLimiter(MAX_THREADS)
        self.requests = 0
        """Sentence requests so far; the script counts by them."""

    async def handle(self, head: RequestHead, stream: TappedStream) -> HttpAnswer | None:
        """The answer to one request; None: close without one. Raises nothing for what a client does."""
        number: int | None = None
        if head.headers.get("x-tc-action") == ACTION:
            self.requests += 1
            number = self.requests
        verdict = await self._read_and_judge(head, stream, number)
        answer = await self._recognize(verdict) if isinstance(verdict, _Judged) else verdict
        _log_end(number, answer, verdict)
        if isinstance(answer, SentenceAnswer | ApiError):
            return HttpAnswer(200, answer_text(answer, str(uuid.uuid4())), CONTENT_TYPE)
        return answer

    async def _read_and_judge(
        self, head: RequestHead, stream: TappedStream, number: int | None
    ) -> _Judged | ApiError | HttpAnswer | None:
        """What is to be recognized, or the answer. The body is in memory in here only."""
        with trio.move_on_after(TURN_S) as waiting:
            await self._turns.acquire()
        if waiting.cancelled_caught:
            return _BUSY
        try:
            return await self._take_turn(head, stream, number)
        finally:
            self._turns.release()

    async def _take_turn(
        self, head: RequestHead, stream: TappedStream, number: int | None
    ) -> _Judged | ApiError | HttpAnswer | None:
        body: bytes | None = None
        try:
            body = await read_body(stream, head, MAX_BODY_BYTES)
        except BodyTooLargeError:
            pass
        except BadHeadError as error:
            log.info("bad request body: %s", error, extra={"event": "bad_body"})
            return HttpAnswer(error.status)
        for fault in self._script.for_sentence(number) if number is not None else ():
            if fault.do != "api_delay":
                return _faulty_answer(fault)
            await trio.sleep(fault.for_ms / 1000)
        if body is None:
            return ApiError("RequestSizeLimitExceeded", "A request is at most 10 MB.")
        return await self._judge(head, body)

    async def _judge(self, head: RequestHead, body: bytes) -> _Judged | ApiError:
        work = partial(self._judge_in_thread, head, body, self._wall_clock())
        with trio.move_on_after(JUDGE_S):
            # Abandoned threads end by themselves: what they decode is bounded.
            return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._threads)
        return ApiError("InternalError", "Decoding took too long.")

    def _judge_in_thread(self, head: RequestHead, body: bytes, now_s: float) -> _Judged | ApiError:
        """Action and version, signature, parameters, audio: the first that is wrong is the answer."""
        if head.headers.get("x-tc-action") != ACTION:
            return ApiError("InvalidAction", f"X-TC-Action must be {ACTION}.")
        if head.headers.get("x-tc-version") != VERSION:
            return ApiError("NoSuchVersion", f"X-TC-Version must be {VERSION}.")
        signed = tc3.SignedRequest(head.method, head.target, head.headers, body)
        denied = tc3.check(self._credentials, signed, now_s)
        if denied is not None:
            return denied
        request = parse_sentence(body, self._engine.engines, FILE_FORMATS)
        if isinstance(request, ApiError):
            return request
        try:
            audio = decode_sentence(request.voice_format, request.audio, request.pcm_rate_hz, exact=self._engine.exact)
        except AudioRejectedError as error:
            return ApiError(NOT_RECOGNIZED, f"Failed to recognize audio! ({error})")
        padding_ms = 0 if request.voice_format in ("pcm", "wav") else PADDING_MS
        if audio.duration_ms > MAX_SENTENCE_MS + padding_ms:
            return TOO_LONG
        return _Judged(request, audio)

    async def _recognize(self, judged: _Judged) -> SentenceAnswer | ApiError:
        with self._slot() as lent:
            if not lent:
                return _BUSY
            heard: tuple[Word, ...] | None = None
            try:
                with trio.move_on_after(RECOGNIZE_S):
                    heard = await self._hear(judged.audio)
            except EngineUnavailableError:
                return _BUSY
        if heard is None:
            return ApiError("InternalError.ErrorRecognize", "The engine failed.")
        words = [WordTime(word.text, word.start_ms, word.end_ms) for word in heard]
        answer = SentenceAnswer(" ".join(word.word for word in words), judged.audio.duration_ms)
        if judged.request.with_words:
            answer.word_size, answer.word_list = len(words), words
        return answer

    async def _hear(self, audio: Decoded) -> tuple[Word, ...] | None:
        """The words of all sentences in ``audio``; None when the engine fails. Raises ``EngineUnavailableError``."""
        words: list[Word] = []
        failed = False
        ended = trio.Event()

        def emit(event: Event) -> None:
            nonlocal failed
            if isinstance(event, SentenceClosed):
                words.extend(event.words)
            elif isinstance(event, StreamFinished | StreamFailed):
                failed = isinstance(event, StreamFailed)
                ended.set()

        # Silence ends a sentence, so that pauses need no decoding; the rest of the settings leaves all of it in reach.
        settings = StreamSettings(audio.rate_hz, silence_ms=1000, max_backlog_s=MAX_SENTENCE_MS // 1000 + 2)
        piece_bytes = _FEED_S * audio.rate_hz * 2
        async with self._engine.open(settings, emit) as stream:
            for at in range(0, len(audio.pcm), piece_bytes):
                stream.feed(audio.pcm[at : at + piece_bytes])
                await trio.lowlevel.checkpoint()
            stream.finish()
            await ended.wait()
        return None if failed else tuple(words)


def _faulty_answer(fault: Fault) -> ApiError | HttpAnswer | None:
    if fault.do == "api_cut":
        return None
    if fault.do == "api_status":
        return HttpAnswer(fault.status, "The script says so.")
    return ApiError(fault.name, "The script says so.")


def _log_end(number: int | None, answer: SentenceAnswer | ApiError | HttpAnswer | None, verdict: object) -> None:
    if isinstance(answer, ApiError):
        outcome = answer.code
    elif isinstance(answer, HttpAnswer):
        outcome = f"status {answer.status}"
    else:
        outcome = "cut" if answer is None else "recognized"
    judged = verdict if isinstance(verdict, _Judged) else None
    fields = {
        "event": "sentence_ended",
        "request": number,
        "outcome": outcome,
        "voice_format": judged.request.voice_format if judged else None,
        "audio_ms": judged.audio.duration_ms if judged else 0,
    }
    log.info("sentence ended", extra=fields)
