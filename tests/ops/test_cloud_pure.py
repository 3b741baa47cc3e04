"""What the cloud commands compute without a cloud."""

import io
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ops.cloud.answers import Config, Detail, Record, Step, Task, Version
from ops.cloud.api import account_from
from ops.cloud.checks import check_settings
from ops.cloud.command_line import ask
from ops.cloud.desired import Wishes, desired, differences
from ops.cloud.dotenv import parse_assignment, parse_dotenv
from ops.cloud.exits import BUSY, CREDENTIALS, USAGE, CloudError
from ops.cloud.logs_command import china_time, seconds
from ops.cloud.refusals import refused
from ops.cloud.rollout import Outcome, causes, is_running, outcome_of, outcome_of_change, secrets_in
from ops.cloud.safe_text import one_line, secrets_of, shown, without_secrets
from service.settings import Settings


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("export A=b", "b"),
        ("A = b # why", "b"),
        ("A=b#c", "b#c"),
        ('A="b # c" # why', "b # c"),
        (r'A="b\n\"c\" \\"', 'b\n"c" \\'),
        ("A='b\\n'", "b\\n"),
        ("A=", ""),
        ("A=b=c==", "b=c=="),
    ],
)
def test_dotenv(line: str, value: str) -> None:
    assert parse_dotenv(f"\ufeff# first\n\n{line}\r\n") == {"A": value}


@pytest.mark.parametrize("line", ["A", "1A=b", "A-B=c", 'A="b', "A='b", "=b"])
def test_bad_lines_are_named_by_number_and_not_shown(line: str) -> None:
    with pytest.raises(CloudError) as raised:
        parse_dotenv(f"GOOD=1\n{line}secretword\n")
    assert "ine 2" in raised.value.what
    assert "secretword" not in raised.value.what


def test_assignments_are_taken_as_they_are() -> None:
    assert parse_assignment("A='b' # c") == ("A", "'b' # c")
    with pytest.raises(CloudError):
        parse_assignment("A")


@given(some.text())
def test_one_line_moves_no_cursor(text: str) -> None:
    line = one_line(text)
    assert line.isprintable() or set(line) & {"\t", "\xa0", "\u3000"} or any(c.isspace() for c in line)
    assert not set(line) & {"\n", "\r", "\x1b", "\x07", "\u202e", "\u2028"}


def test_only_known_harmless_values_are_shown() -> None:
    assert shown("LOG_LEVEL", "INFO") == "INFO"
    for name in ("JWT_SECRET", "TENCENTCLOUD_SECRET_ID", "METRICS_TOKEN", "DATABASE_URL", "TENCENTCLOUD_TOKEN"):
        assert "very secret" not in shown(name, "very secret")
    for setting in fields(Settings):  # what the service hides is hidden here
        if not setting.repr:
            assert "very secret" not in shown(setting.name.upper(), "very secret")
    assert shown("AUTH_MODE", "token") == "token"
    assert shown("TOKEN_TTL_S", "7200") == "7200"
    secrets = secrets_of({"A": "long secret", "B": "long secret and more", "C": "x", "LOG_LEVEL": "WARNING"})
    assert secrets == ("long secret and more", "long secret")
    assert without_secrets("got long secret and more, x", secrets) == "got (secret), x"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://voice:pass%40word-1@10.0.0.5:3306/voice"),
        ("DATABASE_URL", "postgresql://voice:pass@word-1@db/voice"),
        ("REDIS_URL", "redis://:pass@word-1@10.0.0.6:6379/0"),
        ("REDIS_URL", "rediss://voice:pass%40word-1@cache"),
    ],
)
def test_the_password_of_an_address_is_a_secret_by_itself(name: str, value: str) -> None:
    assert "word" not in shown(name, value)
    secrets = secrets_of({name: value})
    assert without_secrets(f"cannot open {value}: is pass@word-1 right?", secrets) == (
        "cannot open (secret): is (secret) right?"
    )


@pytest.mark.parametrize(
    "value", ["none", "sqlite:///data/voice.db", "redis://10.0.0.6:6379/0", "redis://user@cache/0"]
)
def test_an_address_without_a_password_hides_nothing_else(value: str) -> None:
    assert set(secrets_of({"DATABASE_URL": value})) <= {value}


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("AuthFailure.TokenFailure", CREDENTIALS),
        ("AuthFailure.SomethingNew", CREDENTIALS),
        ("ResourceInUse", BUSY),
        ("ResourceInUse.Task", BUSY),
        ("LimitExceeded", 1),
        ("Unheard.Of", 1),
    ],
)
def test_exit_codes_of_refusals(code: str, exit_code: int) -> None:
    assert refused("Action", code, "why").exit_code == exit_code


STEPS = [Step("a", "finished"), Step("b", "finished")]


