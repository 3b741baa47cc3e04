"""Tencent's real-time recognition, the server's side, answered from where there is sound (document 1093/48982). Pure.

What is judged: the parameters of the request, messages that are not of the protocol, and silence (4008). What is not:
the signature, the pace of the audio (4000), the number of streams (4006). Only PCM is taken, since the length of
anything else cannot be told from its bytes: other formats are refused with 4001.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from loadtest.sink.answer import NOTHING, Answer, Close
from loadtest.sink.hearing import Heard, Hearing, Manner
from service.localasr.codes import Code, Refusal, refusal
from service.localasr.limits import NO_AUDIO_S
from service.localasr.messages import Result, WordEntry
from service.localasr.request import DOCUMENTED_ENGINES, StreamRequest, parse_request, parse_target
from service.localasr.segments import BEGAN, SETTLED, SO_FAR

_PCM: Final = 1
_NORMAL: Final = Close(1000)
# Five minutes of audio and more, of which all streams share the JSON: at most 7 kB each with 100 words.
_KEPT_RESULTS: Final = 2048


class _Message(msgspec.Struct, omit_defaults=True):
    """As `service.localasr.messages.Message`, with a result that is JSON already."""

    code: int = msgspec.field()
    message: str = msgspec.field()
    voice_id: str = msgspec.field()
    message_id: str | None = None
    result: msgspec.Raw | None = None
    final: int | None = None


class _Control(msgspec.Struct):
    type: str


class RecognizerStream:
    """One recognizer connection; `target` is path and query of its request."""

    def __init__(self, target: str, manner: Manner) -> None:
        self._voice_id, asked = _asked(target)
        self._refused = asked if isinstance(asked, Refusal) else None
        self._with_words = isinstance(asked, StreamRequest) and asked.with_words
        rate_hz = asked.settings.sample_rate_hz if isinstance(asked, StreamRequest) else 16000
        self._hearing = Hearing(rate_hz, manner)
        self._sent = 0
        self._ended = False
        self._silent_s = 0

    def opened(self, unix_ms: int) -> Answer:
        """The handshake message, or why the stream is refused."""
        if self._refused is not None:
            return Answer((self._encoded(self._refused.code, self._refused.message),), _NORMAL)
        return Answer((self._encoded(),))

    def audio(self, pcm: bytes) -> Sequence[bytes]:
        """Results. Audio behind `end` is not heard; an empty message is no sign of life, as in `service.localasr`."""
        if pcm:
            self._silent_s = 0
        if self._ended:
            return ()
        heard = self._hearing.hear(pcm)
        return [self._result(result) for result in heard]

    def said(self, text: str, now_s: float) -> Answer:
        """`{"type": "end"}` finishes, once; anything else is 4010."""
        try:
            is_end = msgspec.json.decode(text, type=_Control).type == "end"
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            is_end = False
        if not is_end:
            return self._failed(Code.UNKNOWN_TEXT)
        if self._ended:
            return NOTHING
        self._ended = True
        return Answer(finish=True)

    def alive(self) -> None:
        """Nothing: audio alone counts."""

    def tick(self) -> Answer:
        """4008 after 15 s without audio; behind `end` none is waited for."""
        self._silent_s += 1
        return self._failed(Code.NO_AUDIO) if self._silent_s > NO_AUDIO_S and not self._ended else NOTHING

    def finish(self, now_s: float) -> Answer:
        """The open sentence, settled, and the final message."""
        last = self._hearing.settle()
        messages = () if last is None else (self._result(last),)
        return Answer((*messages, self._encoded(message_id=self._number(), final=1)), _NORMAL)

    def _result(self, heard: Heard) -> bytes:
        message_id = f"{self._number()}_{heard.sentence}"
        return self._encoded(message_id=message_id, result=_result_json(heard, self._with_words))

    def _failed(self, code: Code) -> Answer:
        failure = refusal(code)
        return Answer((self._encoded(failure.code, failure.message, message_id=self._number()),), _NORMAL)

    def _encoded(
        self,
        code: int = 0,
        message: str = "success",
        *,
        message_id: str | None = None,
        result: msgspec.Raw | None = None,
        final: int | None = None,
    ) -> bytes:
        return msgspec.json.encode(_Message(code, message, self._voice_id, message_id, result, final))

    def _number(self) -> str:
        number = f"{self._voice_id}_{self._sent}"
        self._sent += 1
        return number


def _asked(target: str) -> tuple[str, StreamRequest | Refusal]:
    """The `voice_id` of a request, and what it asks for."""
    given = parse_target(target)
    if isinstance(given, Refusal):
        return "", given
    asked = parse_request(given.parameters, DOCUMENTED_ENGINES, list_engines=True, formats=(_PCM,))
    return given.parameters.get("voice_id", ""), asked


@lru_cache(_KEPT_RESULTS)
def _result_json(heard: Heard, with_words: bool) -> msgspec.Raw:
    """The `result` of a message. The slice that begins a sentence has its first word, as without empty results."""
    words = [WordEntry(*word, 1) for word in heard.words]
    result = Result(
        slice_type=SETTLED if heard.settled else BEGAN if len(heard.words) == 1 else SO_FAR,
        index=heard.sentence,
        start_time=heard.start_ms,
        end_time=heard.end_ms,
        voice_text_str=heard.text,
        word_size=len(words) if with_words else 0,
        word_list=words if with_words else [],
    )
    return msgspec.Raw(msgspec.json.encode(result))
