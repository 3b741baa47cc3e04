"""Who opens a stream from where: foreign pages are told so in-band, and WeChat's header counts where it is trusted."""

import pytest
import trio

from service.identity import Caller
from service.settings import AuthMode
from tests.support.stream_world import World

HOST = "voice.example"


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, "ready"),
        ("https://voice.example", "ready"),
        ("weapp://wechat-game-runtime", "ready"),
        ("https://pages.example", "ready"),
        ("https://evil.example", "forbidden"),
        ("null", "forbidden"),
    ],
)
async def test_origin(origin: str | None, expected: str, nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, allowed_origins=("https://pages.example",))
    async with world.phone(caller=Caller(origin=origin, host=HOST), started=False) as phone:
        phone.say(type="start")
        message = await phone.hear("ready", "error")
        assert message.get("code", message["type"]) == expected
        phone.say(type="cancel")
    refused = expected == "forbidden"
    assert phone.closed == ((4403, "forbidden") if refused else (1000, "canceled"))
    assert world.metric("voice_messages_rejected_total", slug="forbidden") == refused
    assert world.dials == (not refused)


@pytest.mark.parametrize(("trusted", "expected"), [(True, "ready"), (False, "unauthenticated")])
async def test_the_wechat_header(trusted: bool, expected: str, nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, auth_mode=AuthMode.TOKEN, jwt_secret="s" * 32, trust_wx_headers=trusted)
    async with world.phone(caller=Caller(wx_openid="oABCDEFGHIJKLMNOPQRSTUVWXY_-"), started=False) as phone:
        phone.say(type="start")
        message = await phone.hear("ready", "error")
        assert message.get("code", message["type"]) == expected
        phone.say(type="cancel")
