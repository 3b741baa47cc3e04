"""TLS: the chain, the name, the dates and the version, as a phone would judge them."""

import datetime
import ssl
from dataclasses import dataclass
from typing import Final

import trio
from cryptography import x509

from ops.doctor.finding import Fact, Finding, Text, Verdict
from ops.doctor.stage import Context, Stage
from service.dialing import connect_tls
from service.tls_stream import TlsStream

EXPIRES_SOON_DAYS: Final = 21
"""Public authorities renew some 30 days before the end: at 21 that has failed for a week."""
HANDSHAKE_S: Final = 10.0
_MAX_NAMES: Final = 5

# What OpenSSL calls what it finds; see X509_STORE_CTX_get_error(3).
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_SELF_SIGNED: Final = 18
_SELF_SIGNED_IN_CHAIN: Final = 19
_NAME_MISMATCH: Final = frozenset({62, 64})
_CAUSES: Final = {
    _NOT_YET_VALID: ("clock_wrong",),
    _EXPIRED: ("certificate_expired", "clock_wrong"),
    _SELF_SIGNED: ("certificate_self_signed",),
    _SELF_SIGNED_IN_CHAIN: ("certificate_untrusted",),
    **dict.fromkeys(_NAME_MISMATCH, ("certificate_name",)),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What the server showed."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    begins: datetime.datetime
    ends: datetime.datetime


async def _tls(context: Context) -> Finding:
    if not context.target.is_secure:
        await trio.lowlevel.checkpoint()
        return _without(context)
    tls = context.tls
    if tls is None:
        tls = await trio.to_thread.run_sync(ssl.create_default_context)
    try:
        encrypted = await _shaken(context, tls)
    except ssl.SSLCertVerificationError as error:
        return await _unverified(context, error)
    except ssl.SSLError as error:
        return _broken(error)
    except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
        en = f"the handshake did not come to its end ({type(error).__name__})"
        zh = f"握手没有完成（{type(error).__name__}）"
        return _fail(Text(en, zh), "tls_broken", "not_tls")
    try:
        version = encrypted.socket.version() or "?"
        der = encrypted.socket.getpeercert(binary_form=True) or b""
    finally:
        await trio.aclose_forcefully(encrypted)
    return judge(read(der), version, datetime.datetime.now(datetime.UTC), is_loopback=context.target.is_loopback)


def judge(shown: Shown, version: str, now: datetime.datetime, *, is_loopback: bool = False) -> Finding:
    """A certificate that was accepted; on this machine it is a test's, and may end soon. Pure."""
    left_days = (shown.ends - now).days
    facts = {**_facts(shown), "tls_version": version, "days_left": left_days}
    names = ", ".join(shown.names[:_MAX_NAMES])
    en = f"{version}, {names}, issued by {shown.issuer}, {left_days} days left"
    zh = f"{version}，{names}，由 {shown.issuer} 签发，剩余 {left_days} 天"
    is_short = left_days < EXPIRES_SOON_DAYS and not is_loopback
    return Finding(
        stage="tls",
        verdict=Verdict.WARN if is_short else Verdict.PASS,
        summary=Text(en, zh),
        causes=("certificate_expires_soon",) if is_short else (),
        facts=facts,
    )


def read(der: bytes) -> Shown:
    """What a certificate says. Pure."""
    certificate = x509.load_der_x509_certificate(der)
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [str(name) for name in extension.get_values_for_type(x509.DNSName)]
        names += [str(address) for address in extension.get_values_for_type(x509.IPAddress)]
    except x509.ExtensionNotFound:
        names = []
    return Shown(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        names=tuple(names),
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
    )


def _without(context: Context) -> Finding:
    if context.target.is_loopback:
        summary = Text("this machine needs none", "本机不需要")
        return Finding(stage="tls", verdict=Verdict.SKIP, summary=summary)
    summary = Text("the address is http:// or ws://", "地址是 http:// 或 ws://")
    return Finding(stage="tls", verdict=Verdict.WARN, summary=summary, causes=("no_tls",))


async def _shaken(context: Context, tls: ssl.SSLContext) -> TlsStream:
    with trio.fail_after(HANDSHAKE_S):
        return await connect_tls(context.target.host, context.target.port, tls)


async def _unverified(context: Context, error: ssl.SSLCertVerificationError) -> Finding:
    """A certificate that was refused; a second look at it, without judging, gives its names and dates."""
    causes = _CAUSES.get(error.verify_code, ("certificate_untrusted",))
    said = error.verify_message.rstrip(".")
    shown = await _look(context)
    if shown is None:
        return _fail(Text(said, said), *causes)
    names = ", ".join(shown.names[:_MAX_NAMES]) or "-"
    dates = f"{shown.begins:%Y-%m-%d %H:%M} - {shown.ends:%Y-%m-%d %H:%M} UTC"
    en = f"{said}; it names {names}, issued by {shown.issuer}, valid {dates}"
    zh = f"{said}；证书域名 {names}，由 {shown.issuer} 签发，有效期 {dates}"
    return _fail(Text(en, zh), *causes, facts=_facts(shown) | {"verify_code": error.verify_code})


async def _look(context: Context) -> Shown | None:
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it reads a certificate; nothing is sent over it
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    try:
        encrypted = await _shaken(context, blind)
    except (OSError, trio.BrokenResourceError, trio.TooSlowError):
        return None
    try:
        return read(encrypted.socket.getpeercert(binary_form=True) or b"")
    except ValueError:
        return None
    finally:
        await trio.aclose_forcefully(encrypted)


def _broken(error: ssl.SSLError) -> Finding:
    reason = (error.reason or str(error)).replace("_", " ").lower()
    summary = Text(f"the handshake failed: {reason}", f"握手失败：{reason}")
    if any(
        sign in reason for sign in ("wrong version number", "packet length too long", "http request", "record layer")
    ):
        return _fail(summary, "not_tls")
    if "protocol version" in reason or "unsupported protocol" in reason:
        return _fail(summary, "tls_too_old")
    return _fail(summary, "tls_broken", "not_tls")


def _facts(shown: Shown) -> dict[str, Fact]:
    return {
        "subject": shown.subject,
        "issuer": shown.issuer,
        "names": ", ".join(shown.names),
        "valid_from": shown.begins.isoformat(),
        "valid_until": shown.ends.isoformat(),
    }


def _fail(summary: Text, *causes: str, facts: dict[str, Fact] | None = None) -> Finding:
    return Finding(stage="tls", verdict=Verdict.FAIL, summary=summary, causes=causes, facts=facts or {})


STAGE: Final = Stage(
    name="tls", title=Text("TLS certificate", "TLS 证书"), check=_tls, needs=("tcp",), limit_s=2 * HANDSHAKE_S + 5
)
