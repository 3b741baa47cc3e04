"""The settings: the documented defaults, every problem by its sentence, near misses without false alarms."""

import dataclasses
import ipaddress
from collections.abc import Mapping

import pytest

from service.settings import AuthMode, RecognizerKind, Settings, TencentCredentials
from service.settings_reader import KNOWN_NAMES, SettingsError

SECRET = "0123456789abcdef" * 2
CREDENTIALS = {
    "TENCENT_APP_ID": "1250000000",
    "TENCENTCLOUD_SECRET_ID": "AKIDexample",
    "TENCENTCLOUD_SECRET_KEY": "key",
}
ALIASES = {
    "TENCENTCLOUD_SECRET_ID": ("TENCENT_SECRET_ID", "TENCENTCLOUD_SECRETID"),
    "TENCENTCLOUD_SECRET_KEY": ("TENCENT_SECRET_KEY", "TENCENTCLOUD_SECRETKEY"),
}


def read(environ: Mapping[str, str] = {}, *, local: bool = False) -> Settings:
    return Settings.from_env(environ, local_available=local)


def problems(environ: Mapping[str, str], *, local: bool = False) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(environ, local=local)
    assert str(caught.value) == "; ".join(caught.value.problems)
    return caught.value.problems


def test_defaults_are_the_documented_ones() -> None:
    expected = {
        "host": "0.0.0.0",  # noqa: S104
        "port": 80,
        "log_level": "INFO",
        "auth_mode": AuthMode.LOCKED,
        "jwt_secret": "",
        "jwt_secret_old": "",
        "recognizer": RecognizerKind.NONE,
        "credentials": None,
        "role_app_id": "",
        "tencent_asr_url": "wss://asr.cloud.tencent.com",
        "tencent_api_url": "https://asr.tencentcloudapi.com",
        "default_engine": "16k_zh",
        "upstream_concurrency": 200,
        "upstream_packet_ms": 100,
        "max_streams": 200,
        "max_connections": 400,
        "max_stream_s": 600,
        "max_lag_ms": 100,
        "replay_s": 15,
        "drain_s": 20,
        "metrics_token": "",
        "metrics_push_url": "",
        "metrics_push_s": 15,
        "metrics_push_auth": "",
        "test_ws_max_bytes": 65536,
        "token_ttl_s": 7200,
        "wechat_appid": "",
        "wechat_appsecret": "",
        "wechat_api_url": "https://api.weixin.qq.com",
        "max_streams_per_user": 4,
        "max_streams_per_address": 0,
        "max_new_streams_per_minute": 30,
        "max_audio_s_per_day": 0,
        "messages_per_s": 200,
        "database_url": "",
        "keep_transcripts": True,
        "history_days": 90,
        "spool_dir": "data/spool",
        "redis_url": "",
        "allowed_origins": (),
        "trusted_proxies": (),
        "trust_wx_headers": False,
    }
    assert dataclasses.asdict(Settings()) == expected
    assert dataclasses.asdict(read()) == expected | {"database_url": "sqlite+pysqlite:///data/voice.db"}


