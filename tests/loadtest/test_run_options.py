"""The command line of `run`: what it means, and what it says of what it cannot mean."""

import argparse
import datetime
from pathlib import Path

import pytest

from loadtest.__main__ import main
from loadtest.run_options import (
    RunOptions,
    add_command,
    ago,
    default_directory,
    parse_header,
    parse_shard,
    read_options,
)

SECRET = "a secret of at least thirty-two bytes"


def options(*arguments: str, **environment: str) -> RunOptions:
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers())
    return read_options(parser.parse_args(["run", *arguments]), environment)


def test_defaults() -> None:
    found = options()
    assert found.settings.url == "ws://127.0.0.1:8000/api/realtime-voice/stream"
    assert found.settings.metrics_url == "http://127.0.0.1:8000/metrics"
    assert found.settings.loaded.scenario.name == "smoke"
    assert (found.settings.seed, found.settings.shard, found.settings.processes) == (1, (0, 1), None)
    assert found.settings.tokens.given is found.settings.tokens.command is found.settings.tokens.mint_subject is None
    assert (found.is_live, found.find_knee, found.metrics_port) == (True, False, None)
    assert found.directory.parent == Path("loadtest-results")
    assert found.directory.name.startswith("smoke-2")


def test_a_default_directory_says_when() -> None:
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    assert default_directory("smoke", now) == Path("loadtest-results/smoke-20260102T030405Z")


def test_load_and_frames_override_the_scenario() -> None:
    scenario = options("--scenario", "steady", "--streams", "7", "--duration", "9", "--frame-ms", "20").settings.loaded
    (stage,) = scenario.scenario.arrivals
    assert (stage.streams, stage.per_s, stage.for_s) == (7, None, 9)
    assert scenario.scenario.audio.frame_ms == 20
    assert "frame_ms = 20" in scenario.toml
    (stage,) = options("--rate", "0.5", "--set", "audio.gap_s=2").settings.loaded.scenario.arrivals
    assert stage.per_s == 0.5


def test_a_load_that_takes_the_shape_away_is_noted() -> None:
    found = options("--scenario", "spike", "--streams", "7")
    assert found.notes == ("--streams has put one level `poisson` stage in place of the scenario's arrivals (spike)",)
    assert options("--scenario", "overload", "--rate", "7").notes[0].startswith("--rate has put one level `poisson`")
    for unchanged in (("--scenario", "steady", "--streams", "7"), ("--scenario", "spike", "--duration", "9"), ()):
        assert options(*unchanged).notes == ()


@pytest.mark.parametrize(
    ("past_s", "said"),
    [
        (0, "0 seconds ago"),
        (1.9, "1 second ago"),
        (300, "5 minutes ago"),
        (7300, "2 hours ago"),
        (86400, "1 day ago"),
    ],
)
def test_how_long_ago(past_s: float, said: str) -> None:
    assert ago(past_s) == said


def test_a_begin_that_is_to_come() -> None:
    assert options("--begin-at", "2999-01-01T00:00:00Z").settings.begin_at_s == 32472144000


def test_a_secret_in_the_environment_mints_unless_there_is_a_token() -> None:
    minted = options(JWT_SECRET=SECRET).settings.tokens
    assert (minted.mint_subject, minted.secret) == ("loadtest-{number}", SECRET)
    assert options("--subject", "one", JWT_SECRET=SECRET).settings.tokens.mint_subject == "one"
    assert options("--token", "t", JWT_SECRET=SECRET).settings.tokens.mint_subject is None
    assert options("--token-command", "print-token", JWT_SECRET=SECRET).settings.tokens.command == "print-token"


def test_no_secret_is_in_what_could_be_logged() -> None:
    shown = repr(options("--token", SECRET, "--metrics-token", SECRET))
    assert SECRET not in shown


def test_the_service_is_not_scraped_when_told_so() -> None:
    assert options("--server-metrics", "off").settings.metrics_url is None
    assert options("--server-metrics", "http://h:1/m").settings.metrics_url == "http://h:1/m"


def test_headers() -> None:
    found = options("--header", "X-Env: a b", "--header", "x-two:")
    assert found.settings.headers == (("X-Env", "a b"), ("x-two", ""))
    assert parse_header("A: b:c") == ("A", "b:c")


def test_shards() -> None:
    assert parse_shard("0/1") == (0, 1)
    assert parse_shard("11/12") == (11, 12)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--scenario", "smok"], "no scenario `smok`: did you mean `smoke`? ("),
        (["--scenario", "/no/such.toml"], "/no/such.toml: No such file or directory"),
        (["--set", "audio.frame_ms"], "expected key=value"),
        (["--set", "audio.frame_mss=3"], "frame_mss"),
        (["--url", "ftp://x"], "'ftp://x': expected http://HOST"),
        (["--token", "a b\n"], "--token: expected printable ASCII"),
        (["--token-command", "'open"], "--token-command: No closing quotation"),
        (["--token-command", "/no/such"], "--token-command cannot be started"),
        (["--header", "no colon"], "--header: expected 'Name: value'"),
        (["--header", "X: a\nY: b"], "--header: expected 'Name: value'"),
        (["--header", "Host: x"], "--header: Host is the load tester's own"),
        (["--server-metrics", "h:1"], "--server-metrics: 'h:1': expected http://HOST"),
        (["--begin-at", "2026-01-01T00:00:00Z"], "--begin-at: expected a time to come; this is "),
        (["--begin-at", "0"], " days ago"),
        (["--subject", "one"], "--subject: is of minted tokens, for which JWT_SECRET has to be in the environment"),
        (["--subject", "one", "--token", "t"], "has no effect beside --token; leave one out"),
        (["--subject", "one", "--token-command", "c"], "has no effect beside --token-command; leave one out"),
        (["--find-knee", "--shard", "0/2"], "--find-knee: expected no --shard"),
        (["--find-knee", "--set", "objectives=[]"], "--find-knee: expected objectives"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JWT_SECRET", raising=False)
    assert main(["run", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("loadtest: ")
    assert complaint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--streams", "0"],
        ["--streams", "nan"],
        ["--streams", "5", "--rate", "1"],
        ["--token", "a", "--token-command", "b"],
        ["--shard", "2/2"],
        ["--shard", "1"],
        ["--processes", "0"],
        ["--metrics-port", "70000"],
        ["--json", "--quiet"],
        ["extra"],
    ],
)
def test_bad_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["run", *arguments])
    assert end.value.code == 2
    assert "usage: loadtest" in capsys.readouterr().err
