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
from service.identity import Caller, Identity
from service.lifecycle import Phase, settle_at
from service.retry_hint import retry_hint_ms
from service.stream import protocol
from service.stream.audio_path import check
from service.stream.authentication import check_permitted
from service.stream.client import Client, ClientGone, ClientTooSlow
from service.stream.clocks import GOAWAY_S
from service.stream.history import Ended, record_of_stream
from service.stream.inbox import Inbox
from service.stream.limiter import Holding
from service.stream.meter import MessageMeter
from service.stream.outcome import End, Outcome
from service.stream.protocol import ErrorMessage, Start, Welcome
from service.stream.session import Session
from service.stream.stream_settings import StreamSettings, settle
from service.telemetry.logs import get_logger, log_event
from service.tokens import EXPIRED

START_S: Final = 10.0  # Centrifugo's and others' limit for a connection that says nothing
_logger: Final = get_logger("stream")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request for a stream, and the messages that came together with it."""

    start: Start
    early: list[bytes | str]


async def serve_stream(client: Client, caller: Caller, deps: Deps) -> None:
    """Serve one client. `caller` is what its upgrade request says; `start.token` is another place for the token.

    Returns when the connection is closed or gone. Cancelled, it closes nothing: whoever cancels owns the transport.
    """
    history = None
    try:
        meter = MessageMeter(deps.settings.messages_per_s)
        outcome = await _conduct(Inbox(client, deps.metrics, meter), caller, deps)
        history = deps.history
    except StreamFailed as refused:
        deps.metrics.messages_rejected.labels(refused.problem.slug).inc()
        outcome = Outcome.failed(refused.problem)
    except (ClientGone, ClientTooSlow):
        outcome = Outcome(End.CLIENT_LEFT)
    if outcome.problem is not None:
        with contextlib.suppress(ClientGone, ClientTooSlow):
            await client.send(ErrorMessage.of(outcome.problem).encode())
    if history is not None:
        await history.kept()  # whoever sees the close may rely on the record; nothing else waits for the disk
    await client.close(outcome.close_code, outcome.close_reason)


async def _conduct(inbox: Inbox, caller: Caller, deps: Deps) -> Outcome:
    timestamp = int(deps.wall_clock() * 1000)
    await inbox.client.send(Welcome(timestamp, max_stream_ms=deps.settings.max_stream_s * 1000, resume=True).encode())
    asked = await _start_of(inbox)
    if asked is None:
        return Outcome(End.CANCELED)
    identity = check_permitted(deps.settings, caller, asked.start.token or "", now=deps.wall_clock())
    settings = settle(asked.start, deps.settings.default_engine)
    if isinstance(settings, Problem):
        raise StreamFailed(settings)
    stream_id, resumes = str(uuid.uuid4()), settings.resumed_from or ""
    await deps.limiter.end_former(identity, resumes)
    with deps.admission.stream():
        async with deps.limiter.stream(stream_id, identity, caller.address, resumes) as holding:
            return await _run(inbox, settings, identity, holding, asked.early, deps)


async def _start_of(inbox: Inbox) -> _Asked | None:
    """Wait for `start`; None when the client says `cancel` instead. Raises StreamFailed when it does not come."""
    give_up_at = trio.current_time() + START_S
    while True:
        messages: list[bytes | str] = []
        with trio.move_on_at(give_up_at) as limit:
            messages = await inbox.client.receive()
        if limit.cancelled_caught:
            raise StreamFailed(problem(Slug.START_TIMEOUT, f"No start came within {START_S:g} s."))
        check(inbox.meter.charge(len(messages), inbox.client.last_heard))
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


async def _run(
    inbox: Inbox,
    settings: StreamSettings,
    identity: Identity,
    holding: Holding,
    early: list[bytes | str],
    deps: Deps,
) -> Outcome:
    stream_id = holding.place.id
    history = deps.history if deps.history is not None and deps.history.has(identity.user_id) else None
    session = Session(inbox, settings, deps, stream_id, None if history is None else stream_id)
    session.observed.on_relayed = holding.spoken
    began, began_at_s = trio.current_time(), deps.wall_clock()
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

    def end_with_quota(left_s: float) -> None:
        session.go_away(trio.current_time() + left_s, Outcome.failed(deps.limiter.used_up()))

    token_ends_at = began + identity.expires_at - deps.wall_clock()
    session.go_away(token_ends_at, Outcome.failed(EXPIRED), tell_at=token_ends_at - GOAWAY_S)
    with trio.CancelScope() as patience:
        try:
            with deps.lifecycle.told(go_away, patience.cancel):
                holding.tell(end_with_quota, patience.cancel)
                return await session.run(early)
        finally:
            outcome = session.outcome or _taken_away(deps)
            deps.metrics.streams_ended.labels(outcome.end).inc()
            _log_end(session, outcome, stream_id, trio.current_time() - began)
            if history is not None:
                ended = Ended(stream_id, identity.user_id, began_at_s, deps.wall_clock(), outcome)
                account = session.uplink.account(session.transcript.recognized_ms)
                history.put(record_of_stream(ended, settings, account, session.transcript, deps.settings))
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
