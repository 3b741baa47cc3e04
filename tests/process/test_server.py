"""`python -m service` as a process: it comes up, recognizes, ends in order, and leaves nothing behind."""

import importlib.util
import json
import os
import re
import signal
import socket
import sys
import wave
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from tests.support.edge import get
from tests.support.processes import (
    ACCOUNT_SETTINGS,
    ROOT,
    children,
    children_running,
    environment,
    gateway,
    program,
    scripted_recognizer,
    wait_gone,
)
from tests.support.stream_world import words
from tests.support.wire_phone import WirePhone, connected, unstarted

SAMPLES = ROOT / "loadtest" / "samples"
needs_pocketsphinx = pytest.mark.skipif(
    importlib.util.find_spec("pocketsphinx") is None, reason="needs the extra 'local'"
)


def pcm_of(name: str) -> bytes:
    with wave.open(str(SAMPLES / name)) as sample:
        return bytes(sample.readframes(sample.getnframes()))


@needs_pocketsphinx
async def test_speech_with_the_local_recognizer() -> None:
    """The main job: words come back while they are spoken, and the child ends with us."""
    async with gateway() as (running, url):
        for name, text in (
            ("goforward.wav", "go forward ten meters"),
            ("something.wav", "go somewhere and do something"),
        ):
            async with connected(url) as phone:
                await phone.talk(pcm_of(name))
                await phone.say(type="stop")
                stopped = await phone.hear("stopped")
                assert await phone.closed() == (1000, "completed")
            assert stopped["text"] == text
            partials = [message for message in phone.seen if message["type"] == "result" and not message["isFinal"]]
            assert partials
            assert stopped["audio"]["receivedBytes"] == stopped["audio"]["relayedBytes"] == len(pcm_of(name))
        (child, *workers) = children(running.process.pid)
        os.kill(running.process.pid, signal.SIGTERM)
        assert await running.process.wait() == 0
        await wait_gone(child, *workers)
        assert [line["outcome"] for line in running.events("stream_ended")] == ["completed"] * 2
        assert len(running.events("stream_opened")) == 2


@needs_pocketsphinx
async def test_a_killed_gateway_leaves_no_orphan() -> None:
    async with gateway() as (running, _):
        below = list(children(running.process.pid))
        assert below
        os.kill(running.process.pid, signal.SIGKILL)
        await running.process.wait()
        await wait_gone(*below)


@needs_pocketsphinx
async def test_a_killed_recognizer_comes_back() -> None:
    async with gateway() as (running, url):
        async with connected(url) as phone:
            child = next(children(running.process.pid))
            os.kill(child, signal.SIGKILL)
            await wait_gone(child)
            await phone.say(type="cancel")  # it had said nothing, so nothing is missing, and nothing is dialed for it
            assert await phone.closed() == (1000, "canceled")
        while True:
            async with unstarted(url) as phone:
                await phone.say(type="start")
                if (await phone.hear("ready", "error"))["type"] == "ready":
                    break
            await trio.sleep(0.2)
        assert [line["exit_code"] for line in running.events("local_recognizer_ended")] == [-signal.SIGKILL]


async def test_a_recognizer_at_an_address() -> None:
    async with (
        scripted_recognizer() as recognizer,
        gateway(TENCENT_ASR_URL=recognizer, **ACCOUNT_SETTINGS) as (_, url),
        connected(url, wordInfo=1) as phone,
    ):
        await phone.talk(words(1, 2))
        await phone.say(type="finalize", id="a")
        assert await phone.hear("finalized") == {"type": "finalized", "id": "a", "audioMs": 800, "sentences": 1}
        await phone.talk(words(3))
        await phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert stopped["text"] == "w1 w2 w3"


async def test_wrong_credentials() -> None:
    wrong = ACCOUNT_SETTINGS | {"TENCENTCLOUD_SECRET_KEY": "this is not the key"}
    async with (
        scripted_recognizer() as recognizer,
        gateway(TENCENT_ASR_URL=recognizer, **wrong) as (running, url),
        unstarted(url) as phone,
    ):
        await phone.say(type="start")
        assert (await phone.hear("error"))["code"] == "recognizer_rejected"
        assert await phone.closed() == (4502, "recognizer_rejected")
        os.kill(running.process.pid, signal.SIGTERM)
        await running.process.wait()
    assert [line["recognizer_code"] for line in running.events("stream_ended")] == [4002]
    assert b"this is not the key" not in running.errors
    assert b"signature" not in running.errors


