"""`deploy --via-cli`: the vendor's `tcb` uploads and submits, and the API says whether that happened.

What the CLI is known to do (2.12.10, read and run; docs/deploy-cloudbase.md has the list): it uploads the directory as
it is, so it gets a clean export of the commit; it exits with 0 without deploying where it cannot ask, so it gets a
terminal and its exit code is not believed; it resets the access types, so they are put back.
"""

import argparse
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ops.cloud import answers, exits
from ops.cloud.api import Cloud
from ops.cloud.command_line import say
from ops.cloud.desired import COMMIT_NAME, Desired
from ops.cloud.exits import CloudError
from ops.cloud.package import Package, export
from ops.cloud.safe_text import one_line

HELP_LIMIT_S: Final = 60.0
DEPLOY_LIMIT_S: Final = 600.0
KILL_GRACE_S: Final = 5.0
QUIET_S: Final = 0.3
"""After so long without output a question is complete."""
WEBSOCKET_TYPE: Final = "container-websocket"
MAX_OUTPUT_BYTES: Final = 1024 * 1024
_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|\x1b[@-_]")
_QUESTION: Final = re.compile(r"^\? .*$", re.MULTILINE)
_GRAY: Final = re.compile("gr[ae]y|canary|灰度", re.IGNORECASE)
_SETTINGS: Final = ("env_file", "cpu", "mem", "min", "max", "policy", "initial_delay", "access")


@dataclass(frozen=True, slots=True)
class Cli:
    """An installed `tcb`."""

    path: str
    version: str
    deploy_help: str

    @property
    def has_type(self) -> bool:
        """Whether `cloudrun deploy` knows `--type`. No version that was examined does."""
        return re.search(r"(?<![\w-])--type\b", self.deploy_help) is not None


def find_cli(path: str) -> Cli:
    """The CLI at `path`, or on PATH. Raises CloudError."""
    found = shutil.which(path or "tcb")
    if found is None:
        raise CloudError(
            f"{path or 'tcb'} is not installed.",
            "npm install --global @cloudbase/cli, or leave --via-cli out: the API needs no CLI.",
            exit_code=exits.USAGE,
        )
    version = re.search(r"\d+\.\d+\.\d+\S*", _output(found, "--version"))
    deploy_help = _output(found, "cloudrun", "deploy", "--help")
    if "--serviceName" not in deploy_help and "--service-name" not in deploy_help:
        raise CloudError(
            f"{found} {version[0] if version else ''} has no `cloudrun deploy`.",
            "It is older than 2.6: npm install --global @cloudbase/cli@2.12.10, or leave --via-cli out.",
            exit_code=exits.USAGE,
        )
    return Cli(found, version[0] if version else "unknown", deploy_help)


def command_of(cli: Cli, env_id: str, service: str, port: int | None, source: Path) -> list[str]:
    """The command line, with nothing in it that this CLI does not list."""
    service_option = "--serviceName" if "--serviceName" in cli.deploy_help else "--service-name"
    command = [cli.path, "cloudrun", "deploy", "-e", env_id, service_option, service, "--source", str(source)]
    if port is not None:
        command += ["--port", str(port)]
    if "--force" in cli.deploy_help:
        command.append("--force")
    return [*command, "--type", WEBSOCKET_TYPE] if cli.has_type else command


def reply_to(question: str) -> bytes | None:
    """What to type: Enter takes a full release, which is the default. None: not ours to answer.

    The other question of an update is whether to cancel the rollout that runs, and its default is yes.
    """
    return b"\r" if _GRAY.search(question) else None


def hints(output: str) -> list[str]:
    """What to do about the CLI's last words."""
    found = []
    text = output.casefold()
    if re.search("log ?in|登录|credential|authfail|unauthorized", text):
        found.append("Log in first, as a step of its own: tcb login --apiKeyId ID --apiKey KEY [--token TOKEN].")
    if re.search("unknown option|unknown command", text):
        found.append("This CLI has other options than those of 2.12: npm install --global @cloudbase/cli@2.12.10.")
    if re.search("resourceinuse|正在运行|in progress", text):
        found.append("Another rollout runs: wait for its end.")
    return [*found, "Without the CLI it is simpler: leave --via-cli out."]


def check_arguments(arguments: argparse.Namespace) -> None:
    """The CLI cannot set anything but the port. Raises CloudError."""
    given = [name for name in _SETTINGS if getattr(arguments, name) not in (None, [], ())]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise CloudError(
            f"{options}: the CLI has no way to set it.",
            "Deploy without --via-cli, or set it before (`ops env set`, the console).",
            exit_code=exits.USAGE,
        )


