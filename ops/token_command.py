"""`python -m ops token mint|inspect`: a token by whoever holds the secret; what is in one, and why it is refused.

The secrets come from JWT_SECRET and JWT_SECRET_OLD, as the service's own. Neither they nor signatures are printed.
"""

import argparse
import datetime
import math
import os
import sys
import time
from collections.abc import Mapping
from typing import Final

import jwt

from service.failures import Problem
from service.settings_reader import Reader
from service.tokens import MAX_USER_ID, key_id, mint, verify
from service.users import is_openid, user_id_of

_GOOD: Final = 0
_BAD: Final = 1
_USAGE: Final = 2
_DEFAULT_TTL_S: Final = 3600
_MAX_TTL_S: Final = 30 * 86_400  # as TOKEN_TTL_S
_MAX_SHOWN: Final = 200


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "token",
        help="mint a token with JWT_SECRET, or see what is in one and why it is refused",
        epilog="exit codes: 0 minted, or good; 1 not good; 2 bad usage. With JWT_SECRET, JWT_SECRET_OLD and, for "
        "--openid, WECHAT_APPID from the environment.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="mint|inspect")
    new = actions.add_parser("mint", help="print a token")
    who = new.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", metavar="ID", help=f"whose: the id, at most {MAX_USER_ID} characters")
    who.add_argument("--openid", help="whose: the user whom WeChat knows so; login gives the same id")
    new.add_argument("--ttl-s", type=int, default=_DEFAULT_TTL_S, metavar="S", help="good for so long [%(default)s]")
    seen = actions.add_parser("inspect", help="say what is in a token, and whether the service takes it")
    seen.add_argument("token", nargs="?", default="-", help="the token; - or none: the first line of standard input")


def run(arguments: argparse.Namespace) -> int:
    """Mint or inspect, and return the exit code."""
    reader = Reader(os.environ)
    secrets = {name: secret for name in ("JWT_SECRET", "JWT_SECRET_OLD") if (secret := reader.secret(name))}
    if reader.problems:
        return _complain(*reader.problems)
    if arguments.action == "inspect":
        token = sys.stdin.readline() if arguments.token == "-" else arguments.token  # noqa: S105 - a dash
        lines, is_good = report(token.strip(), secrets, time.time())
        print("\n".join(lines))
        return _GOOD if is_good else _BAD
    if "JWT_SECRET" not in secrets:
        return _complain("JWT_SECRET is not set: it is what the service signs with")
    user_id = arguments.user
    if arguments.openid is not None:
        appid = reader.text("WECHAT_APPID", "")
        if not appid or not is_openid(arguments.openid):
            return _complain("--openid needs WECHAT_APPID, and letters, digits, - and _ only")
        user_id = user_id_of(appid, arguments.openid)
    if not (0 < len(user_id) <= MAX_USER_ID and user_id.isprintable()):
        return _complain(f"--user: expected 1 to {MAX_USER_ID} characters, all of them printable")
    if not 1 <= arguments.ttl_s <= _MAX_TTL_S:
        return _complain(f"--ttl-s: expected 1 to {_MAX_TTL_S}")
    print(mint(secrets["JWT_SECRET"], user_id, now_s=int(time.time()), ttl_s=arguments.ttl_s))
    return _GOOD


def report(token: str, secrets: Mapping[str, str], now: float) -> tuple[list[str], bool]:
    """What is in a token, line by line, and whether the service takes it at `now`. `secrets` by their names. Pure."""
    try:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return ["verdict: this is no JWT (three parts with dots between); was it cut off?"], False
    lines = [
        f"algorithm: {_shown(header.get('alg'))}",
        f"secret: {_secret_named(header.get('kid'), secrets)}",
        f"user: {_shown(claims.get('sub', 'none is named'))}",
        *(f"{word}: {_moment(claims[name], now)}" for name, word in _TIMES.items() if name in claims),
    ]
    if not secrets:
        return [*lines, "verdict: not checked, JWT_SECRET is not set here"], False
    verdict = verify(token, tuple(secrets.values()), now)
    if isinstance(verdict, Problem):
        return [*lines, f"verdict: {verdict.slug}. {verdict.message}"], False
    return [*lines, "verdict: good"], True


_TIMES: Final = {"iat": "issued", "nbf": "begins", "exp": "expires"}


def _secret_named(named: object, secrets: Mapping[str, str]) -> str:
    if named is None:
        return "none is named, so all are tried"
    matching = [name for name, secret in secrets.items() if key_id(secret) == named]
    return f"{_shown(named)}, {' and '.join(matching) or 'none of those that are known here'}"


def _moment(given: object, now: float) -> str:
    if not isinstance(given, int | float) or not math.isfinite(given):
        return f"{_shown(given)}, which is no time"
    try:
        moment = datetime.datetime.fromtimestamp(given, datetime.UTC).isoformat(sep=" ", timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return f"{_shown(given)}, too far away for a calendar"
    away_s = round(given - now)
    return f"{moment} ({abs(away_s)} s {'from now' if away_s > 0 else 'ago'})"


def _shown(value: object) -> str:
    """What a stranger wrote, safe for a terminal."""
    text = value if isinstance(value, str) and value.isprintable() else ascii(value)
    return text[:_MAX_SHOWN]


def _complain(*problems: str) -> int:
    for problem in problems:
        print(f"ops token: {problem}", file=sys.stderr)
    return _USAGE
