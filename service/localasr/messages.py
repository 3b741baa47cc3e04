"""The messages of the server, as JSON text (Tencent doc 1093/48982, "实时识别阶段"). Pure."""

from __future__ import annotations

import msgspec

from service.localasr.codes import Refusal
from service.localasr.segments import Slice


class WordEntry(msgspec.Struct):
    """An item of ``word_list``."""

    word: str
    start_time: int
    end_time: int
    stable_flag: int


class Result(msgspec.Struct):
    """The ``result`` object; times in ms."""

    slice_type: int
    index: int
    start_time: int
    end_time: int
    voice_text_str: str
    word_size: int
    word_list: list[WordEntry]


class Message(msgspec.Struct, omit_defaults=True):
    """Every message of the server; the handshake has no ``message_id``, only results have ``result``."""

    code: int = msgspec.field()
    message: str = msgspec.field()
    voice_id: str = msgspec.field()
    message_id: str | None = None
    result: Result | None = None
    final: int | None = None


class MessageWriter:
    """Writes the messages of one stream and numbers them: ``<voice_id>_<n>_<m>``, m being the sentence's index."""

    def __init__(self, voice_id: str, *, with_words: bool = False) -> None:
        self._voice_id = voice_id
        self._with_words = with_words
        self._sent = 0

    def success(self) -> str:
        """The first message: the stream is accepted."""
        return _text(Message(code=0, message="success", voice_id=self._voice_id))

    def refused(self, refusal: Refusal) -> str:
        """Instead of the first message."""
        return _text(Message(code=refusal.code, message=refusal.message, voice_id=self._voice_id))

    def result(self, piece: Slice) -> str:
        """A result. Without ``word_info`` the word list is there and empty."""
        words = [WordEntry(w.text, w.start_ms, w.end_ms, int(w.stable)) for w in piece.words if self._with_words]
        body = Result(
            slice_type=piece.slice_type,
            index=piece.index,
            start_time=piece.start_ms,
            end_time=piece.end_ms,
            voice_text_str=piece.text,
            word_size=len(words),
            word_list=words,
        )
        message_id = f"{self._number()}_{piece.index}"
        return _text(Message(code=0, message="success", voice_id=self._voice_id, message_id=message_id, result=body))

    def final(self) -> str:
        """Everything is recognized; the server closes after it."""
        return _text(Message(code=0, message="success", voice_id=self._voice_id, message_id=self._number(), final=1))

    def error(self, refusal: Refusal) -> str:
        """The stream ended by an error; the server closes after it."""
        return _text(
            Message(code=refusal.code, message=refusal.message, voice_id=self._voice_id, message_id=self._number())
        )

    def _number(self) -> str:
        number = f"{self._voice_id}_{self._sent}"
        self._sent += 1
        return number


def _text(message: Message) -> str:
    return msgspec.json.encode(message).decode()
