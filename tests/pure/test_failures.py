"""The failure catalogue: every row. tests/ops/test_failures_doc.py has its pages."""

import dataclasses
import re

import pytest

from service.failures import CATALOGUE, NORMAL_CLOSE, Blame, Failure, Problem, Slug, StreamFailed, problem
from service.stream.inbox import MAX_BAD_MESSAGES

C, O, R, S = Blame.CLIENT, Blame.OPERATOR, Blame.RECOGNIZER, Blame.SERVICE  # noqa: E741

# slug: (blame, HTTP status, fatal, retryable, close code)
EXPECTED = {
    "bad_message": (C, 400, False, False, 4400),
    "not_started": (C, 409, False, False, 4409),
    "already_started": (C, 409, False, False, 4409),
    "bad_start": (C, 400, True, False, 4400),
    "engine_not_supported": (C, 400, True, False, 4400),
    "unsupported_audio": (C, 415, True, False, 4415),
    "stereo_suspected": (C, 415, False, False, 4415),
    "unauthenticated": (C, 401, True, False, 4401),
    "token_expired": (C, 401, True, False, 4401),
    "forbidden": (C, 403, True, False, 4403),
    "too_many_streams": (C, 429, True, True, 4429),
    "too_many_new_streams": (C, 429, True, True, 4429),
    "quota_exceeded": (C, 429, True, True, 4429),
    "start_timeout": (C, 408, True, True, 4408),
    "idle_timeout": (C, 408, True, True, 4408),
    "client_too_slow": (C, 408, True, True, 4408),
    "message_too_big": (C, 413, True, False, 1009),
    "not_configured": (O, 501, True, False, 4501),
    "recognizer_rejected": (O, 502, True, False, 4502),
    "recognizer_unavailable": (R, 503, True, True, 4503),
    "recognizer_timeout": (R, 504, True, True, 4504),
    "recognizer_busy": (O, 503, True, True, 4503),
    "overloaded": (O, 503, True, True, 4503),
    "restarting": (O, 503, True, True, 1012),
    "bad_request": (C, 400, True, False, 4400),
    "audio_too_long": (C, 413, True, False, 4413),
    "too_many_requests": (O, 429, True, True, 4429),
    "audio_lost": (R, 503, False, False, 4503),
    "not_found": (C, 404, True, False, 4404),
    "login_refused": (C, 401, True, False, 4401),
    "login_rejected": (O, 502, True, False, 4502),
    "login_unavailable": (O, 503, True, True, 4503),
    "history_unavailable": (O, 503, True, True, 4503),
    "internal": (S, 500, True, True, 1011),
}


def test_a_close_without_a_failure_is_the_rfcs_normal_one() -> None:
    assert NORMAL_CLOSE == 1000


def test_the_catalogue_is_the_enum() -> None:
    assert list(CATALOGUE) == list(Slug)
    assert all(row.slug is slug for slug, row in CATALOGUE.items())


def test_every_row() -> None:
    rows = {
        str(slug): (row.blame, row.http_status, row.fatal, row.retryable, row.close_code)
        for slug, row in CATALOGUE.items()
    }
    assert rows == EXPECTED


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=list(CATALOGUE))
def test_each_row_says_when_in_a_sentence(row: Failure) -> None:
    assert re.fullmatch(r"[A-Z`].{10,}\.", row.when)


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=list(CATALOGUE))
def test_each_row_says_what_to_do_in_a_sentence(row: Failure) -> None:
    assert re.fullmatch(r"[A-Z].{5,}\.", row.remedy)


def test_only_bad_messages_add_up() -> None:
    """The stream's reader counts them; the page says how many there may be."""
    assert {slug: row.fatal_at for slug, row in CATALOGUE.items() if row.fatal_at is not None} == {
        Slug.BAD_MESSAGE: MAX_BAD_MESSAGES
    }


def test_a_problem_may_name_a_stretch_of_audio() -> None:
    occurred = dataclasses.replace(problem(Slug.AUDIO_LOST, "Lost."), from_ms=0, to_ms=1200)
    assert (occurred.from_ms, occurred.to_ms, occurred.fatal) == (0, 1200, False)
    assert (problem(Slug.AUDIO_LOST, "x").from_ms, problem(Slug.AUDIO_LOST, "x").to_ms) == (None, None)


def test_a_problem_is_an_occurrence_of_its_row() -> None:
    occurred = problem(Slug.RECOGNIZER_BUSY, "No place.", retry_after_ms=1200, recognizer_code=4006)
    assert occurred == Problem(CATALOGUE[Slug.RECOGNIZER_BUSY], "No place.", 1200, 4006, fatal_now=False)
    assert (occurred.slug, occurred.fatal) == (Slug.RECOGNIZER_BUSY, True)
    assert problem(Slug.INTERNAL, "x") == Problem(CATALOGUE[Slug.INTERNAL], "x", None, None)


def test_the_last_of_too_many_is_fatal() -> None:
    row = CATALOGUE[Slug.BAD_MESSAGE]
    assert (Problem(row, "x").fatal, Problem(row, "x", fatal_now=True).fatal) == (False, True)


def test_a_failed_stream_holds_its_problem_and_shows_only_the_slug() -> None:
    occurred = problem(Slug.BAD_START, "sampleRate 5: expected 16000 or 8000.")
    error = StreamFailed(occurred)
    assert error.problem is occurred
    assert str(error) == "bad_start"
