"""HTML and SVG that cannot be broken by what is put into them. Pure.

`element` escapes every child and attribute that is not `Html` already, so a string that came over the network can be
put anywhere without a thought.
"""

import html
import json
import re
from collections.abc import Iterable
from typing import Any, Final


class Html(str):
    """Markup that is safe to put into a page as it is."""

    __slots__ = ()


Child = Html | str | int | float | None | Iterable["Child"]
Attribute = str | int | float | bool | None

_VOID: Final = frozenset({"meta", "link", "br", "hr", "col"})
# What no HTML parser takes as text, and what cannot be written as UTF-8: controls and lone surrogates.
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_NOT_IN_SCRIPTS: Final = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def printable(text: str) -> str:
    """The text with what no page can hold replaced by U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def escape(text: str) -> Html:
    """The text as HTML, for contents and for attributes in double quotes."""
    return Html(html.escape(printable(text)))


def number(value: float) -> str:
    """A coordinate, with as few digits as a screen can show."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = value if isinstance(value, str) else number(value)
    return f' {name}="{escape(text)}"'


def join(*children: Child) -> Html:
    """The children one after the other."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(escape(child))
        elif isinstance(child, (int, float)):
            parts.append(number(child))
        else:
            parts.append(join(*child))
    return Html("".join(parts))


def element(name: str, /, *children: Child, **attributes: Attribute) -> Html:
    """`<name attributes>children</name>`.

    Attributes that are Python's words take an underscore at their end (`class_`), inner underscores become hyphens;
    None and False leave an attribute out, True gives it no value.
    """
    opened = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{opened}>")
    return Html(f"<{name}{opened}>{join(*children)}</{name}>")


def json_script(identifier: str, data: Any) -> Html:
    """Data for the page's script, in a block that no text inside can end."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = printable(text).translate(_NOT_IN_SCRIPTS)
    return Html(f'<script type="application/json" id="{escape(identifier)}">{text}</script>')


def table(
    caption: str,
    head: Iterable[str],
    rows: Iterable[Iterable[Child]],
    *,
    numbers: Iterable[int] = (),
    class_: str | None = None,
) -> Html:
    """A table with a caption; the first cell of a row is its heading, the columns `numbers` are aligned as numbers."""
    aligned = frozenset(numbers)

    def cell(kind: str, column: int, child: Child, scope: str | None) -> Html:
        return element(kind, child, scope=scope, class_="number" if column in aligned else None)

    headings = element("tr", [cell("th", i, text, "col") for i, text in enumerate(head)])
    body = [
        element("tr", [cell("td" if i else "th", i, child, None if i else "row") for i, child in enumerate(row)])
        for row in rows
    ]
    whole = element(
        "table", element("caption", caption), element("thead", headings), element("tbody", body), class_=class_
    )
    # A table may be wider than a phone; the page must not be. What can be scrolled must be reachable by keyboard.
    return element("div", whole, class_="scrolls", tabindex=0, role="region", aria_label=caption)
