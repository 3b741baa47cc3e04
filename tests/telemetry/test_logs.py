"""Log lines: JSON, and nothing of what strangers wrote."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from service.telemetry.logs import JsonFormatter, get_logger, log_event, place, set_up, type_names


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is written while the test runs; the logging of the test run comes back afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("voice")
    before = (root.handlers[:], root.level, ours.level, logging.raiseExceptions, sys.stderr)
    written = io.StringIO()
    sys.stderr = written
    try:
        set_up("INFO")
        yield written
    finally:
        root.handlers[:], level, our_level, logging.raiseExceptions, sys.stderr = before
        root.setLevel(level)
        ours.setLevel(our_level)


def parsed(written: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_event_is_one_json_object(lines: io.StringIO) -> None:
    log_event(
        get_logger("edge"), logging.INFO, "stream_ended", outcome="completed", seconds=1.5, text="你\n好", none=None
    )
    (line,) = parsed(lines)
    time = str(line.pop("time"))
    assert len(time) == len("2025-01-01T00:00:00.000Z")
    assert time.endswith("Z")
    assert line == {
        "level": "INFO",
        "event": "stream_ended",
        "logger": "voice.edge",
        "outcome": "completed",
        "seconds": 1.5,
        "text": "你\n好",
        "none": None,
    }


def test_level_is_a_threshold(lines: io.StringIO) -> None:
    log_event(get_logger("edge"), logging.DEBUG, "quiet")
    assert parsed(lines) == []


@pytest.mark.parametrize(
    "name", ["trio-websocket", "hypercorn.error", "quart.app", "quart.serving", "asyncio", "httpx", "service.web"]
)
def test_text_of_strangers_is_never_rendered(lines: io.StringIO, name: str) -> None:
    logger = logging.getLogger(name)
    logger.info("GET wss://host/?signature=secret")
    try:
        raise ConnectionError("secret")
    except ConnectionError:
        logger.warning("failed at %s", "wss://host/?signature=secret", exc_info=True)
    logger.warning("%d is not %s", "secret")  # wrong arguments must not matter either
    assert "secret" not in lines.getvalue()
    with_error, without = parsed(lines)
    assert with_error["event"] == without["event"] == "third_party"
    assert (with_error["logger"], with_error["level"], with_error["exception"]) == (name, "WARNING", "ConnectionError")


def test_exception_is_type_and_place(lines: io.StringIO) -> None:
    try:
        get_logger("edge").makeRecord(1, 2, 3)  # type: ignore[call-arg, arg-type]
    except TypeError as error:
        log_event(get_logger("edge"), logging.WARNING, "failed", error=error)
    (line,) = parsed(lines)
    assert line["exception"] == "TypeError"
    assert line["at"] is None  # neither the tests nor the library are the service
    assert "argument" not in lines.getvalue()


def test_place_is_the_last_frame_of_ours() -> None:
    from service.settings import Settings
    from service.settings_reader import SettingsError

    with pytest.raises(SettingsError) as raised:
        Settings.from_env({"PORT": "secret"}, local_available=False)
    found = place(raised.value)
    assert found is not None
    assert found.startswith("service/settings_reader.py:")
    assert found.endswith(" finish")


def test_group_names_the_types_of_its_members() -> None:
    inner = ExceptionGroup("secret", [ValueError("secret"), ValueError("secret")])
    assert type_names(ExceptionGroup("secret", [KeyError("secret"), inner])) == "KeyError, ValueError"


def test_field_that_is_no_scalar_is_told_by_its_type() -> None:
    record = logging.makeLogRecord({"name": "voice.x", "msg": "event", "voice_fields": {"field": object()}})
    assert json.loads(JsonFormatter().format(record))["field"] == "object"


def test_set_up_again_replaces(lines: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", lines)
    set_up("WARNING")
    log_event(get_logger("edge"), logging.INFO, "quiet")
    log_event(get_logger("edge"), logging.WARNING, "loud")
    assert [line["event"] for line in parsed(lines)] == ["loud"]
