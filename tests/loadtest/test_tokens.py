"""Where tokens come from; the service's own check is the judge of minted ones."""

import sys
import time
from pathlib import Path

import jwt
import pytest
import trio

from loadtest import tokens
from loadtest.tokens import TokenError, TokenSource, checked, claims, first_line, mint, run_command, secret_of
from service.identity import Caller
from service.settings import AuthMode, Settings
from service.stream.authentication import authenticate

SECRET = "a secret of at least thirty-two bytes"


def test_claims_name_the_call_and_expire() -> None:
    assert claims("loadtest-{number}", 7, 1000) == {
        "sub": "loadtest-7",
        "userId": "loadtest-7",
        "iat": 1000,
        "exp": 1000 + tokens.MINTED_FOR_S,
    }


def test_a_subject_without_a_number_is_one_user() -> None:
    assert claims("one user", 7, 1000)["sub"] == claims("one user", 8, 1000)["sub"] == "one user"


def test_other_braces_of_a_subject_stay() -> None:
    assert claims("{x}{number}", 7, 1000)["sub"] == "{x}7"


async def test_the_service_takes_a_minted_token() -> None:
    settings = Settings(auth_mode=AuthMode.TOKEN, jwt_secret=SECRET)
    token = await TokenSource(mint_subject="u-{number}", secret=SECRET).token(3)
    assert token is not None
    assert authenticate(settings, Caller(token), now=time.time()).user_id == "u-3"


def test_a_token_of_another_secret_is_another_one() -> None:
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(mint("x" * 40, "u", 0, 1000), SECRET, ["HS256"])


@pytest.mark.parametrize("environment", [{}, {"JWT_SECRET": ""}])
def test_no_secret(environment: dict[str, str]) -> None:
    assert secret_of(environment) is None


@pytest.mark.parametrize("token", ["", " a", "a ", "a\nb", "ä", "a\x7f"])
def test_what_is_no_token_is_not_shown(token: str) -> None:
    with pytest.raises(TokenError, match=r"^--token: expected printable ASCII, as fits into a header$"):
        checked(token, "--token")


def test_the_first_line_is_the_token() -> None:
    assert first_line(b"  abc.def \r\nmore") == "abc.def"


@pytest.mark.parametrize("output", [b"", b"\nabc", b"\xff\n"])
def test_no_first_line(output: bytes) -> None:
    with pytest.raises(TokenError, match="the first line of --token-command"):
        first_line(output)


def test_neither_tokens_nor_secrets_are_in_the_repr() -> None:
    assert SECRET not in repr(TokenSource(given=SECRET, mint_subject="u", secret=SECRET))


def command(tmp_path: Path, code: str) -> str:
    script = tmp_path / "with space.py"
    script.write_text(code)
    return f"{sys.executable} '{script}'"


async def test_a_command_prints_the_token(tmp_path: Path) -> None:
    source = TokenSource(command=command(tmp_path, "print('t-1'); print('noise')"))
    assert await source.token(0) == "t-1"


async def test_a_command_that_fails_is_no_token(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match=r"^--token-command ended with exit code 3$"):
        await run_command(command(tmp_path, "print('t-1'); raise SystemExit(3)"))


async def test_a_command_that_prints_without_end_is_no_token(tmp_path: Path) -> None:
    with trio.fail_after(20), pytest.raises(TokenError, match=r"printed more than 65536 bytes$"):
        await run_command(command(tmp_path, "while True: print('t' * 1000)"))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("/no/such/program", "--token-command cannot be started: No such file or directory"),
        ("'open", "--token-command: No closing quotation"),
        (" ", "--token-command: expected a command"),
    ],
)
async def test_a_command_that_is_none(line: str, complaint: str) -> None:
    with pytest.raises(TokenError) as raised:
        await run_command(line)
    assert str(raised.value) == complaint


async def test_nothing_given_is_no_token() -> None:
    assert await TokenSource().token(0) is None
    assert await TokenSource(given="t").token(5) == "t"
