"""What a failure of the catalogue means for an operator: slug and message → causes. Pure."""

import re
from typing import Final

CLOCK_FAIL_S: Final = 300.0
"""Tencent's API 3.0 refuses a clock that is 5 minutes off; for streams no figure is documented."""

_CODE: Final = re.compile(r"recognizer code (\d+)")

_BY_CODE: Final[dict[int, tuple[str, ...]]] = {
    4000: ("connection_stalls",),
    4001: ("engine_not_supported",),
    4002: ("recognizer_wrong_credentials", "clock_skew"),
    4003: ("recognizer_not_activated",),
    4004: ("recognizer_no_resources",),
    4005: ("account_in_arrears",),
    4006: ("account_concurrency_full",),
    4007: ("protocol_differs",),
    4008: ("connection_stalls",),
    4010: ("recognizer_misunderstood",),
    5000: ("recognizer_failed",),
    5001: ("recognizer_failed",),
    5002: ("recognizer_failed",),
    6001: ("recognizer_abroad",),
}

_BY_SLUG: Final[dict[str, tuple[str, ...]]] = {
    "not_configured": ("no_recognizer_configured", "no_authentication_configured"),
    "unauthenticated": ("token_wrong",),
    "token_expired": ("token_expired",),
    "forbidden": ("not_allowed",),
    "too_many_streams": ("user_limit_reached",),
    "too_many_new_streams": ("user_limit_reached",),
    "quota_exceeded": ("user_limit_reached",),
    "engine_not_supported": ("engine_not_supported",),
    "recognizer_rejected": ("recognizer_wrong_credentials",),
    "recognizer_unavailable": ("recognizer_unreachable", "recognizer_failed"),
    "recognizer_timeout": ("recognizer_silent", "recognizer_unreachable"),
    "recognizer_busy": ("recognizer_slots_full",),
    "overloaded": ("max_streams_reached",),
    "restarting": ("draining",),
    "start_timeout": ("connection_stalls",),
    "idle_timeout": ("connection_stalls",),
    "client_too_slow": ("connection_stalls",),
    "audio_lost": ("recognizer_connection_lost",),
    "internal": ("internal_error",),
}


def code_in(message: str) -> int | None:
    """The recognizer's own code in the words of an `error`, where they have one."""
    found = _CODE.search(message)
    return None if found is None else int(found[1])


def causes_of_code(code: int, skew_s: float | None = None) -> tuple[str, ...]:
    """The causes of a code of the recognizer. `skew_s`: how far the gateway's clock is off, where that is known.

    4002 is one code for a wrong account and for a wrong clock, so the clock goes first where it is known to be wrong.
    """
    causes = _BY_CODE.get(code, ("recognizer_failed",))
    if code == 4002 and skew_s is not None:
        return causes[::-1] if abs(skew_s) > CLOCK_FAIL_S else causes[:1]
    return causes


def causes_of(slug: str, message: str, *, is_shedding: bool = False, skew_s: float | None = None) -> tuple[str, ...]:
    """The causes of a failure, the likeliest first. `is_shedding` is what `/ready` says."""
    code = code_in(message)
    if code is not None:
        return causes_of_code(code, skew_s)
    if slug == "overloaded" and (is_shedding or "more to do" in message):
        return ("shedding",)
    if slug == "recognizer_unavailable" and "is not up" in message:
        return ("recognizer_down",)
    return _BY_SLUG.get(slug, ("protocol_differs",))