def test_every_setting_can_be_set() -> None:
    environ = {
        "HOST": "127.0.0.1",
        "PORT": "8000",
        "LOG_LEVEL": "debug",
        "AUTH_MODE": "Token",
        "JWT_SECRET": SECRET,
        "JWT_SECRET_OLD": SECRET[::-1],
        "RECOGNIZER": "TENCENT",
        **CREDENTIALS,
        "TENCENTCLOUD_TOKEN": "temporary",
        "TENCENT_CREDENTIALS": "env",
        "TENCENT_ASR_URL": "ws://127.0.0.1:9000/",
        "TENCENT_API_URL": "http://127.0.0.1:9001/",
        "DEFAULT_ENGINE": "16k_zh_large",
        "UPSTREAM_CONCURRENCY": "50",
        "UPSTREAM_PACKET_MS": "200",
        "MAX_STREAMS": "60",
        "MAX_CONNECTIONS": "70",
        "MAX_STREAM_S": "300",
        "MAX_LAG_MS": "250",
        "REPLAY_S": "30",
        "DRAIN_S": "0",
        "METRICS_TOKEN": "12345678",
        "METRICS_PUSH_URL": "http://push.example.com:9091/",
        "METRICS_PUSH_S": "30",
        "METRICS_PUSH_AUTH": "user:pass:word",
        "TEST_WS_MAX_BYTES": "1024",
        "TOKEN_TTL_S": "3600",
        "WECHAT_APPID": "wx0123456789abcdef",
        "WECHAT_APPSECRET": "app-secret",
        "WECHAT_API_URL": "http://127.0.0.1:9002/",
        "MAX_STREAMS_PER_USER": "2",
        "MAX_STREAMS_PER_ADDRESS": "8",
        "MAX_NEW_STREAMS_PER_MINUTE": "0",
        "MAX_AUDIO_S_PER_DAY": "7200",
        "MESSAGES_PER_S": "100",
        "DATABASE_URL": "mysql://user:p%40ss@10.0.0.2:3306/voice?charset=utf8mb4",
        "KEEP_TRANSCRIPTS": "OFF",
        "HISTORY_DAYS": "0",
        "SPOOL_DIR": "/var/spool/voice",
        "REDIS_URL": "rediss://:secret@redis.example.com:6380/2",
        "ALLOWED_ORIGINS": "https://Example.com, http://localhost:3000/",
        "TRUSTED_PROXIES": "10.0.0.0/8, ::1",
        "TRUST_WX_HEADERS": "on",
    }
    assert set(environ) == set(KNOWN_NAMES)
    assert read(environ) == Settings(
        host="127.0.0.1",
        port=8000,
        log_level="DEBUG",
        auth_mode=AuthMode.TOKEN,
        jwt_secret=SECRET,
        jwt_secret_old=SECRET[::-1],
        recognizer=RecognizerKind.TENCENT,
        credentials=TencentCredentials("1250000000", "AKIDexample", "key", "temporary"),
        tencent_asr_url="ws://127.0.0.1:9000",
        tencent_api_url="http://127.0.0.1:9001",
        default_engine="16k_zh_large",
        upstream_concurrency=50,
        upstream_packet_ms=200,
        max_streams=60,
        max_connections=70,
        max_stream_s=300,
        max_lag_ms=250,
        replay_s=30,
        drain_s=0,
        metrics_token="12345678",
        metrics_push_url="http://push.example.com:9091",
        metrics_push_s=30,
        metrics_push_auth="user:pass:word",
        test_ws_max_bytes=1024,
        token_ttl_s=3600,
        wechat_appid="wx0123456789abcdef",
        wechat_appsecret="app-secret",
        wechat_api_url="http://127.0.0.1:9002",
        max_streams_per_user=2,
        max_streams_per_address=8,
        max_new_streams_per_minute=0,
        max_audio_s_per_day=7200,
        messages_per_s=100,
        database_url="mysql+pymysql://user:p%40ss@10.0.0.2:3306/voice?charset=utf8mb4",
        keep_transcripts=False,
        history_days=0,
        spool_dir="/var/spool/voice",
        redis_url="rediss://:secret@redis.example.com:6380/2",
        allowed_origins=("https://example.com", "http://localhost:3000"),
        trusted_proxies=(ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1")),
        trust_wx_headers=True,
    )


def test_limits_follow_each_other() -> None:
    settings = read({"UPSTREAM_CONCURRENCY": "30"})
    assert (settings.max_streams, settings.max_connections) == (30, 60)
    settings = read({"UPSTREAM_CONCURRENCY": "30", "MAX_STREAMS": "40"})
    assert (settings.upstream_concurrency, settings.max_streams, settings.max_connections) == (30, 40, 80)


def test_blank_values_are_absent_and_others_are_trimmed() -> None:
    assert read({"PORT": "", "JWT_SECRET": "  ", "RECOGNIZER": "\t", "HOST": " ::1 "}) == dataclasses.replace(
        read(), host="::1"
    )


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("PORT", 0, 65535),
        ("TOKEN_TTL_S", 60, 2_592_000),
        ("MAX_STREAMS_PER_USER", 0, 100_000),
        ("MAX_STREAMS_PER_ADDRESS", 0, 100_000),
        ("MAX_NEW_STREAMS_PER_MINUTE", 0, 100_000),
        ("MAX_AUDIO_S_PER_DAY", 0, 1_000_000),
        ("MESSAGES_PER_S", 10, 100_000),
        ("HISTORY_DAYS", 0, 36_500),
        ("UPSTREAM_CONCURRENCY", 1, 100_000),
        ("UPSTREAM_PACKET_MS", 20, 400),
        ("MAX_STREAMS", 1, 100_000),
        ("MAX_CONNECTIONS", 1, 1_000_000),
        ("MAX_STREAM_S", 1, 86_400),
        ("MAX_LAG_MS", 10, 60_000),
        ("REPLAY_S", 1, 120),
        ("DRAIN_S", 0, 600),
        ("METRICS_PUSH_S", 5, 300),
        ("TEST_WS_MAX_BYTES", 1, 16 * 1024 * 1024),
    ],
)
def test_numbers_have_their_range(name: str, low: int, high: int) -> None:
    for value in (low, high):
        assert getattr(read({name: str(value)}), name.lower()) == value
    for wrong in (str(low - 1), str(high + 1), "many", "1.5", "1e2", "0x50"):
        assert problems({name: wrong}) == [f"{name}={wrong!r}: expected a whole number from {low} to {high}"]


