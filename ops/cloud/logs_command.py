"""`python -m ops logs`: what the environment's services print, through SearchClsLog."""

import argparse
import re
import time
from collections import deque
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from ops.cloud import answers, command_line
from ops.cloud.api import Cloud
from ops.cloud.command_line import say
from ops.cloud.exits import DONE, FAILED
from ops.cloud.safe_text import one_line

CHINA_TIME: Final = timezone(timedelta(hours=8))
"""The times of this API have no zone in them, and are those of China."""
TIME_FORMAT: Final = "%Y-%m-%d %H:%M:%S"
PAGE: Final = 100
MOST_LINES: Final = 10_000
"""The cursor of the API ends there."""
OVERLAP_S: Final = 15
"""How far `--follow` looks back again: lines are indexed some seconds late, and not in order."""
_DURATION: Final = re.compile(r"(\d{1,6})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_S: Final = 366 * 86400
"""No log is kept as long."""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = command_line.add_parser(commands, "logs", "what the services of the environment print, also as it grows")
    add = parser.add_argument
    add("--since", type=seconds, default=600, metavar="10m", help="how far back: 90s, 10m, 2h, 1d (default 10m)")
    add("--query", default="*", metavar="CLS", help='words or a CLS query, such as \'"stream_closed" AND "ERROR"\'')
    add("--limit", type=int, default=1000, metavar="N", help=f"most lines without --follow (at most {MOST_LINES})")
    add("--follow", action="store_true", help="go on until Ctrl-C")
    add("--poll", type=command_line.positive, default=3.0, metavar="S", help="seconds between two looks")


def run(arguments: argparse.Namespace) -> int:
    """Print the log, the oldest line first."""
    return command_line.run_with_cloud(arguments, _logs)


def seconds(text: str) -> int:
    """How long `10m` is. Raises ValueError."""
    matched = _DURATION.fullmatch(text)
    if matched is None:
        raise ValueError(text)
    return min(int(matched[1]) * _SECONDS[matched[2]], _LONGEST_S)


def china_time(unix_s: float) -> str:
    """As the API wants it."""
    return datetime.fromtimestamp(unix_s, UTC).astimezone(CHINA_TIME).strftime(TIME_FORMAT)


def line_of(entry: answers.LogLine) -> str:
    """One line for a terminal; a timestamp in milliseconds is shown as the time in China."""
    stamp = str(entry.timestamp)
    if stamp.isascii() and stamp.isdecimal() and len(stamp) == 13:
        stamp = china_time(int(stamp) / 1000)
    return one_line(f"{stamp} {entry.content}".rstrip("\r\n"))


def _logs(arguments: argparse.Namespace, cloud: Cloud) -> int:
    start_s = time.time() - arguments.since
    limit = MOST_LINES if arguments.follow else min(max(arguments.limit, 1), MOST_LINES)
    told: deque[str] = deque(maxlen=2 * MOST_LINES)
    while True:
        now_s = time.time()
        entries, is_complete = _between(cloud, arguments.query, start_s, now_s, limit)
        known = set(told)
        for entry in entries:
            key = entry.pkg_log_id or f"{entry.timestamp} {entry.source} {entry.content}"
            if key not in known:
                told.append(key)
                say(line_of(entry))
        if not is_complete:
            say(f"(there is more than {len(entries)} lines: narrow it with --since or --query)")
        if not arguments.follow:
            return DONE if is_complete else FAILED
        start_s = max(start_s, now_s - OVERLAP_S)
        time.sleep(arguments.poll)


def _between(cloud: Cloud, query: str, start_s: float, end_s: float, limit: int) -> tuple[list[answers.LogLine], bool]:
    """The lines of a time, the oldest first, and whether these are all."""
    found: list[answers.LogLine] = []
    context = ""
    while len(found) < limit:
        page = cloud.ask(
            "SearchClsLog",
            answers.LogAnswer,
            StartTime=china_time(start_s),
            EndTime=china_time(end_s + 1),
            QueryString=query,
            Limit=min(PAGE, limit - len(found)),
            Context=context,
            Sort="asc",
        ).log_results
        found += page.results
        if page.list_over or not page.results or page.context == context:
            return found, True
        context = page.context
    return found, False
