"""What API 3.0 answers: one envelope, errors included, all of it HTTP 200. Pure.

The vendor's SDK looks for an error only when the Content-Type is exactly ``application/json``: with a charset behind it
the SDK returns an empty model instead of raising.
"""

from __future__ import annotations

import msgspec

CONTENT_TYPE = "application/json"


class ApiError(msgspec.Struct, frozen=True):
    """Why a call is not answered (Tencent doc 1093/35647)."""

    code: str
    message: str


class WordTime(msgspec.Struct, rename="pascal"):
    """An item of ``WordList``; times in ms."""

    word: str
    start_time: int
    end_time: int


class SentenceAnswer(msgspec.Struct, rename="pascal"):
    """What was said. Without ``WordInfo`` the last two are null."""

    result: str
    audio_duration: int
    word_size: int | None = None
    word_list: list[WordTime] | None = None


def answer_text(answer: SentenceAnswer | ApiError, request_id: str) -> str:
    """The body of an answer."""
    body: dict[str, object]
    if isinstance(answer, ApiError):
        body = {"Error": {"Code": answer.code, "Message": answer.message}}
    else:
        body = msgspec.to_builtins(answer)
    return msgspec.json.encode({"Response": body | {"RequestId": request_id}}).decode()
