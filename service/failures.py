"""The failure catalogue: every way in which a client can be refused, and nothing else says no.

Pure. A `Failure` is a row of the catalogue; a `Problem` is one occurrence of a row, with the words and the retry hint
that the client is told. Slugs are the `code` of an `error` message, the labels of metrics and the fields of log lines.

WebSocket close codes: 4000 + the HTTP status of the row (4000-4999 is the private range, RFC 6455 section 7.4.2), or
the code the RFC and its registry have for the case (1009 too big, 1011 internal, 1012 service restart).

docs/failures.md is written from here: `python -m ops.failures_doc`.
"""

import enum
from dataclasses import dataclass
from typing import Final

NORMAL_CLOSE: Final = 1000


class Blame(enum.StrEnum):
    """Who has to change something before the same request can succeed."""

    CLIENT = "client"
    """The program that talks to us."""
    OPERATOR = "operator"
    """Whoever deployed this service: settings, credentials, capacity."""
    RECOGNIZER = "recognizer"
    """The speech recognizer or the way to it."""
    SERVICE = "service"
    """This program."""


class Slug(enum.StrEnum):
    """The name of a failure: stable, for programs."""

    BAD_MESSAGE = "bad_message"
    NOT_STARTED = "not_started"
    ALREADY_STARTED = "already_started"
    BAD_START = "bad_start"
    ENGINE_NOT_SUPPORTED = "engine_not_supported"
    UNSUPPORTED_AUDIO = "unsupported_audio"
    STEREO_SUSPECTED = "stereo_suspected"
    UNAUTHENTICATED = "unauthenticated"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a slug, not a token
    FORBIDDEN = "forbidden"
    TOO_MANY_STREAMS = "too_many_streams"
    TOO_MANY_NEW_STREAMS = "too_many_new_streams"
    QUOTA_EXCEEDED = "quota_exceeded"
    START_TIMEOUT = "start_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    CLIENT_TOO_SLOW = "client_too_slow"
    MESSAGE_TOO_BIG = "message_too_big"
    NOT_CONFIGURED = "not_configured"
    RECOGNIZER_REJECTED = "recognizer_rejected"
    RECOGNIZER_UNAVAILABLE = "recognizer_unavailable"
    RECOGNIZER_TIMEOUT = "recognizer_timeout"
    RECOGNIZER_BUSY = "recognizer_busy"
    OVERLOADED = "overloaded"
    RESTARTING = "restarting"
    BAD_REQUEST = "bad_request"
    AUDIO_TOO_LONG = "audio_too_long"
    TOO_MANY_REQUESTS = "too_many_requests"
    AUDIO_LOST = "audio_lost"
    NOT_FOUND = "not_found"
    LOGIN_REFUSED = "login_refused"
    LOGIN_REJECTED = "login_rejected"
    LOGIN_UNAVAILABLE = "login_unavailable"
    HISTORY_UNAVAILABLE = "history_unavailable"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Failure:
    """One row of the catalogue."""

    slug: Slug
    when: str
    """When it is said, in one sentence for a reader of the documentation."""
    remedy: str
    """What the client should do, in one sentence for its developer."""
    blame: Blame
    http_status: int
    fatal: bool = True
    """The stream ends; otherwise the message is refused and the stream goes on."""
    retryable: bool = False
    """The same request may succeed later without a change by the client."""
    rfc_close_code: int | None = None
    """The close code where the RFC's registry has one for the case."""
    fatal_at: int | None = None
    """Of one that is not fatal: with so many of them in one stream the stream ends."""
    http_only: bool = False
    """It is an answer to an HTTP request, and never said in a stream."""

    @property
    def close_code(self) -> int:
        """The WebSocket close code that follows the `error` message when the failure is, or becomes, fatal."""
        return self.rfc_close_code or 4000 + self.http_status


@dataclass(frozen=True, slots=True)
class Problem:
    """One occurrence of a failure, as the client is told."""

    failure: Failure
    message: str
    """What was wrong and what was expected; never holds a secret, a transcript or audio."""
    retry_after_ms: int | None = None
    recognizer_code: int | None = None
    """The recognizer's own code where it gave one: for logs and metrics."""
    fatal_now: bool = False
    """A failure that is not fatal by itself ended the stream (the last of too many)."""
    from_ms: int | None = None
    to_ms: int | None = None
    """The stretch of the client's audio that is concerned, on that audio's clock; `to_ms` is its end, exclusive."""

    @property
    def slug(self) -> Slug:
        """The slug of the row."""
        return self.failure.slug

    @property
    def fatal(self) -> bool:
        """Whether the stream ends with it."""
        return self.failure.fatal or self.fatal_now