def test_a_choice_outside_is_a_problem() -> None:
    assert problems({"LOG_LEVEL": "loud"}) == ["LOG_LEVEL='loud': expected one of DEBUG, INFO, WARNING, ERROR"]
    assert problems({"AUTH_MODE": "locked"}) == ["AUTH_MODE='locked': expected one of off, token"]
    assert problems({"RECOGNIZER": "none"}) == ["RECOGNIZER='none': expected one of auto, tencent, local"]


@pytest.mark.parametrize(
    ("name", "at_least"), [("JWT_SECRET", 32), ("JWT_SECRET_OLD", 32), ("METRICS_TOKEN", 8)]
)  # fmt: skip
def test_short_secrets_are_refused_and_not_shown(name: str, at_least: int) -> None:
    assert getattr(read({name: "#" * at_least}), name.lower()) == "#" * at_least
    short = "#" * (at_least - 1)
    assert problems({name: short}) == [f"{name} has {at_least - 1} bytes: at least {at_least} are needed"]


def test_a_secret_is_measured_in_bytes() -> None:
    assert read({"JWT_SECRET": "密" * 11}).jwt_secret == "密" * 11
    assert problems({"JWT_SECRET": "密" * 10}) == ["JWT_SECRET has 30 bytes: at least 32 are needed"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, AuthMode.LOCKED),
        ({"JWT_SECRET": SECRET}, AuthMode.TOKEN),
        ({"JWT_SECRET_OLD": SECRET}, AuthMode.LOCKED),  # nothing new can be signed with it
        ({"AUTH_MODE": "token", "JWT_SECRET": SECRET}, AuthMode.TOKEN),
        ({"AUTH_MODE": "off"}, AuthMode.OFF),
        ({"AUTH_MODE": "OFF", "JWT_SECRET": SECRET}, AuthMode.OFF),
    ],
)
def test_auth_mode(environ: dict[str, str], expected: AuthMode) -> None:
    assert read(environ).auth_mode is expected


@pytest.mark.parametrize("environ", [{}, {"JWT_SECRET_OLD": SECRET}])
def test_tokens_need_a_secret(environ: dict[str, str]) -> None:
    assert problems({"AUTH_MODE": "token", **environ}) == ["AUTH_MODE=token needs JWT_SECRET"]


ACCOUNT = TencentCredentials("1250000000", "AKIDexample", "key")


@pytest.mark.parametrize(
    ("chosen", "credentials", "local", "expected"),
    [
        ("", False, False, (RecognizerKind.NONE, None, "16k_zh")),
        ("", False, True, (RecognizerKind.LOCAL, None, "16k_en")),
        ("", True, False, (RecognizerKind.TENCENT, ACCOUNT, "16k_zh")),
        ("auto", True, True, (RecognizerKind.TENCENT, ACCOUNT, "16k_zh")),
        ("tencent", True, True, (RecognizerKind.TENCENT, ACCOUNT, "16k_zh")),
        ("local", False, True, (RecognizerKind.LOCAL, None, "16k_en")),
        ("local", True, True, (RecognizerKind.LOCAL, None, "16k_en")),
    ],
)
def test_which_recognizer(
    chosen: str, credentials: bool, local: bool, expected: tuple[RecognizerKind, TencentCredentials | None, str]
) -> None:
    settings = read({"RECOGNIZER": chosen, **(CREDENTIALS if credentials else {})}, local=local)
    assert (settings.recognizer, settings.credentials, settings.default_engine) == expected


