"""What holds for every test: nothing is logged as an error unless the test says so, and in CI nothing is skipped."""

import logging
import os
from collections.abc import Iterator

import pytest


class _ErrorRecords(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def expected_errors() -> list[logging.LogRecord]:
    """The ERROR records of a test that provokes some: it must leave the list empty, by asserting and clearing it."""
    return []


@pytest.fixture(autouse=True)
def _no_unexpected_errors(expected_errors: list[logging.LogRecord]) -> Iterator[None]:
    handler = _ErrorRecords()
    handler.records = expected_errors
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
    assert not expected_errors, [
        (record.name, record.msg, getattr(record, "voice_fields", None)) for record in expected_errors
    ]


NOT_HERE = "not on this machine: "
"""Begins the reason of a skip for what nothing that CI could install would bring."""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything is installed (`.ci/run` sets NO_SKIPS) a test that was skipped has not shown anything."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("NO_SKIPS") and reporter is not None:
        skips = [report.longrepr[2] for report in reporter.stats.get("skipped", ())]
        if not all(NOT_HERE in reason for reason in skips):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
