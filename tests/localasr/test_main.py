import json
import logging
import sys

import pytest

from service.localasr.__main__ import JsonFormatter, credentials_from, parse_arguments
from service.localasr.signature import Credentials


def test_the_account_comes_from_the_environment() -> None:
    assert credentials_from({}) == Credentials()
    given = {"LOCALASR_APP_ID": "1", "LOCALASR_SECRET_ID": "i", "LOCALASR_SECRET_KEY": "k", "LOCALASR_TOKEN": "t"}
    assert credentials_from(given) == Credentials("1", "i", "k", "t")
    assert credentials_from({"LOCALASR_TOKEN": ""}).token is None


def test_arguments() -> None:
    options = parse_arguments([])
    assert (options.engine, options.host, options.port, options.capacity) == ("pocketsphinx", "127.0.0.1", 0, None)
    for wrong in (["--capacity", "0"], ["--engine", "other"]):
        with pytest.raises(SystemExit):
            parse_arguments(wrong)


def test_a_log_line_is_json_and_an_error_is_told_without_its_text() -> None:
    record = logging.makeLogRecord({"msg": "stream %s", "args": ("ended",), "levelname": "INFO", "code": 4008})
    assert json.loads(JsonFormatter().format(record)).items() >= {"event": "stream ended", "code": 4008}.items()
    try:
        raise KeyError("secret")
    except KeyError:
        record.exc_info = sys.exc_info()
    line = JsonFormatter().format(record)
    assert "KeyError at test_main.py" in line
    assert "secret" not in line
