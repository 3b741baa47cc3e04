"""`python -m ops status`: versions, instances, traffic, the last rollout. It changes nothing."""

import argparse

from ops.cloud import answers, checks, command_line, rollout
from ops.cloud.api import POD_PAGE, Cloud
from ops.cloud.command_line import say
from ops.cloud.desired import COMMIT_NAME
from ops.cloud.exits import DONE, Refused
from ops.cloud.safe_text import one_line


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = command_line.add_parser(commands, "status", "versions, instances and the last rollout of the service")
    command_line.add_service(parser)
    command_line.add_patience(parser)
    parser.add_argument("--follow", action="store_true", help="wait until the rollout that runs has ended")


def run(arguments: argparse.Namespace) -> int:
    """Print how the service is."""
    return command_line.run_with_cloud(arguments, _status)


def _status(arguments: argparse.Namespace, cloud: Cloud) -> int:
    service = str(arguments.service)
    detail = checks.found(cloud, service)
    if arguments.follow:
        _follow(arguments, cloud, service, detail)
        detail = checks.found(cloud, service)
    for line in describe(detail):
        say(one_line(line))
    for version in detail.online_version_infos:
        say(one_line(f"version     {version.version_name}: {version.percent} % of the traffic"))
        for line in _instances(cloud, service, version.version_name):
            say(one_line(line))
    records = cloud.records(service)
    latest = records.latest
    if latest is not None:
        slept = ", scaled to none" if latest.scale_status == "zero" else ""
        say(one_line(f"last deploy {latest.deploy_id}: {latest.status}, {latest.deploy_time}{slept}"))
    task = cloud.task(service)
    if task is not None and (rollout.is_running(task) or rollout.has_failed(task)):
        step, reason = rollout.failed_step(task)
        say(one_line(f"rollout     {task.version_name}: {task.status}{f' at {step}: {reason}' if step else ''}"))
        for line in rollout.new_lines(task, set()):
            say(line)
    return DONE


def describe(detail: answers.Detail) -> list[str]:
    """The lines that say what a service is."""
    base, config = detail.base_info, detail.server_config
    environment = _names(config)
    lines = [
        f"service     {base.server_name}: {base.status}, {base.server_type or 'container'}",
        f"access      {', '.join(base.access_types) or 'none from outside'}",
        *(f"domain      {domain}" for domain in base.domains),
        f"settings    port {config.port}, {config.cpu} CPU, {config.mem} GiB, {config.min_num} to {config.max_num} "
        "instances",
        f"environment {len(environment)} variables: {', '.join(environment) or 'none'}",
    ]
    if config.min_num == 0:
        lines.append("warning     the least is 0 instances: the first stream after a pause waits for a cold start")
    return lines


def _names(config: answers.Config) -> list[str]:
    try:
        environment = config.environment
    except ValueError:
        return ["(not a JSON object)"]
    commit = environment.pop(COMMIT_NAME, "")
    return [*sorted(environment), *([f"{COMMIT_NAME}={commit[:12]}"] if commit else [])]


def _instances(cloud: Cloud, service: str, version: str) -> list[str]:
    try:
        pods = cloud.ask(
            "DescribeCloudRunPodList",
            answers.Pods,
            ServerName=service,
            VersionName=version,
            PageSize=POD_PAGE,
            PageNum=1,
        )
    except Refused as error:
        return [f"            instances cannot be listed: {error.code}"]
    lines = [f"            {pod.pod_id}: {pod.status}, since {pod.create_time}" for pod in pods.pod_list]
    return lines or ["            no instances"]


def _follow(arguments: argparse.Namespace, cloud: Cloud, service: str, detail: answers.Detail) -> None:
    task = cloud.task(service)
    if not rollout.is_running(task) or task is None:
        return
    patience = command_line.patience_of(arguments)
    rollout.wait_for_task(cloud, service, task.id, patience, say, rollout.secrets_in(detail))
