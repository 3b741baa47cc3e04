"""One voice WebSocket from accept to close: welcome, `start`, authenticate, admit, run, say goodbye.

Exactly one outcome is counted and logged for each stream that was admitted; a connection that was refused before that
is told why, and counted as a rejected message.
"""

import contextlib
import logging
import secrets
import uuid
from dataclasses import dataclass
from typing import Final

import trio

from service.deps import Deps
from service.failures import Problem, Slug, StreamFailed, problem
from service.lifecycle import Phase, settle_at
from service.retry_hint import retry_hint_ms
from service.stream import protocol
from service.stream.authentication import check_permitted
from service.stream.client import Client, ClientGone, ClientTooSlow
from service.stream.inbox import Inbox
from service.stream.outcome import End, Outcome
from service.stream.protocol import ErrorMessage, Start, Welcome
from service.stream.session import Session
from service.stream.stream_settings import StreamSettings, settle
from service.telemetry.logs import get_logger, log_event

START_S: Final = 10.0  # Centrifugo's and others' limit for a connection that says nothing
_logger: Final = get_logger("stream")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request for a stream, and the messages that came together with it."""

    start: Start
    early: list[bytes | str]


async def serve_stream(client: Client, bearer: str, deps: Deps) -> None:
    """Serve one client. `bearer` is the token of the upgrade request, or empty; `start.token` is the alternative.

    Returns when the connection is closed or gone. Cancelled, it closes nothing: whoever cancels owns the transport.
    """
    try:
        outcome = await _conduct(Inbox(client, deps.metrics), bearer, deps)
    except StreamFailed as refused:
        deps.metrics.messages_rejected.labels(refused.problem.slug).inc()
        outcome = Outcome.failed(refused.problem)
    except (ClientGone, ClientTooSlow):
        outcome = Outcome(End.CLIENT_LEFT)
    if outcome.problem is not None:
        with contextlib.suppress(ClientGone, ClientTooSlow):
            await client.send(ErrorMessage.of(outcome.problem).encode())
    await client.close(outcome.close_code, outcome.close_reason)


async def _conduct(inbox: Inbox, bearer: str, deps: Deps) -> Outcome:
    timestamp = int(deps.wall_clock() * 1000)
    await inbox.client.send(Welcome(timestamp, max_stream_ms=deps.settings.max_stream_s * 1000, resume=True).encode())
    asked = await _start_of(inbox)
    if asked is None:
        return Outcome(End.CANCELED)
    settings = _permitted(asked.start, bearer, deps)
    with deps.admission.stream():
        return await _run(inbox, settings, asked.early, deps)


async def _start_of(inbox: Inbox) -> _Asked | None:
    """Wait for `start`; None when the client says `cancel` instead. Raises StreamFailed when it does not come."""
    give_up_at = trio.current_time() + START_S
    while True:
        messages: list[bytes | str] = []
        with trio.move_on_at(give_up_at) as limit:
            messages = await inbox.client.receive()
        if limit.cancelled_caught:
            raise StreamFailed(problem(Slug.START_TIMEOUT, f"No start came within {START_S:g} s."))
        for number, raw in enumerate(messages):
            match await inbox.understand(raw):
                case None:
                    pass
                case Start() as start:
                    return _Asked(start, messages[number + 1 :])
                case protocol.Cancel():
                    return None
                case _:
                    await inbox.refuse_before_start()


def _permitted(start: Start, bearer: str, deps: Deps) -> StreamSettings:
    """What is in force for this stream. Raises StreamFailed when this client may not have it."""
    check_permitted(deps.settings, bearer or start.token or "")
    settings = settle(start, deps.settings.default_engine)
    if isinstance(settings, Problem):
        raise StreamFailed(settings)
    return settings


async def _run(inbox: Inbox, settings: StreamSettings, early: list[bytes | str], deps: Deps) -> Outcome:
    stream_id = str(uuid.uuid4())
    session = Session(inbox, settings, deps, stream_id)
    began = trio.current_time()
    log_event(
        _logger,
        logging.INFO,
        "stream_opened",
        stream=stream_id,
        engine=settings.engine_type,
        format=settings.voice_format,
        sample_rate=settings.sample_rate,
        resumed_from=settings.resumed_from,
    )

    def go_away(settle_by: float) -> None:
        session.go_away(settle_at(settle_by, trio.current_time(), secrets.randbelow(1000) / 1000))

    with trio.CancelScope() as patience:
        try:
            with deps.lifecycle.told(go_away, patience.cancel):
                return await session.run(early)
        finally:
            outcome = session.outcome or _taken_away(deps)
            deps.metrics.streams_ended.labels(outcome.end).inc()
            _log_end(session, outcome, stream_id, trio.current_time() - began)
    return outcome  # it was given up: the client can still be told


def _taken_away(deps: Deps) -> Outcome:
    """The outcome of a stream that was cancelled: we are being stopped, or the transport is gone."""
    if deps.lifecycle.phase is Phase.DRAINING:
        return Outcome.failed(_restarting())
    return Outcome(End.CLIENT_LEFT)


def _log_end(session: Session, outcome: Outcome, stream_id: str, lasted_s: float) -> None:
    account = session.uplink.account(session.transcript.recognized_ms)
    first_result_s = session.observed.first_result_s
    log_event(
        _logger,
        logging.INFO,
        "stream_ended",
        stream=stream_id,
        outcome=str(outcome.end),
        recognizer_code=outcome.problem.recognizer_code if outcome.problem else None,
        lasted_ms=round(lasted_s * 1000),
        received_ms=account.received_ms,
        relayed_ms=account.relayed_ms,
        recognized_ms=account.recognized_ms,
        dropped_ms=account.dropped_ms,
        sentences=session.transcript.sentences,
        recognizer_connections=session.observed.connections,
        first_result_ms=None if first_result_s is None else round(first_result_s * 1000),
    )


def _restarting() -> Problem:
    return problem(Slug.RESTARTING, "This instance is being stopped: connect again.", retry_after_ms=retry_hint_ms())
