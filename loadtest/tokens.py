"""Where the tokens of a run come from: given, minted, or printed by a command.

* `--token` is used as it is, for all streams.
* `--token-command` is run before the run, again every `RENEW_S`, and again when the service refuses a token; the first
  line of its output is the token, for all streams that are dialed from then on.
* With JWT_SECRET in the environment, and neither option, every call gets a token of its own, signed with the secret as
  the service signs them. Its subject is `--subject` with `{number}` replaced by the number of the call, so that a limit
  for each user is not met; a subject without `{number}` makes all calls one user, and tests just that limit.

No token is printed, logged, or written to a file.
"""

import shlex
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import trio

from service.tokens import sign

DEFAULT_SUBJECT: Final = "loadtest-{number}"
RENEW_S: Final = 300.0  # well under the two hours for which the service's own tokens are good
MINTED_FOR_S: Final = 3600  # a call is at most that long; what is printed by accident is soon worth nothing
COMMAND_LIMIT_S: Final = 30.0  # a command that asks a login service answers in seconds
REFUSED_SLUGS: Final = frozenset({"unauthenticated", "token_expired"})

_MAX_OUTPUT_BYTES: Final = 64 * 1024
_PLACE: Final = "{number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSource:
    """How a run gets its tokens; at most one of the three. None of them: no token is sent."""

    given: str | None = field(default=None, repr=False)
    command: str | None = None
    mint_subject: str | None = None
    secret: str | None = field(default=None, repr=False)
    """Of `mint_subject`."""

    async def token(self, number: int) -> str | None:
        """A token for the call of this number. Raises TokenError."""
        if self.command is not None:
            return await run_command(self.command)
        if self.mint_subject is not None and self.secret is not None:
            return mint(self.secret, self.mint_subject, number, int(time.time()))
        return self.given


class TokenError(ValueError):
    """No token could be had; the text says why, and never shows one."""


def checked(token: str, source: str) -> str:
    """The token, when it fits into a header. Raises TokenError that names the source otherwise."""
    if not (token and token.isascii() and token.isprintable() and token.strip() == token):
        raise TokenError(f"{source}: expected printable ASCII, as fits into a header")
    return token


def claims(subject: str, number: int, now_s: int) -> dict[str, str | int]:
    """What a minted token says: `exp` is what the service asks for, `sub` and `userId` are who is speaking. Pure."""
    user = subject.replace(_PLACE, str(number))
    return {"sub": user, "userId": user, "iat": now_s, "exp": now_s + MINTED_FOR_S}


def mint(secret: str, subject: str, number: int, now_s: int) -> str:
    """A token for one call, signed as the service signs its own. Pure."""
    return sign(secret, claims(subject, number, now_s))


def secret_of(environment: Mapping[str, str]) -> str | None:
    """JWT_SECRET, or None when it is not set or empty."""
    return environment.get("JWT_SECRET") or None


def split_command(command: str, option: str) -> list[str]:
    """The words of a command line, as a POSIX shell cuts them. Raises TokenError when there are none."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise TokenError(f"{option}: {error}") from None
    if not words:
        raise TokenError(f"{option}: expected a command")
    return words


def first_line(output: bytes) -> str:
    """The token that a command printed: its first line. Raises TokenError when that cannot be one. Pure."""
    lines = output.decode("utf-8", "replace").splitlines()
    return checked(lines[0].strip() if lines else "", "the first line of --token-command")


async def run_command(command: str) -> str:
    """The token that `command` prints. No shell is involved; its standard error is ours.

    Raises TokenError when it cannot be started, fails, prints no token, or takes longer than `COMMAND_LIMIT_S`.
    Cancelled, it is killed.
    """
    words = split_command(command, "--token-command")
    try:
        with trio.fail_after(COMMAND_LIMIT_S):
            exit_code, output = await _output_of(words)
    except OSError as error:
        raise TokenError(f"--token-command cannot be started: {error.strerror or error}") from None
    except trio.TooSlowError:
        raise TokenError(f"--token-command did not end within {COMMAND_LIMIT_S:g} s") from None
    if exit_code != 0:
        raise TokenError(f"--token-command ended with exit code {exit_code}")
    return first_line(output)


async def _output_of(words: list[str]) -> tuple[int, bytes]:
    """The exit code, and the beginning of the output: there may be no end of it. Cancelled, it kills the process."""
    process = await trio.lowlevel.open_process(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout is not None  # noqa: S101 - it was asked for
    output = b""
    try:
        async with process.stdout:
            async for data in process.stdout:
                output += data
                if len(output) > _MAX_OUTPUT_BYTES:
                    raise TokenError(f"--token-command printed more than {_MAX_OUTPUT_BYTES} bytes")
        return await process.wait(), output
    finally:
        if process.returncode is None:
            process.kill()
            with trio.CancelScope(shield=True):  # limited: it was killed
                await process.wait()
