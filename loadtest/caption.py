"""What a person sees: the caption while it grows, and the summary after it."""

import json
import shutil
import unicodedata
from dataclasses import asdict
from typing import Any, TextIO

import msgspec

from loadtest.messages import Result
from loadtest.printing import printable
from loadtest.spoken import Outcome, Report, describe

_CLEAR_LINE = "\r\x1b[K"


class Caption:
    """Shows results as they come.

    On a terminal the sentence that is being spoken is redrawn in place, and a settled one keeps its line. Elsewhere a
    settled sentence is a line, and with `verbose` so is every change before it.
    """

    def __init__(self, out: TextIO, *, verbose: bool = False) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._verbose = verbose
        self._drawn = False

    def show(self, result: Result, since_s: float) -> None:
        """Show one result that came `since_s` seconds after the first byte of audio."""
        line = f"[{since_s:5.1f} s] {printable(result.text)}"
        if result.is_final:
            self.finish()
            print(line, file=self._out, flush=True)
        elif self._terminal:
            columns = shutil.get_terminal_size().columns
            print(_CLEAR_LINE + clipped(line, columns - 1), end="", file=self._out, flush=True)
            self._drawn = True
        elif self._verbose:
            print(f"{line} ...", file=self._out, flush=True)

    def finish(self) -> None:
        """Take an unfinished sentence off the terminal, so that whole lines can follow."""
        if self._drawn:
            print(_CLEAR_LINE, end="", file=self._out, flush=True)
            self._drawn = False


def clipped(text: str, columns: int) -> str:
    """The end of a text that is too long for so many terminal columns: the newest words are the ones to see."""
    if sum(map(_width, text)) <= columns:
        return text
    kept, left = [], columns - 1  # one for the mark of the cut
    for character in reversed(text):
        left -= _width(character)
        if left < 0:
            break
        kept.append(character)
    return "…" + "".join(reversed(kept))


def _width(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def summary(report: Report) -> list[str]:
    """The timing summary, a line for each figure that there is."""
    lines = [
        _row("connect", report.connect_s, "TCP, TLS and upgrade"),
        _row("welcome", report.welcome_s, "after the upgrade"),
        _row("ready", report.ready_s, "after start"),
        _row("first partial", report.first_partial_s, _first_partial_note(report)),
        *(
            _row("finalize", settled.after_s, f"{settled.id}: {settled.audio_ms} ms of audio settled")
            for settled in report.settled
        ),
        _row("finalization", report.finalization_s, "from the end of the audio to stopped"),
        f"{'results':<14} {report.results:>6}     in {report.sentences} sentence(s)",
    ]
    lines += [_row("away", away_s, "until another stream went on") for away_s in report.away_s]
    if report.audio is not None:
        audio = report.audio
        lines.append(
            f"{'audio':<14} {audio.received_ms:>6} ms  received, {audio.relayed_ms} relayed, "
            f"{audio.recognized_ms} recognized, {audio.dropped_ms} dropped ({audio.received_bytes} bytes received, "
            f"{audio.relayed_bytes} relayed, {audio.dropped_bytes} dropped)"
        )
    if report.latest_frame_s > 0.1:  # a tenth of a second spoils the figures above
        lines.append(_row("late frames", report.latest_frame_s, "the latest one: this machine could not keep pace"))
    lines += [f"{'warning':<14} {printable(describe(warning))}" for warning in report.warnings]
    return lines


def _row(name: str, value_s: float | None, note: str) -> str:
    return f"{name:<14} {'-':>6}" if value_s is None else f"{name:<14} {value_s * 1000:>6.0f} ms  {note}"


def _first_partial_note(report: Report) -> str:
    when = "before" if report.first_partial_before_end else "after"
    return f"after the audio began, {when} it ended"


def as_json(report: Report) -> str:
    """The whole report as one line of JSON; names end in their unit."""
    fields: dict[str, Any] = asdict(report)
    for name in ("error", "audio"):
        if fields[name] is not None:
            fields[name] = msgspec.structs.asdict(fields[name])
    fields["warnings"] = [msgspec.structs.asdict(warning) for warning in report.warnings]
    return json.dumps(fields, ensure_ascii=False)


def failure_line(report: Report) -> str | None:
    """One line that says what went wrong, or None when nothing did."""
    if report.outcome is Outcome.OK:
        return None
    if report.outcome is Outcome.CANCELED:
        return "canceled"
    closed = f"; closed with {report.close_code}" if report.error is not None and report.close_code else ""
    return printable(f"{report.problem}{closed}")
