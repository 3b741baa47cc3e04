"""CloudBase's APIs, called through the Tencent SDK: one call at a time, and each with a deadline.

The commands wait for the cloud and do nothing beside that, so they are plain blocking code, in the main thread, where
Ctrl-C ends them. The SDK signs and sends (`service.recognizer.sdk` says what of it is not used), and its models say
whether a request is one.
"""

import json
import os
import re
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.tcb.v20180608 import models as tcb_models
from tencentcloud.tcb.v20180608.tcb_client import TcbClient
from tencentcloud.tcbr.v20220217 import models as tcbr_models
from tencentcloud.tcbr.v20220217.tcbr_client import TcbrClient

from ops.cloud import answers, exits
from ops.cloud.exits import CloudError, Refused
from ops.cloud.refusals import GARBLED, NO_ANSWER, is_not_found, is_transient, refused
from service.recognizer.sdk import new_client, silence_sdk

DEFAULT_REGION: Final = "ap-shanghai"
"""Where CloudBase puts an environment unless told otherwise, and what its CLI uses."""
TIMEOUTS_S: Final = (5.0, 20.0)
"""To connect, and for the answer."""
READ_TRIES: Final = 4
READ_PAUSE_S: Final = 0.5
"""Before the second try, doubled for each further."""
PAGE: Final = 30
"""Services in one answer, at most."""
POD_PAGE: Final = 50
PAGES: Final = 10
_TCB_ACTIONS: Final = frozenset({"DescribeCloudBaseBuildService"})
_Answer = TypeVar("_Answer", bound=answers.Answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who calls, and where."""

    secret_id: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    region: str = DEFAULT_REGION
    endpoint: str = ""
    """A base URL in place of Tencent's hosts: for tests, and for a private cloud."""


def account_from(environ: Mapping[str, str], region: str, endpoint: str) -> Account:
    """The account that the environment names, in the spellings that the service reads. Raises CloudError."""
    values = {name: value.strip() for name, value in environ.items() if value.strip()}

    def first(*names: str) -> str:
        return next((values[name] for name in names if name in values), "")

    secret_id = first("TENCENTCLOUD_SECRET_ID", "TENCENT_SECRET_ID", "TENCENTCLOUD_SECRETID")
    secret_key = first("TENCENTCLOUD_SECRET_KEY", "TENCENT_SECRET_KEY", "TENCENTCLOUD_SECRETKEY")
    if not secret_id or not secret_key:
        raise CloudError(
            "No credentials: TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY are not both set.",
            "Make a key for a sub-user in the console (CAM) and put both into the environment of this command.",
            exit_code=exits.CREDENTIALS,
        )
    token = first("TENCENTCLOUD_TOKEN")
    if not token and secret_id == values.get("TENCENTCLOUD_SECRETID"):  # of a cloud function, which has its own token
        token = first("TENCENTCLOUD_SESSIONTOKEN")
    if not all(_is_word(value) for value in (secret_id, secret_key, token)):  # they go into headers
        raise CloudError(
            "A secret id, key or token has a character in it that none has, such as a space or the end of a line.",
            "Copy it again, as one line.",
            exit_code=exits.CREDENTIALS,
        )
    endpoint = (endpoint or first("CLOUDBASE_ENDPOINT")).rstrip("/")
    if endpoint and not is_usable_url(endpoint):
        raise CloudError(
            "--endpoint: expected https://HOST[:PORT]; http:// only for this machine.", exit_code=exits.USAGE
        )
    region = region or first("TENCENTCLOUD_REGION", "TENCENT_REGION") or DEFAULT_REGION
    if not _is_word(region):
        raise CloudError("--region: expected a name such as ap-shanghai.", exit_code=exits.USAGE)
    return Account(
        secret_id=secret_id,
        secret_key=secret_key,
        token=token,
        region=region,
        endpoint=endpoint,
    )


def is_usable_url(url: str) -> bool:
    """Whether secrets and code may be sent there: TLS, or this machine."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port  # both raise where there is none
    except ValueError:
        return False
    if not host or port == 0:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def _is_word(text: str) -> bool:
    """Whether it is printable ASCII without spaces; nothing is, too."""
    return text.isascii() and text.isprintable() and " " not in text


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


class Cloud:
    """One environment of one account. Every method raises CloudError when the cloud refuses or does not answer."""

    def __init__(self, account: Account, env_id: str) -> None:
        self.account = account
        self.env_id = env_id
        self._clients: dict[str, Any] = {}
        silence_sdk()

    def ask(self, action: str, answer: type[_Answer], **fields: Any) -> _Answer:
        """Call an action that changes nothing; tried again where that may help."""
        pause_s = READ_PAUSE_S
        for _ in range(READ_TRIES - 1):
            try:
                return self._call(action, answer, fields)
            except Refused as error:
                if not is_transient(error.code):
                    raise
            time.sleep(pause_s)
            pause_s *= 2
        return self._call(action, answer, fields)

    def change(self, action: str, answer: type[_Answer], **fields: Any) -> _Answer:
        """Call an action that changes something: once, because what was not answered may have been done."""
        try:
            return self._call(action, answer, fields)
        except Refused as error:
            if error.code != NO_ANSWER:
                raise
            remedy = "It may have been accepted all the same: look with `ops status` before you try again."
            raise Refused(error.code, error.what, remedy) from error

    def service(self, name: str) -> answers.Detail | None:
        """What is known of a service; None when there is none of that name."""
        try:
            return self.ask("DescribeCloudRunServerDetail", answers.Detail, ServerName=name)
        except Refused as error:
            if is_not_found(error.code):
                return None
            raise

    def services(self) -> list[answers.Service]:
        """All services of the environment."""
        found: list[answers.Service] = []
        for page in range(1, PAGES + 1):
            answer = self.ask("DescribeCloudRunServers", answers.Services, PageSize=PAGE, PageNum=page)
            found += answer.server_list
            if len(found) >= answer.total or not answer.server_list:
                break
        return found

    def task(self, name: str, task_id: int = 0) -> answers.Task | None:
        """A change of a service, 0: the current one; None when there is none."""
        try:
            answer = self.ask("DescribeServerManageTask", answers.TaskAnswer, ServerName=name, TaskId=task_id)
        except Refused as error:
            if is_not_found(error.code):
                return None
            raise
        return answer.task if answer.is_exist else None

    def records(self, name: str) -> answers.Records:
        """The deployments of a service."""
        try:
            return self.ask("DescribeCloudRunDeployRecord", answers.Records, ServerName=name)
        except Refused as error:
            if is_not_found(error.code):
                return answers.Records()
            raise

    def _call(self, action: str, answer: type[_Answer], fields: Mapping[str, Any]) -> _Answer:
        request = {"EnvId": self.env_id, **fields}
        self._check(action, request)
        try:
            body = self._client(action).call(action, request)
        except TencentCloudSDKException as error:
            raise refused(action, str(error.get_code() or ""), str(error.get_message() or "")) from None
        except (OSError, ValueError):  # while the answer was being read
            raise refused(action, NO_ANSWER, "the connection was lost") from None
        try:
            response = json.loads(body)["Response"]
            if said := response.get("Error"):
                raise refused(action, str(said["Code"]), str(said.get("Message", "")))
            return msgspec.convert(answers.without_nulls(response), answer)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, msgspec.ValidationError):
            raise refused(action, GARBLED, "the answer is not of the documented form") from None

    def _check(self, action: str, request: Mapping[str, Any]) -> None:
        """A field that the SDK's model does not know is a mistake of ours."""
        model = getattr(tcb_models if action in _TCB_ACTIONS else tcbr_models, f"{action}Request", None)
        if model is not None:  # DescribeCloudRunBuildLog has none
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                model()._deserialize(dict(request))

    def _client(self, action: str) -> Any:
        product = "tcb" if action in _TCB_ACTIONS else "tcbr"
        if product not in self._clients:
            self._clients[product] = self._new_client(product)
        return self._clients[product]

    def _new_client(self, product: str) -> Any:
        account = self.account
        url = account.endpoint or f"https://{product}.tencentcloudapi.com"
        credential = Credential(account.secret_id, account.secret_key, account.token or None)
        kind = TcbClient if product == "tcb" else TcbrClient
        is_here = is_loopback(urlsplit(url).hostname or "")
        return new_client(kind, credential, account.region, url, TIMEOUTS_S, is_proxied=not is_here)


def cloud_from(arguments: Any) -> Cloud:
    """The environment that a command line means. Raises CloudError."""
    env_id = arguments.env or os.environ.get("CLOUDBASE_ENV_ID", "") or os.environ.get("CLOUDBASE_ENV", "")
    if not env_id:
        raise CloudError(
            "No environment: give --env, or set CLOUDBASE_ENV_ID.",
            "Its id is in the console's overview, such as voice-7gabc1234567.",
            exit_code=exits.USAGE,
        )
    return Cloud(account_from(os.environ, arguments.region, arguments.endpoint), env_id)
