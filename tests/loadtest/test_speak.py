"""`speak` against a gateway of a few lines, over real sockets; real time is only a guard against hanging."""

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from trio_websocket import ConnectionClosed

from loadtest.__main__ import main, run
from loadtest.audio_clock import AudioClock
from loadtest.scenario import Phone as Limits
from tests.loadtest.protocol_server import GUARD_S, Phone, gateway
from tests.loadtest.test_wav import write_wav

PCM_BYTES = 16000 * 2 * 300 // 1000  # 300 ms
AUDIO = {
    "receivedMs": 300,
    "relayedMs": 300,
    "recognizedMs": 280,
    "droppedMs": 0,
    "receivedBytes": PCM_BYTES,
    "relayedBytes": PCM_BYTES,
    "droppedBytes": 0,
}
WORDS = "go forward ten meters"


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(write_wav(tmp_path / "speech.wav", bytes(PCM_BYTES)))


async def recognize(phone: Phone) -> None:
    """The whole protocol: a partial while audio comes, a final and `stopped` after `stop`."""
    await phone.greet()
    await phone.hear_audio(PCM_BYTES // 3)
    await phone.say("result", voiceId="v-1", index=0, text="go forward", isFinal=False, startMs=0, endMs=90)
    await phone.hear("stop")
    await phone.say("result", voiceId="v-1", index=0, text=WORDS, isFinal=True, startMs=0, endMs=280, settledMs=280)
    await phone.say("stopped", text=WORDS, sentences=1, durationMs=400, logId=None, audio=AUDIO)
    await phone.close(1000)


async def test_with_resume_it_survives_a_restart(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    begun: list[dict[str, object]] = []

    async def restart_once(phone: Phone) -> None:
        begun.append(await phone.greet(resume=True))
        if len(begun) == 1:
            await phone.hear("finalize")
            await phone.hear_audio(PCM_BYTES // 3)
            await phone.say("result", index=0, text="go", isFinal=True, startMs=0, endMs=60, settledMs=60)
            await phone.say("error", code="restarting", message="Bye.", retryable=True, fatal=True)
            await phone.close(1012)
            return
        await phone.hear("stop")
        await phone.say("result", index=1, text="forward", isFinal=True, startMs=60, endMs=280, settledMs=280)
        await phone.say("stopped", text="forward", sentences=2, durationMs=400, audio=AUDIO)
        await phone.close(1000)

    async with gateway(restart_once) as server:
        assert await run(["speak", file, "--url", server.url, "--json", "--resume", "--finalize-at", "0.04"]) == 0
        assert [phone.heard.count({"type": "finalize", "id": "1@0.04s"}) for phone in server.phones] == [1, 0]
    report = json.loads(capsys.readouterr().out)
    assert (report["outcome"], report["text"], report["sentences"]) == ("ok", "go forward", 2)
    assert (report["error"], len(report["away_s"])) == (None, 1)
    assert begun[1]["resume"] == {"streamId": "s-1", "sentences": 1, "settledMs": 60}


async def test_the_words_come_out_alone_on_a_line_before_the_timings(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with gateway(recognize) as server:
        assert await run(["speak", file, "--url", server.url]) == 0

    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert lines.count(WORDS) == 1
    assert lines[0].endswith(f"s] {WORDS}")
    assert lines[1:3] == [WORDS, ""]
    names = [line.split("  ")[0] for line in lines[3:]]
    assert names == ["connect", "welcome", "ready", "first partial", "finalization", "results", "audio"]
    assert "after the audio began, before it ended" in out
    assert "300 ms  received, 300 relayed, 280 recognized, 0 dropped (9600 bytes received" in out
    assert "in 1 sentence(s)" in out

    phone = server.phones[0]
    assert phone.path == "/api/realtime-voice/stream"
    assert b"authorization" not in phone.headers
    assert phone.audio_bytes == PCM_BYTES
    assert phone.heard == [{"type": "start", "voiceFormat": "pcm", "sampleRate": 16000}, {"type": "stop"}]


async def test_every_option_reaches_the_server(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def settle_twice(phone: Phone) -> None:
        await phone.greet()
        for audio_ms in (100, 300):
            id_ = (await phone.hear("finalize"))["id"]
            await phone.say("finalized", id=id_, audioMs=audio_ms, sentences=0)
        await phone.hear("stop")
        await phone.say("stopped", text="", sentences=0, durationMs=400, logId=None, audio=AUDIO)
        await phone.close(1000)

    options = ["--token", "t-1", "--engine", "16k_en", "--frame-ms", "20", "--finalize-at", "0.3", "0.1", "--json"]
    async with gateway(settle_twice) as server:
        assert await run(["speak", file, "--url", server.url, *options]) == 0

    phone = server.phones[0]
    assert phone.headers[b"authorization"] == b"Bearer t-1"
    assert phone.heard == [
        {"type": "start", "voiceFormat": "pcm", "sampleRate": 16000, "engineType": "16k_en", "token": "t-1"},
        {"type": "finalize", "id": "1@0.1s"},
        {"type": "finalize", "id": "2@0.3s"},
        {"type": "stop"},
    ]
    report = json.loads(capsys.readouterr().out)
    assert report["outcome"] == "ok"
    assert report["text"] == ""
    assert [(one["id"], one["audio_ms"]) for one in report["settled"]] == [("1@0.1s", 100), ("2@0.3s", 300)]
    assert report["audio"]["received_bytes"] == PCM_BYTES
    assert report["close_code"] == 1000
    assert report["first_partial_s"] is None
    assert report["error"] is None


async def test_partials_are_lines_with_verbose(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with gateway(recognize) as server:
        assert await run(["speak", file, "--url", server.url, "--verbose"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("s] go forward ...")


async def test_an_error_of_the_server_is_told_whole(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def refuse(phone: Phone) -> None:
        await phone.say("welcome", protocol=1)
        await phone.hear("start")
        await phone.say("error", code="overloaded", message="No place.", retryable=True, retryAfterMs=900, fatal=True)
        await phone.close(4503)

    async with gateway(refuse) as server:
        assert await run(["speak", file, "--url", server.url]) == 1
    assert capsys.readouterr().err == (
        "loadtest: overloaded: No place. (retryable, retryAfterMs 900); closed with 4503\n"
    )


async def test_an_error_in_mid_audio_ends_the_stream_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(1280)
        await phone.say("error", code="internal", message="Ours.", retryable=True, retryAfterMs=None, fatal=True)
        await phone.close(1011)

    long_file = str(write_wav(tmp_path / "long.wav", bytes(32000 * 60)))
    async with gateway(fail) as server:
        assert await run(["speak", long_file, "--url", server.url, "--json"]) == 1
    out, err = capsys.readouterr()
    assert err == "loadtest: internal: Ours. (retryable); closed with 1011\n"
    assert json.loads(out)["error"]["code"] == "internal"


async def test_an_error_that_is_not_fatal_is_a_warning(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def grumble(phone: Phone) -> None:
        await phone.greet()
        await phone.say("error", code="bad_message", message="Odd.", retryable=False, retryAfterMs=None, fatal=False)
        await phone.hear("stop")
        await phone.say("stopped", text=WORDS, sentences=1, durationMs=1, logId=None, audio=AUDIO)
        await phone.stay_silent()

    async with gateway(grumble) as server:
        assert await run(["speak", file, "--url", server.url], Limits()) == 0
    assert "bad_message: Odd. (not retryable)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("steps", "awaited"), [(0, "`welcome`"), (1, "`ready`"), (2, "`stopped`")], ids=["welcome", "ready", "stopped"]
)
async def test_a_server_that_closes_early_has_failed(
    file: str, capsys: pytest.CaptureFixture[str], steps: int, awaited: str
) -> None:
    async def leave(phone: Phone) -> None:
        if steps == 1:
            await phone.say("welcome", protocol=1)
            await phone.hear("start")
        elif steps == 2:
            await phone.greet()
            await phone.hear_audio(1280)
        await phone.close(1001)

    async with gateway(leave) as server:
        assert await run(["speak", file, "--url", server.url]) == 1
    expected = f"loadtest: the server closed the connection before {awaited}, with code 1001\n"
    assert capsys.readouterr().err == expected


async def test_a_server_that_ends_the_stream_by_itself_has_not_heard_it_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def time_is_up(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(1280)
        await phone.say("stopped", text="go", sentences=1, durationMs=1, logId=None, audio=AUDIO)
        await phone.close(1000)

    long_file = str(write_wav(tmp_path / "long.wav", bytes(32000 * 60)))
    async with gateway(time_is_up) as server:
        assert await run(["speak", long_file, "--url", server.url]) == 1
    out, err = capsys.readouterr()
    assert "go" in out.splitlines()
    assert err == "loadtest: the server ended the stream before the audio was over\n"


SHORT = {
    "welcome": Limits(welcome_limit_s=0.2),
    "ready": Limits(ready_limit_s=0.2),
    "stopped": Limits(stopped_limit_s=0.2),
}


@pytest.mark.parametrize("awaited", SHORT)
async def test_silence_meets_a_deadline(file: str, capsys: pytest.CaptureFixture[str], awaited: str) -> None:
    async def fall_silent(phone: Phone) -> None:
        if awaited == "ready":
            await phone.say("welcome", protocol=1)
        elif awaited == "stopped":
            await phone.greet()
        await phone.stay_silent()

    async with gateway(fall_silent) as server:
        assert await run(["speak", file, "--url", server.url], SHORT[awaited]) == 1
    assert capsys.readouterr().err == f"loadtest: the server did not send `{awaited}` within 0.2 s\n"


async def test_a_server_that_does_not_read_meets_a_deadline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stall(phone: Phone) -> None:
        await phone.greet()
        await trio.sleep_forever()

    # The kernel holds a few MB of a stalled connection: more than that in frames that are all due at once.
    monkeypatch.setattr(AudioClock, "due_s", lambda self, _number: self.origin_s)
    many_frames = str(write_wav(tmp_path / "long.wav", bytes(32000 * 600)))
    async with gateway(stall) as server:
        limits = Limits(send_limit_s=0.3)
        assert await run(["speak", many_frames, "--url", server.url, "--frame-ms", "1000"], limits) == 1
    assert capsys.readouterr().err == "loadtest: the server did not read for 0.3 s\n"


async def test_a_pause_is_filled_with_heartbeats(file: str) -> None:
    async def take_time(phone: Phone) -> None:
        await phone.say("welcome", protocol=1, heartbeatMs=100)
        await phone.hear("start")
        await phone.hear("ping")
        await phone.hear("ping")
        await phone.say("ready", streamId="s", voiceId="v")
        await phone.hear("stop")
        await phone.hear("ping")
        await phone.say("stopped", text="", sentences=0, durationMs=1, logId=None, audio=AUDIO)
        await phone.close(1000)

    async with gateway(take_time) as server:
        assert await run(["speak", file, "--url", server.url]) == 0


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ("not json", "the server sent a message that is not of protocol 1"),
        (b"\x00\x01", "the server sent 2 bytes of binary data"),
        ('{"type":"welcome","protocol":2}', "the server speaks protocol 2, this client 1"),
    ],
)
async def test_another_protocol_is_named(
    file: str, capsys: pytest.CaptureFixture[str], message: str | bytes, complaint: str
) -> None:
    async def speak_otherwise(phone: Phone) -> None:
        await phone.say_raw(message)
        await phone.stay_silent()

    async with gateway(speak_otherwise) as server:
        assert await run(["speak", file, "--url", server.url]) == 1
    assert complaint in capsys.readouterr().err


async def test_nothing_reachable_is_one_line(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody can answer here
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with trio.fail_after(GUARD_S):
            assert await run(["speak", file, "--url", url]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("loadtest: ws://127.0.0.1:")
    assert "cannot be reached" in err
    assert "refused" in err
    assert err.count("\n") == 1


@asynccontextmanager
async def tcp_server(answer: bytes) -> AsyncIterator[str]:
    """Something that is not a gateway: it sends the answer to whatever comes. Yields its address."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(answer)
            await trio.sleep_forever()

    with trio.fail_after(GUARD_S):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            nursery.cancel_scope.cancel()


async def test_a_refused_upgrade_tells_the_status(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n"
    async with tcp_server(answer) as address:
        assert await run(["speak", file, "--url", f"http://{address}"]) == 1
    assert capsys.readouterr().err.endswith("answered HTTP 503 instead of opening a WebSocket (Retry-After: 3)\n")


async def test_no_answer_to_the_upgrade_meets_a_deadline(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with tcp_server(b"") as address:
        assert await run(["speak", file, "--url", f"ws://{address}"], Limits(connect_limit_s=0.3)) == 2
    assert capsys.readouterr().err.endswith("no answer to the WebSocket upgrade within 0.3 s\n")


async def test_no_tls_there_is_said(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with tcp_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        assert await run(["speak", file, "--url", f"wss://{address}"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"wss://{address}" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["missing.wav"], "missing.wav: No such file or directory"),
        (["{file}", "--url", "127.0.0.1:8000"], "expected http://HOST"),
        (["{file}", "--token", "no\nheader"], "--token: expected printable ASCII"),
        (["{file}", "--finalize-at", "0.4"], "--finalize-at 0.4: the file has 0.30 s"),
    ],
)
async def test_what_cannot_be_tried_is_one_line(
    file: str, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert await run(["speak", *(argument.replace("{file}", file) for argument in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["speak"],
        ["speak", "a.wav", "--frame-ms", "5"],
        ["speak", "a.wav", "--frame-ms", "x"],
        ["speak", "a.wav", "--finalize-at", "-1"],
        ["speak", "a.wav", "--finalize-at", "nan"],
    ],
)
def test_bad_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: loadtest" in capsys.readouterr().err


async def test_ctrl_c_cancels_the_stream_and_ends_cleanly(tmp_path: Path) -> None:
    canceled = trio.Event()
    speaking = trio.Event()

    async def wait_for_cancel(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(1280)
        speaking.set()
        await phone.hear("cancel")
        canceled.set()
        await phone.close(1000)

    long_file = str(write_wav(tmp_path / "long.wav", bytes(32000 * 60)))
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        async with gateway(wait_for_cancel) as server, trio.open_nursery() as nursery:
            command = [sys.executable, "-m", "loadtest", "speak", long_file, "--url", server.url]
            program = await nursery.start(partial(trio.run_process, command, stdout=out, stderr=err, check=False))
            await speaking.wait()
            program.send_signal(signal.SIGINT)
            await canceled.wait()
    assert program.returncode == 130
    assert (tmp_path / "out").read_bytes() == b""
    assert (tmp_path / "err").read_bytes() == b"loadtest: canceled\n"


async def test_a_reader_that_leaves_brings_no_traceback(file: str, tmp_path: Path) -> None:
    """As in `speak FILE | head -1`."""

    async def recognize_until_left(phone: Phone) -> None:
        with contextlib.suppress(ConnectionClosed):  # the client ends with the first line that nobody reads
            await recognize(phone)

    reading, writing = os.pipe()
    os.close(reading)
    with (tmp_path / "err").open("wb") as err:
        async with gateway(recognize_until_left) as server:
            command = [sys.executable, "-m", "loadtest", "speak", file, "--url", server.url]
            done = await trio.run_process(command, stdout=writing, stderr=err, check=False)
    os.close(writing)
    assert done.returncode == 141
    assert (tmp_path / "err").read_bytes() == b""
