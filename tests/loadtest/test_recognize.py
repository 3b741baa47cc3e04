"""`recognize` against this gateway's own route, over real sockets."""

import json

import pytest
import trio

from loadtest.__main__ import run
from loadtest.urls import UrlError, recognize_url
from tests.support.api3_server import Reply, error
from tests.support.coded_files import SAMPLES
from tests.web.test_recognize import world

FILE = str(SAMPLES / "goforward.wav")


async def test_the_words_come_out_alone_on_a_line_before_the_timings(capsys: pytest.CaptureFixture[str]) -> None:
    async with world() as gateway:
        url = f"http://127.0.0.1:{gateway.running.port}"
        assert await run(["recognize", FILE, "--url", url, "--engine", "16k_zh"]) == 0
        assert gateway.api.requests[0]["EngSerViceType"] == "16k_zh"
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[:2] == ["go forward ten meters", ""]
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["connect", "upload", "answer", "audio"]


async def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    async with world() as gateway:
        url = f"http://127.0.0.1:{gateway.running.port}/api/realtime-voice/recognize"
        assert await run(["recognize", FILE, "--url", url, "--json", "--token", "not-asked-for"]) == 0
    out, _ = capsys.readouterr()
    told = json.loads(out)
    assert (told["exit_code"], told["status"], told["data"]["text"]) == (0, 200, "go forward ten meters")
    assert told["uploaded_bytes"] == 89204


async def test_refused(capsys: pytest.CaptureFixture[str]) -> None:
    async with world(Reply(error("FailedOperation.UserHasNoAmount"))) as gateway:
        assert await run(["recognize", FILE, "--url", f"http://127.0.0.1:{gateway.running.port}"]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("loadtest: refused with 502: recognizer_rejected: ")
        url = f"http://127.0.0.1:{gateway.running.port}/prefix/api/realtime-voice/recognize"
        assert await run(["recognize", FILE, "--url", url]) == 1
        assert "refused with 404" in capsys.readouterr().err


async def test_nothing_could_be_tried(capsys: pytest.CaptureFixture[str]) -> None:
    async with world() as gateway:
        port = gateway.running.port
    for arguments, words in (
        ([FILE, "--url", f"http://127.0.0.1:{port}"], "no answer from 127.0.0.1"),
        (["/nothing/there.mp3"], "No such file"),
        ([FILE, "--url", "ftp://host"], "expected http://HOST"),
        ([FILE, "--token", " "], "--token"),
    ):
        assert await run(["recognize", *arguments]) == 2
        assert words in capsys.readouterr().err


async def test_something_else_answers(capsys: pytest.CaptureFixture[str]) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            received = b""
            while b"--\r\n" not in received[-4:]:
                received += await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    async with trio.open_nursery() as nursery:
        with trio.fail_after(20):
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, answer, listeners)
            port = listeners[0].socket.getsockname()[1]
            assert await run(["recognize", FILE, "--url", f"http://127.0.0.1:{port}"]) == 1
            nursery.cancel_scope.cancel()
    assert "not as this service does" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://host:8000", "http://host:8000/api/realtime-voice/recognize"),
        ("wss://host/", "https://host/api/realtime-voice/recognize"),
        ("https://host/p/api/realtime-voice/recognize", "https://host/p/api/realtime-voice/recognize"),
    ],
)
def test_addresses(given: str, expected: str) -> None:
    assert recognize_url(given) == expected


def test_other_addresses() -> None:
    with pytest.raises(UrlError, match="recognize"):
        recognize_url("http://host/api/realtime-voice/stream")
