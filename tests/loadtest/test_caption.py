"""What a person sees."""

import io

import pytest

from loadtest.caption import Caption, clipped
from loadtest.messages import Result
from loadtest.printing import printable


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


SPOKEN = [
    (Result("go", is_final=False), 0.5),
    (Result("go forward", is_final=False), 1.0),
    (Result("go forward ten meters", is_final=True), 2.9),
]


def drawn(out: io.StringIO, *, verbose: bool = False) -> str:
    caption = Caption(out, verbose=verbose)
    for result, since_s in SPOKEN:
        caption.show(result, since_s)
    caption.finish()
    return out.getvalue()


def test_a_terminal_redraws_the_partial_in_place_and_keeps_the_final() -> None:
    assert drawn(Terminal()) == (
        "\r\x1b[K[  0.5 s] go\r\x1b[K[  1.0 s] go forward\r\x1b[K[  2.9 s] go forward ten meters\n"
    )


def test_an_unfinished_partial_is_taken_off_the_terminal() -> None:
    out = Terminal()
    caption = Caption(out)
    caption.show(Result("go", is_final=False), 0.5)
    caption.finish()
    caption.finish()
    assert out.getvalue() == "\r\x1b[K[  0.5 s] go\r\x1b[K"


def test_elsewhere_a_final_is_a_line_and_partials_only_with_verbose() -> None:
    assert drawn(io.StringIO()) == "[  2.9 s] go forward ten meters\n"
    assert drawn(io.StringIO(), verbose=True) == (
        "[  0.5 s] go ...\n[  1.0 s] go forward ...\n[  2.9 s] go forward ten meters\n"
    )


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("go forward", 10, "go forward"),
        ("go forward", 8, "…forward"),
        ("向前走十米", 10, "向前走十米"),
        ("向前走十米", 9, "…前走十米"),
        ("向前走十米", 8, "…走十米"),
        ("向前走十米", 1, "…"),
    ],
)
def test_a_long_partial_keeps_its_newest_words(text: str, columns: int, expected: str) -> None:
    assert clipped(text, columns) == expected


def test_a_server_cannot_steer_the_terminal() -> None:
    assert printable("go\x1b[2J\r\nforward 十米") == "go [2J  forward 十米"
