"""The program with real processes and sockets: PocketSphinx, its pool, and how everything ends.

Real time is used as a hang guard only, and to pace audio.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import wave
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.localasr.client import converse, finals, on_socket, resource

SAMPLES = Path(__file__).parents[2] / "loadtest" / "samples"
GUARD_S = 90


class Program:
    def __init__(self, process: trio.Process, ready: dict[str, Any]) -> None:
        self.process = process
        self.ready = ready

    def target(self, **changes: str) -> str:
        wanted = {"engine_model_type": "16k_en", **changes}
        url: str = self.ready["url"]
        return url + resource(now_s=int(time.time()), **wanted)

    def workers(self) -> list[int]:
        """Process ids of the children."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid and fields[0] != "Z":
                found.append(int(status.parent.name))
        return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def wait_gone(pids: list[int]) -> None:
    while any(is_running(pid) for pid in pids):  # noqa: ASYNC110 - processes of another parent: nothing to await
        await trio.sleep(0.02)


@asynccontextmanager
async def program(*arguments: str) -> AsyncGenerator[Program]:
    """The recognizer as a process, ready; killed at the end if it still runs."""
    command = [sys.executable, "-m", "service.localasr", "--exit-with-parent", *arguments]
    with trio.fail_after(GUARD_S):
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = b""
            while not line.endswith(b"\n"):
                data = await process.stdout.receive_some()
                assert data, "the program ended before it was ready"
                line += data
            yield Program(process, json.loads(line))
        finally:
            with trio.CancelScope(shield=True):
                if process.returncode is None:
                    process.kill()
                await process.wait()
                await process.stdin.aclose()
                await process.stdout.aclose()


def read_wav(name: str) -> bytes:
    with wave.open(str(SAMPLES / name)) as clip:
        pcm: bytes = clip.readframes(clip.getnframes())
        return pcm


async def test_pocketsphinx_hears_the_samples_and_refuses_beyond_its_capacity() -> None:
    async with program("--capacity", "2") as server:
        assert server.ready["event"] == "listening"
        assert server.ready["engine"] == "pocketsphinx"
        assert server.ready["engines"] == ["16k_en"]
        assert server.ready["capacity"] == 2
        heard: dict[str, list[dict[str, Any]]] = {}

        async def hear(name: str, **changes: str) -> None:
            async with on_socket(server.target(**changes)) as client:
                heard[name] = await converse(client, read_wav(name), pace=2)
                assert client.close_code == 1000

        async with on_socket(server.target()) as first, on_socket(server.target()) as second:
            assert (await first.next())["code"] == 0
            assert (await second.next())["code"] == 0
            async with on_socket(server.target()) as third:
                refused = await third.collect()
            assert [message["code"] for message in refused] == [4006]
            for client in (first, second):  # whoever hangs up without `end` frees the slot a moment later only
                await client.end()
                assert (await client.collect())[-1]["final"] == 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear, "goforward.wav")
            await hear("something.wav", word_info="1", filter_empty_result="0")
        assert [final[:2] for final in finals(heard["goforward.wav"])] == [(0, "go forward ten meters")]
        assert [final[:2] for final in finals(heard["something.wav"])] == [(0, "go somewhere and do something")]
        assert all(messages[-1]["final"] == 1 for messages in heard.values())

        results = [message["result"] for message in heard["something.wav"] if "result" in message]
        assert results[0]["slice_type"] == 0
        assert results[0]["voice_text_str"] == ""
        assert {result["slice_type"] for result in results[1:-1]} == {1}
        words = results[-1]["word_list"]
        assert [word["word"] for word in words] == ["go", "somewhere", "and", "do", "something"]
        times = [time_ms for word in words for time_ms in (word["start_time"], word["end_time"])]
        assert times == sorted(times)
        assert 300 <= times[0] <= 600
        assert 1900 <= times[-1] <= 2400

        plain = [message["result"] for message in heard["goforward.wav"] if "result" in message]
        assert [result["slice_type"] for result in plain] == [0, *[1] * (len(plain) - 2), 2]
        assert all(result["word_size"] == 0 and result["word_list"] == [] for result in plain)

        # A worker is only what its parent holds: no parent, no worker.
        workers = server.workers()
        assert len(workers) == 2
        os.kill(server.process.pid, signal.SIGKILL)
        await wait_gone(workers)


async def test_other_engines_and_formats_are_refused_with_what_there_is() -> None:
    async with program("--capacity", "1") as server:
        for changes, expected in (
            ({"engine_model_type": "16k_zh"}, "参数不合法(Not support [engine_model_type: 16k_zh], supported: 16k_en)"),
            ({"voice_format": "6"}, "参数不合法(Not support [voice_format: 6], supported: 1 8 12)"),
        ):
            async with on_socket(server.target(**changes)) as client:
                (message,) = await client.collect()
                assert (message["code"], message["message"]) == (4001, expected)
        # A dead worker is this stream's failure only; the next stream gets another one.
        async with on_socket(server.target()) as client:
            assert (await client.next())["code"] == 0
            for pid in server.workers():
                os.kill(pid, signal.SIGKILL)
            assert [message["code"] for message in await client.collect()] == [5000]
        async with on_socket(server.target(needvad="0", input_sample_rate="8000")) as client:
            messages = await converse(client, read_wav("goforward.wav")[:16000], pace=2, rate_hz=8000)
            assert messages[-1]["final"] == 1
        workers = server.workers()
        assert workers
        assert server.process.stdin is not None
        await server.process.stdin.aclose()
        assert await server.process.wait() == 0
        assert not any(is_running(pid) for pid in workers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_scripted_program_tells_the_time_and_ends_on_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('{"mode": "clock", "faults": [{"do": "refuse", "connection": 2, "status": 503}]}')
    async with program("--engine", "script", "--script", str(script)) as server:
        assert server.ready["engine"] == "script"
        assert server.ready["capacity"] == 200
        base = server.ready["url"].replace("ws://", "http://")

        def get(path: str) -> bytes:
            with urllib.request.urlopen(base + path, timeout=GUARD_S) as answer:  # noqa: S310 - our own server
                assert answer.headers["Content-Type"] == "text/plain"
                content: bytes = answer.read()
                return content

        assert abs(int(await trio.to_thread.run_sync(get, "/server_time")) - time.time()) < GUARD_S
        async with on_socket(server.target()) as client:
            messages = await converse(client, bytes(32000), pace=2.5)
        assert finals(messages) == [(0, "t0 t400", 0, 800)]
        server.process.send_signal(number)
        assert await server.process.wait() == 0


async def test_a_script_that_is_wrong_ends_the_program_with_2(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('{"faults": [{"do": "explode"}]}')
    with trio.fail_after(GUARD_S):
        done = await trio.run_process(
            [sys.executable, "-m", "service.localasr", "--engine", "script", "--script", str(script)],
            check=False,
            capture_stderr=True,
        )
    assert done.returncode == 2
    assert b"explode" in done.stderr
