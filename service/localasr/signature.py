"""Who may open a stream: credentials, signature and clock (Tencent doc 1093/48982, "签名生成"). Pure.

Written from the vendor's text alone, so that it checks the gateway's signing instead of repeating it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

import msgspec

from service.localasr.codes import Code, Refusal, refusal

# The host in the signed text is the vendor's, wherever this server listens.
SIGNED_HOST = "asr.cloud.tencent.com"
# Tencent does not state its tolerance for real-time ASR; API 3.0 refuses a clock more than 5 minutes off.
MAX_SKEW_S = 300
MAX_LIFETIME_S = 90 * 86400


class Credentials(msgspec.Struct, frozen=True):
    """The one account this server knows. ``token`` is set when it is a temporary one."""

    app_id: str = "1250000000"
    secret_id: str = "AKIDEXAMPLE0000000000000000000000000"  # noqa: S105 - the vectors' example
    secret_key: str = "SECRETKEYEXAMPLE0000000000000000"  # noqa: S105 - the same
    token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(app_id={self.app_id!r}, ...)"


def signed_text(app_id: str, parameters: Mapping[str, str]) -> str:
    """The text that is signed: every parameter but ``signature``, sorted by name, values as they are, not encoded."""
    pairs = sorted((item for item in parameters.items() if item[0] != "signature"), key=lambda item: item[0].encode())
    return f"{SIGNED_HOST}/asr/v2/{app_id}?" + "&".join(f"{name}={value}" for name, value in pairs)


def sign(secret_key: str, app_id: str, parameters: Mapping[str, str]) -> str:
    """Base64 of the HMAC-SHA1 of ``signed_text``."""
    digest = hmac.new(secret_key.encode(), signed_text(app_id, parameters).encode(), hashlib.sha1)
    return base64.b64encode(digest.digest()).decode()


def check_authorization(
    credentials: Credentials, app_id: str, parameters: Mapping[str, str], header_token: str | None, now_s: float
) -> Refusal | None:
    """None when the request is signed by ``credentials`` and in time; else 4002.

    ``parameters`` are decoded, and ``timestamp`` and ``expired`` are known to be whole numbers. ``header_token`` is
    the value of ``X-TC-Token``; a temporary account may use it or the signed parameter ``token``.
    """
    timestamp_s, expired_s = int(parameters["timestamp"]), int(parameters["expired"])
    if app_id != credentials.app_id or parameters["secretid"] != credentials.secret_id:
        return refusal(Code.UNAUTHORIZED, "unknown appid or secretid")
    if credentials.token is not None and credentials.token not in (header_token, parameters.get("token")):
        return refusal(Code.UNAUTHORIZED, "token")
    if abs(now_s - timestamp_s) > MAX_SKEW_S:
        return refusal(Code.UNAUTHORIZED, "timestamp is too far from now")
    if expired_s <= timestamp_s or expired_s < now_s or expired_s - timestamp_s > MAX_LIFETIME_S:
        return refusal(Code.UNAUTHORIZED, "expired")
    expected = sign(credentials.secret_key, app_id, parameters)
    if not hmac.compare_digest(expected.encode(), parameters["signature"].encode()):
        return refusal(Code.UNAUTHORIZED, "signature")
    return None
