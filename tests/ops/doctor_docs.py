"""Writes the tables of docs/doctor*.md from the code: `python -m tests.ops.doctor_docs`. The words around are kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ops.doctor.causes import CATALOGUE
from ops.doctor.command import STAGES
from tests.ops.doctor_faults import NETWORK_FAULTS
from tests.ops.doctor_stream_faults import STREAM_FAULTS

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGES: Final = {"doctor.md": "en", "doctor.zh-CN.md": "zh"}
_NOTE: Final = " (written by `python -m tests.ops.doctor_docs`)"


def page(text: str, language: str) -> str:
    """The page with its tables as they should be. Pure."""
    for name, lines in (("stages", _stages), ("faults", _faults), ("causes", _causes)):
        before, _, rest = text.partition(f"<!-- {name}{_NOTE} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->\n")
        assert end, f"{name} has no place in the page"
        text = f"{before}<!-- {name}{_NOTE} -->\n\n" + "\n".join(lines(language)) + f"\n\n{end}{after}"
    return text


def _stages(language: str) -> Iterator[str]:
    yield "| stage | title | needs |" if language == "en" else "| 检查 | 名称 | 依赖 |"
    yield "| --- | --- | --- |"
    for stage in STAGES:
        needs = ", ".join(f"`{name}`" for name in stage.needs) or "–"
        yield f"| `{stage.name}` | {stage.title.in_language(language)} | {needs} |"


def _faults(language: str) -> Iterator[str]:
    yield "| fault | stage | verdict | first cause |" if language == "en" else "| 故障 | 检查 | 结论 | 首要原因 |"
    yield "| --- | --- | --- | --- |"
    for row in NETWORK_FAULTS:
        yield f"| {row.what.in_language(language)} | `{row.stage}` | {row.verdict} | `{row.cause}` |"
    for planted in STREAM_FAULTS:
        if planted.cause:
            yield f"| {planted.name} | `{planted.stage}` | {planted.verdict} | `{planted.cause}` |"


def _causes(language: str) -> Iterator[str]:
    yield "| cause | what it means | what to do first |" if language == "en" else "| 原因 | 含义 | 首先做什么 |"
    yield "| --- | --- | --- |"
    for slug, cause in CATALOGUE.items():
        first = cause.remedies[0]
        command = f" `{first.command}`" if first.command else ""
        cells = (
            f"`{slug}`",
            f"{cause.title.in_language(language)}: {cause.why.in_language(language)}",
            f"{first.what.in_language(language)}{command}",
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Write the pages."""
    for name, language in PAGES.items():
        path = DOCS / name
        path.write_text(page(path.read_text(encoding="utf-8"), language), encoding="utf-8")


if __name__ == "__main__":
    main()
