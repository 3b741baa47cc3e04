"""`python -m service`: serve. `python -m service --check`: print the settings and stop.

Exit codes: 0 ended in order, 1 could not start or failed, 2 the settings or the arguments cannot be used, 70 ended by
the watchdog.
"""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Sequence

import trio

from service import server
from service.groups import leaves
from service.recognizer.child import ChildFailedError, local_recognizer_available
from service.settings import Settings
from service.settings_reader import SettingsError
from service.telemetry import logs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service until it is told to stop. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m service", description="The voice gateway.")
    parser.add_argument("--check", action="store_true", help="print the settings, secrets masked, and stop")
    options = parser.parse_args(arguments)
    try:
        settings = Settings.from_env(os.environ, local_available=local_recognizer_available())
    except SettingsError as error:
        print("The settings cannot be used:", *error.problems, sep="\n  ", file=sys.stderr)
        return 2
    if options.check:
        print(*settings.describe(), sep="\n")
        return 0
    logs.set_up(settings.log_level)
    try:
        trio.run(_serve, settings)
    except* (OSError, ChildFailedError) as group:
        print(f"The service could not start: {next(leaves(group))}", file=sys.stderr)
        return_code = 1
    else:
        return_code = 0
    return return_code


async def _serve(settings: Settings) -> None:
    # These stand behind the receiver that `run` opens first: a signal that comes when everything has ended is ignored.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    await server.run(settings, announce=_announce)


def _announce(url: str) -> None:
    # What lives as long as the process is not looked through again: 60,000 objects, for 30 ms the loop stood still.
    gc.collect()
    gc.freeze()
    print(f"Serving on {url}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