class StreamFailed(Exception):
    """Raised inside one stream to end it with a problem; caught once, at the session's edge."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.slug)
        self.problem = problem


_ROWS: Final = (
    Failure(
        Slug.BAD_MESSAGE,
        "A message is not JSON, has an unknown type, a wrong field or invalid base64.",
        "Fix the client.",
        Blame.CLIENT,
        400,
        fatal=False,
        fatal_at=10,
    ),
    Failure(
        Slug.NOT_STARTED,
        "Audio or a command before `start`; it is discarded.",
        "Send `start` first.",
        Blame.CLIENT,
        409,
        fatal=False,
    ),
    Failure(
        Slug.ALREADY_STARTED,
        "A second `start`; it is ignored.",
        "Open a connection for each stream.",
        Blame.CLIENT,
        409,
        fatal=False,
    ),
    Failure(
        Slug.BAD_START,
        "A value of `start` is wrong, or its hotwords break the rules.",
        "Fix the client.",
        Blame.CLIENT,
        400,
    ),
    Failure(
        Slug.ENGINE_NOT_SUPPORTED,
        "The recognizer lacks the engine; the message says which there are, where that is known.",
        "Choose another engine.",
        Blame.CLIENT,
        400,
    ),
    Failure(
        Slug.UNSUPPORTED_AUDIO,
        "The audio is of another format than announced, or of one that is not taken.",
        "Record PCM; in the developer tools: try on a phone.",
        Blame.CLIENT,
        415,
    ),
    Failure(
        Slug.STEREO_SUSPECTED,
        "A hint, once: the audio looks like two equal channels announced as one, which is recognized as nonsense.",
        "Record with `numberOfChannels: 1`.",
        Blame.CLIENT,
        415,
        fatal=False,
    ),
    Failure(
        Slug.UNAUTHENTICATED,
        "There is no token, or it was not signed by this service.",
        "Log in.",
        Blame.CLIENT,
        401,
    ),
    Failure(
        Slug.TOKEN_EXPIRED,
        "The token's time is over.",
        "Log in again, then reconnect.",
        Blame.CLIENT,
        401,
    ),
    Failure(
        Slug.FORBIDDEN,
        "The user or the web page that asks is known, and not allowed.",
        "Do not retry: ask the operator.",
        Blame.CLIENT,
        403,
    ),
    Failure(
        Slug.TOO_MANY_STREAMS,
        "The user or the address has as many streams as allowed.",
        "End one, or wait `retryAfterMs`.",
        Blame.CLIENT,
        429,
        retryable=True,
    ),
    Failure(
        Slug.TOO_MANY_NEW_STREAMS,
        "The user has opened more streams within a minute than allowed.",
        "Wait `retryAfterMs`.",
        Blame.CLIENT,
        429,
        retryable=True,
    ),
    Failure(
        Slug.QUOTA_EXCEEDED,
        "The user has spoken as long as a day allows, or a stream has sent messages faster than allowed.",
        "Wait `retryAfterMs`; send audio in real time.",
        Blame.CLIENT,
        429,
        retryable=True,
    ),
    Failure(
        Slug.START_TIMEOUT,
        "No `start` came within 10 s of the connection.",
        "Send `start` on `welcome`.",
        Blame.CLIENT,
        408,
        retryable=True,
    ),
    Failure(
        Slug.IDLE_TIMEOUT,
        "Nothing came for 25 s; over HTTP: the upload was not complete within 60 s.",
        "Send `ping` in pauses; reconnect when the user speaks.",
        Blame.CLIENT,
        408,
        retryable=True,
    ),
    Failure(
        Slug.CLIENT_TOO_SLOW,
        "The client does not read what it is sent.",
        "Reconnect; the network is bad.",
        Blame.CLIENT,
        408,
        retryable=True,
    ),
    Failure(
        Slug.MESSAGE_TOO_BIG,
        "A message is over `maxMessageBytes`.",
        "Send smaller frames.",
        Blame.CLIENT,
        413,
        rfc_close_code=1009,
    ),
    Failure(
        Slug.NOT_CONFIGURED,
        "The service was started without credentials for a recognizer or without authentication.",
        "Tell the operator.",
        Blame.OPERATOR,
        501,
    ),
    Failure(
        Slug.RECOGNIZER_REJECTED,
        "The recognizer refuses this service: credentials, account or location.",
        "Tell the operator.",
        Blame.OPERATOR,
        502,
    ),
    Failure(
        Slug.RECOGNIZER_UNAVAILABLE,
        "The recognizer cannot be reached, failed or closed the connection.",
        "Reconnect with back-off.",
        Blame.RECOGNIZER,
        503,
        retryable=True,
    ),
    Failure(
        Slug.RECOGNIZER_TIMEOUT,
        "The recognizer did not answer in time.",
        "Reconnect with back-off.",
        Blame.RECOGNIZER,
        504,
        retryable=True,
    ),
    Failure(
        Slug.RECOGNIZER_BUSY,
        "The recognizer has no free place.",
        "Wait `retryAfterMs`.",
        Blame.OPERATOR,
        503,
        retryable=True,
    ),
    Failure(
        Slug.OVERLOADED,
        "This service has no free place.",
        "Wait `retryAfterMs`.",
        Blame.OPERATOR,
        503,
        retryable=True,
    ),
    Failure(
        Slug.RESTARTING,
        "This instance is being stopped in good order.",
        "Reconnect: another replica takes over.",
        Blame.OPERATOR,
        503,
        retryable=True,
        rfc_close_code=1012,
    ),
    Failure(
        Slug.BAD_REQUEST,
        "A field of the request is missing or has a wrong value.",
        "Fix the client.",
        Blame.CLIENT,
        400,
        http_only=True,
    ),
    Failure(
        Slug.AUDIO_TOO_LONG,
        "The audio of a request is longer or larger than allowed.",
        "Send less, or stream.",
        Blame.CLIENT,
        413,
        http_only=True,
    ),
    Failure(
        Slug.TOO_MANY_REQUESTS,
        "There are more requests at a time than this service can pass on.",
        "Wait `retryAfterMs`.",
        Blame.OPERATOR,
        429,
        retryable=True,
        http_only=True,
    ),
    Failure(
        Slug.AUDIO_LOST,
        "Unsettled audio no longer kept could not be recognized after a recognizer connection was lost.",
        "Show the gap from `fromMs` to `toMs`, or let it be said again.",
        Blame.RECOGNIZER,
        503,
        fatal=False,
    ),
    Failure(
        Slug.NOT_FOUND,
        "There is no such record, or it is somebody else's.",
        "Show that it is gone.",
        Blame.CLIENT,
        404,
        http_only=True,
    ),
    Failure(
        Slug.LOGIN_REFUSED,
        "WeChat does not know the login code: it is wrong, used, or older than five minutes.",
        "Call `wx.login` again and send its code.",
        Blame.CLIENT,
        401,
        http_only=True,
    ),
    Failure(
        Slug.LOGIN_REJECTED,
        "WeChat does not accept this service's own AppID or AppSecret.",
        "Do not retry: the operator has to correct the settings.",
        Blame.OPERATOR,
        502,
        http_only=True,
    ),
    Failure(
        Slug.LOGIN_UNAVAILABLE,
        "WeChat's login did not answer, or said that it is busy, several times.",
        "Wait `retryAfterMs`, then send a new code.",
        Blame.OPERATOR,
        503,
        retryable=True,
        http_only=True,
    ),
    Failure(
        Slug.HISTORY_UNAVAILABLE,
        "The database of the history does not answer.",
        "Wait `retryAfterMs`; streams go on.",
        Blame.OPERATOR,
        503,
        retryable=True,
        http_only=True,
    ),
    Failure(
        Slug.INTERNAL,
        "This service has made an error.",
        "Reconnect with back-off, and report it.",
        Blame.SERVICE,
        500,
        retryable=True,
        rfc_close_code=1011,
    ),
)

CATALOGUE: Final[dict[Slug, Failure]] = {row.slug: row for row in _ROWS}


def problem(
    slug: Slug, message: str, *, retry_after_ms: int | None = None, recognizer_code: int | None = None
) -> Problem:
    """An occurrence of the row named `slug`."""
    return Problem(CATALOGUE[slug], message, retry_after_ms, recognizer_code)
