"""What the tests of the cloud commands share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cloud_operator import Operator, environment, make_checkout
from tests.support.cloudbase import CloudBase, cloudbase


@pytest.fixture
def cloud() -> Iterator[CloudBase]:
    """The cloud's stand-in."""
    with cloudbase() as running:
        yield running


@pytest.fixture
def operator(
    cloud: CloudBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Operator:
    """Somebody with a checkout of one commit, and good credentials in the environment."""
    for name in list(os.environ):
        if name.startswith(("TENCENT", "CLOUDBASE", "GIT_")):
            monkeypatch.delenv(name)
    for name, value in environment(cloud).items():
        monkeypatch.setenv(name, value)
    return Operator(cloud, make_checkout(tmp_path), capsys)
