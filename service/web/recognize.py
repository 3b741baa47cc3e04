"""`POST /api/realtime-voice/recognize`: one upload, its words. The contract is in docs/recognize.md."""

import contextlib
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import trio
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from service.deps import Deps
from service.failures import Problem, Slug, StreamFailed, problem
from service.groups import leaves
from service.identity import Identity
from service.lifecycle import Phase
from service.recognizer.preparation import Upload
from service.recognizer.sentence import Recognized, Reserve, SentenceRecognizer
from service.retry_hint import retry_hint_ms
from service.stream.authentication import check_permitted
from service.stream.history import Heard, record_of_upload
from service.stream.limiter import Holding
from service.stream.outcome import End
from service.telemetry.logs import get_logger, log_event
from service.web.answer import answer, refusal
from service.web.contract import RecognizeAnswer, RecognizeForm
from service.web.identity import caller_of_request
from service.web.openapi import describe
from service.web.recognize_form import Wishes, read_form
from service.web.request import pass_over_body

PATH: Final = "/api/realtime-voice/recognize"
FIELD: Final = "audio"
MAX_UPLOAD_BYTES: Final = 10 * 1024 * 1024
MAX_FORM_BYTES: Final = 64 * 1024
"""The other fields, and what is around all of them."""
MAX_PENDING_BYTES: Final = 256 * 1024 * 1024
"""Of all uploads at a time. A body is held by Quart, in its form, and as the audio: three times at most."""
_MAX_PARTS: Final = 32
LINGER_S: Final = 5.0
"""How long the rest of a refused upload is waited for, so that its client reads the answer."""

_REFUSALS: Final = (
    Slug.BAD_REQUEST, Slug.ENGINE_NOT_SUPPORTED, Slug.UNSUPPORTED_AUDIO, Slug.AUDIO_TOO_LONG, Slug.IDLE_TIMEOUT,
    Slug.TOO_MANY_REQUESTS, Slug.QUOTA_EXCEEDED, Slug.RECOGNIZER_REJECTED, Slug.RECOGNIZER_UNAVAILABLE,
    Slug.RECOGNIZER_TIMEOUT, Slug.RECOGNIZER_BUSY, Slug.OVERLOADED, Slug.RESTARTING,
)  # fmt: skip
"""What it answers with besides what every route with a token may, for its description."""

_logger: Final = get_logger("recognize")


@dataclass
class _Report:
    """What becomes known of one request, for its log line."""

    outcome: str = End.CLIENT_LEFT
    uploaded_bytes: int = 0
    uploaded_at: float | None = None
    recognized: Recognized | None = None
    refused: Problem | None = None


