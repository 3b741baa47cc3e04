"""The OpenAPI document: valid, complete, and true of a gateway that schemathesis asks whatever the document allows."""

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis
import trio

from service.recognizer.sentence import SentenceRecognizer
from service.recognizer.target import RecognizerTarget
from service.settings import AuthMode, RecognizerKind
from service.store.away import DatabaseAwayError
from service.store.history import History
from service.store.records import Sentence, StreamRecord
from service.tokens import mint
from service.web import contract
from service.web.app import create_app
from service.web.contract import Envelope
from service.web.openapi import METRICS_SECURITY
from service.web.openapi_30 import as_30
from tests.support.api3_server import ACCOUNT, api3_server
from tests.support.coded_files import sample_pcm, wav
from tests.support.edge import HttpClient, Running, get, make_deps, running_edge
from tests.support.wechat import APPID, APPSECRET, CODE, wechat
from tests.web.test_recognize import BOUNDARY, multipart

ROOT = Path(__file__).parents[2]
SECRET = "s" * 32
USER = "u_1"
RECORD = StreamRecord(
    "one",
    USER,
    started_at_ms=1_795_000_000_000,
    ended_at_ms=1_795_000_003_000,
    outcome="completed",
    engine="16k_en",
    sentence_count=1,
    audio_ms=2786,
    audio_bytes=89152,
    sentences=(Sentence(0, "go forward ten meters", 410, 2400),),
)
UNDESCRIBED = {
    *("/openapi.json", "/docs", "/docs/start.js", "/docs/openapi.json", "/docs/<name>"),
    *("/console", "/console/", "/console/<path:name>"),
}
"""The documentation itself."""
MODES = pytest.mark.parametrize("mode", [AuthMode.TOKEN, AuthMode.OFF])
SCHEMATHESIS_S = 120
"""A hang guard: it takes ten seconds of CPU."""


@contextlib.asynccontextmanager
async def gateway(mode: AuthMode, folder: Path, **settings: Any) -> AsyncIterator[Running]:
    """A gateway with all there is behind it: a recognizer, WeChat, a database; and a record in its history."""
    async with api3_server() as api, wechat() as wechat_server:
        deps = make_deps(
            auth_mode=mode,
            jwt_secret=SECRET,
            wechat_appid=APPID,
            wechat_appsecret=APPSECRET,
            wechat_api_url=wechat_server.url,
            recognizer=RecognizerKind.LOCAL,
            default_engine="16k_en",
            database_url=f"sqlite:///{folder / mode}.db",
            spool_dir=str(folder / mode),
            **settings,
        )
        deps.recognizer.target = RecognizerTarget(
            RecognizerKind.LOCAL, f"ws://127.0.0.1:{api.port}", ACCOUNT, ("16k_en",)
        )
        sentences = SentenceRecognizer(deps.recognizer, deps.settings.tencent_api_url)
        assert deps.history is not None
        async with running_edge(deps, create_app(deps, sentences), hang_s=SCHEMATHESIS_S) as running:
            await running.nursery.start(deps.history.run)
            user_id = "" if mode is AuthMode.OFF else USER
            deps.history.put(msgspec.structs.replace(RECORD, user_id=user_id))
            await until_kept(deps.history, user_id)
            yield running


async def until_kept(history: History, user_id: str) -> None:
    """Returns when the record is in the database, whose tables are made first."""
    while True:
        with contextlib.suppress(DatabaseAwayError):
            if await history.record(user_id, RECORD.id) is not None:
                return
        await trio.sleep(0.01)


def authorization(running: Running) -> str:
    now_s = int(running.deps.wall_clock())
    return f"Authorization: Bearer {mint(SECRET, USER, now_s=now_s, ttl_s=600)}"


async def document_of(running: Running, path: str = "/openapi.json") -> Any:
    reply = await get(running.port, path)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    return reply.envelope()


@MODES
async def test_it_is_valid_in_both_versions(mode: AuthMode, tmp_path: Path) -> None:
    async with gateway(mode, tmp_path, metrics_token="m" * 16) as running:
        document = await document_of(running)
        older = await document_of(running, "/docs/openapi.json")
    assert (document["openapi"], older) == ("3.1.0", as_30(document))
    for valid in (document, older):
        schemathesis.openapi.from_dict(valid).validate()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] and operation["tags"] for operation in operations)


