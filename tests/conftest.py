"""What holds for every test: nothing is logged as an error unless the test says so, in CI nothing is skipped, and every
message that the service sends is as docs/asyncapi.yaml has it."""

import logging
import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support import contract_check
from tests.support.contract_check import Notes
from tests.support.order import places


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


_messages: Counter[str] = Counter()
"""What the service has sent in this session, by type; with xdist of all workers, as they end."""


@pytest.fixture(scope="session", autouse=True)
def contract(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notes]:
    """The check of every message that the service sends, in this process and in gateways that run as its children."""
    with contract_check.checking(tmp_path_factory.mktemp("contract")) as notes:
        yield notes
        _messages.update(notes.seen)


@pytest.fixture(autouse=True)
def _no_broken_contract(contract: Notes) -> Iterator[None]:
    yield
    assert not contract.take_complaints()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Of xdist: what a worker has counted."""
    _messages.update(getattr(node, "workeroutput", {}).get("messages", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how many messages were checked, so that a check that no longer sees them is noticed."""
    counts = ", ".join(f"{name} {count}" for name, count in sorted(_messages.items()))
    terminalreporter.write_line(
        f"{_messages.total()} messages of the service are as docs/asyncapi.yaml has them: {counts}"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deals the files that wait for programs out among the others; the tests of a file stay together."""
    place = places((item.path.parent.name, item.path.name) for item in items)
    items.sort(key=lambda item: place[item.path.parent.name, item.path.name])


NOT_HERE = "not on this machine: "
"""Begins the reason of a skip for what nothing that CI could install would bring."""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything is installed (`.ci/run` sets NO_SKIPS) a test that was skipped has not shown anything."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["messages"] = dict(_messages)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("NO_SKIPS") and reporter is not None:
        skips = [report.longrepr[2] for report in reporter.stats.get("skipped", ())]
        if not all(NOT_HERE in reason for reason in skips):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
