"""`python -m ops token`: what is minted is good, and what is inspected is told."""

import io
import time

import pytest

from ops.__main__ import run
from ops.token_command import report
from service.identity import Identity
from service.tokens import key_id, mint, sign, verify
from service.users import user_id_of

SECRET, OLD_SECRET = "n" * 32, "o" * 32
SECRETS = {"JWT_SECRET": SECRET, "JWT_SECRET_OLD": OLD_SECRET}
NOW = 1_700_000_000.0
NO_JWT = "verdict: this is no JWT (three parts with dots between); was it cut off?"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JWT_SECRET", "JWT_SECRET_OLD", "WECHAT_APPID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JWT_SECRET", SECRET)


async def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = await run(["token", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


async def test_a_minted_token_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    code, token, complaint = await output(capsys, "mint", "--user", "doctor", "--ttl-s", "60")
    assert (code, complaint) == (0, "")
    identity = verify(token.strip(), (SECRET,), time.time())
    assert isinstance(identity, Identity)
    assert identity.user_id == "doctor"
    assert 0 < identity.expires_at - time.time() <= 60
    code, told, _ = await output(capsys, "inspect", token.strip())
    assert code == 0
    assert told.endswith("verdict: good\n")


async def test_a_token_for_an_openid_is_that_of_a_login(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await output(capsys, "mint", "--openid", "oABC"))[0] == 2
    monkeypatch.setenv("WECHAT_APPID", "wx1")
    _, token, _ = await output(capsys, "mint", "--openid", "oABC")
    assert getattr(verify(token.strip(), (SECRET,), time.time()), "user_id", None) == user_id_of("wx1", "oABC")


async def test_a_token_comes_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(mint(SECRET, "u", now_s=0, ttl_s=1) + "\n"))
    code, told, _ = await output(capsys, "inspect")
    assert code == 1
    assert "verdict: token_expired. The token has expired: log in again." in told


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["mint", "--user", ""], "--user: expected 1 to 128 characters, all of them printable"),
        (["mint", "--user", "u" * 129], "--user: expected 1 to 128 characters, all of them printable"),
        (["mint", "--user", "u", "--ttl-s", "0"], "--ttl-s: expected 1 to 2592000"),
        (["mint", "--openid", "o o"], "--openid needs WECHAT_APPID, and letters, digits, - and _ only"),
    ],
)
async def test_bad_usage(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await output(capsys, *arguments) == (2, "", f"ops token: {complaint}\n")


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [("", "JWT_SECRET is not set: it is what the service signs with"),
     ("short", "JWT_SECRET has 5 bytes: at least 32 are needed")],
)  # fmt: skip
async def test_without_a_secret_nothing_is_minted(
    secret: str, complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_SECRET", secret)
    assert await output(capsys, "mint", "--user", "u") == (2, "", f"ops token: {complaint}\n")


def test_everything_of_a_token_is_told() -> None:
    lines, is_good = report(mint(OLD_SECRET, "u_1", now_s=int(NOW) - 60, ttl_s=3660), SECRETS, NOW)
    assert is_good
    assert lines == [
        "algorithm: HS256",
        f"secret: {key_id(OLD_SECRET)}, JWT_SECRET_OLD",
        "user: u_1",
        "issued: 2023-11-14 22:12:20+00:00 (60 s ago)",
        "expires: 2023-11-14 23:13:20+00:00 (3600 s from now)",
        "verdict: good",
    ]


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("", NO_JWT),
        (mint(SECRET, "u", now_s=int(NOW), ttl_s=9)[:-2], NO_JWT),
        (
            sign("x" * 32, {"sub": "u", "exp": NOW + 9}),
            "verdict: unauthenticated. The token was signed with a secret that this service does not have.",
        ),
        (
            sign(SECRET, {"exp": "soon"}),
            "verdict: unauthenticated. The token's exp and nbf: expected an end in Unix seconds, and a beginning that "
            "is not to come.",
        ),
    ],
)  # fmt: skip
def test_why_a_token_is_refused(token: str, expected: str) -> None:
    lines, is_good = report(token, SECRETS, NOW)
    assert not is_good
    assert lines[-1] == expected


def test_what_a_stranger_wrote_is_safe_to_show() -> None:
    token = sign(SECRET, {"sub": "\x1b[2J" + "u" * 500, "exp": 1e300, "nbf": float("nan"), "iat": True})
    lines, _ = report(token, {}, NOW)
    assert not [line for line in lines if not line.isprintable() or len(line) > 250]
    assert lines[1].endswith(", none of those that are known here")
    assert "expires: 1e+300, too far away for a calendar" in lines
    assert "begins: nan, which is no time" in lines
    assert lines[-1] == "verdict: not checked, JWT_SECRET is not set here"
