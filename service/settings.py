"""The settings: one frozen object, read from the environment once, checked whole.

Pure, and the only place that knows the environment's names. A value that cannot be used, or a name that is nearly one
of ours (a typo that would silently leave a default in force), is an error, and the error lists all of them.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final

from service.settings_reader import Network, Reader

TENCENT_ASR_URL: Final = "wss://asr.cloud.tencent.com"
TENCENT_API_URL: Final = "https://asr.tencentcloudapi.com"
DATABASE_URL: Final = "sqlite:///data/voice.db"
WECHAT_API_URL: Final = "https://api.weixin.qq.com"
PRODUCTION_ENGINE: Final = "16k_zh"
LOCAL_ENGINE: Final = "16k_en"  # PocketSphinx's bundled model knows English only
MAX_MESSAGE_BYTES: Final = 65536  # WeChat's gateways are known to pass 64 KiB; no larger figure is documented


class AuthMode(enum.StrEnum):
    """Who may open a stream."""

    OFF = "off"
    """Everybody: for a laptop."""
    TOKEN = "token"  # noqa: S105 - a mode, not a token
    """Whoever holds a token signed with `JWT_SECRET`."""
    LOCKED = "locked"
    """Nobody: neither of the others was configured."""


class RecognizerKind(enum.StrEnum):
    """Where speech is recognized."""

    TENCENT = "tencent"
    """At `TENCENT_ASR_URL`, with the credentials of the settings."""
    LOCAL = "local"
    """In a child process of this one (`service.localasr`)."""
    NONE = "none"
    """Nowhere: no credentials and no local engine. Streams are refused as `not_configured`."""


@dataclass(frozen=True, slots=True)
class TencentCredentials:
    """What Tencent Cloud needs to know who pays. The secrets never show in a representation."""

    app_id: str
    secret_id: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    """Session token of temporary credentials; empty for permanent ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be configured. Defaults are those of the documentation's table."""

    host: str = "0.0.0.0"  # noqa: S104 - a container is reached from outside
    port: int = 80
    log_level: str = "INFO"
    auth_mode: AuthMode = AuthMode.LOCKED
    jwt_secret: str = field(default="", repr=False)
    jwt_secret_old: str = field(default="", repr=False)
    """The secret before the last rotation: tokens signed with it are still accepted."""
    token_ttl_s: int = 7200
    """How long a token of `POST /api/auth/wechat-login` is good."""
    wechat_appid: str = ""
    wechat_appsecret: str = field(default="", repr=False)
    wechat_api_url: str = WECHAT_API_URL
    recognizer: RecognizerKind = RecognizerKind.NONE
    credentials: TencentCredentials | None = None
    role_app_id: str = ""
    """The account whose credentials come from the platform's metadata (`TENCENT_CREDENTIALS=role`); else empty."""
    tencent_asr_url: str = TENCENT_ASR_URL
    tencent_api_url: str = TENCENT_API_URL
    """Where single sentences are recognized. With the local recognizer they go to its own address."""
    default_engine: str = PRODUCTION_ENGINE
    upstream_concurrency: int = 200
    """Recognizer connections at a time; Tencent's default for an account is 200."""
    upstream_packet_ms: int = 100
    """Audio is sent to the recognizer in packets of this length; at most what the pace lets through at once."""
    max_streams: int = 200
    max_connections: int = 400
    max_stream_s: int = 600
    max_lag_ms: int = 100
    """How late the event loop may be before new streams are refused; why so much: telemetry/overload.py."""
    replay_s: int = 15
    """Unsettled audio that is kept to be sent again when a recognizer connection is lost: 32 kB a second and stream."""
    drain_s: int = 20
    """How long an orderly stop may take; Kubernetes kills after 30 s."""
    metrics_token: str = field(default="", repr=False)
    metrics_push_url: str = ""
    """The Pushgateway that gets the metrics where nobody can scrape this process; empty: none."""
    metrics_push_s: int = 15
    metrics_push_auth: str = field(default="", repr=False)
    """`user:password` for it."""
    test_ws_max_bytes: int = 65536
    max_streams_per_user: int = 4
    """Of this and the next three 0 is no limit. Users without identity are exempt from those for each user."""
    max_streams_per_address: int = 0
    max_new_streams_per_minute: int = 30
    """Of each user."""
    max_audio_s_per_day: int = 0
    """Of each user; a day begins at midnight UTC."""
    messages_per_s: int = 200
    """Of each stream, with a burst of ten times as many."""
    database_url: str = field(default="", repr=False)
    """SQLAlchemy's URL of the history; empty: no history is kept."""
    keep_transcripts: bool = True
    """Off: the history has times and amounts, and no words."""
    history_days: int = 90
    """After so many days a record is deleted; 0: never."""
    spool_dir: str = "data/spool"
    """Where records wait for a database that is away."""
    redis_url: str = field(default="", repr=False)
    """The Redis that replicas share slots and limits through; empty: each replica is alone."""
    allowed_origins: tuple[str, ...] = ()
    """Web pages whose browsers may connect; empty: pages of the same host only. No Origin is always allowed."""
    trusted_proxies: tuple[Network, ...] = ()
    """Whose word about a client's address (X-Forwarded-For) is taken."""
    trust_wx_headers: bool = False
    """Whether `X-WX-OPENID` says who speaks: only where nobody but WeChat's own gateway can reach this service."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, local_available: bool) -> "Settings":
        """The settings that an environment asks for.

        `local_available` tells whether the extra with the local recognizer is installed. Empty values count as absent.
        Raises SettingsError, which names everything that is wrong, when anything is.
        """
        reader = _Reader(environ)
        wanted = reader.choice("RECOGNIZER", "auto", ("auto", "tencent", "local"))
        role_app_id = "" if wanted == "local" else reader.role_app_id()
        credentials = None if wanted == "local" or role_app_id else reader.credentials()
        recognizer = reader.recognizer(wanted, credentials is not None or bool(role_app_id), local_available)
        upstream_concurrency = reader.integer("UPSTREAM_CONCURRENCY", 200, 1, 100_000)
        max_streams = reader.integer("MAX_STREAMS", upstream_concurrency, 1, 100_000)
        jwt_secret = reader.secret("JWT_SECRET")
        settings = cls(
            host=reader.text("HOST", "0.0.0.0"),  # noqa: S104
            port=reader.integer("PORT", 80, 0, 65535),
            log_level=reader.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
            auth_mode=reader.auth_mode(jwt_secret),
            jwt_secret=jwt_secret,
            jwt_secret_old=reader.secret("JWT_SECRET_OLD"),
            token_ttl_s=reader.integer("TOKEN_TTL_S", 7200, 60, 30 * 86_400),
            wechat_appid=reader.text("WECHAT_APPID", ""),
            wechat_appsecret=reader.wechat_appsecret(),
            wechat_api_url=reader.api_url("WECHAT_API_URL", WECHAT_API_URL),
            recognizer=recognizer,
            credentials=credentials,
            role_app_id=role_app_id,
            tencent_asr_url=reader.websocket_url("TENCENT_ASR_URL", TENCENT_ASR_URL),
            tencent_api_url=reader.api_url("TENCENT_API_URL", TENCENT_API_URL),
            default_engine=reader.engine(
                "DEFAULT_ENGINE", LOCAL_ENGINE if recognizer is RecognizerKind.LOCAL else PRODUCTION_ENGINE
            ),
            upstream_concurrency=upstream_concurrency,
            upstream_packet_ms=reader.integer("UPSTREAM_PACKET_MS", 100, 20, 400),  # less than audio.BURST_S
            max_streams=max_streams,
            max_connections=reader.integer("MAX_CONNECTIONS", 2 * max_streams, 1, 1_000_000),
            max_stream_s=reader.integer("MAX_STREAM_S", 600, 1, 86_400),
            max_lag_ms=reader.integer("MAX_LAG_MS", 100, 10, 60_000),
            replay_s=reader.integer("REPLAY_S", 15, 1, 120),
            drain_s=reader.integer("DRAIN_S", 20, 0, 600),
            metrics_token=reader.secret("METRICS_TOKEN", at_least=8),
            metrics_push_url=reader.push_url("METRICS_PUSH_URL"),
            metrics_push_s=reader.integer("METRICS_PUSH_S", 15, 5, 300),
            metrics_push_auth=reader.basic_auth("METRICS_PUSH_AUTH"),
            test_ws_max_bytes=reader.integer("TEST_WS_MAX_BYTES", 65536, 1, 16 * 1024 * 1024),
            max_streams_per_user=reader.integer("MAX_STREAMS_PER_USER", 4, 0, 100_000),
            max_streams_per_address=reader.integer("MAX_STREAMS_PER_ADDRESS", 0, 0, 100_000),
            max_new_streams_per_minute=reader.integer("MAX_NEW_STREAMS_PER_MINUTE", 30, 0, 100_000),
            max_audio_s_per_day=reader.integer("MAX_AUDIO_S_PER_DAY", 0, 0, 1_000_000),
            messages_per_s=reader.integer("MESSAGES_PER_S", 200, 10, 100_000),
            database_url=reader.database_url("DATABASE_URL", DATABASE_URL),
            keep_transcripts=reader.switch("KEEP_TRANSCRIPTS", "on"),
            history_days=reader.integer("HISTORY_DAYS", 90, 0, 36_500),
            spool_dir=reader.text("SPOOL_DIR", "data/spool"),
            redis_url=reader.redis_url("REDIS_URL"),
            allowed_origins=reader.origins("ALLOWED_ORIGINS"),
            trusted_proxies=reader.networks("TRUSTED_PROXIES"),
            trust_wx_headers=reader.switch("TRUST_WX_HEADERS", "off"),
        )
        reader.finish()
        return settings

    def describe(self) -> list[str]:
        """One `NAME=value` line for each setting, with secrets masked."""
        lines = []
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "credentials":
                lines += _describe_account(value, self.role_app_id)
            elif item.name == "role_app_id":
                continue
            elif not item.repr:
                lines.append(f"{item.name.upper()}={_without_user(value) if '://' in value else _masked(value)}")
            else:
                lines.append(f"{item.name.upper()}={_written(value)}")
        return lines


def _describe_account(credentials: TencentCredentials | None, role_app_id: str) -> list[str]:
    if role_app_id:
        return ["TENCENT_CREDENTIALS=role", f"TENCENT_APP_ID={role_app_id}"]
    if credentials is None:
        return ["TENCENT_APP_ID=(not set)"]
    return [
        f"TENCENT_APP_ID={credentials.app_id}",
        f"TENCENTCLOUD_SECRET_ID={_masked(credentials.secret_id)}",
        f"TENCENTCLOUD_SECRET_KEY={_masked(credentials.secret_key)}",
        f"TENCENTCLOUD_TOKEN={_masked(credentials.token)}",
    ]


def _written(value: object) -> str:
    """As it is written in the environment."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _without_user(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{'***@' * ('@' in rest)}{rest.rpartition('@')[2]}"


