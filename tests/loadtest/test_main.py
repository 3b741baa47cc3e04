"""Which command is meant, also where the extra is not installed."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import trio

from loadtest.__main__ import main
from tests.loadtest.protocol_server import GUARD_S
from tests.support.processes import ROOT


def loaded() -> dict[str, ModuleType]:
    prefixes = ("loadtest.", "hdrh")
    return {
        name: module
        for name, module in sys.modules.items()
        if name.startswith(prefixes) and name != "loadtest.__main__" and module is not None
    }


@pytest.fixture
def fresh_modules() -> Iterator[None]:
    """The load tester is imported anew, and afterwards the former modules, and no others, are in their places."""
    former = loaded()
    for name in former:
        del sys.modules[name]
    yield
    for name in loaded():
        del sys.modules[name]
    sys.modules.update(former)
    for name, module in former.items():
        parent, _, own = name.rpartition(".")
        if parent in sys.modules:
            setattr(sys.modules[parent], own, module)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert all(
        f"    {name} " in f"{shown} " or f"    {name}\n" in shown for name in ("speak", "recognize", "run", "sink")
    )
    assert "worker" not in shown


@pytest.mark.parametrize("arguments", [["scenarios"], ["scenarios", "show", "smoke"], ["sink"]])
async def test_a_reader_that_leaves_brings_no_traceback(arguments: list[str], tmp_path: Path) -> None:
    """As in `scenarios | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    with (tmp_path / "err").open("wb") as err, trio.fail_after(GUARD_S):
        command = [sys.executable, "-m", "loadtest", *arguments]
        done = await trio.run_process(command, stdout=writing, stderr=err, check=False, cwd=ROOT)
    os.close(writing)
    assert done.returncode == 141
    assert b"Traceback" not in (tmp_path / "err").read_bytes()
    assert b"Broken" not in (tmp_path / "err").read_bytes()


def test_show_is_optional(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["scenarios", "--help"])
    assert capsys.readouterr().out.startswith("usage: loadtest scenarios [-h] [show NAME]\n")
    assert main(["scenarios"]) == 0
    assert "smoke" in capsys.readouterr().out


@pytest.mark.usefixtures("fresh_modules")
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "hdrh", None)
    monkeypatch.setitem(sys.modules, "hdrh.codec", None)
    with pytest.raises(SystemExit) as end:
        main(["run"])
    assert end.value.code == 2
    assert "pip install 'miniapp-backend[loadtest]'" in capsys.readouterr().err


@pytest.mark.usefixtures("fresh_modules")
def test_speak_needs_no_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("hdrh", "rich", "httpx", "picows"):
        monkeypatch.setitem(sys.modules, package, None)
    assert main(["speak", "/no/such.wav"]) == 2
    assert capsys.readouterr().err == "loadtest: /no/such.wav: No such file or directory\n"
