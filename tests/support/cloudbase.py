"""A server that answers as CloudBase's APIs (tcbr, tcb) and its store do, on this machine, in a thread.

It checks the TC3 signature with code of its own, keeps services, versions and packages, and lets rollouts advance each
time somebody looks. Every request and every answer must fit the vendor's own models.
"""

import contextlib
import hashlib
import hmac
import io
import json
import threading
import time
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tencentcloud.tcb.v20180608 import models as tcb_models
from tencentcloud.tcbr.v20220217 import models as tcbr_models

SECRET_ID, SECRET_KEY = "AKID-of-the-tests", "key-of-the-tests"
ENV_ID = "voice-1a2b3c"
MAX_CLOCK_S = 300
STEPS = ("download_package", "build_image", "create_eks_virtual_service", "check_ready", "switch_traffic")
BREAKS_AT = {"build": "build_image", "probe": "check_ready"}

# The names of ServerBaseConfig, for the keys of items.
_CONFIG_NAMES = {
    "AccessTypes": "OpenAccessTypes",
    "CpuSpecs": "Cpu",
    "MemSpecs": "Mem",
    "EnvParam": "EnvParams",
    "LogPath": "CustomLogs",
}
_HOT = {"MinNum", "MaxNum", "PolicyDetails", "AccessTypes", "TimerScale", "InternalAccess", "SessionAffinity"}


class Fault(Exception):
    """An error of the API."""

    def __init__(self, code: str, message: str = "refused") -> None:
        super().__init__(code)
        self.code, self.message = code, message


@dataclass
class Rollout:
    """A task and, for deployments, its record."""

    number: int
    version: str
    config: dict[str, Any]
    breaks: str = ""
    done_steps: int = 0
    is_deployment: bool = True
    status: str = "running"

    def advance(self) -> None:
        if self.status != "running" or self.breaks == "never":
            return
        if STEPS[self.done_steps] == BREAKS_AT.get(self.breaks):
            self.status = "failed"
            return
        self.done_steps += 1
        if self.done_steps == len(STEPS):
            self.status = "finished"

    def steps(self) -> list[dict[str, Any]]:
        states = ["finished"] * self.done_steps + [self.status] + ["todo"] * len(STEPS)
        return [
            {"Name": name, "Status": state, "CostTime": 3, "FailReason": "see the log" if state == "failed" else None}
            for name, state in zip(STEPS, states, strict=False)
        ]


@dataclass
class Service:
    """One service."""

    name: str
    config: dict[str, Any] = field(default_factory=dict)
    type: str = "container"
    rollouts: list[Rollout] = field(default_factory=list)
    online: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return dict(json.loads(self.config.get("EnvParams") or "{}"))


