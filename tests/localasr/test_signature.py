"""The vectors were computed from the vendor's text and cross-checked with the vendor's Python SDK."""

import urllib.parse

import pytest

from service.localasr.signature import MAX_LIFETIME_S, Credentials, check_authorization, sign, signed_text

NOW_S = 1_700_000_000
ACCOUNT = Credentials()
A = {
    "engine_model_type": "16k_zh",
    "expired": "1700086400",
    "needvad": "1",
    "nonce": "1234567890",
    "secretid": "AKIDEXAMPLE0000000000000000000000000",
    "timestamp": "1700000000",
    "voice_format": "1",
    "voice_id": "c64385ee-3e5c-4fc5-bbfd-7c71addb35b0",
}
B = A | {"filter_empty_result": "0", "hotword_list": "腾讯云|10,ASR|11", "noise_threshold": "0.5"}
C = A | {"nonce": "3"}
B_WRONG = "qi0sj4jKfJAYYpiUFW++yLyBsOY="


def check(
    parameters: dict[str, str],
    *,
    account: Credentials = ACCOUNT,
    app_id: str = "1250000000",
    header_token: str | None = None,
    now_s: float = NOW_S,
) -> str | None:
    """Why it is refused, or None."""
    refusal = check_authorization(account, app_id, parameters, header_token, now_s)
    assert refusal is None or refusal.code == 4002
    return None if refusal is None else refusal.message


def signed(parameters: dict[str, str]) -> dict[str, str]:
    return parameters | {"signature": sign(ACCOUNT.secret_key, ACCOUNT.app_id, parameters)}


def test_signed_text_is_sorted_and_raw() -> None:
    assert signed_text("1250000000", A) == (
        "asr.cloud.tencent.com/asr/v2/1250000000?engine_model_type=16k_zh&expired=1700086400&needvad=1&nonce=1234567890"
        "&secretid=AKIDEXAMPLE0000000000000000000000000&timestamp=1700000000&voice_format=1"
        "&voice_id=c64385ee-3e5c-4fc5-bbfd-7c71addb35b0"
    )
    assert "hotword_list=腾讯云|10,ASR|11&" in signed_text("1250000000", B | {"signature": "x"})


@pytest.mark.parametrize(
    ("parameters", "signature"),
    [
        (A, "dxOQ4QGTNmXhXEReSGscA8QlWS0="),
        (B, "tzYLXaQREHBtGNJSmdNQCPk5mko="),
        (C, "5idmIdGu0WRHYDMmOoIG+/5NoR4="),
    ],
)
def test_vectors(parameters: dict[str, str], signature: str) -> None:
    assert sign(ACCOUNT.secret_key, ACCOUNT.app_id, parameters) == signature
    assert check(parameters | {"signature": signature}) is None


def test_signing_the_encoded_values_is_refused() -> None:
    encoded = {name: urllib.parse.quote(value, safe="") for name, value in B.items()}
    assert sign(ACCOUNT.secret_key, ACCOUNT.app_id, encoded) == B_WRONG
    assert check(B | {"signature": B_WRONG}) == "鉴权失败(signature)"


def test_a_plus_that_became_a_space_is_refused() -> None:
    assert check(C | {"signature": "5idmIdGu0WRHYDMmOoIG /5NoR4="}) == "鉴权失败(signature)"


def test_account() -> None:
    assert check(signed(A), app_id="1250000001") == "鉴权失败(unknown appid or secretid)"
    assert check(signed(A | {"secretid": "other"})) == "鉴权失败(unknown appid or secretid)"
    assert "SECRET" not in repr(ACCOUNT)


def test_temporary_account_needs_its_token_in_header_or_query() -> None:
    account = Credentials(token="t0ken")
    assert check(signed(A), account=account) == "鉴权失败(token)"
    assert check(signed(A), account=account, header_token="other") == "鉴权失败(token)"
    assert check(signed(A), account=account, header_token="t0ken") is None
    assert check(signed(A | {"token": "t0ken"}), account=account) is None
    assert check(signed(A) | {"token": "t0ken"}, account=account) == "鉴权失败(signature)"


@pytest.mark.parametrize(
    ("timestamp_s", "expired_s", "reason"),
    [
        (NOW_S - 300, NOW_S + 1, None),
        (NOW_S + 300, NOW_S + 301, None),
        (NOW_S - 301, NOW_S + 1, "鉴权失败(timestamp is too far from now)"),
        (NOW_S + 301, NOW_S + 400, "鉴权失败(timestamp is too far from now)"),
        (NOW_S, NOW_S, "鉴权失败(expired)"),
        (NOW_S - 100, NOW_S - 1, "鉴权失败(expired)"),
        (NOW_S, NOW_S + MAX_LIFETIME_S, None),
        (NOW_S, NOW_S + MAX_LIFETIME_S + 1, "鉴权失败(expired)"),
    ],
)
def test_clock(timestamp_s: int, expired_s: int, reason: str | None) -> None:
    assert check(signed(A | {"timestamp": str(timestamp_s), "expired": str(expired_s)})) == reason
