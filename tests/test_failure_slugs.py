"""One set of names: the catalogue, the labels of metrics, the fields of log lines, and what the program says.

Read from the source, since no run says all of them.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import pytest

from service.failures import CATALOGUE, Failure, Problem, Slug
from service.stream.outcome import OUTCOME_LABELS, End, Outcome

ROOT = Path(__file__).parents[1]
SOURCES = [
    path
    for path in sorted((ROOT / "service").rglob("*.py"))
    if "localasr" not in path.parts and path.name != "failures.py"
]
"""The gateway without its catalogue, and without the recognizer, which has codes of its own."""

TYPED = {"slug", "end"}
"""Attributes that hold a slug, and nothing that a stranger wrote: the types below say so."""


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def said(tree: ast.AST) -> set[str]:
    """The members of Slug that a program says: those that it only compares with, or matches, do not count."""
    asked: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            # `slug in TABLE` and `slug == Slug.X` alike; what is called inside still counts.
            asked |= {id(side) for side in (node.left, *node.comparators)}
        elif isinstance(node, ast.MatchValue):
            asked.add(id(node.value))
        elif isinstance(node, ast.Dict):
            asked |= {id(key) for key in node.keys}
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Slug" and id(node) not in asked
    }


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call, by the dotted end of what is called: `metrics.streams_ended.labels`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def is_slug(value: ast.expr) -> bool:
    """Whether an expression can only be a member of Slug or End, or its text."""
    match value:
        case ast.Call(func=ast.Name("str"), args=[inner]):
            return is_slug(inner)
        case ast.Attribute(ast.Name("Slug" | "End")):
            return True
        case ast.Attribute(attr=attribute):
            return attribute in TYPED
    return False


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("problem(Slug.INTERNAL, 'x')", {"INTERNAL"}),
        ("slug = Slug.INTERNAL if slug is Slug.BAD_START else Slug.OVERLOADED", {"INTERNAL", "OVERLOADED"}),
        ("{Slug.BAD_START: 'text', 'code': Slug.OVERLOADED}", {"OVERLOADED"}),
        ("match slug:\n    case Slug.INTERNAL:\n        pass", set()),
        ("refused.slug == Slug.INTERNAL", set()),
    ],
)
def test_what_counts_as_said(source: str, expected: set[str]) -> None:
    assert said(ast.parse(source)) == expected


def test_every_failure_is_said_somewhere_and_no_other() -> None:
    everything = set().union(*(said(parsed(path)) for path in SOURCES))
    assert everything == {slug.name for slug in Slug}


def test_the_labels_are_the_catalogue() -> None:
    assert list(CATALOGUE) == list(Slug)
    assert (*End, *CATALOGUE) == OUTCOME_LABELS
    assert not set(End) & {str(slug) for slug in Slug}


def test_the_names_are_names() -> None:
    """For labels, constants of client libraries, and reasons of a close (RFC 6455: 123 bytes)."""
    for slug in Slug:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", slug)
        assert slug.name == slug.upper()
        assert len(slug) <= 40


def test_what_holds_a_slug_can_hold_nothing_else() -> None:
    assert get_type_hints(Failure)["slug"] is Slug
    of_a_problem = vars(Problem)["slug"]
    assert isinstance(of_a_problem, property)
    assert get_type_hints(of_a_problem.fget)["return"] is Slug
    assert get_type_hints(Outcome)["end"] == End | Slug


def of_metrics() -> list[tuple[str, ast.expr]]:
    """What the program gives to metrics as the labels `slug` and `outcome`, with the place."""
    return [
        (f"{path.name}:{call.lineno} {name}", call.args[0])
        for path in SOURCES
        for name, call in calls(parsed(path))
        if re.search(r"\.(messages_rejected|streams_ended|sentences|logins)\.labels$", name)
        if (call.lineno, call.col_offset) not in begun_at_zero(path)
    ]


def begun_at_zero(path: Path) -> list[tuple[int, int]]:
    """The calls in `for name in CATALOGUE: ….labels(name)` and the like: what they are given is the whole list."""
    return [
        (call.lineno, call.col_offset)
        for loop in ast.walk(parsed(path))
        if isinstance(loop, ast.For) and ast.unparse(loop.iter) in ("CATALOGUE", "OUTCOME_LABELS", "LOGIN_OUTCOMES")
        for call in ast.walk(loop)
        if isinstance(call, ast.Call) and ast.unparse(call.args[0]) == ast.unparse(loop.target)
    ]


def of_logs() -> list[tuple[str, ast.expr]]:
    """What the program gives to log lines as the fields `slug` and `outcome`, with the place."""
    return [
        (f"{path.name}:{call.lineno} {keyword.arg}", keyword.value)
        for path in SOURCES
        for name, call in calls(parsed(path))
        if name == "log_event"
        for keyword in call.keywords
        if keyword.arg in ("slug", "outcome")
    ]


def of_reports() -> list[tuple[str, ast.expr]]:
    """What becomes of the `outcome` of an HTTP request's report, which is a label and a field then."""
    tree = parsed(ROOT / "service" / "web" / "recognize.py")
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "outcome" and node.value is not None:
            found.append((f"recognize.py:{node.lineno}", node.value))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = (
                    zip(target.elts, node.value.elts, strict=True)
                    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                    else [(target, node.value)]
                )
                found += [
                    (f"recognize.py:{node.lineno}", value)
                    for name, value in pairs
                    if ast.unparse(name) == "report.outcome"
                ]
    return found


def test_metrics_and_logs_are_given_slugs_and_nothing_else() -> None:
    metrics, logs, reports = of_metrics(), of_logs(), of_reports()
    names = {"messages_rejected", "streams_ended", "sentences", "logins"}
    assert {place.split(".")[-2] for place, _ in metrics} == names
    assert {place.partition(":")[0] for place, _ in logs} >= {"endpoint.py", "recognize.py", "login.py"}
    assert len(reports) >= 5
    # `report.outcome` is as good as what was assigned to it.
    given = [(place, value) for place, value in metrics + logs if "report.outcome" not in ast.unparse(value)]
    assert [(place, ast.unparse(value)) for place, value in given + reports if not is_slug(value)] == []
