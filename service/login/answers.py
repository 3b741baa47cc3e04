"""What WeChat's `jscode2session` answers, and what it means for a login. Pure.

https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/user-login/code2Session.html. In practice `errcode` is
absent on success, HTTP's status is 200 on failure too, and the content type is text/plain: the body alone counts. The
`session_key` opens encrypted data of the user's phone; nothing here needs it, so it is not even read.
"""

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from service.failures import Slug
from service.users import is_openid

BUSY: Final = -1
_REQUEST_ID: Final = re.compile(r"(?:\brid|\breq_id): ?([0-9A-Za-z_-]{1,64})")
_BAD_CODE: Final = (Slug.LOGIN_REFUSED, "WeChat does not know the code: call wx.login again and send the new one.")
_OUR_BUG: Final = (Slug.INTERNAL, "An error in this service.")
_MEANING: Final = {
    BUSY: (Slug.LOGIN_UNAVAILABLE, "WeChat says that it is busy."),
    40029: _BAD_CODE,  # wrong, expired, used, or of another AppID
    40163: _BAD_CODE,  # used
    40226: (Slug.FORBIDDEN, "WeChat has blocked this user."),
    45011: (Slug.TOO_MANY_REQUESTS, "WeChat takes 100 logins a minute of each user."),
    40013: (Slug.LOGIN_REJECTED, "WeChat does not accept WECHAT_APPID."),
    40125: (Slug.LOGIN_REJECTED, "WeChat does not accept WECHAT_APPSECRET."),
    41002: _OUR_BUG,  # no appid in the request
    41004: _OUR_BUG,  # no secret
    41008: _OUR_BUG,  # no code
}


@dataclass(frozen=True, slots=True)
class WechatUser:
    """A user, as WeChat knows them."""

    openid: str
    """Within this mini-program."""
    unionid: str = ""
    """Within the Open Platform account that the mini-program is bound to; empty where it is bound to none."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why nobody is logged in."""

    slug: Slug
    message: str
    may_ask_again: bool = False
    """The same code may be sent once more, after a pause."""
    errcode: int | None = None
    request_id: str = ""
    """WeChat's own, for its support; empty where it gave none."""


class _Answer(msgspec.Struct):
    errcode: int = 0
    errmsg: str = ""
    openid: str = ""
    unionid: str = ""


_DECODER: Final = msgspec.json.Decoder(_Answer, strict=False)  # a number in quotes is the same number

NO_ANSWER: Final = Refused(Slug.LOGIN_UNAVAILABLE, "WeChat did not answer.", may_ask_again=True)
_FAILED: Final = Refused(Slug.LOGIN_UNAVAILABLE, "WeChat's answer is a failure of its server.", may_ask_again=True)
_NOT_UNDERSTOOD: Final = Refused(Slug.LOGIN_UNAVAILABLE, "WeChat's answer is none that is documented.")


def read_answer(status: int, body: bytes) -> WechatUser | Refused:
    """Who has logged in, or why nobody has. `status` is HTTP's, `body` the whole body."""
    if status >= 500:
        return _FAILED
    try:
        answer = _DECODER.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NOT_UNDERSTOOD
    if answer.errcode:
        slug, message = _MEANING.get(
            answer.errcode, (Slug.LOGIN_UNAVAILABLE, "WeChat refuses for a reason of its own.")
        )
        found = _REQUEST_ID.search(answer.errmsg)
        return Refused(slug, message, answer.errcode == BUSY, answer.errcode, found[1] if found else "")
    if not is_openid(answer.openid):
        return _NOT_UNDERSTOOD
    return WechatUser(answer.openid, answer.unionid if is_openid(answer.unionid) else "")
