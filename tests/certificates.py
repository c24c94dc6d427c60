"""An authority for tests, and certificates that it signs."""

import datetime as dt
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
AUTHORITY_KEY = ec.generate_private_key(ec.SECP256R1())
AUTHORITY = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority for tests")])


def _certificate(
    key: ec.EllipticCurvePrivateKey, subject: x509.Name, names: list[x509.GeneralName], since: dt.datetime, until: dt.datetime
) -> x509.Certificate:
    builder = x509.CertificateBuilder(AUTHORITY, subject, key.public_key(), x509.random_serial_number(), since, until)
    builder = builder.add_extension(x509.BasicConstraints(ca=subject == AUTHORITY, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(AUTHORITY_KEY.public_key()), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(AUTHORITY_KEY, hashes.SHA256())


def server_context(folder: Path, names: list[x509.GeneralName], since: dt.datetime = NOW - DAY, days: int = 2) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(key, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An endpoint")]), names, since, since + days * DAY)
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def trusting_context() -> ssl.SSLContext:
    """Trusts what the authority signed, and nothing else."""
    authority = _certificate(AUTHORITY_KEY, AUTHORITY, [], NOW - 100 * DAY, NOW + 100 * DAY)
    return ssl.create_default_context(cadata=authority.public_bytes(serialization.Encoding.PEM).decode())
