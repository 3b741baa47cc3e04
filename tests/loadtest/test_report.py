"""The report as HTML: whole, self-contained, escaped, and with everything that the summary says."""

import base64
import hashlib
import json
import re
import shlex
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from loadtest.report import render
from loadtest.summary import Summary, Verdict
from tests.loadtest.imaginary_run import Run
from tests.loadtest.report_examples import EXAMPLES, HOSTILE, knee_run, met_run, missed_run, unreachable_run

VOID = {"meta", "link", "br", "hr", "col"}
RAW = {"script", "style"}


class Document(HTMLParser):
    """What a page holds. Every element has to be closed where it was opened."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.raw: list[tuple[dict[str, str | None], str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        assert len(attributes) == len(attrs), f"doubled attribute in <{tag}>"
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in RAW:
            self.raw.append((self.elements[-1][1], data))
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def data(self) -> Any:
        [found] = [text for attributes, text in self.raw if attributes.get("id") == "report-data"]
        return json.loads(found)


@pytest.fixture(scope="module")
def summaries() -> dict[str, Summary]:
    return {name: example() for name, example in EXAMPLES.items()}


@pytest.fixture(scope="module")
def pages(summaries: dict[str, Summary]) -> dict[str, str]:
    return {name: render(summary) for name, summary in summaries.items()}


@pytest.fixture(params=EXAMPLES)
def page(request: pytest.FixtureRequest, pages: dict[str, str]) -> str:
    return pages[request.param]


def test_every_element_is_closed(page: str) -> None:
    document = Document(page)
    assert document.open == []
    assert len(document.all("h1")) == 1


def test_identifiers_are_unique_and_links_lead_somewhere(page: str) -> None:
    document = Document(page)
    identifiers = [str(attributes["id"]) for _, attributes in document.elements if "id" in attributes]
    assert all(re.fullmatch("[A-Za-z0-9_-]+", identifier) for identifier in identifiers)
    assert len(identifiers) == len(set(identifiers))
    targets = [attributes["href"] for name in ("a", "use") for attributes in document.all(name)]
    assert targets
    for target in targets:
        assert target is not None
        assert target.startswith("#")
        assert target[1:] in identifiers


def test_nothing_comes_from_outside(page: str) -> None:
    document = Document(page)
    for name, attributes in document.elements:
        assert name not in {"img", "iframe", "object", "embed", "audio", "video", "base", "form"}
        assert "src" not in attributes
        assert "style" not in attributes, "the policy forbids style attributes"
        assert not [key for key in attributes if key.startswith("on")]
        if name == "link":
            assert str(attributes["href"]).startswith("data:image/svg+xml,")
    style = "".join(text for attributes, text in document.raw if not attributes)
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_allows_just_the_style_and_the_script_of_the_page(page: str) -> None:
    document = Document(page)
    [policy] = [str(a["content"]) for a in document.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["base-uri"] == directives["form-action"] == "'none'"
    assert "unsafe" not in policy
    inline = [text for attributes, text in document.raw if attributes.get("id") != "report-data"]
    hashes = ["'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'" for text in inline]
    assert [directives["style-src"], directives["script-src"]] == hashes


def test_it_can_be_written_as_utf_8_and_is_small(page: str) -> None:
    assert len(page.encode("utf-8")) < 2_000_000


def test_what_the_verdict_and_every_objective_say_is_there(
    summaries: dict[str, Summary], pages: dict[str, str]
) -> None:
    for name, summary in summaries.items():
        text = Document(pages[name]).text
        for reason in summary.reasons:
            assert reason[:20] in text
        for objective in summary.objectives:
            assert objective.text.split(" <")[0].split(" >")[0][:20] in text
            assert objective.actual[:20] in text


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Verdict.MET, "All 4 objectives held"),
        (Verdict.MISSED, "Objectives missed"),
        (Verdict.INVALID, "Do not quote latencies from this run"),
        (Verdict.UNREACHABLE, "The service was not reached"),
        (Verdict.INTERRUPTED, "ended before its plan was over"),
    ],
)
def test_the_verdict_comes_first_with_what_to_do(verdict: Verdict, words: str) -> None:
    summary = met_run()
    summary.verdict = verdict
    page = render(summary)
    assert words in Document(page).text
    assert page.index('id="verdict"') < page.index('id="objectives"') < page.index('id="key-figures"')


def test_an_invalid_run_calls_no_objective_met() -> None:
    summary = met_run()
    summary.verdict = Verdict.INVALID
    text = Document(render(summary)).text
    assert text.count("not valid") == len(summary.objectives)


def test_without_objectives_it_says_so() -> None:
    summary = met_run()
    summary.objectives = ()
    text = Document(render(summary)).text
    assert "Every stream ended well" in text
    assert "No objective was set" in text


def test_without_samples_no_chart_is_drawn() -> None:
    document = Document(render(unreachable_run()))
    assert document.data()["charts"] == {}
    assert [a for _, a in document.elements if a.get("class") == "plot"] == []
    assert document.text.count("no samples") == 9


def test_the_least_summary_of_every_verdict_renders() -> None:
    for verdict in Verdict:
        summary = unreachable_run()
        summary.verdict, summary.objectives, summary.reasons = verdict, (), ()
        assert Document(render(summary)).open == []


def test_one_stream_is_enough() -> None:
    run = Run(seed=1, duration_s=30, per_s=1)
    del run.streams[1:]
    document = Document(render(run.summary(Verdict.MET)))
    assert len(document.data()["timelines"]["streams"]) == 1


def test_hostile_text_stays_text(pages: dict[str, str]) -> None:
    page = pages["hostile"]
    document = Document(page)
    assert len(document.all("script")) == 2
    assert "alert(1)" in document.text
    assert document.text.count("<script>alert(1)") > 20
    assert page.count("</script") == 2
    for character in HOSTILE:
        if character in "\x00\ud800":
            assert character not in page
    facts = dict(document.data()["timelines"]["streams"][0]["facts"])
    assert "</script><script>alert(1)</script>" in facts["why"]
    [data] = [text for attributes, text in document.raw if attributes.get("id") == "report-data"]
    assert not re.search("[<>&\u2028\u2029]", data)


def test_what_people_said_is_not_in_it(pages: dict[str, str]) -> None:
    assert "in confidence" not in pages["hostile"]


def test_the_data_of_charts_fits_what_is_drawn(pages: dict[str, str]) -> None:
    for page in pages.values():
        document = Document(page)
        drawn = {a["data-chart"] for _, a in document.elements if "data-chart" in a}
        data = document.data()["charts"]
        assert drawn == set(data)
        for chart in data.values():
            assert len(chart["at"]) == len(chart["x"])
            assert all(0 <= x <= 100 for x in chart["x"])
            for series in chart["series"]:
                assert len(series["y"]) == len(series["text"]) == len(chart["x"])
                assert all(y is None or 0 <= y <= chart["height"] for y in series["y"])


def test_charts_have_a_title_and_tables_a_caption(page: str) -> None:
    document = Document(page)
    assert len(document.all("caption")) == len(document.all("table"))
    drawings = [a for a in document.all("svg") if a.get("role") == "img"]
    assert len(document.all("title")) >= 1 + len(drawings)
    for _, attributes in document.elements:
        if attributes.get("class") in ("plot", "timelines"):
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]


def test_a_stream_that_never_got_its_words_is_drawn_as_never(pages: dict[str, str]) -> None:
    assert 'class="never"' in pages["missed"]
    assert 'class="never"' not in pages["met"]


def test_events_are_numbered_in_the_charts_and_in_their_table() -> None:
    page = render(missed_run())
    assert "Event 1 at 4:50: systemctl restart voice-gateway" in page
    text = Document(page).text
    assert "gave up after 60 s" in text
    assert "not finished" in text


def test_the_knee_is_shown_with_what_it_depends_on() -> None:
    text = Document(render(knee_run())).text
    for words in ("Maximum effective streams", "280", "finalization p99 <= 800ms", "1.41 s", "Xeon", "Seed"):
        assert words in text
    assert "Maximum effective streams" not in Document(render(met_run())).text


def test_the_command_runs_the_same_plan_again() -> None:
    summary = knee_run()
    summary.url = "ws://host/it's here"
    summary.shard = (1, 4)
    lines = [line for line in Document(render(summary)).text.splitlines() if "-m loadtest run" in line]
    command = re.search(r"python -m loadtest run.*--find-knee", lines[0])
    assert command is not None
    words = shlex.split(command[0])
    assert words[words.index("--url") + 1] == "ws://host/it's here"
    assert words[words.index("--seed") + 1] == "7"
    assert words[words.index("--shard") + 1] == "1/4"


def test_a_summary_that_was_read_from_json_gives_the_same_report() -> None:
    summary = missed_run()
    again = msgspec.json.decode(msgspec.json.encode(summary), type=Summary)
    assert render(again) == render(summary)