HEALED: tuple[tuple[dict[str, object], str, str], ...] = (
    ({"do": "refuse", "status": 503}, "upgrade", "recognizer_unavailable"),
    ({"do": "close"}, "lost", "recognizer_unavailable"),
    ({"do": "close", "at_ms": 150}, "lost", "recognizer_unavailable"),
    ({"do": "garbage", "at_ms": 150}, "garbled", "recognizer_unavailable"),
    ({"do": "error", "code": 4006, "at_ms": 150}, "4006", "recognizer_busy"),
    ({"do": "error", "code": 5000, "at_end": True}, "5000", "recognizer_unavailable"),
)
TOLD: tuple[tuple[dict[str, object], str, str], ...] = (
    ({"do": "error", "code": 4002}, "4002", "recognizer_rejected"),
    ({"do": "error", "code": 4006}, "4006", "recognizer_busy"),
    ({"do": "error", "code": 4007, "at_ms": 150}, "4007", "unsupported_audio"),
)


async def test_each_fault_of_the_script_is_healed_or_told(tmp_path: Path) -> None:
    """What another attempt cannot mend ends the stream; of the rest its client notices nothing, and its operator all.

    Faults that take real time (timeouts) are in tests/stream/test_faults.py, on a virtual clock.
    """
    faults, connection = [], 1
    for fault, _, _ in HEALED:
        faults.append({**fault, "connection": connection})
        connection += 2  # the one that fails, and the one that heals
    for fault, _, _ in TOLD:
        faults.append({**fault, "connection": connection})
        connection += 1
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"result_delay_ms": 20, "final_delay_ms": 100, "faults": faults}))
    async with (
        scripted_recognizer(script) as recognizer,
        gateway(TENCENT_ASR_URL=recognizer, **ACCOUNT_SETTINGS) as (running, url),
    ):
        for fault, _, _ in HEALED:
            async with unstarted(url) as phone:
                stopped = await said_at_once(phone, "stopped")
                finals = [message for message in phone.seen if message["type"] == "result" and message["isFinal"]]
                assert ([final["index"] for final in finals], stopped["text"]) == ([0], "w1 w2"), fault
                assert stopped["audio"]["relayedMs"] == stopped["audio"]["receivedMs"] == 800
                assert await phone.closed() == (1000, "completed")
        for fault, _, slug in TOLD:
            async with unstarted(url) as phone:
                assert (await said_at_once(phone, "error"))["code"] == slug, fault
        async with unstarted(url) as phone:
            assert (await said_at_once(phone, "stopped"))["text"] == "w1 w2"
        counted = await recognizer_errors(url)
        assert not [line for line in running.log if line["level"] == "ERROR"]
    assert counted == Counter(label for _, label, _ in HEALED + TOLD)
    assert [(line["reason"], line.get("code")) for line in running.events("recognizer_lost")] == [
        (slug, fault.get("code"))
        for fault, _, slug in HEALED
        if "at_ms" in fault or "at_end" in fault  # the others have lost nothing: there was no connection yet
    ]
    assert [line["outcome"] for line in running.events("stream_ended")] == [
        *("completed" for _ in HEALED),
        *(slug for _, _, slug in TOLD),
        "completed",
    ]


async def said_at_once(phone: WirePhone, expected: str) -> dict[str, Any]:
    """Start, say two words and stop without waiting for anything; what it comes to."""
    await phone.say(type="start")
    await phone.talk_at_once(words(1, 2))
    await phone.say(type="stop")
    return await phone.hear(expected)


async def recognizer_errors(url: str) -> Counter[str]:
    """The failures of recognizer connections that the gateway has counted, by the label `code`."""
    page = await get(urlsplit(url).port or 80, "/metrics")
    found = re.findall(r'^voice_recognizer_errors_total\{code="(\w+)"\} (\S+)$', page.body.decode(), re.MULTILINE)
    return Counter({code: int(float(value)) for code, value in found if float(value)})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_forces_the_end(number: signal.Signals) -> None:
    """A stream whose phone does not answer holds up the first one."""
    async with (
        scripted_recognizer() as recognizer,
        gateway(TENCENT_ASR_URL=recognizer, DRAIN_S="60", **ACCOUNT_SETTINGS) as (running, url),
        connected(url),
    ):
        for _ in range(5):
            os.kill(running.process.pid, number)
            await trio.sleep(0.05)
        assert await running.process.wait() == 0
    assert b"Traceback" not in running.errors


