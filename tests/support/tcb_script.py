# ruff: noqa: T201 - a terminal program prints
"""A `tcb` for tests: what 2.12.10 was seen to do, as a program, with the stand-in of the cloud behind it.

It uploads its directory as it is, resets the access types, asks about a gray release even with --force, and ends with 0
and without a deployment where there is no terminal. TCB_SCRIPT makes it worse: `lies` (0, nothing done), `asks` (the
question whether to cancel another rollout), `type` (its help lists --type, and it insists on it).
"""

import argparse
import io
import os
import sys
import zipfile
from pathlib import Path

import httpx2

from ops.cloud import answers
from ops.cloud.api import Cloud, account_from

HELP = """Usage: tcb cloudrun deploy [options]
  -s, --serviceName <serviceName>  Service Name
  --port <port>                    port
  --source <source>                directory
  --force                          skip"""
BUSY = "Platform currently has deployment tasks running. Confirm to continue deployment (Y/n)"


def main() -> int:
    behavior = os.environ.get("TCB_SCRIPT", "")
    if "--version" in sys.argv:
        print("CloudBase CLI 2.12.10")
        return 0
    if "--help" in sys.argv:
        print(HELP + ("\n  --type <type>  kind of service" if behavior == "type" else ""))
        return 0
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs=2)
    parser.add_argument("-e")
    parser.add_argument("--serviceName")
    parser.add_argument("--source", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--force", action="store_true")
    if behavior == "type":
        parser.add_argument("--type", required=True)
    given = parser.parse_args()
    if behavior == "lies":
        print("No valid identity information. Authorization login successful!")
        return 0
    question = BUSY if behavior == "asks" else "Enable gray deployment? (Use arrow keys)"
    print(f"\x1b[32m?\x1b[0m {question} ", end="", flush=True)
    if not sys.stdin.isatty():
        return 0
    sys.stdin.readline()
    _deploy(Cloud(account_from(os.environ, "", ""), given.e), given)
    print("Please open the console to see the state")
    return 0


def _deploy(cloud: Cloud, given: argparse.Namespace) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path in sorted(given.source.rglob("*")):
            archive.write(path, path.relative_to(given.source))
    upload = cloud.ask("DescribeCloudBaseBuildService", answers.Upload, ServiceName=given.serviceName)
    headers = {header.key: header.value for header in upload.upload_headers}
    httpx2.put(upload.upload_url, content=data.getvalue(), headers=headers, trust_env=False)
    info = {
        "DeployType": "package",
        "PackageName": upload.package_name,
        "PackageVersion": upload.package_version,
    }
    items = [{"Key": "AccessTypes", "ArrayValue": ["OA", "PUBLIC", "MINIAPP"]}]
    is_new = cloud.service(given.serviceName) is None
    if is_new:
        items += [{"Key": "Port", "IntValue": given.port or 80}, {"Key": "MinNum", "IntValue": 0}]  # type: ignore[dict-item]
    action = "CreateCloudRunServer" if is_new else "UpdateCloudRunServer"
    cloud.change(action, answers.Answer, ServerName=given.serviceName, DeployInfo=info, Items=items)


if __name__ == "__main__":
    sys.exit(main())
