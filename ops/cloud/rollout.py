"""A rollout: how far it is, how it ended, and why it failed. Waiting for it blocks; the judgments are pure."""

import enum
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ops.cloud import exits
from ops.cloud.answers import BuildLog, Detail, ProcessLog, Record, Records, Task
from ops.cloud.api import Cloud
from ops.cloud.exits import CloudError, Refused
from ops.cloud.refusals import is_transient
from ops.cloud.safe_text import one_line, secrets_of, without_secrets

POLL_S: Final = 2.0
POLL_GROWTH: Final = 1.5
POLL_LONGEST: Final = 5
"""In times of the first pause."""
DEADLINE_S: Final = 1200.0
"""An image builds in 2 to 5 minutes, and a probe fails after about 3."""
TAIL_LINES: Final = 40

Say = Callable[[str], None]


class Outcome(enum.Enum):
    """Of a rollout."""

    UNDECIDED = enum.auto()
    DONE = enum.auto()
    FAILED = enum.auto()


@dataclass(frozen=True, slots=True)
class Patience:
    """How to wait."""

    deadline_s: float = DEADLINE_S
    poll_s: float = POLL_S


@dataclass(frozen=True, slots=True)
class Before:
    """What there was before a change was submitted, so that it is not taken for the change."""

    deploy_ids: frozenset[str] = frozenset()
    task_id: int = 0


def before(cloud: Cloud, service: str) -> Before:
    """What there is now. Raises CloudError."""
    task = cloud.task(service)
    records = cloud.records(service).deploy_records
    return Before(frozenset(record.deploy_id for record in records), task.id if task else 0)


def is_running(task: Task | None) -> bool:
    """Whether a task is in the way of another. The words for its states are not documented: those of steps are."""
    return task is not None and re.search("run|ing$|todo|wait|pend|queue", task.status.casefold()) is not None


def new_record(records: Records, known: frozenset[str]) -> Record | None:
    """The newest deployment that is not among the known ones."""
    return Records([record for record in records.deploy_records if record.deploy_id not in known]).latest


def outcome_of(task: Task | None, record: Record | None) -> Outcome:
    """What task and record together say. Only a record that serves counts as success."""
    if (record and "fail" in record.status) or has_failed(task):
        return Outcome.FAILED
    if record and record.status == "running" and not record.is_releasing and not is_running(task):
        return Outcome.DONE
    return Outcome.UNDECIDED


def outcome_of_change(task: Task | None) -> Outcome:
    """The same for a change that is a task and no deployment, such as a rollback or another environment."""
    if task is None:
        return Outcome.UNDECIDED
    if has_failed(task):
        return Outcome.FAILED
    is_said = re.search("finish|succe|done|complete|normal", task.status.casefold()) is not None
    is_shown = bool(task.steps) and all(step.status == "finished" for step in task.steps)
    return Outcome.DONE if is_said or (is_shown and not is_running(task)) else Outcome.UNDECIDED


def has_failed(task: Task | None) -> bool:
    """Whether a task ended without its aim."""
    return task is not None and (
        re.search("fail|cancel|go_?back|timeout", task.status.casefold()) is not None
        or any(step.status == "failed" for step in task.steps)
    )


def failed_step(task: Task | None) -> tuple[str, str]:
    """The step that failed and the reason, as the cloud names them; empty where it names none."""
    if task is None:
        return "", ""
    step = next((step for step in task.steps if step.status == "failed"), None)
    return (step.name if step else ""), ((step and step.fail_reason) or task.fail_reason)


def new_lines(task: Task | None, told: set[tuple[str, str]]) -> list[str]:
    """A line for each step that has changed since; `told` is brought up to date."""
    lines = []
    for step in task.steps if task else ():
        if step.status != "todo" and (step.name, step.status) not in told:
            told.add((step.name, step.status))
            took = f" ({step.cost_time} s)" if step.cost_time and step.status == "finished" else ""
            lines.append(one_line(f"  {step.name}: {step.status}{took}"))
    return lines


_SIGNS: Final = (
    (
        r"settings cannot be used",
        "The service refused its settings: the log above lists them. Correct them in the --env-file, and deploy again.",
    ),
    (
        r"address already in use|permission denied.*(bind|port)",
        "The service could not listen. Do not set HOST, and use the default port.",
    ),
    (r"oomkilled|out of memory|exit code:? 137", "It ran out of memory: deploy with more --cpu and --mem."),
    (r"exec format error", "The image is for another processor: CloudBase Run takes x86-64 only."),
    (
        r"no matching distribution|do not match the hashes|hash mismatch",
        "A package could not be installed: the locks do not fit pyproject.toml (`make lock`), or a mirror is old.",
    ),
    (
        r"toomanyrequests|pull rate limit|failed to (pull|fetch|resolve)|i/o timeout",
        "The base image or a package could not be downloaded: deploy again.",
    ),
    (
        r"copy failed|not found: not found|failed to compute cache key",
        "A file that the Dockerfile copies is not in the commit.",
    ),
)


def causes(step: str, reason: str, log: Iterable[str]) -> list[str]:
    """What to do about a failed rollout, by what is in its log, then by the step."""
    text = "\n".join([reason, *log]).casefold()
    found = [advice for pattern, advice in _SIGNS if re.search(pattern, text)]
    if re.search(r"build|image|镜像|构建", f"{step} {reason}".casefold()):
        return [*found, "The image could not be built. Try the same here: `docker build .` in a clean clone."]
    return [
        *found,
        "No instance passed the probe, which knocks at the configured port. See that the service listens on that port "
        "(--port and PORT must agree) and on 0.0.0.0 (HOST not set to 127.0.0.1), and that it starts with this "
        "environment: `docker run --rm --env-file FILE IMAGE python -m service --check`.",
        "The version before goes on serving. A slow start: raise --initial-delay.",
    ]


