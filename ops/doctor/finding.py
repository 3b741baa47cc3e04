"""What the doctor says: a finding for each stage, with causes from one catalogue. Pure."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

Fact = str | int | float | bool | None

EXIT_FAILED: Final = 1


class Verdict(enum.StrEnum):
    """What a stage came to."""

    PASS = "pass"  # noqa: S105 - not a password
    WARN = "warn"
    """It works, and somebody should look at it."""
    FAIL = "fail"
    SKIP = "skip"
    """It could not be judged, or does not apply; `summary` says why."""


@dataclass(frozen=True, slots=True)
class Text:
    """The same sentence in the languages that the tools speak."""

    en: str
    zh: str

    def in_language(self, language: str) -> str:
        """`language` is "en" or "zh"."""
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True, slots=True)
class Remedy:
    """One thing to do."""

    what: Text
    command: str | None = None
    """As it is typed, with UPPER_CASE for what the operator has to fill in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A thing that can be wrong. `slug` names it in `--json` and in the docs."""

    slug: str
    title: Text
    why: Text
    remedies: tuple[Remedy, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one stage."""

    stage: str
    verdict: Verdict
    summary: Text
    """One line: what was seen."""
    causes: tuple[str, ...] = ()
    """Slugs of the catalogue, the likeliest first; not empty where the verdict is WARN or FAIL."""
    facts: dict[str, Fact] = field(default_factory=dict)
    """What was measured, names with units. Never a secret, a token or a transcript."""
    took_s: float = 0.0
    """Filled in by the runner."""


def exit_code(findings: Iterable[Finding]) -> int:
    """0 unless a stage failed."""
    return EXIT_FAILED if any(finding.verdict is Verdict.FAIL for finding in findings) else 0
