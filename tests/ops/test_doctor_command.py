"""`python -m ops doctor` as a person and a program see it: what is printed, in which language, and the exit code."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest
import trio
from trio.testing import MockClock

import ops.__main__ as tools
from ops.doctor import command
from ops.doctor.causes import CATALOGUE, merged
from ops.doctor.command import STAGES, UsageError, chosen, context_of, language_of
from ops.doctor.finding import Cause, Finding, Text, Verdict, exit_code
from ops.doctor.report import Report
from ops.doctor.runner import examine
from ops.doctor.stage import Context, Stage, Target
from ops.doctor.stages_network.reach import SETTINGS
from tests.ops.doctor_support import context, http, network_findings, options_of, server
from tests.support.processes import ROOT, environment, gateway

SECRET = "0123456789abcdef0123456789abcdef"
TIMING = {"cold_start", "slow_echo"}
"""What a machine that is busy with other tests may make true."""
HERE = Context(target=Target(scheme="http", host="127.0.0.1", port=1))
GUARD_S = 90


async def doctor(*options: str, **settings: str) -> tuple[int, str, str]:
    """Run the command; exit code, output, errors."""
    with trio.fail_after(GUARD_S):
        done = await trio.run_process(
            [sys.executable, "-m", "ops", "doctor", *options],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=ROOT,
            env=environment(LC_ALL="C.UTF-8", **settings),
        )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def test_a_sound_gateway_passes_every_stage_of_the_network() -> None:
    async with gateway() as (_, url):
        found = await network_findings(context(url))
    skipped = {name for name, finding in found.items() if finding.verdict is Verdict.SKIP}
    assert skipped == {"settings", "dns", "tls", "redirect", "idle"}
    wrong = [finding for finding in found.values() if finding.verdict in (Verdict.WARN, Verdict.FAIL)]
    assert [finding for finding in wrong if not TIMING & set(finding.causes)] == []
    assert found["echo"].facts["round_trips"] == 10
    assert found["message_size"].facts == {"passed_bytes": 65536}
    assert found["http"].facts["answered_by"] == "gateway"


async def test_json_has_the_documented_fields_and_no_secret() -> None:
    async with gateway(AUTH_MODE="token", JWT_SECRET=SECRET) as (_, url):
        code, output, errors = await doctor(
            url, "--local", "--json", "--skip", "stream", "idle", AUTH_MODE="token", JWT_SECRET=SECRET
        )
    document = json.loads(output)
    assert errors == ""
    assert set(document) == {"schema", "url", "language", "exitCode", "counts", "stages", "causes"}
    assert document["schema"] == 1
    assert (document["url"], document["language"], document["exitCode"]) == (url, "en", code)
    assert set(document["counts"]) == {"pass", "warn", "fail", "skip"}
    assert sum(document["counts"].values()) == len(document["stages"]) == len(STAGES) - 2
    for stage in document["stages"]:
        assert set(stage) == {"stage", "title", "verdict", "tookMs", "summary", "causes", "facts"}
    assert document["stages"][0]["facts"]["jwt_secret"] == f"(set, {len(SECRET)} characters)"
    assert SECRET not in output
    assert "eyJ" not in output  # how every JWT begins


async def test_a_refused_connection_in_chinese() -> None:
    code, output, _ = await doctor("http://127.0.0.1:9", "--only", "dns", "tcp", "http", "--lang", "zh")
    assert code == 1
    lines = output.splitlines()
    assert lines[0] == "http://127.0.0.1:9"
    assert lines[2].startswith("失败  端口连接")
    assert "原因：端口无人监听 [nothing_listens]" in output
    assert lines[-2].endswith("未检查，原因见：端口连接")
    assert lines[-1] == "0 项通过，0 项警告，1 项失败，2 项跳过"


async def test_it_says_the_cause_and_what_to_type_and_fills_in_the_url() -> None:
    async with server(lambda head: http("403 Forbidden", b"") if head else b"") as port:
        code, output, _ = await doctor(f"http://127.0.0.1:{port}", "--only", "http")
    assert code == 1
    assert "cause: something in front of the gateway asks for a login [access_denied]" in output
    assert f"              curl -si http://127.0.0.1:{port}/health" in output
    assert output.splitlines()[-1] == "0 passed, 0 to look at, 1 failed, 0 skipped"


async def test_what_a_server_sends_does_not_steer_the_terminal() -> None:
    async with server(lambda head: http("404 Not Found", b"\x1b[2J\x07gone\r\n") if head else b"") as port:
        _, output, _ = await doctor(f"http://127.0.0.1:{port}", "--only", "http", "upgrade")
        found = await network_findings(context(f"http://127.0.0.1:{port}"), "http")
    assert "gone" in output
    assert not set(output) & {"\x1b", "\x07", "\r"}
    assert "\x1b" not in found["http"].summary.en


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["ftp://host"], "expected http://HOST[:PORT]"),
        (["http://host/?token=x"], "a token: --token"),
        (["http://127.0.0.1:0"], "port 0"),
        (["--cloud"], "--cloud needs the URL"),
        (["--local", "--cloud", "http://host"], "not allowed with"),
        (["--only", "everything"], "invalid choice"),
        (["--ca-file", "/nowhere.pem", "https://host"], "--ca-file /nowhere.pem"),
        (["--token", "two words\n", "http://host"], "--token: expected printable ASCII"),
        (["--http-port", "70000", "https://host"], "--http-port: expected"),
        (["http://a..b"], "expected a host name"),
        (["http://" + 64 * "a" + ".com"], "expected a host name"),
        (["--only", "dns", "--skip", "dns"], "nothing would be examined"),
    ],
)
async def test_bad_usage_is_2(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = await tools.run(["doctor", *options])
    except SystemExit as left:  # argparse's own way
        code = int(left.code or 0)
    output, errors = capsys.readouterr()
    assert (code, output) == (2, "")
    assert said in errors


async def test_with_its_output_closed_it_still_tells_by_its_exit_code() -> None:
    closed = [sys.executable, "-m", "ops", "doctor", "http://127.0.0.1:1", "--only", "tcp"]
    with trio.fail_after(GUARD_S):
        done = await trio.run_process(
            ["/bin/sh", "-c", '"$@" >&-', "sh", *closed],
            capture_stderr=True,
            check=False,
            cwd=ROOT,
            env=environment(LC_ALL="C.UTF-8"),
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_color_on_a_terminal_only() -> None:
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "ops", "doctor", "http://127.0.0.1:9", "--only", "tcp"],
            stdout=theirs,
            cwd=ROOT,
            env=environment(LC_ALL="C.UTF-8", TERM="xterm"),
            check=False,
            timeout=GUARD_S,
        )
        assert b"\x1b[31mFAIL\x1b[0m" in os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(theirs)


def test_presets() -> None:
    assert context().target == Target(scheme="http", host="127.0.0.1", port=8000)
    local = context("--local", environ={"AUTH_MODE": "token", "JWT_SECRET": SECRET})
    assert local.is_local
    assert local.settings is not None
    assert (local.token or "").count(".") == 2
    cloud = context("--cloud", "wss://voice.example.com/pre/api/realtime-voice/stream")
    assert cloud.target == Target(scheme="https", host="voice.example.com", port=443, prefix="/pre")
    assert (cloud.is_idle_wanted, cloud.plain_port, cloud.tls is not None) == (True, 80, True)
    assert context("http://h", "--token", "abc", environ={"TOKEN": "other"}).token == "abc"
    assert context("http://h", environ={"TOKEN": "other"}).token == "other"
    with pytest.raises(UsageError):
        context_of(options_of("--cloud"), {})


async def test_the_settings_of_this_environment_are_shown_without_their_passwords() -> None:
    hidden = {
        "DATABASE_URL": "mysql://voice:word-of-the-database@10.0.0.5/voice",
        "REDIS_URL": "redis://:word-of-redis@10.0.0.6:6379/0",
        "WECHAT_APPSECRET": "word-of-wechat-word-of-wechat-32",
        "JWT_SECRET": SECRET,
        "JWT_SECRET_OLD": "word-of-last-year-word-of-last-y",
    }
    shown = {"WECHAT_APPID": "wx0123456789abcdef", "TRUSTED_PROXIES": "10.0.0.0/8", "HISTORY_DAYS": "30"}
    found = await SETTINGS.check(context("--local", environ={**hidden, **shown}))
    assert found.verdict is Verdict.PASS
    assert "word-of" not in str(found)
    assert found.facts["wechat_appid"] == shown["WECHAT_APPID"]
    wrong = await SETTINGS.check(context("--local", environ={**hidden, "DATABASE_URL": "oracle://v:word-of-it@h/d"}))
    assert (wrong.verdict, wrong.causes) == (Verdict.FAIL, ("bad_settings",))
    assert "DATABASE_URL: expected sqlite:///FILE" in str(wrong)
    assert "word-of" not in str(wrong)


def test_language() -> None:
    assert language_of({"LANG": "zh_CN.UTF-8"}) == "zh"
    assert language_of({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}) == "en"
    assert language_of({}) == "en"


def test_the_catalogue_is_whole() -> None:
    some = next(iter(CATALOGUE.values()))
    with pytest.raises(ValueError, match=some.slug):
        merged([some, some])
    for slug, cause in CATALOGUE.items():
        assert re.fullmatch("[a-z0-9_]+", slug)
        assert cause.remedies
        for text in (cause.title, cause.why, *(remedy.what for remedy in cause.remedies)):
            assert text.en
            assert re.search("[\u4e00-\u9fff]", text.zh), text


def test_stages_need_what_comes_before_them() -> None:
    names = [stage.name for stage in STAGES]
    assert len(set(names)) == len(names)
    for place, stage in enumerate(STAGES):
        assert set(stage.needs) <= set(names[:place])
    assert [stage.name for stage in chosen(STAGES, only=["echo", "dns"], skip=["dns"])] == ["echo"]


async def _passes(_: Context) -> Finding:
    await trio.lowlevel.checkpoint()
    return Finding(stage="good", verdict=Verdict.PASS, summary=Text("fine", "好"))


async def _breaks(_: Context) -> Finding:
    await trio.lowlevel.checkpoint()
    raise KeyError("Bearer secret")


async def _hangs(_: Context) -> Finding:
    await trio.sleep_forever()
    raise AssertionError


def _stage(name: str, check: object, *needs: str) -> Stage:
    return Stage(name=name, title=Text(name, name), check=check, needs=needs, limit_s=5.0)  # type: ignore[arg-type]


async def test_a_bug_or_a_hang_in_one_stage_does_not_stop_the_rest(autojump_clock: MockClock) -> None:
    stages = [
        _stage("broken", _breaks),
        _stage("stuck", _hangs),
        _stage("child", _passes, "broken"),
        _stage("grandchild", _passes, "child"),
        _stage("good", _passes, "left-out"),
    ]
    seen: list[Finding] = []
    found = await examine(HERE, stages, seen.append)
    assert found == seen
    assert [(each.verdict, each.causes) for each in found] == [
        (Verdict.FAIL, ("doctor_failed",)),
        (Verdict.FAIL, ("stage_timed_out",)),
        (Verdict.SKIP, ()),
        (Verdict.SKIP, ()),
        (Verdict.PASS, ()),
    ]
    assert "KeyError in tests.ops.test_doctor_command:" in found[0].summary.en
    assert "secret" not in found[0].summary.en
    assert found[3].summary.en == "not asked, because of: broken"
    assert found[1].took_s == 5.0
    assert exit_code(found) == 1


async def test_cancelled_it_ends_at_once(autojump_clock: MockClock) -> None:
    seen: list[Finding] = []
    with trio.move_on_after(1) as waiting:
        await examine(HERE, [_stage("stuck", _hangs), _stage("good", _passes)], seen.append)
    assert waiting.cancelled_caught
    assert seen == []


def test_a_cause_is_explained_once() -> None:
    causes = [
        Cause(slug=slug, title=Text(slug, slug), why=Text(f"why {slug}", ""), remedies=CATALOGUE["wrong_port"].remedies)
        for slug in ("one", "two")
    ]
    report = Report("http://h", [_stage("s", _passes)], merged(causes), language="en", has_color=False)
    finding = Finding(stage="s", verdict=Verdict.FAIL, summary=Text("seen", ""), causes=("one", "two"))
    first, second = list(report.lines(finding)), list(report.lines(finding))
    assert len([line for line in first if line.startswith("          - ")]) == 3 + 1  # all of one, the first of two
    assert [line.strip() for line in second[1:]] == [
        "cause: one [one] (explained above)",
        "or:    two [two] (explained above)",
    ]
    assert command.STAGES