@dataclass
class CloudBase:
    """The cloud of a test."""

    url: str = ""
    env: dict[str, Any] = field(
        default_factory=lambda: {"EnvType": "tcbr", "Status": "normal", "Region": "ap-shanghai"}
    )
    services: dict[str, Service] = field(default_factory=dict)
    packages: dict[str, bytes] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    next_breaks: str = ""
    """How the next rollout ends: `build`, `probe`, `never`, or well."""
    next_faults: dict[str, list[str]] = field(default_factory=dict)
    """Codes that the next calls of an action are answered with."""
    log: list[tuple[float, str]] = field(default_factory=list)
    token: str | None = None
    clock_off_s: int = 0
    upload_status: int = 200
    domain: str = "miniapp-1.ap-shanghai.run.tcloudbase.com"

    def actions(self, *prefixes: str) -> list[str]:
        """The calls so far, in order; of those that begin so."""
        return [action for action, _ in self.calls if not prefixes or action.startswith(prefixes)]

    def names_in_package(self) -> list[str]:
        """The files of the last package."""
        with zipfile.ZipFile(io.BytesIO(list(self.packages.values())[-1])) as archive:
            return archive.namelist()

    def items_of(self, action: str) -> dict[str, Any]:
        """The items of the last call of an action, by key."""
        given = next(fields for name, fields in reversed(self.calls) if name == action)
        return {item["Key"]: next(v for k, v in item.items() if k != "Key") for item in given["Items"]}

    def answer(self, action: str, given: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((action, given))
        if codes := self.next_faults.get(action):
            raise Fault(codes.pop(0))
        if given.get("EnvId") != ENV_ID and action != "DescribeEnvBaseInfo":
            raise Fault("InvalidParameter", "env not exist")
        return dict(getattr(self, f"_{action}")(given))

    # The actions, in the order of a deployment.

    def _DescribeEnvBaseInfo(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        is_there = given["EnvId"] == ENV_ID
        return {"IsExist": is_there, "EnvBaseInfo": {"EnvId": ENV_ID, **self.env} if is_there else None}

    def _DescribeCloudBaseBuildService(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = f"{given['ServiceName']}-{len(self.packages) + 1}"
        headers = [{"Key": "x-cos-meta-of", "Value": name}]
        upload = {"UploadUrl": f"{self.url}/store/{name}", "UploadHeaders": headers}
        return {**upload, "PackageName": name, "PackageVersion": "v1", "OutDate": False}

    def _CreateCloudRunServer(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if given["ServerName"] in self.services:
            raise Fault("InvalidParameter", "the service exists")
        service = self.services[given["ServerName"]] = Service(given["ServerName"])
        self._deploy(service, given)
        return {"TaskId": 0}

    def _UpdateCloudRunServer(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self._deploy(self._service(given), given)
        return {"TaskId": 0, "EnvId": ENV_ID}

    def _DescribeServerManageTask(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        rollouts = self._service(given).rollouts
        wanted = [rollout for rollout in rollouts if given["TaskId"] in (0, rollout.number)]
        if not wanted:
            return {"IsExist": False, "Task": None}
        rollout = wanted[-1]
        self._advance(self._service(given), rollout)
        task = {"Id": rollout.number, "Status": rollout.status, "Steps": rollout.steps(), "FailReason": ""}
        return {"IsExist": True, "Task": {**task, "VersionName": rollout.version, "CreateTime": _stamp(rollout.number)}}

    def _DescribeCloudRunDeployRecord(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        service = self._service(given)
        status = {"running": "deploying", "failed": "deploy_failed", "finished": "running"}
        records = [
            {
                "DeployId": rollout.version,
                "DeployTime": _stamp(rollout.number),
                "Status": status[rollout.status],
                "RunId": f"run-{rollout.number}",
                "BuildId": 100 + rollout.number,
                "FlowRatio": 100 if rollout.version == service.online else 0,
                "IsReleasing": rollout.status == "running",
                "ScaleStatus": None,
            }
            for rollout in service.rollouts
            if rollout.is_deployment
        ]
        return {"DeployRecords": records or None}

    def _DescribeCloudRunProcessLog(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        environment = [json.dumps(service.environment) for service in self.services.values()]
        return {"Logs": [*environment, "Readiness probe failed: dial tcp: connection refused\x1b[2J"]}

    def _DescribeCloudRunBuildLog(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"Log": {"Text": "step 7/9\nERROR: pip: no matching distribution found for trio"}}

    def _DescribeCloudRunServerDetail(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        service = self._service(given)
        flows = [{"VersionName": service.online, "FlowRatio": "100"}] if service.online else []
        return {"BaseInfo": self._base(service), "ServerConfig": service.config, "OnlineVersionInfos": flows}

    def _DescribeCloudRunServers(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        first = (given["PageNum"] - 1) * given["PageSize"]
        everything = [self._base(service) for service in self.services.values()]
        return {"ServerList": everything[first : first + given["PageSize"]], "Total": len(everything)}

    def _DescribeVersionDetail(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        config = self._rollout(self._service(given), given["VersionName"]).config
        fields = ("Port", "Cpu", "Mem", "MinNum", "MaxNum", "EnvParams", "Dockerfile")
        return {"Name": given["VersionName"], **{name: config.get(name) for name in fields}}

    def _DescribeCloudRunPodList(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        pods = [{"PodId": f"{given['VersionName']}-pod-1", "Status": "Running", "CreateTime": _stamp(1)}]
        return {"PodList": pods, "TotalCount": 1}

    def _SubmitServerConfigChangeDiff(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        service = self._service(given)
        self._refuse_if_busy(service)
        self._configure(service, given["Items"])
        if {item["Key"] for item in given["Items"]} <= _HOT:
            return {"TaskId": 0}
        return {"TaskId": self._start(service).number}

    def _SubmitServerRollback(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        service = self._service(given)
        self._refuse_if_busy(service)
        if given["CurrentVersionName"] != service.online:
            raise Fault("InvalidParameter", "not the current version")
        target = self._rollout(service, given["RollbackVersionName"])
        rollout = self._start(service)
        rollout.version, rollout.config, rollout.is_deployment = target.version, target.config, False
        return {"TaskId": rollout.number}

    def _SearchClsLog(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        assert given["Limit"] <= 100
        china = {name: datetime.fromisoformat(f"{given[name]}+08:00").timestamp() for name in ("StartTime", "EndTime")}
        found = [
            (number, at_s, text)
            for number, (at_s, text) in enumerate(self.log)
            if china["StartTime"] <= at_s < china["EndTime"] and given["QueryString"] in ("*", text)
        ]
        first = int(given.get("Context") or 0)
        page = found[first : first + given["Limit"]]
        results = [
            {"Timestamp": str(round(at_s * 1000)), "Content": text, "PkgLogId": f"log-{number}", "TopicId": None}
            for number, at_s, text in page
        ]
        following = first + len(page)
        return {"LogResults": {"Context": str(following), "ListOver": following >= len(found), "Results": results}}

    # What they share.

    def _service(self, given: dict[str, Any]) -> Service:
        if given["ServerName"] not in self.services:
            raise Fault("InvalidParameter", "no such service")  # as the platform answers, and not ResourceNotFound
        return self.services[given["ServerName"]]

    def _rollout(self, service: Service, version: str) -> Rollout:
        found = [rollout for rollout in service.rollouts if rollout.version == version]
        if not found:
            raise Fault("ResourceNotFound.VersionNotFound")
        return found[0]

    def _base(self, service: Service) -> dict[str, Any]:
        return {
            "ServerName": service.name,
            "DefaultDomainName": self.domain,
            "CustomDomainNames": None,
            "Status": "normal" if service.online else "creating",
            "AccessTypes": service.config.get("OpenAccessTypes"),
            "ServerType": service.type,
            "UpdateTime": _stamp(1),
        }

    def _deploy(self, service: Service, given: dict[str, Any]) -> None:
        self._refuse_if_busy(service)
        info = given["DeployInfo"]
        assert info["DeployType"] == "package"
        if info["PackageName"] not in self.packages:
            raise Fault("InvalidParameter", "no such package")
        self._configure(service, given["Items"])
        self._start(service)

    def _refuse_if_busy(self, service: Service) -> None:
        if any(rollout.status == "running" for rollout in service.rollouts):
            raise Fault("ResourceInUse", "a task is running")

    def _configure(self, service: Service, items: list[dict[str, Any]]) -> None:
        for item in items:
            value = next(value for name, value in item.items() if name != "Key")
            service.config[_CONFIG_NAMES.get(item["Key"], item["Key"])] = value

    def _start(self, service: Service) -> Rollout:
        number = len(service.rollouts) + 1
        breaks, self.next_breaks = self.next_breaks, ""
        if service.environment.get("PORT", "80") != str(service.config.get("Port")):
            breaks = "probe"
        service.rollouts.append(Rollout(number, f"{service.name}-{number:03}", dict(service.config), breaks))
        return service.rollouts[-1]

    def _advance(self, service: Service, rollout: Rollout) -> None:
        rollout.advance()
        if rollout.status == "finished" and rollout.number == service.rollouts[-1].number:
            service.online = rollout.version


def _stamp(number: int) -> str:
    return f"2026-01-01 00:{number // 60:02}:{number % 60:02}"


def checked(model_name: str, product: str, fields: dict[str, Any]) -> None:
    """Fails when the vendor's model does not have these fields."""
    model = getattr(tcb_models if product == "tcb" else tcbr_models, model_name, None)
    if model is None:
        assert model_name.startswith("DescribeCloudRunBuildLog"), model_name  # known to be missing
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model()._deserialize(fields)


def refusal(cloud: CloudBase, headers: dict[str, str], body: bytes, product: str) -> Fault | None:
    """What is wrong with a signature: TC3-HMAC-SHA256 (Tencent's document "签名方法 v3")."""

    def mac(key: bytes, text: str) -> bytes:
        return hmac.new(key, text.encode(), hashlib.sha256).digest()

    timestamp = headers["x-tc-timestamp"]
    if abs(time.time() + cloud.clock_off_s - int(timestamp)) > MAX_CLOCK_S:
        return Fault("AuthFailure.SignatureExpire")
    if cloud.token is not None and headers.get("x-tc-token") != cloud.token:
        return Fault("AuthFailure.TokenFailure", "The token is expired.")
    date = datetime.fromtimestamp(int(timestamp), UTC).strftime("%Y-%m-%d")
    signed = f"content-type:{headers['content-type']}\nhost:{headers['host']}\n"
    canonical = f"POST\n/\n\n{signed}\ncontent-type;host\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{date}/{product}/tc3_request"
    plain = f"TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = mac(mac(mac(b"TC3" + SECRET_KEY.encode(), date), product), "tc3_request")
    wanted = (
        f"TC3-HMAC-SHA256 Credential={SECRET_ID}/{scope}, SignedHeaders=content-type;host, "
        f"Signature={mac(key, plain).hex()}"
    )
    if f"Credential={SECRET_ID}/" not in headers["authorization"]:
        return Fault("AuthFailure.SecretIdNotFound")
    return None if headers["authorization"] == wanted else Fault("AuthFailure.SignatureFailure")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: the second would wait for the first to be acknowledged
    cloud: CloudBase
    lock: threading.Lock
    bugs: list[BaseException]

    def do_POST(self) -> None:
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        action, version = headers["x-tc-action"], headers["x-tc-version"]
        product = {"2022-02-17": "tcbr", "2018-06-08": "tcb"}[version]
        try:
            with self.lock:
                if fault := refusal(self.cloud, headers, body, product):
                    raise fault
                given = json.loads(body)
                checked(f"{action}Request", product, given)
                answer = self.cloud.answer(action, given)
                checked(f"{action}Response", product, answer)
        except Fault as fault:
            answer = {"Error": {"Code": fault.code, "Message": fault.message}}
        except Exception as bug:
            self.bugs.append(bug)
            raise
        self._reply(200, json.dumps({"Response": {**answer, "RequestId": "r-1"}}).encode())

    def do_PUT(self) -> None:
        body = self._body()
        name = self.path.removeprefix("/store/")
        status = self.cloud.upload_status if self.headers["x-cos-meta-of"] == name else 403
        if status == 200:
            self.cloud.packages[name] = body
        self._reply(status, b"")

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def cloudbase() -> Iterator[CloudBase]:
    """Serves on a free port of this machine until the end of the `with`; fails when it did not understand a call."""
    cloud = CloudBase()
    bugs: list[BaseException] = []
    handler = type("Handler", (_Handler,), {"cloud": cloud, "lock": threading.Lock(), "bugs": bugs})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]  # told at the end
    cloud.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield cloud
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
    assert not bugs, bugs