@pytest.mark.parametrize(
    ("task", "record", "expected"),
    [
        (None, None, Outcome.UNDECIDED),
        (Task(1, "running"), None, Outcome.UNDECIDED),
        (Task(1, "running"), Record("v", status="running"), Outcome.UNDECIDED),
        (None, Record("v", status="running", is_releasing=True), Outcome.UNDECIDED),
        (None, Record("v", status="deploying"), Outcome.UNDECIDED),
        (Task(1, "finished"), Record("v", status="running"), Outcome.DONE),
        (Task(1, "finished"), None, Outcome.UNDECIDED),
        (None, Record("v", status="deploy_failed"), Outcome.FAILED),
        (Task(1, "failed"), None, Outcome.FAILED),
        (Task(1, "running", [Step("b", "failed")]), None, Outcome.FAILED),
        (Task(1, "canceled"), Record("v", status="running"), Outcome.FAILED),
    ],
)
def test_how_a_deployment_ended(task: Task | None, record: Record | None, expected: Outcome) -> None:
    assert outcome_of(task, record) is expected


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (None, Outcome.UNDECIDED),
        (Task(1, "running", STEPS), Outcome.UNDECIDED),
        (Task(1, "finished"), Outcome.DONE),
        (Task(1, "", STEPS), Outcome.DONE),
        (Task(1, ""), Outcome.UNDECIDED),
        (Task(1, "failed", STEPS), Outcome.FAILED),
    ],
)
def test_how_a_change_ended(task: Task | None, expected: Outcome) -> None:
    assert outcome_of_change(task) is expected


def test_a_task_that_ended_is_in_nobodys_way() -> None:
    assert not is_running(None)
    assert not is_running(Task(1, "finished"))
    assert not is_running(Task(1, "failed"))
    assert is_running(Task(1, "running"))


@pytest.mark.parametrize(
    ("step", "line", "expected"),
    [
        ("build_image", "failed to compute cache key", "not in the commit"),
        ("check_ready", "The settings cannot be used:", "--env-file"),
        ("check_ready", "OOMKilled", "--mem"),
        ("check_ready", "exec format error", "x86-64"),
        ("check_ready", "", "knocks at the configured port"),
        ("", "", "probe"),
    ],
)
def test_causes(step: str, line: str, expected: str) -> None:
    assert expected in " ".join(causes(step, "", [line]))


def test_what_is_not_asked_for_stays() -> None:
    present = Config(80, 4.0, 8.0, 3, 9, env_params='{"A":"1","N":5}', initial_delay_seconds=7)
    wanted = desired(Wishes(), present, {"B": "2"}, "c")
    assert (wanted.cpu, wanted.mem, wanted.min_num, wanted.max_num, wanted.initial_delay_s) == (4.0, 8.0, 3, 9, 7)
    assert wanted.environment == {"A": "1", "N": "5", "B": "2", "DEPLOYED_COMMIT": "c"}
    assert desired(Wishes(cpu=0.5), present, {}, "c").mem == 1.0
    assert desired(Wishes(), Config(min_num=0, max_num=0), {}, "c").min_num == 1
    assert desired(Wishes(), None, {"PORT": "9000"}, "c").port == 9000


def test_what_cannot_be_read_is_neither_shown_nor_compared() -> None:
    unreadable = '["very", "secret"]'
    assert secrets_in(Detail(server_config=Config(env_params=unreadable))) == (unreadable,)
    wanted = desired(Wishes(), None, {}, "c0ffee")
    assert differences(wanted, Config(), Version(env_params=unreadable)) == [
        "the environment of the version that serves cannot be read"
    ]


@pytest.mark.parametrize(
    ("variables", "endpoint", "exit_code"),
    [
        ({"TENCENTCLOUD_TOKEN": "very\nsecret"}, "", CREDENTIALS),
        ({"TENCENTCLOUD_SECRET_KEY": "very secret"}, "", CREDENTIALS),
        ({"TENCENTCLOUD_REGION": "ap\nshanghai"}, "", USAGE),
        ({}, "http://[", USAGE),
        ({}, "https://h:99999", USAGE),
        ({}, "http://example.com", USAGE),
    ],
)
def test_accounts_that_cannot_be_used(variables: dict[str, str], endpoint: str, exit_code: int) -> None:
    good = {"TENCENTCLOUD_SECRET_ID": "id", "TENCENTCLOUD_SECRET_KEY": "key"}
    assert account_from(good, "", "").region == "ap-shanghai"
    with pytest.raises(CloudError) as raised:
        account_from({**good, **variables}, "", endpoint)
    assert raised.value.exit_code == exit_code
    assert "very" not in str(raised.value)


def test_no_log_is_older_than_a_year() -> None:
    assert seconds("2h") == 7200
    china_time(1_700_000_000 - seconds("999999d"))


@pytest.mark.parametrize(("answer", "expected"), [("y\n", True), ("\n", False), ("", False)])
def test_the_end_of_the_input_is_no(answer: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    assert ask("Change it?") is expected


def test_an_unreadable_environment_is_not_overwritten() -> None:
    with pytest.raises(CloudError, match="merged"):
        desired(Wishes(), Config(env_params="[1]"), {}, "c")
    with pytest.raises(CloudError, match="another port"):
        desired(Wishes(port=80), None, {"PORT": "9000"}, "c")


@pytest.mark.parametrize(
    ("url", "warned"),
    [(None, True), ("sqlite:///other.db", True), ("none", False), ("mysql://voice:word@10.0.0.5/voice", False)],
)
def test_a_history_that_would_not_survive_a_release_is_warned_of(
    url: str | None, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    check_settings({"AUTH_MODE": "off"} | ({} if url is None else {"DATABASE_URL": url}))
    said = "".join(capsys.readouterr())
    assert ("history is kept in a file" in said) is warned
    assert "AUTH_MODE=off" in said
    assert "word" not in said
