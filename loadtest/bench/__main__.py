"""`python -m loadtest.bench` (`make bench`): what the gateway of this checkout costs for each stream.

The gateway has one CPU, the recognizer (`loadtest sink`) and the speakers (`loadtest run`) another. Nothing from
outside of the repository is needed. docs/performance.md says how to read what comes out.

exit codes: 0 measured; 1 worse than --fail-if-worse allows, or an overload missed an objective; 2 bad usage, or a
program failed; 3 speakers were late, so that at least one load has no valid figures; 130 interrupted
"""

import argparse
import datetime
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from loadtest.bench.figures import (
    Bench,
    BenchError,
    Row,
    circumstances_that_differ,
    decode,
    encode,
    merged,
    ratios,
    table,
    worse,
)
from loadtest.bench.measure import Places, measure, measure_idle
from loadtest.bench.overload import overload, overload_lines
from loadtest.bench.programs import allow_descriptors, on_cpu
from loadtest.bench.yardstick import yardstick_us
from loadtest.environment import describe_environment
from loadtest.printing import printable

BASELINE: Final = Path(__file__).with_name("baseline.json")
STREAMS: Final = (50, 100, 200, 400, 800)
ATTEMPTS: Final = 3
"""For each load: speakers that were late have measured the machine, not the gateway."""
_MEASURED, _WORSE, _USAGE, _INVALID, _INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench, print what it found. Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return _overloads(options) if options.overload else _bench(options)
    except (BenchError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return _USAGE
    except KeyboardInterrupt:
        return _INTERRUPTED


def places_of(cpus: Sequence[int]) -> Places:
    """The first CPU for the gateway, the second for all others; with one CPU no order among them. Pure."""
    return Places(cpus[0], cpus[1]) if len(cpus) > 1 else Places()


def _bench(options: argparse.Namespace) -> int:
    then = decode(options.baseline.read_bytes()) if options.baseline.exists() else None
    places = _places(options)
    allow_descriptors()
    with on_cpu(places.gateway):
        yardstick = yardstick_us()
    rows: list[Row] = []
    idle = []
    with on_cpu(places.others):  # what the bench itself does must not be on the gateway's CPU
        for tls in _tls(options):
            if options.idle:
                _say(f"{options.idle} silent streams, TLS {'yes' if tls else 'no'}")
                idle.append(measure_idle(options.idle, tls=tls, places=places))
            for streams in options.streams:
                _say(f"{streams} streams, TLS {'yes' if tls else 'no'}")
                rows.append(_in_time(streams, options.seconds, tls, places))
    now = Bench(
        measured_at=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%MZ}",
        command=shlex.join(["python", "-m", "loadtest.bench", *sys.argv[1:]]),
        label=options.label,
        circumstances=_circumstances(places),
        yardstick_us=yardstick,
        rows=tuple(rows),
        idle=tuple(idle),
    )
    found = ratios(now, then) if then is not None else {}
    _print(now, then, [*table(now, found)])
    too_slow = worse(found, options.fail_if_worse) if options.fail_if_worse is not None else []
    for line in too_slow:
        print(f"worse: {line}")
    if options.json:
        options.json.write_bytes(encode(now))
    if options.update_baseline:
        options.baseline.write_bytes(encode(merged(then, now)))
    if any(row.problems for row in rows):
        return _INVALID
    return _WORSE if too_slow else _MEASURED


def _overloads(options: argparse.Namespace) -> int:
    places = _places(options)
    allow_descriptors()
    found = []
    with on_cpu(places.others):
        for tls in _tls(options):
            _say(f"twice {options.overload} streams, TLS {'yes' if tls else 'no'}")
            found.append(overload(options.overload, options.seconds, tls=tls, places=places))
            print("\n".join(printable(line) for line in overload_lines(found[-1])), flush=True)
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    if any(one.problems for one in found):
        return _INVALID
    return _MEASURED if all(one.is_met for one in found) else _WORSE


def _in_time(streams: int, seconds: float, tls: bool, places: Places) -> Row:
    """The first valid row of some attempts, or the last one."""
    row = measure(streams, seconds, tls=tls, places=places)
    for _ in range(ATTEMPTS - 1):
        if not row.problems:
            break
        _say(f"  again: {'; '.join(row.problems)}")
        row = measure(streams, seconds, tls=tls, places=places)
    return row


def _print(now: Bench, then: Bench | None, lines: Sequence[str]) -> None:
    print(f"yardstick {now.yardstick_us:.2f} µs; 40 ms frames; gateway on one CPU, recognizer and speakers on another")
    print(*lines, sep="\n")
    if then is None:
        print("no baseline to compare with: --update-baseline makes one")
        return
    of = printable(f"{then.measured_at} {then.label}".strip())
    print(f"in brackets: the ratio to the baseline of {of} (CPU time in yardsticks); over 1 is worse")
    for line in circumstances_that_differ(now.circumstances, then.circumstances):
        print(f"  differs: {printable(line)}")


def _circumstances(places: Places) -> dict[str, str]:
    here = describe_environment()
    return {
        "cpu": here.cpu,
        "cpus": str(here.cpus),
        "pinned": "no" if places.gateway is None else "yes",
        "system": here.system,
        "python": here.python,
        **{f"package {name}": version for name, version in sorted(here.packages.items())},
    }


def _places(options: argparse.Namespace) -> Places:
    allowed = sorted(os.sched_getaffinity(0))
    chosen = options.cpus or allowed[:2]
    if not set(chosen) <= set(allowed):
        raise BenchError(f"--cpus: expected two of {allowed}")
    return places_of(chosen)


def _tls(options: argparse.Namespace) -> tuple[bool, ...]:
    return {"both": (False, True), "yes": (True,), "no": (False,)}[options.tls]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="loadtest.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--streams", type=_positive, nargs="+", default=STREAMS, metavar="N", help="loads [%(default)s]"
    )
    parser.add_argument("--seconds", type=_seconds, default=10.0, help="of talk that are measured [%(default)g]")
    parser.add_argument("--tls", choices=("both", "yes", "no"), default="both", help="to the recognizer [%(default)s]")
    parser.add_argument("--idle", type=int, default=100, metavar="N", help="silent streams, 0 for none [%(default)s]")
    parser.add_argument("--cpus", type=int, nargs=2, metavar=("GATEWAY", "OTHERS"), help="which [the first two]")
    parser.add_argument("--baseline", type=Path, default=BASELINE, metavar="FILE", help="what to compare with")
    parser.add_argument("--update-baseline", action="store_true", help="write the valid figures there")
    parser.add_argument("--fail-if-worse", type=float, metavar="PERCENT", help="exit with 1 when a figure is")
    parser.add_argument("--label", default="", metavar="TEXT", help="what is measured, such as a commit")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--overload",
        type=_positive,
        metavar="CAPACITY",
        help="instead: twice that many streams at MAX_STREAMS=CAPACITY",
    )
    return parser


def _positive(given: str) -> int:
    if not given.isdecimal() or not 1 <= int(given) <= 10_000:
        raise argparse.ArgumentTypeError(f"{given}: expected 1 to 10000")
    return int(given)


def _seconds(given: str) -> float:
    value = float(given)
    if not 0.5 <= value <= 600:
        raise argparse.ArgumentTypeError(f"{given}: expected 0.5 to 600")
    return value


if __name__ == "__main__":
    sys.exit(main())
