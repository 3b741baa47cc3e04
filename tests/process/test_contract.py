"""What a gateway says that runs as a process of its own is held against docs/asyncapi.yaml, too."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.support import contract_check
from tests.support.contract_check import Notes
from tests.support.processes import ACCOUNT_SETTINGS, ROOT, gateway, scripted_recognizer
from tests.support.stream_world import words
from tests.support.wire_phone import connected


async def test_every_message_of_a_child_is_checked(contract: Notes) -> None:
    """This process sends nothing, so all that is counted is of the child."""
    before = contract.seen
    async with (
        scripted_recognizer() as recognizer,
        gateway(TENCENT_ASR_URL=recognizer, **ACCOUNT_SETTINGS) as (_, url),
        connected(url) as phone,
    ):
        await phone.talk_at_once(words(1, 2))
        await phone.say(type="ping")
        await phone.say(type="stop")
        await phone.hear("stopped")
    heard = Counter(message["type"] for message in phone.seen)
    assert set(heard) == {"welcome", "ready", "result", "pong", "stopped"}
    assert contract.seen - before == heard


SURVIVED = """
import contextlib
from service.stream.protocol import GoAway
from tests.support.contract_check import ContractBrokenError

def test_that_sees_nothing():
    with contextlib.suppress(ContractBrokenError):
        GoAway(1000, "lunch").encode()

def test_that_sends_nothing_wrong():
    GoAway(1000, "restarting").encode()
"""


def test_a_test_fails_in_which_something_wrong_was_said_and_survived(tmp_path: Path) -> None:
    """As where the service takes the error for one of its own, and the phone hears `internal`."""
    (tmp_path / "test_survived.py").write_text(SURVIVED, encoding="utf-8")
    words = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), str(tmp_path)]
    command = [sys.executable, "-m", "pytest", "--quiet", *words]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "ERROR at teardown of test_that_sees_nothing" in ended.stdout
    assert "2 passed, 1 error" in ended.stdout
    assert "1 messages of the service are as docs/asyncapi.yaml has them: goaway 1" in ended.stdout


def test_a_wrong_message_of_a_child_is_told(tmp_path: Path) -> None:
    """The second message of the module is wrong."""
    command = [sys.executable, "-m", "tests.support.contract_check", str(tmp_path), "tests.support.contract_breaker"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "ContractBrokenError" in ended.stderr
    with contract_check.checking(tmp_path) as notes:
        (complaint,) = notes.take_complaints()
        assert notes.seen == {"finalized": 1}
    assert "no reason that is documented" in complaint
