"""`python -m ops rollback`: the version before takes the traffic again."""

import argparse

from ops.cloud import answers, checks, command_line, rollout
from ops.cloud.api import Cloud
from ops.cloud.command_line import say
from ops.cloud.exits import DONE, USAGE, CloudError, Refused
from ops.cloud.refusals import is_not_found
from ops.cloud.safe_text import one_line


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = command_line.add_parser(commands, "rollback", "go back to the version before")
    command_line.add_service(parser)
    command_line.add_patience(parser)
    parser.add_argument("--to", default="", metavar="VERSION", help="a version that `status` has shown")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(dry_run=False, wait_busy=False)


def run(arguments: argparse.Namespace) -> int:
    """Roll back, and return the exit code."""
    return command_line.run_with_cloud(arguments, _rollback)


def version_before(records: answers.Records, current: str) -> str | None:
    """The newest deployment that succeeded, other than the current one."""
    good = [r for r in records.deploy_records if r.status == "running" and r.deploy_id != current]
    newest = answers.Records(good).latest
    return newest.deploy_id if newest else None


def _rollback(arguments: argparse.Namespace, cloud: Cloud) -> int:
    service = str(arguments.service)
    detail = checks.found(cloud, service)
    checks.check_free(cloud, service, arguments)
    online = max(detail.online_version_infos, key=lambda version: version.percent, default=None)
    if online is None:
        raise CloudError(f"No version of {service} serves, so there is nothing to go back from.")
    target = arguments.to or version_before(cloud.records(service), online.version_name)
    if not target:
        raise CloudError(f"{service} has no version before {online.version_name}.", "Name one with --to.")
    if target == online.version_name:
        say(f"Nothing to do: {target} serves already.")
        return DONE
    try:
        cloud.ask("DescribeVersionDetail", answers.Version, ServerName=service, VersionName=target)
    except Refused as error:
        if is_not_found(error.code):
            raise CloudError(f"{service} has no version {target} any more.", "Name another with --to.") from None
        raise
    say(one_line(f"{online.version_name} serves now. {target} is to take its place; streams that run are cut."))
    if not arguments.yes and not command_line.ask("Roll back?"):
        raise CloudError("Nothing was changed.", "Without a terminal, say --yes.", exit_code=USAGE)
    started = cloud.change(
        "SubmitServerRollback",
        answers.TaskStarted,
        ServerName=service,
        CurrentVersionName=online.version_name,
        RollbackVersionName=target,
    )
    secrets = rollout.secrets_in(detail)
    rollout.wait_for_task(cloud, service, started.task_id, command_line.patience_of(arguments), say, secrets)
    now = checks.found(cloud, service).online_version_infos
    serving = ", ".join(f"{version.version_name} ({version.percent} %)" for version in now)
    if not any(version.version_name == target and version.percent == 100 for version in now):
        raise CloudError(f"The rollback ended, and not all the traffic is at {target}: {serving}.")
    say(one_line(f"{target} serves all the traffic."))
    return DONE
