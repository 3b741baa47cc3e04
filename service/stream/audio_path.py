"""From the client's bytes to the uplink: understood, watched for stereo, and kept for the recognizer. Pure.

After the first seconds nothing has to be looked at any more: what comes is audio as it is.
"""

import dataclasses

from service.failures import Problem, StreamFailed
from service.stream.audio import AnyUplink
from service.stream.intake import Intake
from service.stream.stereo import StereoWatch
from service.stream.stream_settings import MP3, StreamSettings
from service.stream.uplink_mp3 import uplink_for


def check(refused: Problem | None) -> None:
    """Raises StreamFailed for a problem."""
    if refused is not None:
        raise StreamFailed(refused)


class AudioPath:
    """The way of one stream's audio. After a problem, feed nothing more. Times are seconds of any monotonic clock."""

    def __init__(self, settings: StreamSettings, packet_ms: int, replay_s: float, now: float) -> None:
        self.settings = settings
        """As announced; with the format that the bytes have shown."""
        self._packet_ms = packet_ms
        self._replay_s = replay_s
        self._intake = Intake(settings.voice_format, settings.sample_rate)
        self._stereo = StereoWatch()
        self.is_plain = False
        """Whether neither the intake nor the watch has anything more to look for."""
        self.uplink: AnyUplink = uplink_for(settings, packet_ms, replay_s, now)
        self.stereo_is_suspected = False
        """Set once at most; whoever tells the client resets it."""

    def feed(self, data: bytes, now: float) -> Problem | None:
        """Take what came from the client, or say why it cannot be."""
        if self.is_plain or self.uplink.stopped:
            return self.uplink.feed(data, now)
        audio = self._intake.feed(data)
        refused = self._take(audio, now)
        if isinstance(audio, bytes) and not self.settings.is_mp3 and self._stereo.take(audio):
            self.stereo_is_suspected = True
        self.is_plain = self._intake.is_done and (self.settings.is_mp3 or self._stereo.is_done)
        return refused

    def finalize(self, id: int | str | None, now: float) -> Problem | None:
        """Ask that everything so far be settled."""
        refused = self._take(self._intake.flush(ending=False), now)
        self.uplink.mark(id=id)
        return refused

    def stop(self, now: float) -> Problem | None:
        """Ask that everything be settled: no more audio is taken."""
        refused = self._take(self._intake.flush(ending=True), now)
        self.uplink.mark(stop=True)
        return refused

    def _take(self, audio: bytes | Problem, now: float) -> Problem | None:
        if isinstance(audio, Problem):
            return audio
        if self._intake.voice_format == MP3 and not self.settings.is_mp3:
            # The bytes show what the announcement left open; the uplink for PCM was not given any audio yet.
            self.settings = dataclasses.replace(self.settings, voice_format=MP3)
            self.uplink = uplink_for(self.settings, self._packet_ms, self._replay_s, now, instead_of=self.uplink)
        return self.uplink.feed(audio, now)
