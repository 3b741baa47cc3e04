"""One-sentence recognition through the Tencent SDK, in worker threads.

Owner of the deadline: `recognize` as a whole, queue and retries included. The SDK blocks and cannot be interrupted; a
thread that is late is left behind, and counted in the limiter until it ends, which the socket's own timeouts make sure
of. What is switched off or gone around in the SDK, and why (measured with 3.1.195):

* its retryer: after one failure it discards later successes; its region breaker: it hides network errors;
* its proxy rule: it compares NO_PROXY with host *and* port, so that calls to this machine would go to the proxy;
* `requests` taking a user's `.netrc`, whose entry for the host would replace the signature;
* its debug log: it formats headers and audio, credentials included;
* its test for errors, which looks at the content type (see `tencent_api.decode_answer`).
"""

import contextlib
import random
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import trio

from service.failures import Slug, StreamFailed, problem
from service.groups import leaves
from service.recognizer.conversion import available_decoder
from service.recognizer.preparation import Decode, Prepared, Upload, prepare
from service.recognizer.rate import Rate
from service.recognizer.sdk import new_client, silence_sdk
from service.recognizer.splitting import Sentence, join
from service.recognizer.target import RecognizerDirectory, RecognizerTarget
from service.recognizer.tencent_api import (
    ACTION,
    CLIENT_NETWORK,
    Options,
    Refused,
    decode_answer,
    is_retried,
    problem_of,
    request_of,
)
from service.retry_hint import retry_hint_ms
from service.settings import RecognizerKind, TencentCredentials

DEADLINE_S: Final = 25.0
"""For one upload. The platform cuts a request at 60 s, and the upload itself takes its share of them."""
CONNECT_S: Final = 5.0
RETRIES: Final = 2
BACKOFF_S: Final = (0.5, 1.0)
"""Before the first and the second retry, doubled at most by chance: those refused together do not return together."""
PER_S: Final = 30
"""Tencent's default for an account (document 1093/35646)."""
MAX_WAITING: Final = 120
"""Calls that wait for their turn: 4 s at the rate above. More are answered with `too_many_requests`."""
CALL_THREADS: Final = 40
"""A call takes about a second, and 30 a second may begin. A thread holds its audio in base64: at most 3 MB."""
CONVERSION_THREADS: Final = 2
"""Decoding is work for the CPU, and the event loop wants its share. A thread holds at most 20 MB of PCM."""
PARTS_AT_A_TIME: Final = 4
"""Of one long upload, so that it does not take the threads of all others."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What tests make smaller."""

    deadline_s: float = DEADLINE_S
    connect_s: float = CONNECT_S
    backoff_s: tuple[float, ...] = BACKOFF_S
    per_s: int = PER_S
    max_waiting: int = MAX_WAITING
    call_threads: int = CALL_THREADS


@dataclass(frozen=True, slots=True)
class Recognized:
    """What an upload was found to say, and how it was sent."""

    sentence: Sentence
    prepared: Prepared


@dataclass(frozen=True, slots=True)
class _Call:
    """Where one call goes: read from the target as one, so that a refresh cannot fall in between."""

    api_url: str
    credentials: TencentCredentials


Reserve = Callable[[float], AbstractContextManager[None]]
"""Keeps so many seconds of what somebody may have recognized while the `with` lasts."""


def _freely(_seconds: float) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


