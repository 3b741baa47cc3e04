"""The local recognizer as a supervised child process: started, watched, started again, never left behind.

The child is in a session of its own, so that Ctrl-C in a terminal reaches only us and it can still settle what is being
said; it ends when its standard input closes, so that even a killed parent leaves no orphan. Its account is made up at
each start: nobody else on the machine can use it.
"""

import importlib.util
import json
import logging
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

import trio

from service.recognizer.target import RecognizerDirectory, RecognizerTarget
from service.settings import RecognizerKind, TencentCredentials
from service.telemetry.logs import get_logger, log_event

COMMAND: Final = (sys.executable, "-m", "service.localasr", "--exit-with-parent")
START_S: Final = 60.0  # loads a model of 110 MB and measures its speed: 2 s, more on a busy machine
STOP_S: Final = 3.0
BACKOFF_S: Final = (1.0, 30.0)
_OUR_SECRETS: Final = ("JWT_", "TENCENT", "WECHAT_", "METRICS_TOKEN", "DATABASE_URL", "REDIS_URL")
_MAX_LINE_BYTES: Final = 4096
_logger: Final = get_logger("recognizer")


def local_recognizer_available() -> bool:
    """Whether the extra with the local recognizer is installed."""
    return importlib.util.find_spec("pocketsphinx") is not None


class ChildFailedError(Exception):
    """The local recognizer did not come up."""


async def supervise(
    directory: RecognizerDirectory,
    command: Sequence[str] = COMMAND,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Keep a local recognizer running and known to the directory, until cancelled.

    Reports started when it first serves; raises ChildFailedError or OSError when it does not come up then. Later ends
    are logged and answered with a new start, after 1 s growing to 30 s. Cancelled, it ends the child within STOP_S.
    """
    backoff_s, _ = BACKOFF_S
    first = True
    while True:
        account = TencentCredentials(
            str(1_000_000_000 + secrets.randbelow(9_000_000_000)), secrets.token_hex(18), secrets.token_hex(16)
        )
        try:
            process = await trio.lowlevel.open_process(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_environment(account),
                start_new_session=True,
            )
        except OSError as error:  # no memory or no processes left: later there may be
            if first:
                raise
            log_event(_logger, logging.ERROR, "local_recognizer_not_started", error=error, retry_s=backoff_s)
            await trio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_S[1])
            continue
        try:
            target = await _announced(process, account)
            if target is not None:
                directory.target = target
                engines = ",".join(target.engines)
                log_event(
                    _logger, logging.INFO, "local_recognizer_up", note="no Tencent account in use", engines=engines
                )
                if first:
                    task_status.started()
                first, (backoff_s, _) = False, BACKOFF_S
                await process.wait()
            elif first:
                raise ChildFailedError(f"the local recognizer did not come up: {' '.join(command)}")
        finally:
            directory.target = None
            with trio.move_on_after(STOP_S + 1, shield=True):
                await _stop(process)
        log_event(_logger, logging.ERROR, "local_recognizer_ended", exit_code=process.returncode, retry_s=backoff_s)
        await trio.sleep(backoff_s)
        backoff_s = min(2 * backoff_s, BACKOFF_S[1])


def _environment(account: TencentCredentials) -> dict[str, str]:
    """Ours without our secrets, which the child does not need."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(_OUR_SECRETS)},
        "LOCALASR_APP_ID": account.app_id,
        "LOCALASR_SECRET_ID": account.secret_id,
        "LOCALASR_SECRET_KEY": account.secret_key,
    }


async def _announced(process: trio.Process, account: TencentCredentials) -> RecognizerTarget | None:
    """What the child says when it serves; None when it says nothing of the kind in START_S."""
    assert process.stdout is not None  # noqa: S101 - asked for above
    said = b""
    with trio.move_on_after(START_S):
        while b"\n" not in said and len(said) < _MAX_LINE_BYTES:
            data = await process.stdout.receive_some(_MAX_LINE_BYTES)
            if not data:
                break
            said += data
    try:
        ready: dict[str, Any] = json.loads(said.partition(b"\n")[0])
        return RecognizerTarget(RecognizerKind.LOCAL, str(ready["url"]), account, tuple(ready["engines"]))
    except (ValueError, KeyError, TypeError):
        return None


async def _stop(process: trio.Process) -> None:
    """End the child: politely by closing its input, then by signal, both within STOP_S."""
    assert process.stdin is not None  # noqa: S101 - asked for above
    assert process.stdout is not None  # noqa: S101
    await trio.aclose_forcefully(process.stdin)
    with trio.move_on_after(STOP_S / 2):
        await process.wait()
    if process.returncode is None:
        process.kill()
        with trio.move_on_after(STOP_S / 2):
            await process.wait()
    await trio.aclose_forcefully(process.stdout)
