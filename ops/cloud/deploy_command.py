"""`python -m ops deploy`: check, pack, upload, submit, wait, examine.

All of it waits for one thing at a time, so it blocks; Ctrl-C ends the waiting, and the rollout goes on.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx2

from loadtest.tokens import mint
from ops.cloud import answers, checks, command_line, exits, rollout, via_cli
from ops.cloud.api import Cloud, is_loopback, is_usable_url
from ops.cloud.command_line import say
from ops.cloud.desired import Desired, Wishes, desired, differences
from ops.cloud.dotenv import parse_dotenv
from ops.cloud.exits import CloudError, Refused
from ops.cloud.package import Package, pack
from ops.cloud.refusals import is_busy
from ops.cloud.safe_text import one_line, secrets_of, shown

UPLOAD_LIMIT_S: Final = 60.0
"""For each read and write of the upload; a package has a few megabytes."""
DOCTOR_LIMIT_S: Final = 900.0
_SERVICE_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,48}[a-z0-9]")
_ACCESS: Final = ("PUBLIC", "MINIAPP", "OA", "VPC")


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = command_line.add_parser(
        commands, "deploy", "deploy the commit to CloudBase Run, wait for the rollout, and check it"
    )
    command_line.add_service(parser)
    command_line.add_patience(parser)
    add = parser.add_argument_group("what is deployed").add_argument
    add("--source", type=Path, default=Path(), metavar="DIR", help="a git checkout; its HEAD is deployed")
    add("--dockerfile", default="Dockerfile", metavar="NAME")
    add("--allow-dirty", action="store_true", help="deploy HEAD although files have changes, without these changes")
    add("--allow-file", action="append", default=[], metavar="FILE", help="it looks like a secret, and is none")
    add = parser.add_argument_group("settings: what is not given stays as it is").add_argument
    add("--env-file", type=Path, metavar="FILE", help="variables to merge into those of the service; none is removed")
    add("--port", type=int, metavar="N", help="that the service listens on (default 80, or PORT of its environment)")
    add("--cpu", type=command_line.positive, metavar="CORES", help="(first deployment: 1)")
    add("--mem", type=command_line.positive, metavar="GIB", help="(first deployment, or with --cpu: twice the cores)")
    add("--min", type=int, metavar="N", help="least instances (first deployment: 1)")
    add(
        "--max",
        type=int,
        metavar="N",
        help="most instances (first deployment: as --min, since scaling in cuts streams)",
    )
    add("--policy", type=_policy, action="append", default=[], metavar="cpu=60", help="when to scale: cpu, mem")
    add("--initial-delay", type=int, metavar="S", help="before the first probe (first deployment: 2)")
    add("--allow-cold-starts", action="store_true", help="let the least be 0")
    add(
        "--access", type=_access, metavar="TYPES", help="PUBLIC,MINIAPP unless given; an existing service keeps its own"
    )
    add = parser.add_argument_group("how").add_argument
    add("--dry-run", action="store_true", help="show every call that would change something, and make none")
    add("--force", action="store_true", help="deploy even if there is nothing to do")
    add("--wait-busy", action="store_true", help="while another rollout runs: wait for its end")
    add("--no-doctor", action="store_true", help="do not examine the deployment at the end")
    add("--via-cli", action="store_true", help="let an installed `tcb` deploy the code; settings stay as they are")
    add("--cli", default="", metavar="PATH", help="that `tcb`, when it is not on PATH")


def run(arguments: argparse.Namespace) -> int:
    """Deploy, and return the exit code."""
    return command_line.run_with_cloud(arguments, deploy)


def deploy(arguments: argparse.Namespace, cloud: Cloud) -> int:
    """From checkout to examined deployment. Raises CloudError."""
    service = str(arguments.service)
    if not _SERVICE_NAME.fullmatch(service):
        raise CloudError("--service: lower case letters, digits and hyphens, at most 50.", exit_code=exits.USAGE)
    given = _read_env_file(arguments.env_file)
    with tempfile.TemporaryDirectory(prefix="voice-deploy-") as directory:
        # 1. What is to be deployed.
        package = pack(
            arguments.source,
            arguments.dockerfile,
            Path(directory),
            allow_dirty=arguments.allow_dirty,
            allowed=arguments.allow_file,
        )
        _tell_package(package)
        # 2. What is there.
        checks.check_environment(cloud)
        detail = cloud.service(service)
        checks.check_service(detail, service, arguments)
        wanted = desired(_wishes(arguments), detail.server_config if detail else None, given, package.commit)
        checks.check_settings(wanted.environment)
        if arguments.via_cli:
            via_cli.check_arguments(arguments)
        if detail is not None and not arguments.force:
            if not (
                changes := differences(wanted, detail.server_config, checks.online_version(cloud, service, detail))
            ):
                say(
                    f"Nothing to do: {service} runs commit {package.commit[:12]} with these settings (--force deploys)."
                )
                return exits.DONE
            say("Changes: " + one_line("; ".join(changes)))
        say("Settings: " + wanted.describe())
        if detail is not None:
            say(f"Access types stay as they are: {', '.join(detail.base_info.access_types) or 'none'}")
        # 3. The rollout.
        checks.check_free(cloud, service, arguments)
        there_was = rollout.before(cloud, service)
        if arguments.via_cli:
            if not via_cli.deploy(arguments, cloud, package, detail, Path(directory)):
                return exits.DONE
        elif not _submit(arguments, cloud, package, wanted, detail):
            return exits.DONE
    secrets = secrets_of(wanted.environment)
    try:
        record = rollout.wait(cloud, service, there_was, command_line.patience_of(arguments), say, secrets)
        say(f"{one_line(record.deploy_id)} serves, with {record.flow_ratio} % of the traffic.")
        if arguments.via_cli:
            via_cli.set_right(cloud, service, detail, wanted)
    except KeyboardInterrupt:
        say("\nInterrupted. The rollout goes on.")
        for line in rollout.how_to_follow(cloud.env_id, service):
            say(f"  -> {line}")
        raise
    # 4. The proof.
    return _examine(arguments, cloud, service, wanted.environment)


def _read_env_file(path: Path | None) -> Mapping[str, str]:
    if path is None:
        return {}
    try:
        return parse_dotenv(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise CloudError(f"--env-file {path}: {type(error).__name__}", exit_code=exits.USAGE) from None


def _tell_package(package: Package) -> None:
    say(f"Commit {package.commit[:12]}: {package.files} files, {package.size_bytes / 1e6:.2f} MB packed.")
    if package.dirty:
        such_as = one_line(package.dirty[0])
        say(f"  {len(package.dirty)} changed files are deployed as they are in the commit, such as {such_as}.")


def _wishes(arguments: argparse.Namespace) -> Wishes:
    for name, low, high in (("port", 1, 65535), ("min", 0, 50), ("max", 1, 50), ("initial_delay", 0, 600)):
        value = getattr(arguments, name)
        if value is not None and not low <= value <= high:
            option = name.replace("_", "-")
            raise CloudError(f"--{option} {value}: expected {low} to {high}.", exit_code=exits.USAGE)
    return Wishes(
        port=arguments.port,
        cpu=arguments.cpu,
        mem=arguments.mem,
        min_num=arguments.min,
        max_num=arguments.max,
        policies=tuple(arguments.policy),
        initial_delay_s=arguments.initial_delay,
        dockerfile=arguments.dockerfile,
        allow_cold_starts=arguments.allow_cold_starts,
    )


def _submit(
    arguments: argparse.Namespace, cloud: Cloud, package: Package, wanted: Desired, detail: answers.Detail | None
) -> bool:
    """Upload and submit. False when it was only shown."""
    service = str(arguments.service)
    items = wanted.items()
    info = {"DeployType": "package", "DeployRemark": f"commit {package.commit[:12]}"}
    if detail is None:
        action = "CreateCloudRunServer"
        items.append({"Key": "AccessTypes", "ArrayValue": arguments.access or ["PUBLIC", "MINIAPP"]})
    else:
        action = "UpdateCloudRunServer"
        info["ReleaseType"] = "FULL"
    if arguments.dry_run:
        _show_calls(action, service, package, items, wanted.environment)
        return False
    upload = cloud.ask("DescribeCloudBaseBuildService", answers.Upload, ServiceName=service)
    _put(upload, package.path)
    info |= {"PackageName": upload.package_name, "PackageVersion": upload.package_version}

    def submit() -> None:
        cloud.change(action, answers.Answer, ServerName=service, DeployInfo=info, Items=items)

    try:
        submit()
    except Refused as error:
        if not (is_busy(error.code) and arguments.wait_busy):
            raise
        say("Another rollout was quicker. Waiting for its end.")
        rollout.wait_until_free(cloud, service, command_line.patience_of(arguments), say)
        submit()
    say("Accepted. The image is built, then the instances are replaced one by one:")
    return True


def _show_calls(
    action: str, service: str, package: Package, items: list[dict[str, Any]], environment: Mapping[str, str]
) -> None:
    say("Dry run. These calls would follow:")
    say(f"  tcb DescribeCloudBaseBuildService ServiceName={service}")
    say(f"  PUT {package.size_bytes} bytes to the address that it answers")
    say(f"  tcbr {action} ServerName={service} DeployType=package, with the items")
    for item in items:
        if item["Key"] != "EnvParam":
            value = next(value for name, value in item.items() if name != "Key")
            say(f"    {item['Key']} = {value}")
    for name, value in sorted(environment.items()):
        say(f"    EnvParam {name} = {shown(name, value)}")


def _put(upload: answers.Upload, path: Path) -> None:
    """Send the package to the store. It may be sent again: nothing uses it before it is submitted."""
    if not is_usable_url(upload.upload_url):
        raise CloudError("The address for the upload is not https://.")
    headers = {header.key: header.value for header in upload.upload_headers}
    with_proxy = not is_loopback(httpx2.URL(upload.upload_url).host)
    try:
        with httpx2.Client(timeout=UPLOAD_LIMIT_S, trust_env=with_proxy) as client:
            answer = client.put(upload.upload_url, content=path.read_bytes(), headers=headers)
    except httpx2.HTTPError as error:
        raise CloudError(
            f"The upload failed: {type(error).__name__}.", "Check the network, and deploy again."
        ) from None
    if not answer.is_success:
        raise CloudError(
            f"The store refused the upload with HTTP {answer.status_code}.",
            "Deploy again: the address is good for some minutes only. A wrong clock here has the same effect.",
        )


def _examine(arguments: argparse.Namespace, cloud: Cloud, service: str, environment: Mapping[str, str]) -> int:
    detail = cloud.service(service)
    domains = detail.base_info.domains if detail else []
    if not domains:
        say("The service has no domain yet, so it is not examined. Mini-programs reach it with connectContainer.")
        return exits.DONE
    url = f"https://{domains[0]}"
    say(f"It is at {one_line(url)}")
    if detail is not None and "PUBLIC" not in detail.base_info.access_types:
        say("PUBLIC is not among its access types, so it is not examined: from here nobody would answer.")
        return exits.DONE
    if arguments.no_doctor:
        return exits.DONE
    command = [sys.executable, "-m", "ops", "doctor", "--cloud", url]
    try:
        ended = subprocess.run(  # noqa: S603 - no shell
            command, timeout=DOCTOR_LIMIT_S, check=False, env=doctors_environment(os.environ, environment)
        )
    except subprocess.TimeoutExpired:
        raise CloudError("The doctor did not come to an end.", exit_code=exits.UNHEALTHY) from None
    if ended.returncode:
        raise CloudError(
            "The rollout succeeded, and the doctor found something: see above.",
            f"Again: python -m ops doctor --cloud {one_line(url)}",
            f"Back to the version before: python -m ops rollback --env {cloud.env_id} --service {service}",
            exit_code=exits.UNHEALTHY,
        )
    return exits.DONE


def doctors_environment(here: Mapping[str, str], service: Mapping[str, str]) -> dict[str, str]:
    """This environment, with a token for streams where the service's secret is known: else none could be tried."""
    secret = service.get("JWT_SECRET", "").strip()
    if here.get("TOKEN") or not secret:
        return dict(here)
    return {**here, "TOKEN": mint(secret, "doctor", 0, int(time.time()))}


def _policy(text: str) -> tuple[str, int]:
    kind, _, threshold = text.partition("=")
    if kind not in ("cpu", "mem", "cpu/mem") or not 1 <= int(threshold) <= 100:
        raise ValueError(text)
    return kind, int(threshold)


def _access(text: str) -> list[str]:
    types = [name.strip().upper() for name in text.split(",")]
    if not set(types) <= set(_ACCESS):
        raise ValueError(text)
    return types