def wait(
    cloud: Cloud, service: str, there_was: Before, patience: Patience, say: Say, secrets: Sequence[str] = ()
) -> Record:
    """Wait until a deployment that is not among those before serves, and return it.

    Raises CloudError when it fails, with the end of its log printed before, or when the deadline passes; the rollout
    goes on then. After a transient failure the cloud is asked again until the deadline.
    """
    found: list[Record] = []

    def look() -> tuple[Task | None, Outcome]:
        task = cloud.task(service)
        if task is not None and task.id and task.id == there_was.task_id:
            task = None
        record = new_record(cloud.records(service), there_was.deploy_ids)
        found[:] = [record] if record else []
        return task, outcome_of(task, record)

    task, outcome = _poll(cloud, service, patience, say, look)
    if outcome is Outcome.FAILED:
        raise _explained(cloud, service, task, found[0] if found else None, say, secrets)
    return found[0]


def wait_for_task(
    cloud: Cloud, service: str, task_id: int, patience: Patience, say: Say, secrets: Sequence[str] = ()
) -> None:
    """Wait until the change `task_id` has ended. Raises CloudError as `wait` does."""

    def look() -> tuple[Task | None, Outcome]:
        task = cloud.task(service, task_id)
        return task, outcome_of_change(task)

    task, outcome = _poll(cloud, service, patience, say, look)
    if outcome is Outcome.FAILED:
        raise _explained(cloud, service, task, cloud.records(service).latest, say, secrets)


def wait_until_free(cloud: Cloud, service: str, patience: Patience, say: Say) -> None:
    """Wait until no change of the service runs. Raises CloudError when the deadline passes."""

    def look() -> tuple[Task | None, Outcome]:
        task = cloud.task(service)
        return task, Outcome.UNDECIDED if is_running(task) else Outcome.DONE

    _poll(cloud, service, patience, say, look)


def secrets_in(detail: Detail) -> tuple[str, ...]:
    """What must not appear when the log of this service is shown; an environment that cannot be read counts whole."""
    try:
        return secrets_of(detail.server_config.environment)
    except ValueError:
        return secrets_of({"": detail.server_config.env_params})


def _poll(
    cloud: Cloud, service: str, patience: Patience, say: Say, look: Callable[[], tuple[Task | None, Outcome]]
) -> tuple[Task | None, Outcome]:
    """Look until there is an outcome, at growing intervals while nothing happens."""
    began_s = time.monotonic()
    pause_s = patience.poll_s
    told: set[tuple[str, str]] = set()
    while True:
        try:
            task, outcome = look()
        except Refused as error:
            if not is_transient(error.code):
                raise
            say(f"  no answer: {error.code}; the rollout is not touched by it")
        else:
            for line in new_lines(task, told):
                say(line)
                pause_s = patience.poll_s
            if outcome is not Outcome.UNDECIDED:
                return task, outcome
        if time.monotonic() - began_s + pause_s > patience.deadline_s:
            raise CloudError(
                f"The rollout has not ended within {patience.deadline_s:g} s. It goes on.",
                *how_to_follow(cloud.env_id, service),
                exit_code=exits.STILL_RUNNING,
            )
        time.sleep(pause_s)
        pause_s = min(pause_s * POLL_GROWTH, patience.poll_s * POLL_LONGEST)


def how_to_follow(env_id: str, service: str) -> tuple[str, ...]:
    """Where to look for a rollout that goes on."""
    return (
        f"Follow it: python -m ops status --env {env_id} --service {service} --follow",
        f"In the console: https://tcb.cloud.tencent.com/dev?envId={env_id}#/platform-run/service/detail?"
        f"serverName={service}&tabId=deploy&envId={env_id}",
    )


def _explained(
    cloud: Cloud, service: str, task: Task | None, record: Record | None, say: Say, secrets: Sequence[str]
) -> CloudError:
    step, reason = failed_step(task)
    log = _tail(cloud, service, record)
    if log:
        say(f"The end of the rollout's log ({len(log)} lines):")
    for line in log:
        say("  | " + one_line(without_secrets(line, secrets)))
    what = f"The rollout failed{f' at {step}' if step else ''}{f': {reason}' if reason else ''}."
    return CloudError(one_line(without_secrets(what, secrets)), *causes(step, reason, log))


def _tail(cloud: Cloud, service: str, record: Record | None) -> list[str]:
    """The last lines of the build's log and of the process's, as far as they can be had."""
    lines: list[str] = []
    if record is None:
        return lines
    if record.build_id:
        lines += _lines_of_build(cloud, service, record.build_id)[-TAIL_LINES:]
    if record.run_id:
        try:
            logs = cloud.ask("DescribeCloudRunProcessLog", ProcessLog, RunId=record.run_id).logs
        except Refused as error:
            logs = [f"(the process's log cannot be read: {error.code})"]
        lines += [line for entry in logs for line in entry.splitlines()][-TAIL_LINES:]
    return lines


def _lines_of_build(cloud: Cloud, service: str, build_id: int) -> list[str]:
    fields = {"ServerName": service, "ServerVersion": "", "BuildId": build_id, "Offset": 0}
    try:
        return cloud.ask("DescribeCloudRunBuildLog", BuildLog, **fields).log.text.splitlines()
    except Refused as error:  # an action that is documented nowhere: it may go away
        return [f"(the build's log cannot be read: {error.code})"]
