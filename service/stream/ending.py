"""From the exception that ended a stream to its outcome."""

import logging
from typing import Final

from service.failures import Slug, StreamFailed, problem
from service.groups import leaves
from service.stream.client import ClientGone, ClientTooSlow
from service.stream.outcome import End, Outcome
from service.telemetry.logs import get_logger, log_event

_logger: Final = get_logger("stream")


def outcome_of(error: BaseException) -> Outcome:
    """The outcome of a stream that an exception ended; what nobody expected is logged and is our fault."""
    ends = list(leaves(error))
    for end in ends:
        if not isinstance(end, StreamFailed | ClientGone | ClientTooSlow):
            log_event(_logger, logging.ERROR, "stream_error", error=end)
            return Outcome.failed(problem(Slug.INTERNAL, "An error in this service."))
    for end in ends:
        if isinstance(end, StreamFailed):
            return Outcome.failed(end.problem)
    if any(isinstance(end, ClientTooSlow) for end in ends):
        return Outcome.failed(problem(Slug.CLIENT_TOO_SLOW, "The client does not read what it is sent."))
    return Outcome(End.CLIENT_LEFT)
