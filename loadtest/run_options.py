"""The command line of `loadtest run`, and what it means."""

import argparse
import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from loadtest.coordinator import RunSettings
from loadtest.formats import plural
from loadtest.overrides import shape_of, with_frame_ms, with_load
from loadtest.plan import DEFAULT_SEED
from loadtest.scenario_files import LoadedScenario, load_scenario
from loadtest.scrape import metrics_url
from loadtest.tokens import DEFAULT_SUBJECT, TokenError, TokenSource, checked, secret_of, split_command
from loadtest.urls import stream_url

DEFAULT_URL: Final = "ws://127.0.0.1:8000"
DEFAULT_SCENARIO: Final = "smoke"
RESULTS: Final = Path("loadtest-results")
MAX_PROCESSES: Final = 256

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token of RFC 9110
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OURS: Final = frozenset({"host", "upgrade", "connection", "content-length", "transfer-encoding"})
_EPILOG: Final = """\
exit codes: 0 every objective met, 1 one missed, 2 bad usage or nothing reachable, 3 the load tester itself was too late
(the figures say nothing about the service), 130 interrupted. With --find-knee: 0 found, 1 not even the lowest load
held, 3 the load tester was the limit before any objective broke, or a load gave nothing to measure.

tokens: --token as it is; --token-command prints one on its first line, and is run again every 5 minutes and when the
service refuses it; else, with JWT_SECRET in the environment, each call gets a token of its own, minted for --subject.
"""


class OptionError(ValueError):
    """An option that cannot be used; the text says which, and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What `run` was asked for."""

    settings: RunSettings
    directory: Path
    find_knee: bool = False
    metrics_port: int | None = None
    is_live: bool = True
    is_quiet: bool = False
    as_json: bool = False
    notes: tuple[str, ...] = ()
    """What the operator should know of what was asked for."""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `run` to the commands."""
    command = commands.add_parser(
        "run",
        help="load a gateway with simulated phones and judge it",
        description="Load a gateway with simulated phones as a scenario says, judge it by the scenario's objectives, "
        "and write summary.json, streams.jsonl and report.html.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--url", default=DEFAULT_URL, help="base (http://host:port) or full stream URL [%(default)s]")
    command.add_argument(
        "--scenario", default=DEFAULT_SCENARIO, metavar="FILE|NAME", help="a .toml file or a bundled one [%(default)s]"
    )
    command.add_argument("--seed", type=int, default=DEFAULT_SEED, help="same seed, same plan [%(default)s]")
    load = command.add_mutually_exclusive_group()
    load.add_argument("--streams", type=_positive, metavar="N", help="concurrent streams, in place of the scenario's")
    load.add_argument("--rate", type=_positive, metavar="R", help="calls per second, in place of the scenario's")
    command.add_argument("--duration", type=_positive, metavar="S", help="seconds of arrivals: stretches the timetable")
    command.add_argument("--frame-ms", type=_positive, metavar="MS", help="audio per message")
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any key of the scenario, such as audio.gap_s=2"
    )
    command.add_argument("--processes", type=_processes, metavar="N", help="worker processes [as many as needed]")
    command.add_argument(
        "--shard", type=parse_shard, default=(0, 1), metavar="I/N", help="part I, from 0, of N parts of the plan"
    )
    command.add_argument(
        "--begin-at",
        type=parse_moment_s,
        metavar="TIME",
        help="when the first call may arrive, UNIX seconds or ISO 8601: for shards [as soon as all is ready]",
    )
    command.add_argument("--out", type=Path, metavar="DIR", help=f"where results go [{RESULTS}/SCENARIO-TIME]")
    token = command.add_mutually_exclusive_group()
    token.add_argument("--token", help="token of the service, for all streams")
    token.add_argument("--token-command", metavar="COMMAND", help="prints a token; no shell is involved")
    command.add_argument(
        "--subject",
        default=DEFAULT_SUBJECT,
        metavar="TEXT",
        help="user of minted tokens, which JWT_SECRET is for; without {number} all calls are one user [%(default)s]",
    )
    command.add_argument(
        "--header", action="append", default=[], metavar="'NAME: VALUE'", help="a further header of the upgrade"
    )
    command.add_argument("--find-knee", action="store_true", help="raise the load until an objective breaks")
    command.add_argument("--metrics-port", type=_port, metavar="PORT", help="serve Prometheus metrics of the run there")
    command.add_argument(
        "--server-metrics", metavar="URL|off", help="the service's /metrics, or none [/metrics of --url]"
    )
    command.add_argument("--metrics-token", metavar="TOKEN", help="of the service [METRICS_TOKEN in the environment]")
    command.add_argument("--label", default="", help="what you call this machine, for the report")
    command.add_argument("--keep-text", action="store_true", help="keep transcripts in streams.jsonl")
    command.add_argument("--no-live", action="store_true", help="no live view")
    output = command.add_mutually_exclusive_group()
    output.add_argument("--quiet", action="store_true", help="print nothing but the verdict and why")
    output.add_argument("--json", action="store_true", help="print the summary as JSON, and nothing else")


def read_options(arguments: argparse.Namespace, environment: Mapping[str, str]) -> RunOptions:
    """What the arguments ask for. Blocks while it reads the scenario.

    Raises OptionError, ScenarioError, UrlError or TokenError, each with a text for people.
    """
    loaded, notes = _loaded(arguments)
    now = datetime.datetime.now(datetime.UTC)
    settings = RunSettings(
        loaded=loaded,
        url=stream_url(arguments.url),
        seed=arguments.seed,
        shard=arguments.shard,
        begin_at_s=arguments.begin_at,
        headers=tuple(parse_header(given) for given in arguments.header),
        tokens=_tokens(arguments, environment),
        processes=arguments.processes,
        keep_text=arguments.keep_text,
        metrics_url=_metrics_url(arguments),
        metrics_token=arguments.metrics_token or environment.get("METRICS_TOKEN"),
        label=arguments.label,
    )
    if arguments.begin_at is not None and arguments.begin_at <= now.timestamp():
        raise OptionError(f"--begin-at: expected a time to come; this is {ago(now.timestamp() - arguments.begin_at)}")
    if arguments.find_knee and arguments.begin_at is not None:
        raise OptionError("--find-knee: expected no --begin-at; every step begins when it is ready")
    if arguments.find_knee and arguments.shard != (0, 1):
        raise OptionError("--find-knee: expected no --shard; a search needs the whole load in one place")
    if arguments.find_knee and not loaded.scenario.objectives:
        raise OptionError("--find-knee: expected objectives in the scenario; without one no load is too high")
    return RunOptions(
        settings=settings,
        directory=arguments.out or default_directory(loaded.scenario.name, now),
        find_knee=arguments.find_knee,
        metrics_port=arguments.metrics_port,
        is_live=not (arguments.no_live or arguments.quiet or arguments.json),
        is_quiet=arguments.quiet,
        as_json=arguments.json,
        notes=notes,
    )


def ago(past_s: float) -> str:
    """How long that is past, such as `5 minutes ago`. Pure."""
    for name, length_s in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if past_s >= length_s:
            return f"{plural(int(past_s / length_s), name)} ago"
    return f"{plural(int(past_s), 'second')} ago"


def default_directory(name: str, now: datetime.datetime) -> Path:
    """Where results go when nothing is said. Pure."""
    return RESULTS / f"{name}-{now:%Y%m%dT%H%M%SZ}"


def parse_shard(given: str) -> tuple[int, int]:
    """`i/n` as (i, n). Raises argparse's error. Pure."""
    match = re.fullmatch(r"(\d{1,5})/(\d{1,5})", given)
    if match is None or not int(match[1]) < int(match[2]):
        raise argparse.ArgumentTypeError(f"{given!r}: expected I/N with I from 0 to N-1, such as 0/4")
    return int(match[1]), int(match[2])


