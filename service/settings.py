"""The settings: one frozen object, read from the environment once, checked whole.

Pure, and the only place that knows the environment's names. A value that cannot be used, or a name that is nearly one
of ours (a typo that would silently leave a default in force), is an error, and the error lists all of them.
"""

import enum
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Final, TypeVar

_Value = TypeVar("_Value")

TENCENT_ASR_URL: Final = "wss://asr.cloud.tencent.com"
TENCENT_API_URL: Final = "https://asr.tencentcloudapi.com"
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


class SettingsError(ValueError):
    """The environment cannot be used. `problems` has a sentence for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


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
                lines.append(f"{item.name.upper()}={_masked(value)}")
            else:
                lines.append(f"{item.name.upper()}={value}")
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


def _masked(secret: str) -> str:
    return f"(set, {len(secret)} characters)" if secret else "(not set)"


# Every name that is read: the first is the one to use, the others are those of the service being replaced and of
# Tencent's cloud functions.
_ALIASES: Final = {
    "TENCENT_APP_ID": (),
    "TENCENTCLOUD_SECRET_ID": ("TENCENT_SECRET_ID", "TENCENTCLOUD_SECRETID"),
    "TENCENTCLOUD_SECRET_KEY": ("TENCENT_SECRET_KEY", "TENCENTCLOUD_SECRETKEY"),
    "TENCENTCLOUD_TOKEN": (),
}
KNOWN_NAMES: Final = (
    "HOST", "PORT", "LOG_LEVEL", "AUTH_MODE", "JWT_SECRET", "JWT_SECRET_OLD", "RECOGNIZER", *_ALIASES,
    "TENCENT_CREDENTIALS", "TENCENT_ASR_URL", "TENCENT_API_URL",
    "DEFAULT_ENGINE", "UPSTREAM_CONCURRENCY", "UPSTREAM_PACKET_MS", "MAX_STREAMS",
    "MAX_CONNECTIONS", "MAX_STREAM_S", "MAX_LAG_MS", "REPLAY_S", "DRAIN_S", "METRICS_TOKEN",
    "METRICS_PUSH_URL", "METRICS_PUSH_S", "METRICS_PUSH_AUTH", "TEST_WS_MAX_BYTES",
)  # fmt: skip

# Names that others set; never mistaken for typos of ours.
_NEIGHBORS: Final = {"TENCENTCLOUD_SESSIONTOKEN"}


_HOST_AND_PORT: Final = (
    r"([0-9A-Za-z.-]+|\[[0-9A-Fa-f:.]+\])"  # a name, an IPv4 address, or an IPv6 one in brackets
    r"(:([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5]))?/?"
)
_WEBSOCKET_ADDRESS: Final = re.compile(r"wss?://" + _HOST_AND_PORT)
_HTTP_ADDRESS: Final = re.compile(r"https?://" + _HOST_AND_PORT)
_PUSH_ADDRESS: Final = re.compile(
    r"https?://" + _HOST_AND_PORT + r"((?<=/)[0-9A-Za-z._~/-]*)?"
)  # a proxy may add a path
_LOOPBACK_HOST: Final = re.compile(r"localhost|127(\.\d{1,3}){3}|\[::1\]")
ENGINE_NAME: Final = re.compile(r"[0-9A-Za-z_.-]{1,64}")


class _Reader:
    """Reads values and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {name: value.strip() for name, value in environ.items() if value.strip()}
        self._problems: list[str] = []

    def finish(self) -> None:
        self._problems += near_misses(self._environ)
        if self._problems:
            raise SettingsError(self._problems)

    def text(self, name: str, default: str) -> str:
        for spelling in (name, *_ALIASES.get(name, ())):
            if spelling in self._environ:
                return self._environ[spelling]
        return default

    def secret(self, name: str, *, at_least: int = 32) -> str:
        # 32 bytes: RFC 7518 section 3.2 asks for a key as long as the hash of HS256.
        value = self.text(name, "")
        if value and (length := len(os.fsencode(value))) < at_least:
            self._problems.append(f"{name} has {length} bytes: at least {at_least} are needed")
        return value

    def _parsed(self, name: str, default: _Value, parse: Callable[[str], _Value], expected: str) -> _Value:
        given = self.text(name, "")
        if not given:
            return default
        try:
            return parse(given)
        except ValueError:
            self._problems.append(f"{name}={given!r}: expected {expected}")
            return default

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        def parse(given: str) -> int:
            value = int(given)
            if not low <= value <= high:
                raise ValueError
            return value

        return self._parsed(name, default, parse, f"a whole number from {low} to {high}")

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        def parse(given: str) -> str:
            by_lower_case = {choice.lower(): choice for choice in choices}
            if given.lower() not in by_lower_case:
                raise ValueError
            return by_lower_case[given.lower()]

        return self._parsed(name, default, parse, f"one of {', '.join(choices)}")

    def websocket_url(self, name: str, default: str) -> str:
        given = self.text(name, default)
        if not _WEBSOCKET_ADDRESS.fullmatch(given):  # not shown: somebody may have put a password into it
            self._problems.append(f"{name}: expected ws://HOST[:PORT] or wss://HOST[:PORT], and nothing behind it")
        return given.rstrip("/")

    def api_url(self, name: str, default: str) -> str:
        given = self.text(name, default)
        address = _HTTP_ADDRESS.fullmatch(given)
        if not address:  # not shown: somebody may have put a password into it
            self._problems.append(f"{name}: expected https://HOST[:PORT], and nothing behind it")
        elif given.startswith("http:") and not _LOOPBACK_HOST.fullmatch(address[1]):
            self._problems.append(f"{name}: http:// is for this machine only: expected https://HOST[:PORT]")
        return given.rstrip("/")

    def push_url(self, name: str) -> str:
        given = self.text(name, "")
        if given and not _PUSH_ADDRESS.fullmatch(given):  # not shown: somebody may have put a password into it
            self._problems.append(f"{name}: expected http://HOST[:PORT][/PATH] or https://, without user or password")
        return given.rstrip("/")

    def basic_auth(self, name: str) -> str:
        given = self.text(name, "")
        if given and not (given.partition(":")[0] and given.partition(":")[2]):
            self._problems.append(f"{name}: expected USER:PASSWORD")  # not shown: it is a secret
        return given

    def auth_mode(self, jwt_secret: str) -> AuthMode:
        chosen = self.choice("AUTH_MODE", "", ("off", "token"))
        if chosen == "token" and not jwt_secret:
            self._problems.append("AUTH_MODE=token needs JWT_SECRET")
        if chosen:
            return AuthMode(chosen)
        return AuthMode.TOKEN if jwt_secret else AuthMode.LOCKED

    def credentials(self) -> TencentCredentials | None:
        names = ("TENCENT_APP_ID", "TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY")
        values = {name: self.text(name, "") for name in names}
        missing = [name for name, value in values.items() if not value]
        if len(missing) == len(names):
            return None
        if missing:
            self._problems.append(f"{', '.join(missing)} missing: the three credentials are needed together")
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
            self._problems.append("TENCENT_CREDENTIALS=role needs TENCENT_APP_ID")
        return self._app_id()

    def _app_id(self) -> str:
        app_id = self.text("TENCENT_APP_ID", "")
        if app_id and not (app_id.isascii() and app_id.isdecimal()):
            self._problems.append(f"TENCENT_APP_ID={app_id!r}: expected the account's AppID, digits only")
        return app_id

    def _session_token(self) -> str:
        """The token of temporary credentials. The one that a cloud function is given belongs to its own keys only."""
        injected = self._environ.get("TENCENTCLOUD_SECRETID")
        if injected and injected == self.text("TENCENTCLOUD_SECRET_ID", ""):
            return self.text("TENCENTCLOUD_TOKEN", "") or self._environ.get("TENCENTCLOUD_SESSIONTOKEN", "")
        return self.text("TENCENTCLOUD_TOKEN", "")

    def engine(self, name: str, default: str) -> str:
        def parse(given: str) -> str:
            if not ENGINE_NAME.fullmatch(given):
                raise ValueError
            return given

        return self._parsed(name, default, parse, "the name of an engine, such as 16k_zh")

    def recognizer(self, chosen: str, has_account: bool, local_available: bool) -> RecognizerKind:
        if chosen == "tencent" and not has_account:
            self._problems.append("RECOGNIZER=tencent needs TENCENT_APP_ID and TENCENTCLOUD_SECRET_ID and _KEY")
        if chosen == "local" and not local_available:
            self._problems.append("RECOGNIZER=local needs the extra: pip install 'miniapp-backend[local]'")
        if chosen != "auto":
            return RecognizerKind(chosen)
        if has_account:
            return RecognizerKind.TENCENT
        return RecognizerKind.LOCAL if local_available else RecognizerKind.NONE


def near_misses(names: Mapping[str, str]) -> list[str]:
    """A sentence for each name that is nearly one of ours: one slip of the pen, or other underscores or case."""
    read = (*KNOWN_NAMES, *(alias for aliases in _ALIASES.values() for alias in aliases))
    problems = []
    for name in sorted({*names} - {*read} - _NEIGHBORS):
        for known in read:
            if len(known) > 4 and _nearly(name, known):  # PORT and HOST are near to too many strangers
                problems.append(f"{name} is unknown: is {known} meant?")
                break
    return problems


def _nearly(name: str, known: str) -> bool:
    if name.upper().replace("_", "") == known.replace("_", ""):
        return True
    if abs(len(name) - len(known)) > 1:
        return False
    if len(name) == len(known):
        different = [place for place in range(len(name)) if name[place] != known[place]]
        swapped = len(different) == 2 and different[1] == different[0] + 1
        return len(different) == 1 or (swapped and sorted(name) == sorted(known))
    longer, shorter = (name, known) if len(name) > len(known) else (known, name)
    return any(longer[:place] + longer[place + 1 :] == shorter for place in range(len(longer)))