def register_recognize(app: QuartTrio, deps: Deps, recognizer: SentenceRecognizer | None = None) -> None:
    """Adds the route to the application. It takes the largest bodies, so its limit is the application's."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_UPLOAD_BYTES + MAX_FORM_BYTES
    sentences = recognizer or SentenceRecognizer(deps.recognizer, deps.settings.tencent_api_url)
    pending = _Pending()

    @app.post(PATH)
    @describe(
        "Recognize one recording",
        RecognizeAnswer,
        section="recognition",
        form=RecognizeForm,
        refusals=_REFUSALS,
        needs_token=True,
    )
    async def recognize() -> Response:
        """Answers in the envelope, failures of the catalogue included."""
        sentence_id = str(uuid.uuid4())
        report = _Report()
        began = trio.current_time()
        try:
            identity, address = _check_permitted(deps)
            async with deps.limiter.upload(sentence_id, identity, address) as holding:
                with deps.admission.sentence(), pending.admit(request.content_length):
                    upload, wishes = await _received(deps, report)
                    with _counted_when_left(deps, holding) as reserve:
                        report.recognized = await sentences.recognize(upload, wishes.options, reserve)
                    holding.spoken(report.recognized.sentence.audio_ms / 1000)
            report.outcome = End.COMPLETED
            await _keep(deps, sentence_id, identity, wishes.options.engine, report, began)
            return answer(_data_of(sentence_id, report.recognized))
        except StreamFailed as failed:
            report.refused, report.outcome = failed.problem, failed.problem.slug
            await pass_over_body(LINGER_S)
            return refusal(failed.problem)
        except Exception:
            report.outcome = Slug.INTERNAL
            raise
        except (trio.Cancelled, BaseExceptionGroup) as error:
            if _is_cancellation(error) and deps.lifecycle.phase is Phase.DRAINING:
                report.outcome = Slug.RESTARTING
            raise
        finally:
            _tell(deps, sentence_id, report, began)


def _check_permitted(deps: Deps) -> tuple[Identity, str]:
    """Who asks, and from which address. Raises StreamFailed when nothing may be recognized for this client now."""
    caller = caller_of_request(deps.settings)
    identity = check_permitted(deps.settings, caller, now=deps.wall_clock())
    if deps.lifecycle.phase is not Phase.SERVING:
        raise StreamFailed(
            problem(
                Slug.RESTARTING, f"This instance is {deps.lifecycle.phase}; try again.", retry_after_ms=retry_hint_ms()
            )
        )
    return identity, caller.address


def _is_cancellation(error: BaseException) -> bool:
    return all(isinstance(leaf, trio.Cancelled) for leaf in leaves(error))


@contextlib.contextmanager
def _counted_when_left(deps: Deps, holding: Holding) -> Iterator[Reserve]:
    """What to reserve audio with. When the client leaves before the answer, all that was reserved counts: it was sent,
    and is paid for."""
    sent_s = 0.0

    @contextlib.contextmanager
    def reserve(seconds: float) -> Iterator[None]:
        nonlocal sent_s
        with holding.reserved(seconds):
            sent_s = seconds
            yield

    try:
        yield reserve
    except (trio.Cancelled, BaseExceptionGroup) as error:  # a nursery gives groups
        if _is_cancellation(error) and deps.lifecycle.phase is Phase.SERVING:
            holding.spoken(sent_s)
        raise


class _Pending:
    """The bytes of uploads that are being received or recognized."""

    def __init__(self) -> None:
        self._bytes = 0

    @contextlib.contextmanager
    def admit(self, announced_bytes: int | None) -> Iterator[None]:
        """Room for one upload while the `with` lasts. Raises StreamFailed when there is none."""
        most_bytes = MAX_UPLOAD_BYTES + MAX_FORM_BYTES
        if announced_bytes is not None and announced_bytes > most_bytes:
            raise StreamFailed(_too_big())
        size = most_bytes if announced_bytes is None else announced_bytes
        if self._bytes + size > MAX_PENDING_BYTES:
            raise StreamFailed(
                problem(
                    Slug.TOO_MANY_REQUESTS,
                    f"Uploads of {MAX_PENDING_BYTES} bytes are pending already.",
                    retry_after_ms=retry_hint_ms(),
                )
            )
        self._bytes += size
        try:
            yield
        finally:
            self._bytes -= size


async def _received(deps: Deps, report: _Report) -> tuple[Upload, Wishes]:
    """The upload, complete. Raises StreamFailed."""
    request.max_form_parts = _MAX_PARTS
    request.max_form_memory_size = MAX_FORM_BYTES
    try:
        form, files = await request.form, await request.files
    except RequestEntityTooLarge:
        raise StreamFailed(_too_big()) from None
    except RequestTimeout:
        raise StreamFailed(problem(Slug.IDLE_TIMEOUT, "The upload did not come to its end within 60 s.")) from None
    if FIELD not in files:
        raise StreamFailed(
            problem(Slug.BAD_REQUEST, f"Expected multipart/form-data with a file in the field {FIELD!r}.")
        )
    data = files[FIELD].read()
    report.uploaded_bytes, report.uploaded_at = len(data), trio.current_time()
    if len(data) > MAX_UPLOAD_BYTES:
        raise StreamFailed(_too_big())
    wishes = read_form(form, deps.settings.default_engine)
    if isinstance(wishes, Problem):
        raise StreamFailed(wishes)
    converted_rate = 8000 if wishes.options.engine.startswith("8k_") else 16000
    return Upload(data, wishes.announced_pcm, wishes.sample_rate, converted_rate), wishes


def _too_big() -> Problem:
    return problem(Slug.AUDIO_TOO_LONG, f"The upload is over {MAX_UPLOAD_BYTES} bytes.")


def _data_of(sentence_id: str, recognized: Recognized) -> dict[str, Any]:
    sentence = recognized.sentence
    return {
        "id": sentence_id,
        "text": sentence.text,
        "audioTime": sentence.audio_ms,
        "wordList": [{"word": word.text, "startMs": word.start_ms, "endMs": word.end_ms} for word in sentence.words],
    }


async def _keep(deps: Deps, sentence_id: str, identity: Identity, engine: str, report: _Report, began: float) -> None:
    """Put what was recognized into the history."""
    history, recognized = deps.history, report.recognized
    if history is None or recognized is None or not history.has(identity.user_id):
        return
    ended_at_s = deps.wall_clock()
    began_at_s = ended_at_s - (trio.current_time() - began)
    heard = Heard(recognized.sentence.text, recognized.sentence.audio_ms, report.uploaded_bytes)
    history.put(record_of_upload(sentence_id, identity.user_id, began_at_s, ended_at_s, engine, heard, deps.settings))
    await history.kept()


def _tell(deps: Deps, sentence_id: str, report: _Report, began: float) -> None:
    now = trio.current_time()
    deps.metrics.sentences.labels(report.outcome).inc()
    recognized, refused = report.recognized, report.refused
    if recognized is not None and report.uploaded_at is not None:
        deps.metrics.sentence.observe(now - report.uploaded_at)
    log_event(
        _logger,
        logging.INFO,
        "sentence",
        sentence=sentence_id,
        outcome=str(report.outcome),
        # Our own words; those about a client's mistake quote the client.
        reason=refused.message if refused and refused.slug.startswith("recognizer_") else None,
        uploaded_bytes=report.uploaded_bytes,
        format=recognized.prepared.format.value if recognized else None,
        sent_as=recognized.prepared.sent_as.value if recognized else None,
        parts=len(recognized.prepared.parts) if recognized else None,
        audio_ms=recognized.sentence.audio_ms if recognized else None,
        lasted_ms=round((now - began) * 1000),
    )
