"""Who may connect, and where records and shared counts are: databases, Redis, origins, proxies, WeChat's account."""

import pytest

from tests.pure.test_settings import problems, read


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("none", ""),
        ("sqlite:////var/lib/voice.db", "sqlite+pysqlite:////var/lib/voice.db"),
        ("mysql://root@127.0.0.1/voice", "mysql+pymysql://root@127.0.0.1/voice"),
        ("mysql+pymysql://a:b@h/d", "mysql+pymysql://a:b@h/d"),
        ("mariadb://a:b@h:3306/d", "mysql+pymysql://a:b@h:3306/d"),
        ("postgres://a:b@h/d", "postgresql+psycopg://a:b@h/d"),
        ("postgresql+asyncpg://a:b@h/d", "postgresql+psycopg://a:b@h/d"),
        (
            "postgresql://a:%40%2f@[::1]:5432/d?sslmode=require",
            "postgresql+psycopg://a:%40%2f@[::1]:5432/d?sslmode=require",
        ),
        ("postgresql:///d?host=/run/postgresql", "postgresql+psycopg:///d?host=/run/postgresql"),
        ("sqlite:///data/voice.db", "sqlite+pysqlite:///data/voice.db"),
    ],
)
def test_a_database_is_reached_with_the_driver_that_is_here(given: str, expected: str) -> None:
    assert read({"DATABASE_URL": given}).database_url == expected


@pytest.mark.parametrize(
    "wrong",
    [
        "voice.db",
        "oracle://a:secret@b/c",
        "mysql:/secret",
        "mysql://a secret",
        "off",
        "sqlite://",  # in memory: each thread would have one of its own
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://voice.db",  # two slashes make it a host
        "mysql://a:secret@b:port/c",
        "postgresql://a:se/cret@b/c",
        "mysql://a:secret@b",  # no database
        "mysql://a:se@cret@b/c",  # SQLAlchemy takes what follows the first one for the host
    ],
)
def test_what_is_no_database(wrong: str) -> None:
    (problem,) = problems({"DATABASE_URL": wrong})
    expected = "expected sqlite:///FILE, mysql://USER:PASSWORD@HOST/DATABASE, postgresql://…, or none"
    expected += "; special characters of a password in percent encoding"
    assert problem == f"DATABASE_URL: {expected}"


@pytest.mark.parametrize(
    "given", ["redis://localhost", "redis://u:p%40@h:6379/0", "rediss://:p@[::1]:6380/15", "redis://10.0.0.1:6379/"]
)
def test_addresses_of_a_redis(given: str) -> None:
    assert read({"REDIS_URL": given}).redis_url == given


@pytest.mark.parametrize(
    "wrong",
    ["localhost:6379", "http://secret@a", "redis://", "redis://a:0", "redis://a:65536", "redis://a/b", "redis://a b"],
)
def test_what_is_no_redis(wrong: str) -> None:
    (problem,) = problems({"REDIS_URL": wrong})
    assert problem == "REDIS_URL: expected redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE] or rediss://"


@pytest.mark.parametrize("wrong", ["example.com", "https://a/b", "*", "https://", "wss://a"])
def test_what_is_no_origin(wrong: str) -> None:
    (problem,) = problems({"ALLOWED_ORIGINS": f"https://good.example,{wrong}"})
    assert problem == f"ALLOWED_ORIGINS: {wrong.rstrip('/')}: expected https://HOST[:PORT] with commas between"


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "proxy", "10.0.0.0/33", "::1/129"])
def test_what_is_no_network(wrong: str) -> None:
    (problem,) = problems({"TRUSTED_PROXIES": f"127.0.0.1, {wrong}"})
    assert problem == f"TRUSTED_PROXIES: {wrong!r}: expected an address or a network, such as 10.0.0.0/8"


@pytest.mark.parametrize(
    ("given", "missing"), [("WECHAT_APPID", "WECHAT_APPSECRET"), ("WECHAT_APPSECRET", "WECHAT_APPID")]
)
def test_the_account_at_wechat_has_two_parts(given: str, missing: str) -> None:
    assert problems({given: "value"}) == [f"{missing} missing: the two are needed together"]


@pytest.mark.parametrize("name", ["KEEP_TRANSCRIPTS", "TRUST_WX_HEADERS"])
def test_a_switch_is_on_or_off(name: str) -> None:
    assert problems({name: "yes"}) == [f"{name}='yes': expected one of on, off"]
