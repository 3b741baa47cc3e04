"""WeChat's `jscode2session`: a login code for the user it belongs to.

The address of the request holds the AppSecret and the code. httpx2 logs addresses at INFO, and our logs hear libraries
from WARNING on, without their texts; exceptions are told by their type alone.
"""

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import trio

from service.login.answers import NO_ANSWER, Refused, WechatUser, read_answer
from service.settings import Settings

if TYPE_CHECKING:
    import httpx2

LOGIN_S: Final = 10.0
"""All attempts together; a mini-program's own request ends after 60 s, its user's patience before."""
ATTEMPT_S: Final = 4.0  # it answers within a second, or not at all
PAUSES_S: Final = (0.3, 1.0)
"""Before the second and the third attempt. A code is good once: where an answer was lost on its way, the next attempt
is told so, and the client sends another code."""
MAX_ANSWER_BYTES: Final = 16 * 1024  # an answer has 200
_PATH: Final = "/sns/jscode2session"


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of a login code."""

    answer: WechatUser | Refused
    attempts: int


@dataclass(slots=True)
class WechatLogin:
    """Asks WeChat who a user is."""

    api_url: str
    appid: str
    appsecret: str = field(repr=False)
    _tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, settings: Settings) -> "WechatLogin | None":
        """The login of these settings, or None where they hold no AppID."""
        if not settings.wechat_appid:
            return None
        return cls(settings.wechat_api_url, settings.wechat_appid, settings.wechat_appsecret)

    async def ask(self, code: str) -> Asked:
        """Who the code belongs to, within LOGIN_S. Whatever fails is an answer, too: this raises nothing.

        Each login has a connection of its own: one is needed every two hours for each user, and one that was kept open
        would mostly be found closed. Cancelled, it closes that.
        """
        last, attempts = NO_ANSWER, 0
        with trio.move_on_after(LOGIN_S):
            async with await self._client() as client:
                for pause_s in (0.0, *PAUSES_S):
                    await trio.sleep(pause_s)
                    attempts += 1
                    answer = await self._attempt(client, code)
                    if isinstance(answer, WechatUser) or not answer.may_ask_again:
                        return Asked(answer, attempts)
                    last = answer
        return Asked(last, attempts)

    async def _client(self) -> "httpx2.AsyncClient":
        import httpx2  # 0.2 s: only where people log in

        if self._tls is None:
            self._tls = await trio.to_thread.run_sync(ssl.create_default_context)  # it reads a large file
        return httpx2.AsyncClient(
            verify=self._tls,
            timeout=None,  # deadlines are ours
            trust_env=self.api_url.startswith("https:"),  # no proxy on the way to this machine
            headers={"Accept-Encoding": "identity"},
        )

    async def _attempt(self, client: "httpx2.AsyncClient", code: str) -> WechatUser | Refused:
        import httpx2

        query = {
            "appid": self.appid,
            "secret": self.appsecret,
            "js_code": code,
            "grant_type": "authorization_code",
        }
        with trio.move_on_after(ATTEMPT_S):
            try:
                async with client.stream("GET", self.api_url + _PATH, params=query) as response:
                    return read_answer(response.status_code, await _body(response))
            except httpx2.HTTPError:
                pass
        return NO_ANSWER


async def _body(response: "httpx2.Response") -> bytes:
    """The body, or its beginning where it is longer than any answer.

    It is read to its end then, too, within ATTEMPT_S: httpx2 leaves generators behind when a loop over a body is left.
    """
    body = b""
    async for part in response.aiter_raw():  # not compressed: it was asked for so
        if len(body) <= MAX_ANSWER_BYTES:
            body += part
    return body
