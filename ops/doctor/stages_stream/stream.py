"""A person speaks: one bundled recording through the whole stream, in real time, and how it felt."""

from dataclasses import dataclass, field
from typing import Final

import trio

from loadtest import scenario
from loadtest.audio import frames, load_clips, make_track
from loadtest.behaviors import talk
from loadtest.messages import ServerError, ServerMessage
from loadtest.plan import PlannedCall
from loadtest.record import Ending, StreamRecord, Transcript
from loadtest.scenario import Audio, Behavior, Phone, Scenario
from loadtest.speaker import Call, place_call
from ops.doctor.finding import Fact, Finding, Text
from ops.doctor.stage import Context, Stage
from ops.doctor.stages_stream.issues import Issue, failed, finding_of, skipped, warned
from ops.doctor.stages_stream.reaching import dial_target, ready_state
from ops.doctor.stages_stream.said import causes_of
from service.settings import RecognizerKind, Settings

SAMPLE: Final = "goforward.wav"
SAMPLE_WORDS: Final = ("go", "forward", "ten", "meters")
TOO_SLOW_S: Final = 0.8
"""People notice a delay from 0.3 s on, and repeat themselves from here on."""
LATE_HERE_S: Final = 0.2
"""When this machine sends audio so late, the times are its own."""
_SHORTEST_S: Final = 10.0
"""A stream that may not last so long has no time for the recording, and little for a person."""
_PHONE: Final = Phone(connect_limit_s=10.0, welcome_limit_s=5.0, ready_limit_s=15.0, stopped_limit_s=20.0)


@dataclass(slots=True)
class Heard:
    """What the record of a stream does not keep."""

    error: ServerError | None = None
    """The fatal one."""
    warnings: list[ServerError] = field(default_factory=list)

    def take(self, message: ServerMessage, now_s: float) -> None:
        """Note one message of the gateway."""
        del now_s
        if isinstance(message, ServerError):
            if message.fatal:
                self.error = self.error or message
            elif len(self.warnings) < 10:
                self.warnings.append(message)


async def check(context: Context) -> Finding:
    """Speak, and judge. Leaves `stream_said`, the summary of this stage."""
    if context.found.get("stream_refused") is not None:
        return skipped("stream", "no stream is permitted: see `locked`", "不允许建立语音流，见 locked")
    record, heard = await _speak(context)
    ready = await ready_state(context) if heard.error is not None else None
    finding = judge(
        record,
        heard,
        is_shedding=ready is not None and ready.is_shedding,
        skew_s=context.found.get("gateway_skew_s"),
        max_stream_s=context.found.get("max_stream_s"),
    )
    context.found["stream_said"] = finding.summary
    return finding


async def _speak(context: Context) -> tuple[StreamRecord, Heard]:
    clips = await trio.to_thread.run_sync(load_clips, (SAMPLE,), None)
    audio = Audio()
    track = make_track(clips, (0,), 0.0)
    stages = (scenario.Stage(for_s=1.0, per_s=1.0),)  # asked for by Scenario; the one arrival is now
    call = Call(
        planned=PlannedCall(number=0, at_s=0.0, track=0, behavior=Behavior.TALKER, seed=0, turn_at=0.5),
        track=track,
        frames=frames(track, audio),
        scenario=Scenario(name="doctor", audio=audio, arrivals=stages, phone=_PHONE),
        begins_at_s=trio.current_time(),
        expected_words=SAMPLE_WORDS if knows_the_sample(context.settings) else None,
        keep_text=True,
    )
    heard = Heard()
    record = await place_call(call, dial_target(context), lambda _name, _s: None, observe=heard.take, talk=talk)
    return record, heard


def knows_the_sample(settings: Settings | None) -> bool:
    """Whether the words can be expected: the local recognizer with the language of the recording. Pure."""
    return settings is not None and settings.recognizer is RecognizerKind.LOCAL and "_en" in settings.default_engine


def judge(
    record: StreamRecord,
    heard: Heard,
    *,
    is_shedding: bool = False,
    skew_s: float | None = None,
    max_stream_s: float | None = None,
) -> Finding:
    """The finding for one spoken stream, with what is known beside it. Pure."""
    if record.ending is Ending.COMPLETED:
        issues = [*_about_speed(record), *_about_words(record), *_about_audio(record)]
    elif heard.error is not None:
        error = heard.error
        causes = causes_of(error.code, error.message, is_shedding=is_shedding, skew_s=skew_s)
        issues = [failed(causes, f"{error.code}: {error.message}", f"{error.code}：{error.message}")]
    else:
        problem = record.problem or str(record.ending)
        issues = [failed(_causes_of_ending(record, max_stream_s), problem, problem)]
    issues += [
        warned(causes_of(error.code, error.message), f"{error.code}: {error.message}", f"{error.code}：{error.message}")
        for error in heard.warnings
    ]
    sound = Text(
        f"first words after {_s(record.first_partial_s)}, settled {_s(record.finalization_s)} after the end",
        f"首个结果 {_s(record.first_partial_s)}，说完后 {_s(record.finalization_s)} 定稿",
    )
    return finding_of("stream", issues, sound, _facts(record))


