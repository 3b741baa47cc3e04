"""Credentials of the platform's role, taken from its metadata and refreshed before they expire.

The SDK's provider fetches them (`http://metadata.tencentyun.com`, role of the instance) and renews them when 300 s are
left. It blocks, without a timeout, and swallows its errors: so it is asked in a worker thread, under a deadline of
ours, and what it gives counts only when it is whole. The three parts are read as one, so that a renewal cannot fall in
between.
"""

import dataclasses
import logging
from collections.abc import Callable
from typing import Final

import trio

from service.recognizer.target import RecognizerDirectory, RecognizerTarget
from service.settings import TencentCredentials
from service.telemetry.logs import get_logger, log_event

ASK_EVERY_S: Final = 60.0  # the provider renews in the last 300 s: four looks fall into them
RETRY_S: Final = 5.0  # while there are none
ASK_S: Final = 10.0
_logger: Final = get_logger("recognizer")

Triple = tuple[str | None, str | None, str | None]
"""Secret id, secret key and token, as the SDK's providers give them."""


async def keep_credentials(
    directory: RecognizerDirectory,
    target: RecognizerTarget,
    fetch: Callable[[], Triple] | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Keep the directory's target at `target` with the role's credentials, until cancelled.

    Reports started after the first attempt, whatever came of it: until there are credentials the directory has no
    target, and streams are answered with `recognizer_unavailable`. Cancelled, a thread that waits for the metadata is
    left behind; there is never more than one.
    """
    ask = fetch or _sdk_provider()
    limiter = trio.CapacityLimiter(1)
    reported = False
    while True:
        given: Triple = (None, None, None)
        with trio.move_on_after(ASK_S):
            given = await trio.to_thread.run_sync(ask, limiter=limiter, abandon_on_cancel=True)
        credentials = _whole(target.credentials.app_id, given)
        if credentials is None:
            log_event(_logger, logging.WARNING, "no_role_credentials", still_have_some=directory.target is not None)
        elif directory.target is None or directory.target.credentials != credentials:
            directory.target = dataclasses.replace(target, credentials=credentials)
            log_event(_logger, logging.INFO, "role_credentials", app_id=credentials.app_id)
        if not reported:
            reported = True
            task_status.started()
        await trio.sleep(ASK_EVERY_S if credentials else RETRY_S)


def _sdk_provider() -> Callable[[], Triple]:
    from tencentcloud.common.credential import CVMRoleCredential  # 19 MB of `requests`: only where it is used

    provide: Callable[[], Triple] = CVMRoleCredential().get_credential_info
    return provide


def _whole(app_id: str, given: Triple) -> TencentCredentials | None:
    secret_id, secret_key, token = given
    if not (secret_id and secret_key and token):
        return None
    return TencentCredentials(app_id, secret_id, secret_key, token)
