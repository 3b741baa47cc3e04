"""Who may call API 3.0: TC3-HMAC-SHA256 (Tencent doc 1093/35641, "签名方法 v3"). Pure.

Written from the vendor's text alone, like ``signature``.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Mapping

import msgspec

from service.localasr.api import ApiError
from service.localasr.signature import MAX_SKEW_S, Credentials

ALGORITHM = "TC3-HMAC-SHA256"
SERVICE = "asr"
_REQUIRED_HEADERS = frozenset({"content-type", "host"})
_AUTHORIZATION = re.compile(
    ALGORITHM + r" Credential=(?P<id>[^/,\s]+)/(?P<scope>[0-9-]{10}/[a-z0-9]+/tc3_request), ?"
    r"SignedHeaders=(?P<names>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


class SignedRequest(msgspec.Struct, frozen=True):
    """What takes part in a signature. Header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


def canonical_request(request: SignedRequest, names: str) -> str:
    """The request in the form that is hashed; ``names`` are the signed headers, ``content-type;host``."""
    path, _, query = request.target.partition("?")
    headers = "".join(f"{name}:{request.headers.get(name, '').strip().lower()}\n" for name in names.split(";"))
    return "\n".join([request.method, path, query, headers, names, hashlib.sha256(request.body).hexdigest()])


def scope_of(timestamp_s: int) -> str:
    """``<UTC date>/asr/tc3_request``."""
    return f"{datetime.datetime.fromtimestamp(timestamp_s, datetime.UTC):%Y-%m-%d}/{SERVICE}/tc3_request"


def sign(secret_key: str, request: SignedRequest, timestamp_s: int, names: str = "content-type;host") -> str:
    """The signature, in hexadecimal digits."""
    scope = scope_of(timestamp_s)
    hashed = hashlib.sha256(canonical_request(request, names).encode()).hexdigest()
    key = f"TC3{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = f"{ALGORITHM}\n{timestamp_s}\n{scope}\n{hashed}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def check(credentials: Credentials, request: SignedRequest, now_s: float) -> ApiError | None:
    """None when ``request`` is signed by ``credentials`` and in time."""
    timestamp = request.headers.get("x-tc-timestamp", "")
    if re.fullmatch("[0-9]{1,11}", timestamp) is None:
        return ApiError("MissingParameter", "X-TC-Timestamp must be unix seconds.")
    timestamp_s = int(timestamp)
    given = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if given is None:
        return ApiError("AuthFailure.InvalidAuthorization", "The Authorization header is missing or malformed.")
    if abs(now_s - timestamp_s) > MAX_SKEW_S:
        return ApiError("AuthFailure.SignatureExpire", "The timestamp is more than 5 minutes off the server's.")
    if given["id"] != credentials.secret_id:
        return ApiError("AuthFailure.SecretIdNotFound", "The SecretId is not found.")
    if credentials.token is not None and not _same(request.headers.get("x-tc-token", ""), credentials.token):
        return ApiError("AuthFailure.TokenFailure", "The token is invalid.")
    signs_enough = set(given["names"].split(";")) >= _REQUIRED_HEADERS
    expected = sign(credentials.secret_key, request, timestamp_s, given["names"])
    if not signs_enough or given["scope"] != scope_of(timestamp_s) or not _same(given["signature"], expected):
        return ApiError("AuthFailure.SignatureFailure", "The signature does not fit the request.")
    return None


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