async def test_it_has_every_route(tmp_path: Path) -> None:
    async with gateway(AuthMode.TOKEN, tmp_path) as running:
        document = await document_of(running)
        rules = [rule for rule in running.app.url_map.iter_rules() if not rule.websocket]
    routes = {
        (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
        for rule in rules
        if rule.rule not in UNDESCRIBED
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == {(path, method) for path, methods in document["paths"].items() for method in methods}


async def test_it_says_where_a_token_is_needed(tmp_path: Path) -> None:
    def security(document: Any, path: str, method: str = "get") -> Any:
        return document["paths"][path][method].get("security", document["security"])

    upload = "/api/realtime-voice/recognize"
    async with gateway(AuthMode.TOKEN, tmp_path) as running:
        document = await document_of(running)
        assert security(document, upload, "post") == [{"bearer": []}, {"tokenHeader": []}]
        assert security(document, "/api/auth/wechat-login", "post") == []
        assert (security(document, "/metrics"), set(document["paths"]["/metrics"]["get"]["responses"])) == (
            [],
            {"200", "404"},
        )
    async with gateway(AuthMode.OFF, tmp_path, metrics_token="m" * 16) as running:
        document = await document_of(running)
        assert security(document, upload, "post") == []
        assert set(document["components"]["securitySchemes"]) == {METRICS_SECURITY}
        assert security(document, "/metrics") == [{METRICS_SECURITY: []}]


async def test_answers_are_exactly_of_their_types(tmp_path: Path) -> None:
    """The document allows fields that it does not name; here is nothing but what it names."""
    form = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
    recording = multipart(wav(sample_pcm()))
    login = msgspec.json.encode({"code": CODE})
    asked: list[tuple[str, str, bytes, Any]] = [
        ("GET", "/", b"", Envelope[contract.About]),
        ("GET", "/health", b"", Envelope[contract.Health]),
        ("GET", "/ready", b"", Envelope[contract.Readiness]),
        ("POST", "/api/auth/wechat-login", login, Envelope[contract.LoginAnswer]),
        ("POST", "/api/auth/login", b"{}", Envelope[contract.ErrorData]),
        ("POST", "/api/realtime-voice/recognize", recording, Envelope[contract.RecognizeAnswer]),
        ("POST", "/api/realtime-voice/recognize", multipart(None), Envelope[contract.ErrorData]),
        ("GET", "/api/realtime-voice/recognize", b"", Envelope[None]),
        ("GET", "/api/realtime-voice/history", b"", Envelope[contract.HistoryPage]),
        ("GET", "/api/realtime-voice/history/one", b"", Envelope[contract.HistoryRecord]),
        ("GET", "/api/realtime-voice/stats", b"", Envelope[contract.Stats]),
        ("DELETE", "/api/realtime-voice/history/one", b"", Envelope[contract.Deleted]),
        ("DELETE", "/api/realtime-voice/history/one", b"", Envelope[contract.ErrorData]),
    ]
    async with gateway(AuthMode.TOKEN, tmp_path) as running:
        for method, path, body, expected in asked:
            client = await HttpClient.connect(running.port)
            async with client.stream:
                reply = await client.request(method, path, [authorization(running), form], body)
            said = reply.envelope()
            assert msgspec.to_builtins(msgspec.convert(said, expected)) == said, path


@pytest.mark.parametrize(("mode", "phases"), [(AuthMode.TOKEN, "coverage,fuzzing"), (AuthMode.OFF, "coverage")])
async def test_schemathesis_finds_nothing(mode: AuthMode, phases: str, tmp_path: Path) -> None:
    """Every operation, with good and bad data: no 5xx, no status, header, content type or body but those described."""
    async with gateway(mode, tmp_path) as running:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(ROOT / "tests/web/schemathesis.toml")),
            *("run", f"http://127.0.0.1:{running.port}/openapi.json"),
            *("--header", authorization(running), "--max-examples", "5", "--phases", phases),
            *("--generation-deterministic", "--continue-on-failure", "--no-color"),
        ]
        done = await trio.run_process(
            command,
            check=False,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.web.schemathesis_hooks"},
        )
        document = await document_of(running)
    said = done.stdout.decode()
    operations = sum(map(len, document["paths"].values()))
    assert done.returncode == 0, said
    assert f"Tested: {operations}\n" in said, said