class SentenceRecognizer:
    """Recognizes uploads. One for a process: the rate is that of the account."""

    def __init__(
        self,
        directory: RecognizerDirectory,
        api_url: str,
        *,
        limits: Limits | None = None,
        decoder: Decode | None = None,
        with_decoder: bool = True,
    ) -> None:
        self._directory = directory
        self._api_url = api_url
        self._limits = limits or Limits()
        self._decode = decoder or (available_decoder() if with_decoder else None)
        self._rate = Rate(self._limits.per_s, self._limits.max_waiting)
        self.call_threads = trio.CapacityLimiter(self._limits.call_threads)
        """Threads that call the API, those left behind included."""
        self.conversion_threads = trio.CapacityLimiter(CONVERSION_THREADS)
        self._idle_clients: deque[tuple[str, Any]] = deque(maxlen=self._limits.call_threads)
        """Clients that nobody uses, with their address. One is used by one thread at a time."""
        silence_sdk()

    async def recognize(self, upload: Upload, options: Options, reserve: Reserve = _freely) -> Recognized:
        """The words of an upload. Raises StreamFailed, also where `reserve` does with the seconds that it lasts.

        Cancelled, it returns at once; calls that are under way end by themselves, and their answers are dropped.
        """
        with trio.move_on_after(self._limits.deadline_s):
            prepared = await trio.to_thread.run_sync(
                prepare, upload, self._decode, limiter=self.conversion_threads, abandon_on_cancel=True
            )
            if not isinstance(prepared, Prepared):
                raise StreamFailed(prepared)
            with reserve((prepared.duration_ms or 0) / 1000):
                return Recognized(await self._all_parts(prepared, options), prepared)
        raise StreamFailed(problem(Slug.RECOGNIZER_TIMEOUT, f"No result within {self._limits.deadline_s:g} s."))

    async def _all_parts(self, prepared: Prepared, options: Options) -> Sentence:
        results: list[Sentence | None] = [None] * len(prepared.parts)
        turns = trio.CapacityLimiter(PARTS_AT_A_TIME)

        async def recognize_part(number: int) -> None:
            async with turns:
                results[number] = await self._one(prepared.parts[number].data, prepared, options)

        try:
            async with trio.open_nursery() as nursery:
                for number in range(len(prepared.parts)):
                    nursery.start_soon(recognize_part, number, name="sentence part")
        except* StreamFailed as failed:
            raise next(leaf for leaf in leaves(failed) if isinstance(leaf, StreamFailed)) from None
        heard = [(part.start_ms, found) for part, found in zip(prepared.parts, results, strict=True) if found]
        joined = join(heard)
        if prepared.duration_ms is None:
            return joined
        return Sentence(joined.text, prepared.duration_ms, joined.words)

    async def _one(self, audio: bytes, prepared: Prepared, options: Options) -> Sentence:
        """One part, with retries. Raises StreamFailed."""
        attempt = 0
        while True:
            await self._turn()
            answer = await trio.to_thread.run_sync(
                self._call,
                self._destination(),
                audio,
                prepared,
                options,
                limiter=self.call_threads,
                abandon_on_cancel=True,
            )
            if isinstance(answer, Sentence):
                return answer
            if attempt >= RETRIES or not is_retried(answer):
                raise StreamFailed(problem_of(answer, engine=options.engine, retry_after_ms=retry_hint_ms()))
            pause_s = self._limits.backoff_s[attempt] * (1 + random.random())  # noqa: S311 - spreads load
            if trio.current_time() + pause_s >= trio.current_effective_deadline():
                raise StreamFailed(problem_of(answer, engine=options.engine, retry_after_ms=retry_hint_ms()))
            await trio.sleep(pause_s)
            attempt += 1

    async def _turn(self) -> None:
        """Wait until the rate lets one more call begin. Raises StreamFailed when too many wait."""
        now = trio.current_time()
        begins = self._rate.reserve(now)
        if begins is None:
            hint_ms = round(1000 * self._rate.free_after_s(now)) + retry_hint_ms()
            raise StreamFailed(
                problem(
                    Slug.TOO_MANY_REQUESTS,
                    f"{self._limits.max_waiting} requests wait for the recognizer already.",
                    retry_after_ms=hint_ms,
                )
            )
        await trio.sleep_until(begins)

    def _destination(self) -> _Call:
        target = self._directory.target
        if target is None:
            raise StreamFailed(problem(Slug.RECOGNIZER_UNAVAILABLE, "The recognizer is not up."))
        return _Call(api_url_of(target, self._api_url), target.credentials)

    # Everything below runs in worker threads.

    def _call(self, call: _Call, audio: bytes, prepared: Prepared, options: Options) -> Sentence | Refused:
        from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException

        try:
            client = self._client(call.api_url)
            client.credential = _credential(call.credentials)
            body: bytes = client.call(ACTION, request_of(audio, prepared.sent_as, prepared.pcm_rate, options))
        except TencentCloudSDKException as refused:
            return Refused(str(refused.get_code() or ""), str(refused.get_message() or ""))
        except (OSError, ValueError):  # while the answer was being read
            return Refused(CLIENT_NETWORK)
        self._idle_clients.append((call.api_url, client))
        return decode_answer(body)

    def _client(self, api_url: str) -> Any:
        """A client that nobody else uses: an idle one, whose connection may still be open, or a new one."""
        try:
            while True:
                known_url, client = self._idle_clients.pop()
                if known_url == api_url:
                    return client
        except IndexError:
            return _new_client(api_url, (self._limits.connect_s, self._limits.deadline_s))


def api_url_of(target: RecognizerTarget, configured: str) -> str:
    """Where the API of a recognizer is: the local one has it at the address of its WebSocket."""
    if target.kind is not RecognizerKind.LOCAL:
        return configured
    parts = urlsplit(target.url)
    return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"


def _credential(credentials: TencentCredentials) -> Any:
    from tencentcloud.common.credential import Credential

    return Credential(credentials.secret_id, credentials.secret_key, credentials.token or None)


def _new_client(api_url: str, timeouts_s: tuple[float, float]) -> Any:
    from tencentcloud.asr.v20190614.asr_client import AsrClient

    is_here = is_loopback(urlsplit(api_url).hostname or "")
    return new_client(AsrClient, None, "", api_url, timeouts_s, is_proxied=not is_here)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine: never behind a proxy."""
    return host in ("localhost", "::1") or host.startswith("127.")
