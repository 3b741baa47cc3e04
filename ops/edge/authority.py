"""Certificates of a front door: an authority of its own, made anew each time, and what it signs.

The authority's key never leaves the process, so whoever trusts the authority's certificate trusts this run alone.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ops.edge.faults import Certificate

HOST: Final = "voice.test"  # RFC 2606: this will never be anybody's
ADDRESS: Final = "127.0.0.1"
_DAY: Final = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM files; `both` holds the two in one file, as HAProxy wants it."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates. Its own is `certificate`."""

    def __init__(self, name: str, parent: "Authority | None" = None) -> None:
        """Makes a new key. Without a parent it signs itself."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        signer = parent or self
        self.certificate = (
            _builder(self._name, signer, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0 if parent else 1), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(signer._key, hashes.SHA256())
        )

    def issue(self, hosts: Sequence[str], *, ended: bool = False) -> tuple[bytes, bytes]:
        """Certificate and key in PEM, for host names and addresses; one that `ended` was valid until yesterday."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_name(hosts[0]), self, key.public_key(), ended=ended)
            .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return certificate.public_bytes(serialization.Encoding.PEM), private

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Of its certificate."""
        return self._key.public_key()

    @property
    def name(self) -> x509.Name:
        """Of its certificate."""
        return self._name


def write_certificates(directory: Path, kind: Certificate) -> tuple[Path, Pair]:
    """Make an authority and one certificate, and write them; returns the authority's file and the pair.

    The keys are readable by their owner alone.
    """
    authority = Authority("Voice gateway edge simulation")
    signer = authority
    if kind is Certificate.UNTRUSTED:
        signer = Authority("Nobody's authority")
    elif kind is Certificate.INCOMPLETE:
        signer = Authority("Edge simulation, intermediate", authority)
    hosts = ("another.test",) if kind is Certificate.WRONG_NAME else (HOST, ADDRESS)
    certificate, key = signer.issue(hosts, ended=kind is Certificate.EXPIRED)
    ca = directory / "ca.pem"
    ca.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    pair = Pair(directory / "server.pem", directory / "server.key", directory / "server-with-key.pem")
    pair.certificate.write_bytes(certificate)
    for path, content in ((pair.key, key), (pair.both, certificate + key)):
        path.touch(mode=0o600)
        path.write_bytes(content)
    return ca, pair


def _builder(
    subject: x509.Name, signer: Authority, public_key: ec.EllipticCurvePublicKey, *, ended: bool = False
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    begins, ends = (now - 30 * _DAY, now - _DAY) if ended else (now - _DAY, now + 7 * _DAY)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
