"""What the doctor prints: lines for people, and one JSON object for programs. Pure."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from loadtest.printing import printable
from ops.doctor.finding import Cause, Finding, Text, Verdict, exit_code
from ops.doctor.stage import Stage

SCHEMA: Final = 1
"""Of `--json`: raised when a field is renamed or removed, not when one is added."""

_WORDS: Final = {
    Verdict.PASS: Text("pass", "通过"),
    Verdict.WARN: Text("WARN", "警告"),
    Verdict.FAIL: Text("FAIL", "失败"),
    Verdict.SKIP: Text("skip", "跳过"),
}
_COLORS: Final = {Verdict.PASS: "32", Verdict.WARN: "33", Verdict.FAIL: "31", Verdict.SKIP: "2"}
_TITLE_COLUMNS: Final = 26
_URL: Final = re.compile(r"\bURL\b")
_WIDE_FROM: Final = "\u1100"


class Report:
    """Makes the lines of one examination.

    The first cause has all its remedies, the others their first. What was explained already is only named again.
    """

    def __init__(
        self, url: str, stages: Sequence[Stage], catalogue: Mapping[str, Cause], *, language: str, has_color: bool
    ) -> None:
        """`url` is filled in where a command has URL."""
        self._url = url
        self._titles = {stage.name: stage.title for stage in stages}
        self._catalogue = catalogue
        self._language = language
        self._has_color = has_color
        self._explained: set[str] = set()
        self._told: set[str] = set()
        """As second thoughts, in short."""

    def lines(self, finding: Finding) -> Iterator[str]:
        """The line of a stage, and below it what to do where something is wrong."""
        word = self._colored(finding.verdict, self._text(_WORDS[finding.verdict]))
        title = _padded(self._text(self._titles[finding.stage]), _TITLE_COLUMNS)
        took = "       " if finding.verdict is Verdict.SKIP else f"{finding.took_s:5.2f} s"
        yield f"{word}  {title} {took}  {self._text(finding.summary)}"
        if finding.verdict in (Verdict.WARN, Verdict.FAIL):
            for place, slug in enumerate(finding.causes):
                yield from self._explain(slug, is_first=place == 0)

    def totals(self, findings: Iterable[Finding]) -> str:
        """The last line."""
        counts = dict.fromkeys(Verdict, 0)
        for finding in findings:
            counts[finding.verdict] += 1
        numbers = [
            (counts[Verdict.PASS], Text("passed", "通过")),
            (counts[Verdict.WARN], Text("to look at", "警告")),
            (counts[Verdict.FAIL], Text("failed", "失败")),
            (counts[Verdict.SKIP], Text("skipped", "跳过")),
        ]
        if self._language == "zh":
            return "，".join(f"{number} 项{self._text(what)}" for number, what in numbers)
        return ", ".join(f"{number} {self._text(what)}" for number, what in numbers)

    def _explain(self, slug: str, *, is_first: bool) -> Iterator[str]:
        cause = self._catalogue[slug]
        lead = Text("cause: ", "原因：") if is_first else Text("or:    ", "或者：")
        is_known = slug in self._explained or (not is_first and slug in self._told)
        again = Text(" (explained above)", "（见上文）") if is_known else Text("", "")
        yield f"        {self._text(lead)}{self._text(cause.title)} [{slug}]{self._text(again)}"
        if is_known:
            return
        (self._explained if is_first else self._told).add(slug)
        yield f"          {self._text(cause.why)}"
        for remedy in cause.remedies if is_first else cause.remedies[:1]:
            yield f"          - {self._text(remedy.what)}"
            if remedy.command:
                yield f"              {printable(_URL.sub(lambda _: self._url, remedy.command))}"

    def _text(self, text: Text) -> str:
        # Summaries hold what a server sent: it must not steer the terminal.
        return printable(text.in_language(self._language))

    def _colored(self, verdict: Verdict, word: str) -> str:
        return f"\x1b[{_COLORS[verdict]}m{word}\x1b[0m" if self._has_color else word


def as_json(
    url: str, findings: Sequence[Finding], stages: Sequence[Stage], catalogue: Mapping[str, Cause], language: str
) -> str:
    """The whole examination; the schema is in docs/doctor.md."""
    titles = {stage.name: stage.title for stage in stages}
    counts = {str(verdict): sum(finding.verdict is verdict for finding in findings) for verdict in Verdict}
    slugs = dict.fromkeys(slug for finding in findings for slug in finding.causes)
    document = {
        "schema": SCHEMA,
        "url": url,
        "language": language,
        "exitCode": exit_code(findings),
        "counts": counts,
        "stages": [
            {
                "stage": finding.stage,
                "title": titles[finding.stage].in_language(language),
                "verdict": str(finding.verdict),
                "tookMs": round(finding.took_s * 1000, 1),
                "summary": finding.summary.in_language(language),
                "causes": list(finding.causes),
                "facts": finding.facts,
            }
            for finding in findings
        ],
        "causes": {slug: _cause_as_json(catalogue[slug], language) for slug in slugs},
    }
    return json.dumps(document, ensure_ascii=language != "zh", indent=2)


def _cause_as_json(cause: Cause, language: str) -> dict[str, object]:
    return {
        "title": cause.title.in_language(language),
        "why": cause.why.in_language(language),
        "remedies": [
            {"what": remedy.what.in_language(language), "command": remedy.command} for remedy in cause.remedies
        ],
    }


def _padded(text: str, columns: int) -> str:
    """The text with spaces behind it; Chinese characters are two columns wide."""
    width = sum(2 if character >= _WIDE_FROM else 1 for character in text)
    return text + " " * max(0, columns - width)