def parse_moment_s(given: str) -> float:
    """Seconds since 1970, from such seconds or ISO 8601 (UTC without an offset). Raises argparse's error. Pure."""
    try:
        if re.fullmatch(r"\d{1,12}(\.\d+)?", given):
            return float(given)
        moment = datetime.datetime.fromisoformat(given)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, OverflowError):
        expected = "expected UNIX seconds or a time such as 2026-11-23T08:00:00Z"
        raise argparse.ArgumentTypeError(f"{given!r}: {expected}") from None


def parse_header(given: str) -> tuple[str, str]:
    """`Name: value` as (name, value). Raises OptionError, which does not show the value. Pure."""
    name, colon, value = given.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
        raise OptionError("--header: expected 'Name: value', printable and on one line")
    if name.lower() in _OURS or name.lower().startswith("sec-websocket-"):
        raise OptionError(f"--header: {name} is the load tester's own")
    return name, value


def _loaded(arguments: argparse.Namespace) -> tuple[LoadedScenario, tuple[str, ...]]:
    """The scenario with what else was given, and what there is to say of that."""
    loaded = load_scenario(arguments.scenario, arguments.set)
    scenario = loaded.scenario
    notes: tuple[str, ...] = ()
    if arguments.frame_ms is not None:
        scenario = with_frame_ms(scenario, arguments.frame_ms)
    if (arguments.streams, arguments.rate, arguments.duration) != (None, None, None):
        shape = shape_of(scenario)
        scenario = with_load(scenario, per_s=arguments.rate, streams=arguments.streams, for_s=arguments.duration)
        if shape and (arguments.streams, arguments.rate) != (None, None) and not arguments.find_knee:
            option = "--rate" if arguments.streams is None else "--streams"
            notes = (f"{option} has put one level `poisson` stage in place of the scenario's arrivals ({shape})",)
    return replace(loaded, scenario=scenario), notes


def _tokens(arguments: argparse.Namespace, environment: Mapping[str, str]) -> TokenSource:
    secret = secret_of(environment)
    if arguments.subject != DEFAULT_SUBJECT:
        for option, given in (("--token", arguments.token), ("--token-command", arguments.token_command)):
            if given is not None:
                raise TokenError(f"--subject: is of minted tokens, and has no effect beside {option}; leave one out")
        if secret is None:
            raise TokenError("--subject: is of minted tokens, for which JWT_SECRET has to be in the environment")
    if arguments.token is not None:
        return TokenSource(given=checked(arguments.token, "--token"))
    if arguments.token_command is not None:
        split_command(arguments.token_command, "--token-command")
        return TokenSource(command=arguments.token_command)
    if secret is None:
        return TokenSource()
    if not arguments.subject.isprintable() or not arguments.subject:
        raise TokenError("--subject: expected printable text")
    return TokenSource(mint_subject=arguments.subject, secret=secret)


def _metrics_url(arguments: argparse.Namespace) -> str | None:
    given: str | None = arguments.server_metrics
    if given is None:
        return metrics_url(arguments.url)
    if given == "off":
        return None
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", given):
        raise OptionError(f"--server-metrics: {given!r}: expected http://HOST[:PORT]/metrics, or off")
    return given


def _positive(given: str) -> float:
    value = float(given)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{given}: expected a number above 0")
    return value


def _processes(given: str) -> int:
    value = int(given)
    if not 1 <= value <= MAX_PROCESSES:
        raise argparse.ArgumentTypeError(f"{given}: expected 1 to {MAX_PROCESSES}")
    return value


def _port(given: str) -> int:
    value = int(given)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{given}: expected a port, 0 to 65535")
    return value
