"""`python -m ops edge`: as a user types it, and its control channel."""

import contextlib
import json
import os
import signal
import ssl
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from ops.edge.control import Answer, NotRunning, controlled, default_state_file, read_state, tell
from ops.edge.faults import FAULTS
from ops.edge.programs import EdgeError
from ops.edge.rendering import TEMPLATES, filled
from tests.support.front_door import needs_haproxy, needs_nginx
from tests.support.processes import ROOT, Program, children, environment, program, wait_gone

HANG_S = 60


async def ops(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """`python -m ops edge …`, to its end."""
    command = [sys.executable, "-m", "ops", "edge", *arguments]
    return await trio.run_process(
        command, capture_stdout=True, capture_stderr=True, check=False, cwd=ROOT, env=environment()
    )


@contextlib.asynccontextmanager
async def edge_up(state: Path, *arguments: str) -> AsyncIterator[tuple[Program, dict[str, Any]]]:
    """A running `edge up`, and what its state file says."""
    async with program("ops", "edge", "up", "--state", str(state), *arguments) as running:
        try:
            address = (await running.first_line()).removeprefix("Serving on ")
            told = read_state(state)
            assert told["url"] == address
            yield running, told
        finally:
            pids = list(children(running.process.pid))
            running.process.send_signal(signal.SIGTERM)
            with trio.move_on_after(20, shield=True):
                await running.process.wait()
                await wait_gone(*pids)


@needs_nginx
@needs_haproxy
async def test_up_roll_and_end(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with trio.fail_after(HANG_S):
        async with edge_up(state, "--replicas", "2", "--drain-s", "4") as (running, told):
            assert stat.S_IMODE(os.stat(state).st_mode) == 0o600  # noqa: ASYNC240, PTH116 - on a local disk
            stream = await trio.open_ssl_over_tcp_stream(
                "127.0.0.1",
                int(told["url"].rpartition(":")[2]),
                ssl_context=ssl.create_default_context(cafile=told["ca"]),
                https_compatible=True,
            )
            async with stream:
                await stream.send_all(b"GET /ready HTTP/1.1\r\nHost: voice.test\r\nConnection: close\r\n\r\n")
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
            second = await ops("up", "--state", str(state))
            assert second.returncode == 1
            assert b"another one runs already" in second.stderr
            rolled = await ops("roll", "--state", str(state))
            assert (rolled.returncode, rolled.stderr) == (0, b"")
            assert [line.split(":")[0] for line in rolled.stdout.decode().splitlines()] == ["replica 0", "replica 1"]
        assert running.process.returncode == 0
        assert not state.exists()  # noqa: ASYNC240 - on a local disk
        late = await ops("roll", "--state", str(state))
        assert late.returncode == 1
        assert b"no edge runs" in late.stderr


@needs_nginx
@needs_haproxy
async def test_up_with_a_fault_and_nothing_to_roll(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with trio.fail_after(HANG_S):
        async with edge_up(state, "--fault", "unavailable") as (running, told):
            assert told["fault"] == "unavailable"
            rolled = await ops("roll", "--state", str(state))
            assert rolled.returncode == 1
            assert b"start `edge up` with --replicas" in rolled.stderr
            workers = [pid for pid in children(running.process.pid) if b"worker" in _command_of(pid)]
            (nginx,) = [pid for pid in children(running.process.pid) if b"master" in _command_of(pid)]
            os.kill(nginx, signal.SIGKILL)
            assert await running.process.wait() == 1
            assert b"the front door has ended with -9" in running.errors
            assert workers
            await wait_gone(*workers)


@needs_nginx
@needs_haproxy
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
async def test_nothing_is_left_running(tmp_path: Path, number: signal.Signals) -> None:
    # Killed: its servers learn it from a pipe. SIGHUP: the terminal was closed.
    state = tmp_path / "state.json"
    with trio.fail_after(HANG_S):
        async with program("ops", "edge", "up", "--state", str(state), "--replicas", "2") as running:
            await running.first_line()
            servers = list(children(running.process.pid))
            assert {name for pid in servers for name in _SERVERS if name in _command_of(pid)} == set(_SERVERS)
            running.process.send_signal(number)
            assert await running.process.wait() == (-number if number is signal.SIGKILL else 0)
            await wait_gone(*servers)


@needs_nginx
@needs_haproxy
async def test_a_signal_ends_it_while_it_starts(tmp_path: Path) -> None:
    with trio.fail_after(HANG_S):
        arguments = ("--state", str(tmp_path / "state.json"), "--replicas", "2", "--recognizer", "ws://127.0.0.1:1")
        async with program("ops", "edge", "up", *arguments) as running:
            while not any(b"haproxy" in _command_of(pid) for pid in children(running.process.pid)):  # noqa: ASYNC110
                await trio.sleep(0.02)
            servers = list(children(running.process.pid))
            running.process.send_signal(signal.SIGTERM)
            assert await running.process.wait() == 0
            assert b"Serving on" not in running.errors
            await wait_gone(*servers)


_SERVERS = (b"nginx", b"haproxy", b"service", b"service.localasr", b"read -r")


def _command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # one that just ended
        return b""


async def test_the_state_file_of_another_stays(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    another = json.dumps({"socket": "/another", "pid": 1})
    with trio.fail_after(HANG_S):
        async with controlled(state, {}, _nothing):
            state.write_text(another)  # noqa: ASYNC240 - as one that was started at the same moment does
    assert state.read_text() == another  # noqa: ASYNC240


async def _nothing(_word: str) -> Answer:
    await trio.lowlevel.checkpoint()
    return {}


async def test_the_faults_are_listed() -> None:
    listed = await ops("faults")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.decode().splitlines()] == [fault.name for fault in FAULTS]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("up", "--fault", "unheard-of"),
        ("up", "--replicas", "0"),
        ("up", "--replicas", "2", "--upstream", "http://127.0.0.1:1"),
        ("up", "--idle-s", "nan"),
        ("roll", "--replicas", "2"),
    ],
)
async def test_bad_usage(arguments: tuple[str, ...]) -> None:
    assert (await ops(*arguments)).returncode == 2


async def test_the_control_channel(tmp_path: Path) -> None:
    state = tmp_path / "state.json"

    async def act(word: str) -> Answer:
        if word == "fail":
            raise EdgeError("as you wish")
        return {"word": word}

    with trio.fail_after(HANG_S):
        async with controlled(state, {"more": 1}, act):
            assert read_state(state)["more"] == 1
            assert await tell(state, "hello", 10) == {"ok": True, "word": "hello"}
            with pytest.raises(EdgeError, match="as you wish"):
                await tell(state, "fail", 10)
            for nonsense in (b"", b"no JSON\n", b"[]\n", b"x" * 100_000):
                async with await trio.open_unix_socket(read_state(state)["socket"]) as stream:
                    with contextlib.suppress(trio.BrokenResourceError):
                        await stream.send_all(nonsense)
                        await stream.send_eof()
                        assert await stream.receive_some() == b""
            assert (await tell(state, "still there", 10))["word"] == "still there"
            with pytest.raises(EdgeError, match="another one runs already"):
                async with controlled(state, {}, act):
                    pass
            left_behind = state.read_bytes()  # noqa: ASYNC240 - on a local disk
        with pytest.raises(NotRunning):
            read_state(state)
        state.write_bytes(left_behind)  # noqa: ASYNC240 - on a local disk
        with pytest.raises(EdgeError, match="no longer runs"):
            await tell(state, "hello", 10)
        async with controlled(state, {}, act):  # takes the place of what was left behind
            assert (await tell(state, "hello", 10))["word"] == "hello"


async def test_an_answer_that_does_not_come(tmp_path: Path) -> None:
    state = tmp_path / "state.json"

    async def act(_word: str) -> Answer:
        await trio.sleep_forever()

    with trio.fail_after(HANG_S):
        async with controlled(state, {}, act):
            with pytest.raises(EdgeError, match="did not answer within"):
                await tell(state, "hello", 0.1)


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"socket": 7})])
async def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path, content: str) -> None:
    state = tmp_path / "precious"
    state.write_text(content)  # noqa: ASYNC240 - on a local disk

    async def act(_word: str) -> Answer:
        return {}

    with pytest.raises(EdgeError):
        async with controlled(state, {}, act):
            pass
    assert state.read_text() == content  # noqa: ASYNC240 - on a local disk


def test_the_state_file_is_this_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert default_state_file() == tmp_path / "voice-edge.json"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "missing"))
    assert str(os.getuid()) in default_state_file().name


def test_every_template_is_used_and_says_what_is_missing() -> None:
    used = {f"route-{fault.route}.conf.template" for fault in FAULTS}
    used |= {f"upgrade-{fault.upgrade}.conf.template" for fault in FAULTS}
    used |= {"nginx.conf.template", "slow.cfg.template", "rolling.cfg.template"}
    assert used == {path.name for path in TEMPLATES.iterdir()}
    with pytest.raises(KeyError, match="upstream"):
        filled("route-pass.conf.template", {})
