"""What a stage found wrong, and the finding that follows. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from ops.doctor.finding import Fact, Finding, Text, Verdict


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong."""

    verdict: Verdict
    causes: tuple[str, ...]
    """Slugs, the likeliest first."""
    text: Text
    """What was seen, in a few words."""


def failed(causes: tuple[str, ...], en: str, zh: str) -> Issue:
    """Something that does not work."""
    return Issue(Verdict.FAIL, causes, Text(en, zh))


def warned(causes: tuple[str, ...], en: str, zh: str) -> Issue:
    """Something that works, and should be looked at."""
    return Issue(Verdict.WARN, causes, Text(en, zh))


def skipped(stage: str, en: str, zh: str) -> Finding:
    """A stage that cannot be judged, or does not apply."""
    return Finding(stage=stage, verdict=Verdict.SKIP, summary=Text(en, zh))


def finding_of(stage: str, issues: Iterable[Issue], sound: Text, facts: dict[str, Fact]) -> Finding:
    """The finding of a stage: failures before warnings, each cause once; `sound` is said where there are none."""
    found = sorted(issues, key=lambda issue: issue.verdict is not Verdict.FAIL)
    if not found:
        return Finding(stage=stage, verdict=Verdict.PASS, summary=sound, facts=facts)
    return Finding(
        stage=stage,
        verdict=found[0].verdict,
        summary=Text("; ".join(issue.text.en for issue in found), "；".join(issue.text.zh for issue in found)),
        causes=tuple(dict.fromkeys(cause for issue in found for cause in issue.causes)),
        facts=facts,
    )
