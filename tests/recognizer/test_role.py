"""Credentials from the platform's metadata: the SDK's own provider against a real HTTP server, and ways to fail."""

import http.server
import json
import threading
import time
from collections.abc import Iterator

import pytest
import trio
from tencentcloud.common.credential import CVMRoleCredential

from service.recognizer.role import ASK_EVERY_S, ASK_S, RETRY_S, Triple, keep_credentials
from service.recognizer.target import RecognizerDirectory, RecognizerTarget
from service.recognizer.tencent import ENGINES
from service.settings import RecognizerKind, TencentCredentials

TARGET = RecognizerTarget(RecognizerKind.TENCENT, "wss://asr", TencentCredentials("1250000000", "", ""), ENGINES)


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The platform's metadata service; the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer = "CBR_ROLE"
            if self.path.endswith("CBR_ROLE"):
                secrets = {"TmpSecretId": "AKIDtmp", "TmpSecretKey": "key", "Token": "token"}
                answer = json.dumps({"Code": "Success", "ExpiredTime": int(time.time()) + 7200, **secrets})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(CVMRoleCredential, "_role_endpoint", f"http://127.0.0.1:{server.server_port}/roles/")
        yield asked
        server.shutdown()


async def test_the_sdks_provider_asks_the_metadata(metadata: list[str], nursery: trio.Nursery) -> None:
    directory = RecognizerDirectory()
    with trio.fail_after(30):
        await nursery.start(keep_credentials, directory, TARGET)
    assert directory.target is not None
    assert directory.target.credentials == TencentCredentials("1250000000", "AKIDtmp", "key", "token")
    assert directory.target.url == TARGET.url
    assert metadata == ["/roles/", "/roles/CBR_ROLE"]
    nursery.cancel_scope.cancel()


async def test_they_are_renewed_and_kept_while_there_are_no_new_ones(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads and a virtual clock do not go together: time passes by shorter constants."""
    monkeypatch.setattr("service.recognizer.role.ASK_EVERY_S", 0.01)
    monkeypatch.setattr("service.recognizer.role.RETRY_S", 0.01)
    answers: list[Triple] = [
        (None, None, None),
        ("id1", "key1", "token1"),
        ("id1", "key1", None),
        ("id2", "key2", "token2"),
    ]
    seen: list[str | None] = []
    done = trio.Event()
    directory = RecognizerDirectory()
    token = trio.lowlevel.current_trio_token()

    def fetch() -> Triple:
        seen.append(directory.target.credentials.secret_id if directory.target else None)
        if not answers:
            token.run_sync_soon(done.set)
            return ("id2", "key2", "token2")
        return answers.pop(0)

    with trio.fail_after(30):
        await nursery.start(keep_credentials, directory, TARGET, fetch)
        await done.wait()
    assert seen[:5] == [None, None, "id1", "id1", "id2"]
    nursery.cancel_scope.cancel()


async def test_metadata_that_never_answers_does_not_hold_up_the_start(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.recognizer.role.ASK_S", 0.05)
    hanging = threading.Event()

    def fetch() -> Triple:
        hanging.wait(30)
        return (None, None, None)

    directory = RecognizerDirectory()
    with trio.fail_after(30):
        await nursery.start(keep_credentials, directory, TARGET, fetch)
    assert directory.target is None
    nursery.cancel_scope.cancel()
    hanging.set()


def test_the_clock_fits_the_sdks() -> None:
    """It renews when 300 s are left; there must be a successful look in them, and one that fails must be soon over."""
    assert CVMRoleCredential._expired_timeout == 300
    assert ASK_EVERY_S + ASK_S + 2 * RETRY_S < 300 / 2