def _facts(record: StreamRecord) -> dict[str, Fact]:
    facts: dict[str, Fact] = {
        "ending": str(record.ending),
        "code": record.slug,
        "close_code": record.close_code,
        "connect_s": _rounded(record.connect_s),
        "upgrade_s": _rounded(record.upgrade_s),
        "welcome_s": _rounded(record.welcome_s),
        "ready_s": _rounded(record.ready_s),
        "first_partial_s": _rounded(record.first_partial_s),
        "finalization_s": _rounded(record.finalization_s),
        "results": record.results,
        "sentences": record.sentences,
        "sent_late_s": _rounded(record.lateness_max_s),
    }
    if record.transcript is not None:
        facts["words_as_expected"] = record.transcript is Transcript.COMPLETE
    if record.audio is not None:
        audio = record.audio
        facts |= {
            "sent_bytes": audio.sent_bytes,
            "received_bytes": audio.received_bytes,
            "relayed_bytes": audio.relayed_bytes,
            "dropped_bytes": audio.dropped_bytes,
        }
    return facts


def _about_speed(record: StreamRecord) -> list[Issue]:
    slow = (
        ("first_words_slow", record.first_partial_s, "first words after", "首个结果"),
        ("finalization_slow", record.finalization_s, "the last words settled after", "定稿用时"),
    )
    issues = []
    for cause, took_s, en, zh in slow:
        if took_s is not None and took_s > TOO_SLOW_S:
            late_here = record.lateness_max_s > LATE_HERE_S
            causes = ("this_machine_late", cause) if late_here else (cause,)
            issues.append(
                warned(
                    causes,
                    f"{en} {_s(took_s)} (at most {TOO_SLOW_S:g} s)",
                    f"{zh} {_s(took_s)}（上限 {TOO_SLOW_S:g} s）",
                )
            )
    return issues


def _about_words(record: StreamRecord) -> list[Issue]:
    if not (record.text or "").strip():
        return [
            warned(
                ("nothing_heard",),
                "the recording is speech, and nothing was recognized",
                "录音里有人说话，但没有识别出任何内容",
            )
        ]
    if record.transcript not in (None, Transcript.COMPLETE):
        missing, extra = record.missing_words, record.extra_words
        return [
            warned(
                ("words_differ",),
                f"the words differ from the recording's: {missing} missing, {extra} too many",
                f"识别内容与录音不符：少 {missing} 个词，多 {extra} 个词",
            )
        ]
    return []


def _about_audio(record: StreamRecord) -> list[Issue]:
    issues = []
    audio = record.audio
    if audio is not None and not audio.sent_bytes == audio.received_bytes == audio.relayed_bytes:
        issues.append(
            warned(
                ("audio_dropped",),
                f"audio: {audio.sent_bytes} bytes sent, {audio.received_bytes} arrived, {audio.relayed_bytes} relayed",
                f"发出音频 {audio.sent_bytes} 字节，到达 {audio.received_bytes}，转发 {audio.relayed_bytes}",
            )
        )
    if record.lost_finals or record.doubled_finals:
        lost, doubled = record.lost_finals, record.doubled_finals
        issues.append(
            warned(
                ("results_lost",),
                f"{lost} sentences were lost on the way, {doubled} came twice",
                f"途中丢失 {lost} 句，重复 {doubled} 句",
            )
        )
    return issues


def _causes_of_ending(record: StreamRecord, max_stream_s: float | None) -> tuple[str, ...]:
    match record.ending:
        case Ending.REFUSED if record.http_status == 503:
            return ("draining", "connections_full")
        case Ending.REFUSED:
            return ("stream_path_not_routed",)
        case Ending.UNREACHABLE:
            return ("stream_unreachable",)
        case Ending.UNANSWERED:
            return ("stream_unanswered",)
        case Ending.CUT_SHORT if max_stream_s is not None and max_stream_s < _SHORTEST_S:
            return ("max_stream_too_short",)
        case Ending.CUT_SHORT:
            return ("draining", "max_stream_too_short")
        case Ending.LOST:
            return ("stream_cut",)
        case _:
            return ("protocol_differs",)


def _s(took_s: float | None) -> str:
    return "–" if took_s is None else f"{took_s:.2f} s"


def _rounded(took_s: float | None) -> float | None:
    return None if took_s is None else round(took_s, 3)


STAGE: Final = Stage(
    name="stream", title=Text("Speech through the stream", "语音流"), check=check, needs=("locked",), limit_s=60.0
)
