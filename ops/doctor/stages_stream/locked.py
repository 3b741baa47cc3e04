"""May a stream be had at all: configuration, token, and what `/ready` says of the instance.

The question is a `start` with a sample rate that nobody has. Whether the service is locked and whether the token is
good is judged before that, so the answer `bad_start` means "yes", and no recognizer is dialed for it.
"""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
import trio

from loadtest.connection import Connection, ConnectionLost, with_connection
from loadtest.messages import encode
from ops.doctor.finding import Fact, Finding, Text
from ops.doctor.stage import Context, Stage
from ops.doctor.stages_stream.issues import Issue, failed, finding_of, warned
from ops.doctor.stages_stream.reaching import ReadyState, dial_target, ready_state, token_of
from service.settings import AuthMode, RecognizerKind, Settings

CONNECT_S: Final = 8.0
ANSWER_S: Final = 8.0
_NO_SAMPLE_RATE: Final = 1
_MAX_MESSAGES: Final = 10
"""A gateway says two: `welcome` and the answer."""


@dataclass(slots=True)
class Asked:
    """What the gateway answered."""

    gateway_s: float | None = None
    """Its clock, by `welcome`: Unix time."""
    at_s: float = 0.0
    """Ours, when that came."""
    max_stream_s: float | None = None
    """How long a stream may last, by `welcome`."""
    code: str | None = None
    """Of its `error`; None: it said something else, or nothing."""
    message: str = ""
    is_ready: bool = False
    http_status: int | None = None
    """Where the upgrade was answered with something else than 101."""

    @property
    def is_permitted(self) -> bool:
        """Whether a stream may be had: our own mistake was the only thing it did not like."""
        return self.is_ready or self.code == "bad_start"


async def check(context: Context) -> Finding:
    """Ask, and judge.

    Leaves `gateway_clock` (theirs and ours, Unix time), `max_stream_s`, and `stream_refused` (a cause).
    """
    asked = await _ask(context)
    context.found["max_stream_s"] = asked.max_stream_s
    if asked.gateway_s is not None:
        context.found["gateway_clock"] = (asked.gateway_s, asked.at_s)
    ready = await ready_state(context)
    found = judge(asked, ready, has_token=token_of(context) is not None, settings=context.settings)
    if not asked.is_permitted and found.causes:
        context.found["stream_refused"] = found.causes[0]
    return found


async def _ask(context: Context) -> Asked:
    asked = Asked()
    target = dial_target(context)
    token = target.get_token()
    refused = await with_connection(target, CONNECT_S, partial(_converse, asked=asked, token=token), token)
    if refused is not None:
        asked.http_status = refused.http_status
    return asked


async def _converse(connection: Connection, asked: Asked, token: str | None) -> None:
    try:
        with trio.move_on_after(ANSWER_S):
            for _ in range(_MAX_MESSAGES):
                message = _decoded(await connection.receive())
                match message.get("type"):
                    case "welcome":
                        _note_welcome(message, asked)
                        await connection.send(encode("start", sampleRate=_NO_SAMPLE_RATE, token=token), ANSWER_S)
                    case "error":
                        asked.code, asked.message = str(message.get("code")), str(message.get("message", ""))
                        return
                    case "ready":  # it does not check sample rates: no stream is wanted
                        asked.is_ready = True
                        await connection.send(encode("cancel"), ANSWER_S)
                        return
    except (ConnectionLost, trio.TooSlowError):
        return


