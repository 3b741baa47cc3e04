"""What browsers are told about pages of other origins, and what a foreign page gets from the routes."""

import pytest

from service.settings import AuthMode, RecognizerKind
from tests.support.edge import HttpClient, Reply, WsClient, make_deps, running_edge

PAGE = "https://pages.example"
LOGIN, RECOGNIZE = "/api/auth/wechat-login", "/api/realtime-voice/recognize"


async def ask(method: str, path: str, *headers: str, allowed: tuple[str, ...] = (PAGE,)) -> Reply:
    async with running_edge(make_deps(auth_mode=AuthMode.OFF, allowed_origins=allowed)) as running:
        client = await HttpClient.connect(running.port)
        async with client.stream:
            return await client.request(method, path, headers)


def shared_with(reply: Reply) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("path", [LOGIN, RECOGNIZE])
async def test_a_preflight_of_an_allowed_page(path: str) -> None:
    reply = await ask("OPTIONS", path, f"Origin: {PAGE}", "Access-Control-Request-Method: POST")
    assert reply.status == 200
    assert shared_with(reply) == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-methods": "GET, POST, DELETE",
        "access-control-allow-headers": "authorization, content-type, token",
        "access-control-expose-headers": "Retry-After",
        "access-control-max-age": "600",
    }
    assert "origin" in reply.headers["vary"].lower()


async def test_an_answer_is_shared_with_an_allowed_page_also_when_it_is_a_refusal() -> None:
    reply = await ask("POST", LOGIN, f"Origin: {PAGE.upper()}")
    assert reply.status == 501
    assert shared_with(reply)["access-control-allow-origin"] == PAGE.upper()
    assert "access-control-allow-methods" not in reply.headers


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
async def test_other_pages_get_nothing(method: str) -> None:
    reply = await ask(method, LOGIN, "Origin: https://evil.example", "Access-Control-Request-Method: POST")
    assert shared_with(reply) == {}
    assert "origin" in reply.headers["vary"].lower()  # or a cache would share an answer that is for others


@pytest.mark.parametrize(
    ("path", "origin", "allowed"), [(LOGIN, PAGE, ()), ("/health", PAGE, (PAGE,)), ("/metrics", PAGE, (PAGE,))]
)
async def test_where_nothing_is_shared(path: str, origin: str, allowed: tuple[str, ...]) -> None:
    reply = await ask("GET", path, f"Origin: {origin}", allowed=allowed)
    assert shared_with(reply) == {}
    assert "vary" not in reply.headers


async def test_an_upload_of_a_foreign_page_is_refused() -> None:
    deps = make_deps(auth_mode=AuthMode.OFF, recognizer=RecognizerKind.LOCAL)
    async with running_edge(deps) as running:
        client = await HttpClient.connect(running.port)
        async with client.stream:
            reply = await client.request("POST", RECOGNIZE, ["Origin: https://evil.example"])
            assert (reply.status, reply.envelope()["data"]["error"]) == (403, "forbidden")
            reply = await client.request("POST", RECOGNIZE, ["Origin: http://localhost"])  # its own host
            assert (reply.status, reply.envelope()["data"]["error"]) == (400, "bad_request")


async def test_a_stream_of_a_foreign_page_is_refused_in_band() -> None:
    """A browser cannot read the answer to a failed upgrade."""
    deps = make_deps(auth_mode=AuthMode.OFF, recognizer=RecognizerKind.LOCAL)
    async with running_edge(deps) as running:
        headers = [(b"Origin", b"https://evil.example")]
        client = await WsClient.connect(running.port, "/api/realtime-voice/stream", extra_headers=headers)
        assert (await client.receive_json())["type"] == "welcome"
        await client.send_json(type="start")
        assert (await client.receive_json())["code"] == "forbidden"
        await client.stream.aclose()


@pytest.mark.parametrize(
    ("openids", "expected"),
    [(["oABC"], "bad_request"), (["oVictim", "oMine"], "unauthenticated"), ([], "unauthenticated")],
)
async def test_the_wechat_header_of_an_upload(openids: list[str], expected: str) -> None:
    deps = make_deps(
        auth_mode=AuthMode.TOKEN, jwt_secret="s" * 32, trust_wx_headers=True, recognizer=RecognizerKind.LOCAL
    )
    async with running_edge(deps) as running:
        client = await HttpClient.connect(running.port)
        async with client.stream:
            reply = await client.request("POST", RECOGNIZE, [f"X-WX-OPENID: {openid}" for openid in openids])
            assert reply.envelope()["data"]["error"] == expected
