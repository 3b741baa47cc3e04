"""What is looked at before anything is changed. Each check raises CloudError, with what to do."""

import argparse
from collections.abc import Mapping

from ops.cloud import answers, command_line, exits, rollout
from ops.cloud.api import Cloud
from ops.cloud.command_line import say
from ops.cloud.exits import CloudError, Refused
from ops.cloud.refusals import is_not_found
from ops.cloud.safe_text import one_line
from service.settings import AuthMode, RecognizerKind, Settings
from service.settings_reader import SettingsError


def check_environment(cloud: Cloud) -> None:
    """Whether the environment is there, and usable."""
    try:
        answer = cloud.ask("DescribeEnvBaseInfo", answers.EnvironmentAnswer)
    except Refused as error:
        if not is_not_found(error.code):
            raise
        answer = answers.EnvironmentAnswer()
    base = answer.env_base_info
    if not answer.is_exist:
        raise CloudError(
            f"This account has no environment {cloud.env_id} in {cloud.account.region}.",
            "Check --env (the id, not the name), --region, and whose keys these are.",
        )
    if base.env_type not in ("tcbr", "run"):
        raise CloudError(
            f"The environment {cloud.env_id} was never used for Cloud Run (its type is {base.env_type or 'unset'!r}).",
            f"Open Cloud Run once in the console: https://tcb.cloud.tencent.com/dev?envId={cloud.env_id}#/platform-run "
            "and agree, wait for a minute, and deploy again.",
        )
    if base.recycle or base.status.casefold() != "normal":
        state = "recycled" if base.recycle else base.status
        raise CloudError(
            f"The environment {cloud.env_id} is {one_line(state)}, not normal.",
            "An isolated one is usually in arrears: see the console's billing.",
        )
    say(f"Environment {cloud.env_id}: {one_line(base.env_type)}, {one_line(base.region or cloud.account.region)}.")


def check_service(detail: answers.Detail | None, service: str, arguments: argparse.Namespace) -> None:
    """Whether the service is one that may be updated as asked."""
    if detail is None:
        say(f"{service} is new.")
        return
    if detail.base_info.server_type == "function" or detail.server_config.tag.startswith("function:"):
        raise CloudError(
            f"{service} is a function service, fixed to port 3000: it was once deployed without a Dockerfile.",
            "Deploy under another name with --service, or delete it in the console first.",
        )
    present = sorted(detail.base_info.access_types)
    if arguments.access and sorted(arguments.access) != present:
        raise CloudError(
            f"--access: {service} exists, and keeps its access types ({', '.join(present) or 'none'}).",
            "They decide who reaches it, so change them in the console, on purpose.",
            exit_code=exits.USAGE,
        )


def check_settings(environment: Mapping[str, str]) -> None:
    """What the service would refuse is found here, and not by a probe that fails for three minutes."""
    try:
        settings = Settings.from_env(environment, local_available=True)
    except SettingsError as error:
        raise CloudError(
            f"The service would not start with this environment: {'; '.join(error.problems)}.",
            "Correct the --env-file, or what is set already (`ops env set`, `ops env unset`).",
            exit_code=exits.USAGE,
        ) from None
    if settings.auth_mode is AuthMode.LOCKED:
        say("Warning: no JWT_SECRET is set, so the service will refuse every stream.")
    if settings.auth_mode is AuthMode.OFF:
        say("Warning: AUTH_MODE=off lets everybody speak at your expense.")
    if settings.recognizer is RecognizerKind.NONE:
        say("Warning: no TENCENT_APP_ID and keys are set, so the service will recognize nothing.")
    if settings.database_url.startswith("sqlite"):
        say(
            "Warning: the history is kept in a file, which ends with each instance and each release: set DATABASE_URL "
            "to the environment's MySQL, or to none."
        )


def online_version(cloud: Cloud, service: str, detail: answers.Detail) -> answers.Version | None:
    """The version that has all the traffic; None when there is not exactly one."""
    online = [version for version in detail.online_version_infos if version.percent]
    if len(online) != 1 or online[0].percent != 100:
        return None
    name = online[0].version_name
    try:
        return cloud.ask("DescribeVersionDetail", answers.Version, ServerName=service, VersionName=name)
    except Refused as error:
        if is_not_found(error.code):
            return None
        raise


def check_free(cloud: Cloud, service: str, arguments: argparse.Namespace) -> None:
    """Whether no rollout runs; with --wait-busy, wait until none does."""
    task = cloud.task(service)
    if not rollout.is_running(task) or task is None:
        return
    step = next((step.name for step in task.steps if step.status == "running"), "")
    what = f"A rollout of {service} runs: {task.version_name or 'a version'}, since {task.create_time or 'unknown'}"
    if arguments.dry_run:
        say(f"{what}. Deploying now would be refused.")
        return
    if not arguments.wait_busy:
        raise CloudError(
            one_line(f"{what}{f', at {step}' if step else ''}."),
            "Wait for its end and deploy again, or give --wait-busy.",
            *rollout.how_to_follow(cloud.env_id, service),
            exit_code=exits.BUSY,
        )
    say(f"{one_line(what)}. Waiting for its end.")
    rollout.wait_until_free(cloud, service, command_line.patience_of(arguments), say)


def found(cloud: Cloud, service: str) -> answers.Detail:
    """The service. Raises CloudError when there is none of that name."""
    detail = cloud.service(service)
    if detail is None:
        raise CloudError(
            f"The environment {cloud.env_id} has no service {service}.",
            f"See which it has: python -m ops list --env {cloud.env_id}",
            "Deploy it: python -m ops deploy",
        )
    return detail
