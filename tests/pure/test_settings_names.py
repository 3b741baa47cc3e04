"""Names that are nearly right are noticed, and those of others are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.settings_reader import KNOWN_NAMES, near_misses
from tests.pure.test_settings import ALIASES, problems, read


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("JWT_SECRTE", "JWT_SECRET"),  # two letters swapped
        ("JWT_SECRAT", "JWT_SECRET"),  # another letter
        ("JWTSECRET", "JWT_SECRET"),  # no underscore
        ("JWT__SECRET", "JWT_SECRET"),
        ("jwt_secret", "JWT_SECRET"),  # lower case
        ("Jwt_Secret", "JWT_SECRET"),
        ("JWT_SECRE", "JWT_SECRET"),  # a letter less
        ("XJWT_SECRET", "JWT_SECRET"),  # a letter more
        ("MAXSTREAMS", "MAX_STREAMS"),
        ("AUTHMODE", "AUTH_MODE"),
        ("TENCENT_APPID", "TENCENT_APP_ID"),
        ("TENCENT_ASR_URI", "TENCENT_ASR_URL"),
        ("DRAIN", None),  # two letters less
        ("JWT_SECRERR", None),  # one more and one other
        ("WJT_SECERT", None),  # two swaps
        ("JXT_SECREX", None),  # two other letters
        ("JWT_SECRXX", None),  # two others beside each other, which is no swap
        ("PORTS", None),  # short names are near to too many strangers
        ("port", None),
        ("HOSTS", None),
    ],
)
def test_near_misses(name: str, meant: str | None) -> None:
    expected = [] if meant is None else [f"{name} is unknown: is {meant} meant?"]
    assert near_misses({name: "value"}) == expected
    if expected:
        assert problems({name: "value"}) == expected
    else:
        assert read({name: "value"}) == read()


_long_names = st.sampled_from([name for name in KNOWN_NAMES if len(name) > 4])
_READ = {*KNOWN_NAMES, *(alias for aliases in ALIASES.values() for alias in aliases)}


@given(_long_names, st.data())
def test_each_slip_in_each_name_is_noticed(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(name) - 2))
    letter = data.draw(st.sampled_from("ABCXYZ_019"))
    slips = {
        name[:place] + name[place + 1 :],
        name[:place] + letter + name[place:],
        name[:place] + letter + name[place + 1 :],
        name[:place] + name[place + 1] + name[place] + name[place + 2 :],
        name.lower(),
        name.replace("_", ""),
    }
    for slip in slips - _READ:
        (sentence,) = near_misses({slip: "value"})
        assert sentence.startswith(f"{slip} is unknown: is ")


def test_a_blank_near_miss_is_absent() -> None:
    assert read({"JWT_SECRTE": " "}) == read()


CONTAINER = [
    "HOSTNAME", "PATH", "HOME", "PWD", "LANG", "LC_ALL", "TERM", "SHLVL", "CI", "DEBUG", "TZ", "USER", "PORT0",
    "HOSTTYPE", "NODE_ENV", "PYTHONUNBUFFERED", "PYTHONPATH", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT",
    "KUBERNETES_PORT", "KUBERNETES_PORT_443_TCP", "KUBERNETES_PORT_443_TCP_PORT", "MYSQL_PORT", "MYSQL_HOST",
    "REDIS_PORT", "TENCENTCLOUD_REGION", "TENCENTCLOUD_RUNENV", "TENCENTCLOUD_UIN",
    "CBR_ENV_ID", "TCB_ENV", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy",
    "no_proxy", "SSL_CERT_FILE", "GPG_KEY", "PYTHON_VERSION", "PYTHON_SHA256", "LOG_FORMAT", "LOGNAME", "AUTH_URL",
    "_",
]  # fmt: skip


def test_no_false_alarm_in_a_container() -> None:
    environ = dict.fromkeys(CONTAINER, "value")
    assert near_misses(environ) == []
    assert read(environ) == read()
