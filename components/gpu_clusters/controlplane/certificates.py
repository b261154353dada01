"""The sandbox's certificates: three authorities and what they sign.

    ca          the API server's clients and every serving certificate on loopback
    front-proxy the API server towards aggregated API servers; apart from `ca`, or any client could pose as the proxy
    etcd        etcd and its one client; apart from `ca`, or any tenant's certificate would open the database

All keys are EC P-256: made in milliseconds, where RSA takes a second or more for the whole set.
"""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gpu_clusters._files import write_atomically

ADMIN_GROUP: Final = "system:masters"
#: The first address of the Services' range, which the Service `kubernetes` has.
KUBERNETES_SERVICE_IP: Final = "10.96.0.1"

# A sandbox is long gone by then; renewing is `stop --delete-data` and `start`.
_LIFETIME: Final = datetime.timedelta(days=3650)
_CLIENT_LIFETIME: Final = datetime.timedelta(days=365)
# The clock of a laptop that wakes up may be set back a little.
_BACKDATED: Final = datetime.timedelta(hours=1)
_LOOPBACK: Final = ("localhost", "127.0.0.1")
_SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH
_CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both as PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class _Signed:
    authority: str
    user: str
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


_AUTHORITIES: Final = ("ca", "front-proxy-ca", "etcd-ca")
_SIGNED: Final = {
    "kube-apiserver": _Signed(
        "ca",
        "kube-apiserver",
        names=(
            *_LOOPBACK,
            KUBERNETES_SERVICE_IP,
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ),
    ),
    "loopback": _Signed("ca", "loopback", names=_LOOPBACK),
    "admin": _Signed("ca", "gpu-clusters:admin", (ADMIN_GROUP,)),
    "kube-controller-manager": _Signed("ca", "system:kube-controller-manager"),
    "kube-scheduler": _Signed("ca", "system:kube-scheduler"),
    "kwok": _Signed("ca", "gpu-clusters:kwok", (ADMIN_GROUP,)),
    "front-proxy-client": _Signed("front-proxy-ca", "front-proxy-client"),
    # etcd dials itself, so its certificate is a client's too.
    "etcd": _Signed("etcd-ca", "etcd", names=_LOOPBACK),
    "etcd-client": _Signed("etcd-ca", "kube-apiserver-etcd-client"),
}
_SERVICE_ACCOUNT_KEYS: Final = ("service-account.key", "service-account.pub")


def ensure(directory: Path) -> bool:
    """Make the whole set in `directory` unless it is there and readable.

    A set is never mixed: it appears by one rename, and one that lacks a file or holds one that can't be read is made
    anew as a whole.

    Returns:
        Whether it was made: every process that uses the old one must be started again.
    """
    if _is_whole(directory):
        return False
    directory.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=directory.parent, prefix=".pki."))
    try:
        _make(fresh)
        shutil.rmtree(directory, ignore_errors=True)
        fresh.replace(directory)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return True


def client(directory: Path, user: str, groups: Sequence[str]) -> KeyPair:
    """Sign a client certificate, good for a year, for any user and groups, with the authority in `directory`."""
    return _sign(_load(directory, "ca"), _Signed("ca", user, tuple(groups)), _CLIENT_LIFETIME)


def read(directory: Path, name: str) -> KeyPair:
    """Read a pair of the set, e.g. `admin`."""
    return KeyPair((directory / f"{name}.crt").read_bytes(), (directory / f"{name}.key").read_bytes())


def _make(directory: Path) -> None:
    authorities = {name: _authority(name) for name in _AUTHORITIES}
    for name, authority in authorities.items():
        _write(directory, name, KeyPair(_certificate_pem(authority.certificate), _key_pem(authority.key)))
    for name, signed in _SIGNED.items():
        _write(directory, name, _sign(authorities[signed.authority], signed, _LIFETIME))
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = _SERVICE_ACCOUNT_KEYS
    write_atomically(directory / private, _key_pem(key), mode=0o600)
    write_atomically(
        directory / public,
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


def _write(directory: Path, name: str, pair: KeyPair) -> None:
    write_atomically(directory / f"{name}.crt", pair.certificate)
    write_atomically(directory / f"{name}.key", pair.key, mode=0o600)


def _is_whole(directory: Path) -> bool:
    try:
        for name in (*_AUTHORITIES, *_SIGNED):
            pair = read(directory, name)
            certificate = x509.load_pem_x509_certificate(pair.certificate)
            key = serialization.load_pem_private_key(pair.key, password=None)
            if certificate.public_key() != key.public_key():
                return False
        serialization.load_pem_private_key((directory / _SERVICE_ACCOUNT_KEYS[0]).read_bytes(), password=None)
        serialization.load_pem_public_key((directory / _SERVICE_ACCOUNT_KEYS[1]).read_bytes())
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _load(directory: Path, name: str) -> _Authority:
    pair = read(directory, name)
    key = serialization.load_pem_private_key(pair.key, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{name}.key is no EC key")
    return _Authority(x509.load_pem_x509_certificate(pair.certificate), key)


def _authority(name: str) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"gpu-clusters-sandbox-{name}")])
    builder = (
        _builder(subject, subject, key.public_key(), _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _Authority(builder.sign(key, hashes.SHA256()), key)


def _sign(authority: _Authority, signed: _Signed, lifetime: datetime.timedelta) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    # Kubernetes reads the user from the common name and the groups from the organisations.
    subject = x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in signed.groups),
            x509.NameAttribute(NameOID.COMMON_NAME, signed.user),
        ]
    )
    usages = [_SERVER, _CLIENT] if signed.names else [_CLIENT]
    builder = (
        _builder(authority.certificate.subject, subject, key.public_key(), lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    if signed.names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in signed.names]), critical=False
        )
    return KeyPair(_certificate_pem(builder.sign(authority.key, hashes.SHA256())), _key_pem(key))


def _builder(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lifetime)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