def test_a_recognizer_that_cannot_be_had() -> None:
    needs_account = "RECOGNIZER=tencent needs TENCENT_APP_ID and TENCENTCLOUD_SECRET_ID and _KEY"
    assert problems({"RECOGNIZER": "tencent"}, local=True) == [needs_account]
    needs_extra = "RECOGNIZER=local needs the extra: pip install 'miniapp-backend[local]'"
    assert problems({"RECOGNIZER": "local", **CREDENTIALS}) == [needs_extra]


def test_an_engine_that_is_named_is_used_with_either_recognizer() -> None:
    assert read({"DEFAULT_ENGINE": "8k_zh"}, local=True).default_engine == "8k_zh"
    assert read({"DEFAULT_ENGINE": "8k_zh", **CREDENTIALS}).default_engine == "8k_zh"


@pytest.mark.parametrize("missing", CREDENTIALS)
def test_credentials_come_together(missing: str) -> None:
    some = {name: value for name, value in CREDENTIALS.items() if name != missing}
    assert problems(some) == [f"{missing} missing: the three credentials are needed together"]
    others = ", ".join(some)
    assert problems({missing: CREDENTIALS[missing]}) == [f"{others} missing: the three credentials are needed together"]


@pytest.mark.parametrize("wrong", ["app", "125000000x", "-1", "１２３", "²"])
def test_an_app_id_has_digits_only(wrong: str) -> None:
    expected = f"TENCENT_APP_ID={wrong!r}: expected the account's AppID, digits only"
    assert problems({**CREDENTIALS, "TENCENT_APP_ID": wrong}) == [expected]


@pytest.mark.parametrize("spelling", [0, 1])
def test_former_names_are_read(spelling: int) -> None:
    environ = {**CREDENTIALS, "TENCENTCLOUD_TOKEN": "temporary"}
    for name, others in ALIASES.items():
        environ[others[spelling]] = environ.pop(name)
    assert read(environ).credentials == TencentCredentials("1250000000", "AKIDexample", "key", "temporary")


def test_the_name_of_the_documentation_goes_before_the_former_ones() -> None:
    former = {alias: "wrong" for aliases in ALIASES.values() for alias in aliases}
    environ = {**former, **CREDENTIALS, "TENCENTCLOUD_TOKEN": "temporary"}
    assert read(environ).credentials == TencentCredentials("1250000000", "AKIDexample", "key", "temporary")


@pytest.mark.parametrize("wrong", ["16k zh", "x" * 65, "16k_zh&a=b"])
def test_a_default_engine_is_the_name_of_one(wrong: str) -> None:
    expected = f"DEFAULT_ENGINE={wrong!r}: expected the name of an engine, such as 16k_zh"
    assert problems({"DEFAULT_ENGINE": wrong}) == [expected]


def test_a_secret_that_is_not_utf_8_can_be_used() -> None:
    assert read({"JWT_SECRET": "\udcff" * 32}).jwt_secret == "\udcff" * 32


def test_all_problems_are_told_at_once() -> None:
    environ = {
        "PORT": "eighty",
        "DRAIN_S": "-1",
        "AUTH_MODE": "token",
        "METRICS_TOKEN": "1234567",
        "TENCENT_APP_ID": "1",
        "JWT_SECRETS": SECRET,
        "MAX_STREAM": "5",
    }
    assert sorted(problems(environ)) == [
        "AUTH_MODE=token needs JWT_SECRET",
        "DRAIN_S='-1': expected a whole number from 0 to 600",
        "JWT_SECRETS is unknown: is JWT_SECRET meant?",
        "MAX_STREAM is unknown: is MAX_STREAMS meant?",
        "METRICS_TOKEN has 7 bytes: at least 8 are needed",
        "PORT='eighty': expected a whole number from 0 to 65535",
        "TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY missing: the three credentials are needed together",
    ]