@needs_pocketsphinx
async def test_a_signal_while_starting(tmp_path: Path) -> None:
    """The local recognizer never says that it is up: the stop does not wait for it."""
    silent = tmp_path / "sitecustomize.py"
    silent.write_text(
        "import sys, time\nif '--exit-with-parent' in sys.orig_argv: sys.stdin.buffer.read(); sys.exit()\n"
    )
    async with program(
        "service", HOST="127.0.0.1", PORT="0", AUTH_MODE="off", RECOGNIZER="local", PYTHONPATH=str(tmp_path)
    ) as running:
        # Not just any child: while Python starts, a library runs ldconfig, and no signal is obeyed before `run`.
        while not (below := children_running(running.process.pid, "service.localasr")):  # noqa: ASYNC110 - nothing tells us
            await trio.sleep(0.02)
        os.kill(running.process.pid, signal.SIGTERM)
        assert await running.process.wait() == 0
        await wait_gone(*below)


async def test_it_starts_locked_without_anything() -> None:
    """A first deployment comes up before its variables are set."""
    async with gateway(AUTH_MODE="", RECOGNIZER="auto") as (running, url), unstarted(url) as phone:
        await phone.say(type="start")
        assert (await phone.hear("error"))["code"] == "not_configured"
        assert [line["auth"] for line in running.events("serving")] == ["locked"]


async def test_settings_that_cannot_be_used() -> None:
    async with program("service", PORT="eighty", AUTH_MODE="token", MAX_STEAMS="5") as running:
        assert await running.process.wait() == 2
        await trio.sleep(0.1)
    said = running.errors.decode()
    for expected in ("PORT='eighty'", "AUTH_MODE=token needs JWT_SECRET", "is MAX_STREAMS meant?"):
        assert expected in said


async def test_check_prints_no_secret() -> None:
    async with program("service", "--check", JWT_SECRET="j" * 40, **ACCOUNT_SETTINGS) as running:
        assert running.process.stdout is not None
        said = b"".join([data async for data in running.process.stdout]).decode()
        assert await running.process.wait() == 0
    assert "JWT_SECRET=(set, 40 characters)" in said
    assert "j" * 40 not in said
    assert ACCOUNT_SETTINGS["TENCENTCLOUD_SECRET_KEY"] not in said


async def test_an_address_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with program("service", HOST="127.0.0.1", PORT=str(port), AUTH_MODE="off", **ACCOUNT_SETTINGS) as running:
            assert await running.process.wait() == 1
            await trio.sleep(0.1)
    assert b"could not start" in running.errors
    assert b"Traceback" not in running.errors


async def test_under_plain_hypercorn() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with (
        scripted_recognizer() as recognizer,
        program(
            "hypercorn", "--worker-class", "trio", "--bind", f"127.0.0.1:{port}", "service.asgi:app",
            AUTH_MODE="off", TENCENT_ASR_URL=recognizer, **ACCOUNT_SETTINGS,
        ) as running,
    ):  # fmt: skip
        while True:
            try:
                await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                break
            except OSError:
                await trio.sleep(0.05)
        async with connected(f"http://127.0.0.1:{port}") as phone:
            await phone.talk(words(1, 2))
            await phone.say(type="stop")
            assert (await phone.hear("stopped"))["text"] == "w1 w2"
            assert await phone.closed() == (1000, "completed")
        os.kill(running.process.pid, signal.SIGTERM)
        assert await running.process.wait() == 0


def test_importing_the_program_reads_no_environment() -> None:
    """Only the ASGI module does, since Hypercorn's command line leaves no other way."""
    import subprocess

    result = subprocess.run(
        [sys.executable, "-c", "import service.__main__, service.server, service.web.app"],
        cwd=Path(ROOT),
        env=environment(PORT="nonsense"),
        capture_output=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, b"")