def _decoded(message: str | bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(message, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return {}


def _note_welcome(welcome: dict[str, Any], asked: Asked) -> None:
    timestamp = welcome.get("timestamp")
    if isinstance(timestamp, int | float):
        asked.gateway_s, asked.at_s = timestamp / 1000, time.time()
    max_stream_ms = welcome.get("maxStreamMs")
    if isinstance(max_stream_ms, int | float):
        asked.max_stream_s = max_stream_ms / 1000


def judge(asked: Asked, ready: ReadyState | None, *, has_token: bool, settings: Settings | None) -> Finding:
    """The finding. `settings` are those of the gateway, where they are known. Pure."""
    issues = _about_answer(asked, ready, has_token=has_token, settings=settings)
    issues += _about_instance(asked, ready)
    facts: dict[str, Fact] = {"permitted": asked.is_permitted, "answer": asked.code, "token": has_token}
    if ready is not None:
        facts |= {
            "phase": ready.phase,
            "recognizer": ready.recognizer,
            "slots_used": ready.slots_used,
            "slots_total": ready.slots_total,
            "streams": ready.streams,
            "shedding": ready.is_shedding,
        }
    slots = "" if ready is None else f" ({ready.slots_used}/{ready.slots_total})"
    sound = Text(f"the service is open for streams{slots}", f"服务可以接受语音流{slots}")
    return finding_of("locked", issues, sound, facts)


def _about_answer(asked: Asked, ready: ReadyState | None, *, has_token: bool, settings: Settings | None) -> list[Issue]:
    if asked.is_permitted:
        return []
    match asked.code:
        case "not_configured":
            missing = _missing(asked.message, ready, settings)
            return [failed(missing, f"the service is locked: {asked.message}", f"服务处于锁定状态：{asked.message}")]
        case "unauthenticated" if not has_token:
            return [
                warned(
                    ("token_missing",),
                    "the service asks for a token, as it should, and none was given: no stream can be tried",
                    "服务要求令牌（本该如此），但没有提供，无法试语音流",
                )
            ]
        case "unauthenticated":
            return [failed(("token_wrong",), "the token was not signed by this service", "令牌不是本服务签发的")]
        case "token_expired":
            return [failed(("token_expired",), "the token has expired", "令牌已过期")]
        case "restarting":
            return [failed(("draining",), "this instance is being stopped", "该实例正在停机")]
        case None if asked.http_status == 503:
            return [
                failed(
                    ("draining", "connections_full"),
                    "the stream's upgrade was answered with HTTP 503",
                    "语音流的升级请求得到 HTTP 503",
                )
            ]
        case None if asked.http_status is not None:
            status = asked.http_status
            return [
                failed(
                    ("stream_path_not_routed",),
                    f"the stream's upgrade was answered with HTTP {status}",
                    f"语音流的升级请求得到 HTTP {status}",
                )
            ]
        case None:
            return [failed(("stream_unanswered",), "the gateway did not answer `start`", "网关没有回应 `start`")]
        case code:
            return [
                failed(
                    ("protocol_differs",), f"an unexpected answer to `start`: {code}", f"对 `start` 的意外回应：{code}"
                )
            ]


def _missing(message: str, ready: ReadyState | None, settings: Settings | None) -> tuple[str, ...]:
    """Which half is missing. The recognizer is looked at first, so where it is missing the other may be, too."""
    lacks_recognizer = "recognizer" in message or (ready is not None and ready.recognizer == "down")
    lacks_authentication = "JWT_SECRET" in message or (settings is not None and settings.auth_mode is AuthMode.LOCKED)
    if settings is not None and settings.recognizer is not RecognizerKind.NONE and "recognizer" not in message:
        lacks_recognizer = False
    causes = []
    if lacks_recognizer and "JWT_SECRET" not in message:
        causes.append("no_recognizer_configured")
    if lacks_authentication or not lacks_recognizer:
        causes.append("no_authentication_configured")
    if lacks_recognizer and "JWT_SECRET" in message:
        causes.append("no_recognizer_configured")
    return tuple(causes)


def _about_instance(asked: Asked, ready: ReadyState | None) -> list[Issue]:
    if ready is None:
        return []
    issues = []
    if ready.phase == "draining" and asked.code != "restarting" and asked.http_status != 503:
        issues.append(failed(("draining",), "this instance is being stopped", "该实例正在停机"))
    if ready.phase == "starting":
        issues.append(failed(("instance_starting",), "this instance is still starting", "该实例仍在启动"))
    if ready.recognizer in ("open", "half_open"):
        issues.append(
            warned(
                ("recognizer_not_dialed",),
                f"the recognizer has failed, and is being tried now and then ({ready.recognizer})",
                f"识别引擎出过错，目前只是偶尔试拨（{ready.recognizer}）",
            )
        )
    elif ready.recognizer == "down" and asked.code != "not_configured" and ready.phase != "starting":
        issues.append(failed(("recognizer_down",), "there is no recognizer at the moment", "目前没有可用的识别引擎"))
    if ready.is_shedding:
        issues.append(
            warned(("shedding",), "new streams are refused: the instance is late", "实例忙不过来，拒绝新语音流")
        )
    if 0 < ready.slots_total <= ready.slots_used:
        issues.append(
            warned(
                ("recognizer_slots_full",),
                f"all {ready.slots_total} recognizer slots are in use",
                f"识别名额 {ready.slots_total} 个已全部占用",
            )
        )
    return issues


STAGE: Final = Stage(
    name="locked", title=Text("Open for streams", "是否可接受语音流"), check=check, needs=("upgrade",), limit_s=30.0
)