SECRETS = {
    "JWT_SECRET": "jwt-secret-jwt-secret-jwt-secret",
    "JWT_SECRET_OLD": "old-secret-old-secret-old-secret-x",
    "METRICS_TOKEN": "metrics-token",
    "TENCENTCLOUD_SECRET_KEY": "tencent-key-key",
    "TENCENTCLOUD_TOKEN": "temporary-token",
    "WECHAT_APPSECRET": "wechat-app-secret",
}
URLS = {
    "DATABASE_URL": "postgres://voice:data-pass@db.example.com/voice",
    "REDIS_URL": "redis://:redis-p%40ss@redis.example.com",
}


def test_secrets_never_show() -> None:
    settings = read({**CREDENTIALS, **SECRETS, **URLS, "WECHAT_APPID": "wx1"})
    shown = [repr(settings), str(settings), repr(settings.credentials), *settings.describe()]
    secrets = [*SECRETS.values(), "data-pass", "redis-p", "p%40ss"]
    assert not [(secret, text) for secret in secrets for text in shown if secret in text]


def test_description_of_what_is_set() -> None:
    assert read(
        {**CREDENTIALS, **SECRETS, **URLS, "PORT": "8000", "WECHAT_APPID": "wx1", "TRUSTED_PROXIES": "10.0.0.1"}
    ).describe() == [
        "HOST=0.0.0.0",
        "PORT=8000",
        "LOG_LEVEL=INFO",
        "AUTH_MODE=token",
        "JWT_SECRET=(set, 32 characters)",
        "JWT_SECRET_OLD=(set, 34 characters)",
        "TOKEN_TTL_S=7200",
        "WECHAT_APPID=wx1",
        "WECHAT_APPSECRET=(set, 17 characters)",
        "WECHAT_API_URL=https://api.weixin.qq.com",
        "RECOGNIZER=tencent",
        "TENCENT_APP_ID=1250000000",
        "TENCENTCLOUD_SECRET_ID=(set, 11 characters)",
        "TENCENTCLOUD_SECRET_KEY=(set, 15 characters)",
        "TENCENTCLOUD_TOKEN=(set, 15 characters)",
        "TENCENT_ASR_URL=wss://asr.cloud.tencent.com",
        "TENCENT_API_URL=https://asr.tencentcloudapi.com",
        "DEFAULT_ENGINE=16k_zh",
        "UPSTREAM_CONCURRENCY=200",
        "UPSTREAM_PACKET_MS=100",
        "MAX_STREAMS=200",
        "MAX_CONNECTIONS=400",
        "MAX_STREAM_S=600",
        "MAX_LAG_MS=100",
        "REPLAY_S=15",
        "DRAIN_S=20",
        "METRICS_TOKEN=(set, 13 characters)",
        "METRICS_PUSH_URL=",
        "METRICS_PUSH_S=15",
        "METRICS_PUSH_AUTH=(not set)",
        "TEST_WS_MAX_BYTES=65536",
        "MAX_STREAMS_PER_USER=4",
        "MAX_STREAMS_PER_ADDRESS=0",
        "MAX_NEW_STREAMS_PER_MINUTE=30",
        "MAX_AUDIO_S_PER_DAY=0",
        "MESSAGES_PER_S=200",
        "DATABASE_URL=postgresql+psycopg://***@db.example.com/voice",
        "KEEP_TRANSCRIPTS=on",
        "HISTORY_DAYS=90",
        "SPOOL_DIR=data/spool",
        "REDIS_URL=redis://***@redis.example.com",
        "ALLOWED_ORIGINS=",
        "TRUSTED_PROXIES=10.0.0.1/32",
        "TRUST_WX_HEADERS=off",
    ]


def test_description_of_what_is_not_set() -> None:
    lines = read().describe()
    assert [line for line in lines if line.endswith("=(not set)")] == [
        "JWT_SECRET=(not set)",
        "JWT_SECRET_OLD=(not set)",
        "WECHAT_APPSECRET=(not set)",
        "TENCENT_APP_ID=(not set)",
        "METRICS_TOKEN=(not set)",
        "METRICS_PUSH_AUTH=(not set)",
        "REDIS_URL=(not set)",
    ]
    assert "DATABASE_URL=sqlite+pysqlite:///data/voice.db" in lines
    assert "RECOGNIZER=none" in lines
    assert "AUTH_MODE=locked" in lines
