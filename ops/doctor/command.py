"""`python -m ops doctor [URL]`: examine a gateway and say what is wrong."""

import argparse
import os
import ssl
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import trio

from loadtest.tokens import TokenError, checked
from loadtest.urls import UrlError
from ops.doctor import stages_network, stages_stream
from ops.doctor.address import DEFAULT_URL, HTTP_PORT, HTTPS_PORT, base_url, target_of
from ops.doctor.causes import CATALOGUE
from ops.doctor.finding import Finding, exit_code
from ops.doctor.report import Report, as_json
from ops.doctor.runner import examine
from ops.doctor.stage import Context, Stage
from ops.doctor.stages_stream.reaching import token_of
from service.recognizer.child import local_recognizer_available
from service.settings import Settings
from service.settings_reader import SettingsError

STAGES: Final[tuple[Stage, ...]] = (*stages_network.STAGES, *stages_stream.STAGES, *stages_network.LAST)
_USAGE: Final = 2
_NAMES: Final = tuple(stage.name for stage in STAGES)


class UsageError(ValueError):
    """Options that cannot be used; the text says why."""


def add_command(commands: Any) -> None:
    """Adds the parser of `doctor`."""
    parser = commands.add_parser(
        "doctor",
        help="check a deployment stage by stage: what is wrong, why, and what to do",
        epilog="Exit codes: 0 nothing failed, 1 a stage failed, 2 bad usage. See docs/doctor.md.",
    )
    parser.add_argument("url", nargs="?", help=f"a base or the full stream URL; {DEFAULT_URL} when left out")
    preset = parser.add_mutually_exclusive_group()
    preset.add_argument("--local", action="store_true", help="the gateway of this environment: check its settings, too")
    preset.add_argument("--cloud", action="store_true", help="a deployment: needs a URL, and includes --idle")
    parser.add_argument("--idle", action="store_true", help="find out how long a silent connection lives (150 s)")
    parser.add_argument("--token", help="for streams; better in the variable TOKEN, which is in no process list")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="authorities to trust beside the system's (PEM)")
    parser.add_argument("--http-port", type=int, metavar="PORT", help="where an https target answers without TLS")
    parser.add_argument("--lang", choices=("en", "zh"), help="default: from LC_ALL, LC_MESSAGES and LANG")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output instead of lines")
    parser.add_argument("--only", nargs="+", choices=_NAMES, metavar="STAGE", help="of: " + ", ".join(_NAMES))
    parser.add_argument("--skip", nargs="+", choices=_NAMES, metavar="STAGE", default=())


async def run(arguments: argparse.Namespace) -> int:
    """Examines; the exit code."""
    try:
        context = await trio.to_thread.run_sync(context_of, arguments, os.environ)
    except (UsageError, UrlError, TokenError) as error:
        print(f"ops doctor: {error}", file=sys.stderr)
        return _USAGE
    language = arguments.lang or language_of(os.environ)
    stages = chosen(STAGES, only=arguments.only, skip=arguments.skip)
    if not stages:
        print("ops doctor: --only and --skip leave no stage, so nothing would be examined", file=sys.stderr)
        return _USAGE
    url = base_url(context.target)
    if arguments.json:
        findings = await examine(context, stages, lambda finding: None)
        print(as_json(url, findings, stages, CATALOGUE, language))
        return exit_code(findings)
    report = Report(url, stages, CATALOGUE, language=language, has_color=_has_color(os.environ))

    def show(finding: Finding) -> None:
        print(*report.lines(finding), sep="\n", flush=True)

    print(url)
    findings = await examine(context, stages, show)
    print(report.totals(findings))
    return exit_code(findings)


def context_of(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Context:
    """What the options and the environment ask for. Reads the authorities' files, which takes tens of milliseconds.

    Raises UsageError, UrlError and TokenError.
    """
    if arguments.cloud and not arguments.url:
        raise UsageError("--cloud needs the URL of the deployment, such as https://HOST")
    if arguments.http_port is not None and not 0 < arguments.http_port < 65536:
        raise UsageError("--http-port: expected 1 to 65535")
    settings, problems = _settings(environ) if arguments.local else (None, ())
    target = target_of(arguments.url or _default_url(settings))
    context = Context(
        target=target,
        token=_token(arguments, environ),
        ca_file=arguments.ca_file,
        tls=_tls(arguments.ca_file) if target.is_secure else None,
        is_idle_wanted=arguments.idle or arguments.cloud,
        settings=settings,
        is_local=arguments.local,
        settings_problems=problems,
        plain_port=_plain_port(arguments, is_secure=target.is_secure, port=target.port),
    )
    context.token = token_of(context)
    return context


def chosen(stages: Sequence[Stage], *, only: Sequence[str] | None, skip: Sequence[str]) -> list[Stage]:
    """The stages that are asked, in their order. Pure."""
    return [stage for stage in stages if (only is None or stage.name in only) and stage.name not in skip]


def language_of(environ: Mapping[str, str]) -> str:
    """The language that the environment asks for, as POSIX ranks the variables. Pure."""
    found = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return "zh" if found.lower().startswith("zh") else "en"


def _settings(environ: Mapping[str, str]) -> tuple[Settings | None, tuple[str, ...]]:
    try:
        return Settings.from_env(environ, local_available=local_recognizer_available()), ()
    except SettingsError as error:
        return None, tuple(error.problems)


def _default_url(settings: Settings | None) -> str:
    """On this machine: the port of the settings where the environment gives one, as in a container."""
    if settings is not None and os.environ.get("PORT") and settings.port:
        return f"http://127.0.0.1:{settings.port}"
    return DEFAULT_URL


def _token(arguments: argparse.Namespace, environ: Mapping[str, str]) -> str | None:
    """The one that is given."""
    if arguments.token:
        return checked(arguments.token, "--token")
    return checked(environ["TOKEN"], "TOKEN") if environ.get("TOKEN") else None


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"--ca-file {ca_file}: {error.strerror or 'expected certificates in PEM'}") from None
    return context


def _plain_port(arguments: argparse.Namespace, *, is_secure: bool, port: int) -> int | None:
    if not is_secure:
        return None
    given: int | None = arguments.http_port
    return given or (HTTP_PORT if port == HTTPS_PORT else None)


def _has_color(environ: Mapping[str, str]) -> bool:
    return sys.stdout.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
