"""How the settings' values are read from the environment, and what is said of those that cannot be used. Pure.

What the settings are is in `service.settings`; here are the names, the parsers, and the search for names that are
nearly right.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

_Value = TypeVar("_Value")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

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
    "TOKEN_TTL_S", "WECHAT_APPID", "WECHAT_APPSECRET", "WECHAT_API_URL",
    "MAX_STREAMS_PER_USER", "MAX_STREAMS_PER_ADDRESS", "MAX_NEW_STREAMS_PER_MINUTE", "MAX_AUDIO_S_PER_DAY",
    "MESSAGES_PER_S", "DATABASE_URL", "KEEP_TRANSCRIPTS", "HISTORY_DAYS", "SPOOL_DIR", "REDIS_URL",
    "ALLOWED_ORIGINS", "TRUSTED_PROXIES", "TRUST_WX_HEADERS",
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
_REDIS_URL: Final = re.compile(
    r"rediss?://([^\s/@?#]*@)?" + _HOST_AND_PORT.removesuffix("/?") + r"(/(\d{1,4})?)?"
)  # a password may stand before the host
_SQLITE_URL: Final = re.compile(r"(sqlite)(\+[a-z0-9_]+)?:///[^\s?:][^\s?]*(\?\S*)?")  # a file: in memory has no sense
_DATABASE_URL: Final = re.compile(
    r"(mysql|mariadb|postgres|postgresql)(\+[a-z0-9_]+)?://([^\s/@]*@)?(" + _HOST_AND_PORT.removesuffix("/?") + r")?"
    r"/[^\s/?]+(\?\S*)?"
)  # without a host: a socket that the query names
_DATABASE_DRIVERS: Final = {"sqlite": "sqlite+pysqlite", "mysql": "mysql+pymysql", "mariadb": "mysql+pymysql",
    "postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}  # fmt: skip
_ORIGIN: Final = re.compile(r"https?://" + _HOST_AND_PORT.removesuffix("/?"))
ENGINE_NAME: Final = re.compile(r"[0-9A-Za-z_.-]{1,64}")


class SettingsError(ValueError):
    """The environment cannot be used. `problems` has a sentence for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Reader:
    """Reads values and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = {name: value.strip() for name, value in environ.items() if value.strip()}
        self.problems: list[str] = []

    def finish(self) -> None:
        self.problems += near_misses(self.environ)
        if self.problems:
            raise SettingsError(self.problems)

    def text(self, name: str, default: str) -> str:
        for spelling in (name, *_ALIASES.get(name, ())):
            if spelling in self.environ:
                return self.environ[spelling]
        return default

    def secret(self, name: str, *, at_least: int = 32) -> str:
        # 32 bytes: RFC 7518 section 3.2 asks for a key as long as the hash of HS256.
        value = self.text(name, "")
        if value and (length := len(os.fsencode(value))) < at_least:
            self.problems.append(f"{name} has {length} bytes: at least {at_least} are needed")
        return value

    def parsed(self, name: str, default: _Value, parse: Callable[[str], _Value], expected: str) -> _Value:
        given = self.text(name, "")
        if not given:
            return default
        try:
            return parse(given)
        except ValueError:
            self.problems.append(f"{name}={given!r}: expected {expected}")
            return default

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        def parse(given: str) -> int:
            value = int(given)
            if not low <= value <= high:
                raise ValueError
            return value

        return self.parsed(name, default, parse, f"a whole number from {low} to {high}")

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        def parse(given: str) -> str:
            by_lower_case = {choice.lower(): choice for choice in choices}
            if given.lower() not in by_lower_case:
                raise ValueError
            return by_lower_case[given.lower()]

        return self.parsed(name, default, parse, f"one of {', '.join(choices)}")

    def websocket_url(self, name: str, default: str) -> str:
        given = self.text(name, default)
        if not _WEBSOCKET_ADDRESS.fullmatch(given):  # not shown: somebody may have put a password into it
            self.problems.append(f"{name}: expected ws://HOST[:PORT] or wss://HOST[:PORT], and nothing behind it")
        return given.rstrip("/")

    def api_url(self, name: str, default: str) -> str:
        given = self.text(name, default)
        address = _HTTP_ADDRESS.fullmatch(given)
        if not address:  # not shown: somebody may have put a password into it
            self.problems.append(f"{name}: expected https://HOST[:PORT], and nothing behind it")
        elif given.startswith("http:") and not _LOOPBACK_HOST.fullmatch(address[1]):
            self.problems.append(f"{name}: http:// is for this machine only: expected https://HOST[:PORT]")
        return given.rstrip("/")

    def push_url(self, name: str) -> str:
        given = self.text(name, "")
        if given and not _PUSH_ADDRESS.fullmatch(given):  # not shown: somebody may have put a password into it
            self.problems.append(f"{name}: expected http://HOST[:PORT][/PATH] or https://, without user or password")
        return given.rstrip("/")

    def basic_auth(self, name: str) -> str:
        given = self.text(name, "")
        if given and not (given.partition(":")[0] and given.partition(":")[2]):
            self.problems.append(f"{name}: expected USER:PASSWORD")  # not shown: it is a secret
        return given

    def switch(self, name: str, default: str) -> bool:
        """`on` or `off`."""
        return self.choice(name, default, ("on", "off")) == "on"

    def redis_url(self, name: str) -> str:
        given = self.text(name, "")
        if given and not _REDIS_URL.fullmatch(given):  # not shown: it may hold a password
            self.problems.append(f"{name}: expected redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE] or rediss://")
        return given

    def database_url(self, name: str, default: str) -> str:
        """A URL for SQLAlchemy with the driver that is installed here; empty for `none`."""
        given = self.text(name, default)
        if given == "none":
            return ""
        address = _SQLITE_URL.fullmatch(given) or _DATABASE_URL.fullmatch(given)
        if not address:  # not shown: it may hold a password
            self.problems.append(
                f"{name}: expected sqlite:///FILE, mysql://USER:PASSWORD@HOST/DATABASE, postgresql://…, or none; "
                "special characters of a password in percent encoding"
            )
            return ""
        return _DATABASE_DRIVERS[address[1]] + given[given.index("://") :]

    def origins(self, name: str) -> tuple[str, ...]:
        """Origins as RFC 6454 section 6.2 writes them, in lower case."""
        given = tuple(part.strip().lower().rstrip("/") for part in self.text(name, "").split(",") if part.strip())
        wrong = [origin for origin in given if not _ORIGIN.fullmatch(origin)]
        if wrong:
            self.problems.append(f"{name}: {', '.join(wrong)}: expected https://HOST[:PORT] with commas between")
        return given

    def networks(self, name: str) -> tuple[Network, ...]:
        """Addresses and networks (10.0.0.0/8)."""
        found = []
        for part in filter(None, (part.strip() for part in self.text(name, "").split(","))):
            try:
                found.append(ipaddress.ip_network(part))
            except ValueError:
                self.problems.append(f"{name}: {part!r}: expected an address or a network, such as 10.0.0.0/8")
        return tuple(found)

    def engine(self, name: str, default: str) -> str:
        def parse(given: str) -> str:
            if not ENGINE_NAME.fullmatch(given):
                raise ValueError
            return given

        return self.parsed(name, default, parse, "the name of an engine, such as 16k_zh")


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
