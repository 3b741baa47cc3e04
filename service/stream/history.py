"""What the history keeps of a stream. Pure."""

from dataclasses import dataclass

from service.settings import Settings
from service.store.records import SENTENCE, Sentence, StreamRecord, owner_of
from service.stream.outcome import End, Outcome
from service.stream.protocol import AudioAccount
from service.stream.stream_settings import StreamSettings
from service.stream.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Ended:
    """A stream that has ended; its times are Unix seconds."""

    stream_id: str
    user_id: str
    began_at_s: float
    ended_at_s: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Heard:
    """What was recognized of an upload."""

    text: str
    audio_ms: int
    uploaded_bytes: int


def record_of_upload(
    upload_id: str, user_id: str, began_at_s: float, ended_at_s: float, engine: str, heard: Heard, service: Settings
) -> StreamRecord:
    """The record of an upload that was recognized: one sentence, or none where nothing was said."""
    said = (Sentence(0, heard.text, 0, heard.audio_ms),) if heard.text else ()
    return StreamRecord(
        id=upload_id,
        user_id=owner_of(user_id),
        started_at_ms=round(began_at_s * 1000),
        ended_at_ms=round(ended_at_s * 1000),
        outcome=str(End.COMPLETED),
        engine=engine,
        kind=SENTENCE,
        sentence_count=len(said),
        audio_ms=heard.audio_ms,
        audio_bytes=heard.uploaded_bytes,
        sentences=said if service.keep_transcripts else (),
    )


def record_of_stream(
    ended: Ended, settings: StreamSettings, account: AudioAccount, transcript: Transcript, service: Settings
) -> StreamRecord:
    """The record of a stream, without its words where `KEEP_TRANSCRIPTS=off` says so."""
    return StreamRecord(
        id=ended.stream_id,
        user_id=owner_of(ended.user_id),
        started_at_ms=round(ended.began_at_s * 1000),
        ended_at_ms=round(ended.ended_at_s * 1000),
        outcome=str(ended.outcome.end),
        engine=settings.engine_type,
        resumed_from=settings.resumed_from,
        first_index=0 if settings.resume is None else settings.resume.sentences,
        sentence_count=len(transcript.finals),
        audio_ms=account.received_ms,
        audio_bytes=account.received_bytes,
        sentences=tuple(transcript.finals) if service.keep_transcripts else (),
    )