def deploy(
    arguments: argparse.Namespace, cloud: Cloud, package: Package, detail: answers.Detail | None, directory: Path
) -> bool:
    """Let the CLI deploy the package. False when that was only shown. Raises CloudError when nothing was submitted."""
    cli = find_cli(arguments.cli)
    service = str(arguments.service)
    source = directory / "source"
    source.mkdir()
    export(package, source)
    command = command_of(cli, cloud.env_id, service, arguments.port, source)
    say(f"{cli.path} {cli.version}: {'passes' if cli.has_type else 'does not know'} --type {WEBSOCKET_TYPE}")
    if arguments.dry_run:
        say("Dry run. This command would follow: " + " ".join(command))
        return False
    if detail is not None and COMMIT_NAME in detail.server_config.env_params:
        say(f"The CLI leaves {COMMIT_NAME} as it was: give --force with the next deployment that is not by the CLI.")
    known = {record.deploy_id for record in cloud.records(service).deploy_records}
    code, output = run_in_terminal(command, source)
    for line in output.splitlines():
        if line.strip():
            say("  | " + one_line(line))
    if not _was_submitted(cloud, service, known):
        raise CloudError(
            f"The CLI ended with {code}, and the cloud has no new deployment: nothing was deployed.", *hints(output)
        )
    say("The cloud has the deployment:")
    return True


def set_right(cloud: Cloud, service: str, before: answers.Detail | None, wanted: Desired) -> None:
    """Put back what the CLI resets, and set what it cannot. None of it makes a new version."""
    items: list[dict[str, Any]] = wanted.hot_items()
    after = cloud.service(service)
    types = before.base_info.access_types if before else None
    if types is not None and after is not None and sorted(types) != sorted(after.base_info.access_types):
        items.append({"Key": "AccessTypes", "ArrayValue": types})
        say(f"The CLI had opened {', '.join(after.base_info.access_types)}: back to {', '.join(types) or 'none'}.")
    cloud.change("SubmitServerConfigChangeDiff", answers.TaskStarted, ServerName=service, Items=items)
    if before is None:
        say("The service has no environment yet: `ops env set`, or deploy once without --via-cli and with --env-file.")


def run_in_terminal(
    command: Sequence[str], directory: Path, environ: Mapping[str, str] | None = None, limit_s: float = DEPLOY_LIMIT_S
) -> tuple[int, str]:
    """Run a program that asks questions, on a terminal of its own; its exit code and what it printed.

    It is killed, with its children, when it asks what is not ours to answer, and after `limit_s`: CloudError.
    """
    ours, its = pty.openpty()
    try:
        process = subprocess.Popen(  # noqa: S603 - no shell
            command, stdin=its, stdout=its, stderr=its, cwd=directory, env=environ, start_new_session=True
        )
    except OSError as error:
        os.close(ours)
        raise CloudError(f"{command[0]} cannot be run: {error.strerror}.", exit_code=exits.USAGE) from None
    finally:
        os.close(its)
    try:
        output = _converse(ours, time.monotonic() + limit_s)
        return process.wait(KILL_GRACE_S), output
    except subprocess.TimeoutExpired:
        raise CloudError("The CLI closed its terminal and goes on running: it was stopped.") from None
    finally:
        os.close(ours)
        _end(process)


def _converse(terminal: int, until_s: float) -> str:
    """Read until the program ends, and answer its questions once each, when it has finished speaking."""
    seen = bytearray()
    answered: set[str] = set()
    while True:
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise CloudError("The CLI did not come to an end, and was stopped.", *hints(_plain(seen)))
        if not select.select([terminal], [], [], min(left_s, QUIET_S))[0]:
            _answer(terminal, _plain(seen), answered)
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other side is closed
            data = b""
        if not data:
            return _plain(seen)
        seen += data
        del seen[:-MAX_OUTPUT_BYTES]


def _answer(terminal: int, output: str, answered: set[str]) -> None:
    for question in _QUESTION.findall(output):
        key = question[:20]  # it is printed once more with the answer behind it
        if key in answered:
            continue
        reply = reply_to(question)
        if reply is None:
            raise CloudError(f"The CLI asks what is not ours to answer: {one_line(question)}", *hints(output))
        answered.add(key)
        os.write(terminal, reply)


def _plain(data: bytes | bytearray) -> str:
    return _ANSI.sub("", data.decode("utf-8", "replace")).replace("\r\n", "\n").replace("\r", "\n")


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(KILL_GRACE_S)


def _was_submitted(cloud: Cloud, service: str, known: set[str]) -> bool:
    """The record may come some seconds after the CLI ends."""
    for pause_s in (0.5, 1.0, 2.0, 4.0, 0.0):
        if any(record.deploy_id not in known for record in cloud.records(service).deploy_records):
            return True
        time.sleep(pause_s)
    return False


def _output(path: str, *arguments: str) -> str:
    """What a harmless command prints. In a directory of its own: the CLI reads configuration where it is run."""
    with tempfile.TemporaryDirectory(prefix="voice-cli-") as directory:
        try:
            done = subprocess.run(  # noqa: S603 - no shell
                [path, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                cwd=directory,
                text=True,
                errors="replace",
                timeout=HELP_LIMIT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CloudError(f"{path} cannot be run: {type(error).__name__}.", exit_code=exits.USAGE) from None
    return done.stdout + done.stderr
