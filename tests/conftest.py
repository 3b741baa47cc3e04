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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything is installed (`.ci/run` sets NO_SKIPS) a test that was skipped has not shown anything."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("NO_SKIPS") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