def _masked(secret: str) -> str:
    return f"(set, {len(secret)} characters)" if secret else "(not set)"


class _Reader(Reader):
    """The values that are more than text and numbers."""

    def auth_mode(self, jwt_secret: str) -> AuthMode:
        chosen = self.choice("AUTH_MODE", "", ("off", "token"))
        if chosen == "token" and not jwt_secret:
            self.problems.append("AUTH_MODE=token needs JWT_SECRET")
        if chosen:
            return AuthMode(chosen)
        return AuthMode.TOKEN if jwt_secret else AuthMode.LOCKED

    def wechat_appsecret(self) -> str:
        appid, secret = self.text("WECHAT_APPID", ""), self.text("WECHAT_APPSECRET", "")
        if bool(appid) != bool(secret):
            missing = "WECHAT_APPSECRET" if appid else "WECHAT_APPID"
            self.problems.append(f"{missing} missing: the two are needed together")
        return secret

    def credentials(self) -> TencentCredentials | None:
        names = ("TENCENT_APP_ID", "TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY")
        values = {name: self.text(name, "") for name in names}
        missing = [name for name, value in values.items() if not value]
        if len(missing) == len(names):
            return None
        if missing:
            self.problems.append(f"{', '.join(missing)} missing: the three credentials are needed together")
            return None
        return TencentCredentials(
            self._app_id(),
            values["TENCENTCLOUD_SECRET_ID"],
            values["TENCENTCLOUD_SECRET_KEY"],
            self._session_token(),
        )

    def role_app_id(self) -> str:
        if self.choice("TENCENT_CREDENTIALS", "env", ("env", "role")) == "env":
            return ""
        if not self.text("TENCENT_APP_ID", ""):
            self.problems.append("TENCENT_CREDENTIALS=role needs TENCENT_APP_ID")
        return self._app_id()

    def _app_id(self) -> str:
        app_id = self.text("TENCENT_APP_ID", "")
        if app_id and not (app_id.isascii() and app_id.isdecimal()):
            self.problems.append(f"TENCENT_APP_ID={app_id!r}: expected the account's AppID, digits only")
        return app_id

    def _session_token(self) -> str:
        """The token of temporary credentials. The one that a cloud function is given belongs to its own keys only."""
        injected = self.environ.get("TENCENTCLOUD_SECRETID")
        if injected and injected == self.text("TENCENTCLOUD_SECRET_ID", ""):
            return self.text("TENCENTCLOUD_TOKEN", "") or self.environ.get("TENCENTCLOUD_SESSIONTOKEN", "")
        return self.text("TENCENTCLOUD_TOKEN", "")

    def recognizer(self, chosen: str, has_account: bool, local_available: bool) -> RecognizerKind:
        if chosen == "tencent" and not has_account:
            self.problems.append("RECOGNIZER=tencent needs TENCENT_APP_ID and TENCENTCLOUD_SECRET_ID and _KEY")
        if chosen == "local" and not local_available:
            self.problems.append("RECOGNIZER=local needs the extra: pip install 'miniapp-backend[local]'")
        if chosen != "auto":
            return RecognizerKind(chosen)
        if has_account:
            return RecognizerKind.TENCENT
        return RecognizerKind.LOCAL if local_available else RecognizerKind.NONE
