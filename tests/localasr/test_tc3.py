import hashlib

import pytest

from service.localasr.signature import Credentials
from service.localasr.tc3 import SignedRequest, canonical_request, check, sign

NOW_S = 1_700_000_000
BODY = b'{"EngSerViceType": "16k_zh", "SourceType": 1, "VoiceFormat": "pcm", "Data": "AAAAAAAAAAAAAAAAAAAAAA==", "DataLen": 16}'  # noqa: E501 - exactly the vector's
VECTOR = SignedRequest("POST", "/", {"content-type": "application/json", "host": "asr.tencentcloudapi.com"}, BODY)
SIGNATURE = "ea2b3ddaf408bcf3a55e4e607eee88114ea2b1665a7a31ab35c0547506556863"


def authorized(
    signature: str = SIGNATURE,
    secret_id: str = Credentials().secret_id,
    date: str = "2023-11-14",
    names: str = "content-type;host",
    **headers: str,
) -> SignedRequest:
    credential = f"Credential={secret_id}/{date}/asr/tc3_request"
    given = {
        "authorization": f"TC3-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}",
        "x-tc-timestamp": str(NOW_S),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return SignedRequest("POST", "/", {**VECTOR.headers, **given}, BODY)


def test_the_vector() -> None:
    assert hashlib.sha256(BODY).hexdigest() == "53034120e8a4b502de5878a4bb231523e5992a71241e909b5d2664a1e9ec47cc"
    hashed = hashlib.sha256(canonical_request(VECTOR, "content-type;host").encode()).hexdigest()
    assert hashed == "eb1fe9c76a99ff26b1d0e8fbba567879a0c7a0060bf2fb0e9129e120bcac295e"
    assert sign(Credentials().secret_key, VECTOR, NOW_S) == SIGNATURE
    assert check(Credentials(), authorized(), NOW_S) is None


@pytest.mark.parametrize("skew_s", [-300, 300])
def test_five_minutes_are_in_time(skew_s: int) -> None:
    assert check(Credentials(), authorized(), NOW_S + skew_s) is None
    late = check(Credentials(), authorized(), NOW_S + skew_s * 1.01)
    assert late is not None
    assert late.code == "AuthFailure.SignatureExpire"


def test_more_headers_may_be_signed_in_any_case() -> None:
    names = "content-type;host;x-tc-action"
    request = SignedRequest("POST", "/?a=b", {**VECTOR.headers, "x-tc-action": " Some "}, BODY)
    assert canonical_request(request, names).split("\n")[:6] == [
        "POST",
        "/",
        "a=b",
        "content-type:application/json",
        "host:asr.tencentcloudapi.com",
        "x-tc-action:some",
    ]
    signature = sign(Credentials().secret_key, request, NOW_S, names)
    headers = {**authorized(signature, names=names).headers, "x-tc-action": "Some"}
    assert check(Credentials(), SignedRequest("POST", "/?a=b", headers, BODY), NOW_S) is None


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (authorized(x_tc_timestamp=""), "MissingParameter"),
        (authorized(x_tc_timestamp="soon"), "MissingParameter"),
        (authorized(authorization=""), "AuthFailure.InvalidAuthorization"),
        (authorized("not hexadecimal"), "AuthFailure.InvalidAuthorization"),
        (authorized(secret_id="AKIDOTHER"), "AuthFailure.SecretIdNotFound"),
        (authorized("0" * 64), "AuthFailure.SignatureFailure"),
        (authorized(host="other"), "AuthFailure.SignatureFailure"),
        (authorized(x_tc_timestamp=str(NOW_S + 1)), "AuthFailure.SignatureFailure"),
        (authorized(date="2023-11-15"), "AuthFailure.SignatureFailure"),
        (
            authorized(sign(Credentials().secret_key, VECTOR, NOW_S, "content-type"), names="content-type"),
            "AuthFailure.SignatureFailure",
        ),
    ],
)
def test_others_may_not(request_: SignedRequest, code: str) -> None:
    denied = check(Credentials(), request_, NOW_S)
    assert denied is not None
    assert denied.code == code


def test_a_temporary_account_needs_its_token() -> None:
    account = Credentials(token="t")
    denied = check(account, authorized(), NOW_S)
    assert denied is not None
    assert denied.code == "AuthFailure.TokenFailure"
    assert check(account, authorized(x_tc_token="t"), NOW_S) is None
