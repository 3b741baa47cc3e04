"""What a service is to be: what was asked for, over what it is, over the defaults. Pure.

Access types are not among the items of an update: they stay as the operator has them (the vendor's CLI resets them).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ops.cloud import exits
from ops.cloud.answers import Config, Policy, Version, read_environment
from ops.cloud.exits import CloudError

PORT: Final = 80
CPU: Final = 1.0
MEM_PER_CPU: Final = 2.0
"""GiB for a core: the ratio that all of the vendor's documents allow."""
MIN_NUM: Final = 1
POLICY: Final = ("cpu", 60)
"""The platform's own default."""
INITIAL_DELAY_S: Final = 2
COMMIT_NAME: Final = "DEPLOYED_COMMIT"
"""A variable of the service, which says what runs: no field of the API that is read back has room for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command line asks for; None: as it is."""

    port: int | None = None
    cpu: float | None = None
    mem: float | None = None
    min_num: int | None = None
    max_num: int | None = None
    policies: tuple[tuple[str, int], ...] = ()
    initial_delay_s: int | None = None
    dockerfile: str = "Dockerfile"
    allow_cold_starts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """A complete configuration, without access types."""

    port: int
    cpu: float
    mem: float
    min_num: int
    max_num: int
    policies: tuple[tuple[str, int], ...]
    initial_delay_s: int
    dockerfile: str
    environment: Mapping[str, str]

    def items(self) -> list[dict[str, Any]]:
        """As Create- and UpdateCloudRunServer take them. The keys are not the names of ServerBaseConfig."""
        return [
            {"Key": "Port", "IntValue": self.port},
            {"Key": "CpuSpecs", "FloatValue": self.cpu},
            {"Key": "MemSpecs", "FloatValue": self.mem},
            *self.hot_items(),
            {"Key": "InitialDelaySeconds", "IntValue": self.initial_delay_s},
            {"Key": "HasDockerfile", "BoolValue": True},
            {"Key": "Dockerfile", "Value": self.dockerfile},
            {"Key": "BuildDir", "Value": ""},
            environment_item(self.environment),
        ]

    def hot_items(self) -> list[dict[str, Any]]:
        """Those that are applied without a new version."""
        policies = [{"PolicyType": kind, "PolicyThreshold": threshold} for kind, threshold in self.policies]
        return [
            {"Key": "MinNum", "IntValue": self.min_num},
            {"Key": "MaxNum", "IntValue": self.max_num},
            {"Key": "PolicyDetails", "PolicyDetails": policies},
        ]

    def describe(self) -> str:
        """On one line, without the environment."""
        policies = ", ".join(f"{kind} {threshold} %" for kind, threshold in self.policies)
        return (
            f"port {self.port}, {self.cpu:g} CPU, {self.mem:g} GiB, {self.min_num} to {self.max_num} instances, "
            f"scaled by {policies}, first probe after {self.initial_delay_s} s"
        )


def environment_item(environment: Mapping[str, str]) -> dict[str, Any]:
    """The item that replaces the whole environment of a service."""
    text = json.dumps(dict(sorted(environment.items())), ensure_ascii=False, separators=(",", ":"))
    return {"Key": "EnvParam", "Value": text}


def desired(wishes: Wishes, present: Config | None, given: Mapping[str, str], commit: str) -> Desired:
    """What to ask for. `given` is merged into the environment that is there; nothing is removed from it.

    Raises CloudError when the wishes contradict each other.
    """
    there = present or Config()
    environment = {**_environment_of(there), **given, COMMIT_NAME: commit}
    port = wishes.port if wishes.port is not None else _port_in(environment)
    if port != PORT or "PORT" in environment:
        if "PORT" in given and given["PORT"] != str(port):
            raise CloudError(
                f"PORT={given['PORT']} in the file, and --port {port}: the probe would knock at another port.",
                "Leave one of them out.",
                exit_code=exits.USAGE,
            )
        environment["PORT"] = str(port)
    min_num = wishes.min_num if wishes.min_num is not None else there.min_num
    if not min_num and not wishes.allow_cold_starts:
        if wishes.min_num == 0:
            raise CloudError(
                "--min 0: the first stream after half an hour of silence would wait a minute for a cold start.",
                "Give at least 1, or --allow-cold-starts when that is meant.",
                exit_code=exits.USAGE,
            )
        min_num = MIN_NUM
    min_num = min_num or 0
    max_num = wishes.max_num or max(there.max_num or 0, min_num, 1)
    if max_num < min_num:
        raise CloudError(f"--max {max_num} is less than the minimum, {min_num}.", exit_code=exits.USAGE)
    cpu = wishes.cpu or there.cpu or CPU
    mem = wishes.mem or (MEM_PER_CPU * cpu if wishes.cpu else there.mem) or MEM_PER_CPU * cpu
    present_policies = tuple((policy.policy_type, policy.policy_threshold) for policy in there.policy_details)
    delay_s = wishes.initial_delay_s if wishes.initial_delay_s is not None else there.initial_delay_seconds
    return Desired(
        port=port,
        cpu=cpu,
        mem=mem,
        min_num=min_num,
        max_num=max_num,
        policies=wishes.policies or present_policies or (POLICY,),
        initial_delay_s=INITIAL_DELAY_S if delay_s is None else delay_s,
        dockerfile=wishes.dockerfile,
        environment=environment,
    )


def differences(wanted: Desired, config: Config, online: Version | None) -> list[str]:
    """What a deployment would change, in words; empty: nothing to do.

    `online` is the version that has all the traffic, None where there is not one. What makes a version is compared with
    it and not with the configuration, which a failed rollout changes too, and a rollback does not.
    """
    if online is None:
        return ["no single version has all the traffic"]
    try:
        runs = read_environment(online.env_params)
    except ValueError:
        return ["the environment of the version that serves cannot be read"]
    before, after = runs.get(COMMIT_NAME, "unknown"), wanted.environment[COMMIT_NAME]
    found = [f"commit {before[:12]} -> {after[:12]}"] if before != after else []
    names = sorted({*runs, *wanted.environment} - {COMMIT_NAME})
    changed = [name for name in names if runs.get(name) != wanted.environment.get(name)]
    found += [f"environment: {', '.join(changed)}"] if changed else []
    present = {
        "port": (online.port, wanted.port),
        "CPU": (online.cpu, wanted.cpu),
        "memory": (online.mem, wanted.mem),
        "Dockerfile": (online.dockerfile or wanted.dockerfile, wanted.dockerfile),
        "least instances": (config.min_num, wanted.min_num),
        "most instances": (config.max_num, wanted.max_num),
        "first probe": (config.initial_delay_seconds, wanted.initial_delay_s),
        "policy": (config.policy_details, [Policy(kind, threshold) for kind, threshold in wanted.policies]),
    }
    found += [
        f"{what} {was} -> {is_to_be}" if what != "policy" else "policy"
        for what, (was, is_to_be) in present.items()
        if was != is_to_be
    ]
    return found


def _port_in(environment: Mapping[str, str]) -> int:
    text = environment.get("PORT", "")
    return int(text) if text.isascii() and text.isdecimal() and 0 < int(text) < 65536 else PORT


def _environment_of(config: Config) -> dict[str, str]:
    try:
        return config.environment
    except ValueError:
        raise CloudError(
            "The environment of the service is not a JSON object, so nothing can be merged into it.",
            "Correct it in the console (service settings, environment variables).",
        ) from None
