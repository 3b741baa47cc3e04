"""The API's answers, as far as they are read. Null counts as absent. Pure.

Names and types are those of the SDK's models (tcbr/v20220217, tcb/v20180608).
"""

import json
from typing import Any

import msgspec


class Answer(msgspec.Struct, rename="pascal", omit_defaults=True):
    """Fields that are not listed are ignored."""


class Environment(Answer):
    """Of DescribeEnvBaseInfo."""

    env_type: str = ""
    status: str = ""
    region: str = ""
    recycle: str = ""


class EnvironmentAnswer(Answer):
    """DescribeEnvBaseInfo."""

    is_exist: bool = False
    env_base_info: Environment = msgspec.field(default_factory=Environment)


class KeyValue(Answer):
    """A header."""

    key: str
    value: str


class Upload(Answer):
    """DescribeCloudBaseBuildService."""

    upload_url: str
    package_name: str
    package_version: str
    upload_headers: list[KeyValue] = []


class Service(Answer):
    """Of DescribeCloudRunServers and DescribeCloudRunServerDetail."""

    server_name: str = ""
    default_domain_name: str = ""
    custom_domain_name: str = ""
    custom_domain_names: list[str] = []
    status: str = ""
    update_time: str = ""
    access_types: list[str] = []
    server_type: str = ""

    @property
    def domains(self) -> list[str]:
        """All, the custom ones first."""
        found = [*self.custom_domain_names, self.custom_domain_name, self.default_domain_name]
        return list(dict.fromkeys(domain for domain in found if domain))


class Policy(Answer):
    """When to scale."""

    policy_type: str
    policy_threshold: int


class Config(Answer):
    """The configuration of a service. `env_params` has secrets: never log it."""

    port: int | None = None
    cpu: float | None = None
    mem: float | None = None
    min_num: int | None = None
    max_num: int | None = None
    policy_details: list[Policy] = []
    env_params: str = ""
    initial_delay_seconds: int | None = None
    dockerfile: str = ""
    has_dockerfile: bool | None = None
    tag: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """The variables; empty where they cannot be read."""
        return read_environment(self.env_params)


class OnlineVersion(Answer):
    """A version that serves. The ratio is a number in a string."""

    version_name: str = ""
    flow_ratio: str | int = ""

    @property
    def percent(self) -> int:
        """Its share of the traffic."""
        digits = str(self.flow_ratio).rstrip("%")
        return int(digits) if digits.isdecimal() else 0


class Detail(Answer):
    """DescribeCloudRunServerDetail."""

    base_info: Service = msgspec.field(default_factory=Service)
    server_config: Config = msgspec.field(default_factory=Config)
    online_version_infos: list[OnlineVersion] = []


class Version(Answer):
    """DescribeVersionDetail."""

    env_params: str = ""
    port: int | None = None
    cpu: float | None = None
    mem: float | None = None
    dockerfile: str = ""


class Services(Answer):
    """DescribeCloudRunServers."""

    server_list: list[Service] = []
    total: int = 0


class Step(Answer):
    """Of a rollout: `todo`, `running`, `failed` or `finished`."""

    name: str = ""
    status: str = ""
    fail_reason: str = ""
    cost_time: int = 0


class Task(Answer):
    """A change that runs or ran."""

    id: int = 0
    status: str = ""
    steps: list[Step] = []
    fail_reason: str = ""
    version_name: str = ""
    create_time: str = ""


class TaskAnswer(Answer):
    """DescribeServerManageTask."""

    is_exist: bool = False
    task: Task = msgspec.field(default_factory=Task)


class Record(Answer):
    """A deployment: `running`, `deploying` or `deploy_failed`."""

    deploy_id: str = ""
    deploy_time: str = ""
    status: str = ""
    run_id: str = ""
    build_id: int = 0
    flow_ratio: int = 0
    scale_status: str = ""
    is_releasing: bool = False


class Records(Answer):
    """DescribeCloudRunDeployRecord."""

    deploy_records: list[Record] = []

    @property
    def latest(self) -> Record | None:
        """The newest: the order of the list is not documented, the form of the time is."""
        return max(self.deploy_records, key=lambda record: record.deploy_time, default=None)


class Pod(Answer):
    """An instance."""

    pod_id: str = ""
    status: str = ""
    create_time: str = ""


class Pods(Answer):
    """DescribeCloudRunPodList."""

    pod_list: list[Pod] = []
    total_count: int = 0


class ProcessLog(Answer):
    """DescribeCloudRunProcessLog."""

    logs: list[str] = []


class BuildText(Answer):
    """Of DescribeCloudRunBuildLog."""

    text: str = ""


class BuildLog(Answer):
    """DescribeCloudRunBuildLog, which the SDK has no model of: as the vendor's CLI reads it."""

    log: BuildText = msgspec.field(default_factory=BuildText)


class TaskStarted(Answer):
    """SubmitServerConfigChangeDiff and SubmitServerRollback: above 0, a rollout runs."""

    task_id: int = 0


class LogLine(Answer):
    """One line of the service's log."""

    timestamp: str | int = ""
    content: str = ""
    source: str = ""
    pkg_log_id: str = ""


class LogPage(Answer):
    """Of SearchClsLog."""

    context: str = ""
    list_over: bool = True
    results: list[LogLine] = []


class LogAnswer(Answer):
    """SearchClsLog."""

    log_results: LogPage = msgspec.field(default_factory=LogPage)


def read_environment(text: str) -> dict[str, str]:
    """The variables of a service, which the API has as a JSON object in a string. Raises ValueError."""
    if not text.strip():
        return {}
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("the service's environment is not a JSON object")
    return {str(name): value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def without_nulls(value: Any) -> Any:
    """`value` without members that are null: the API has many, and they mean "not set"."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(member) for member in value]
    return value
