"""Which command is meant, also where the extra is not installed."""

import sys

import pytest

from loadtest.__main__ import main


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert all(
        f"    {name} " in f"{shown} " or f"    {name}\n" in shown for name in ("speak", "recognize", "run", "sink")
    )
    assert "worker" not in shown


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [name for name in sys.modules if name.startswith(("loadtest.", "hdrh"))]:
        if name != "loadtest.__main__":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hdrh", None)
    monkeypatch.setitem(sys.modules, "hdrh.codec", None)
    with pytest.raises(SystemExit) as end:
        main(["run"])
    assert end.value.code == 2
    assert "pip install 'miniapp-backend[loadtest]'" in capsys.readouterr().err


def test_speak_needs_no_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [name for name in sys.modules if name.startswith("loadtest.")]:
        if name != "loadtest.__main__":
            monkeypatch.delitem(sys.modules, name)
    for package in ("hdrh", "rich", "httpx", "picows"):
        monkeypatch.setitem(sys.modules, package, None)
    assert main(["speak", "/no/such.wav"]) == 2
    assert capsys.readouterr().err == "loadtest: /no/such.wav: No such file or directory\n"
