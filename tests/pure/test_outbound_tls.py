"""TLS: certificates are checked, and what is wrong with one is said."""

import asyncio
import datetime as dt
import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.pure.outbound_peers import LOOPBACK, Doors, Peer, answer_of, peer
from tidings.errors import RequestFailed
from tidings.outbound import Outbound

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


def _server(folder: Path, names: list[x509.GeneralName], since: dt.datetime = NOW - DAY) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(key, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An endpoint")]), names, since, since + 2 * DAY)
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.fixture
def trusting() -> ssl.SSLContext:
    authority = _certificate(AUTHORITY_KEY, AUTHORITY, [], NOW - 100 * DAY, NOW + 100 * DAY)
    return ssl.create_default_context(cadata=authority.public_bytes(serialization.Encoding.PEM).decode())


@pytest.mark.parametrize(
    ("name", "since", "said"),
    [
        ("right.example", NOW - DAY, None),
        ("right.example", NOW - 3 * DAY, "has expired"),
        ("right.example", NOW + DAY, "is not valid yet"),
        ("wrong.example", NOW - DAY, "is made out to another name"),
    ],
)
async def test_certificates(  # noqa: PLR0917 - parameters and fixtures
    name: str, since: dt.datetime, said: str | None, doors: Doors, client: str, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    outbound = doors(LOOPBACK, lookup=lambda _: ["127.0.0.1"], tls=trusting)
    async with peer(answer_of(b"ok"), _server(tmp_path, [x509.DNSName(name)], since)) as endpoint:
        url = f"https://right.example:{endpoint.port}/"
        if said is None:
            first, second = [await outbound.post(url, {}, b"{}", 20) for _ in range(2)]
            assert (first.body, second.body, endpoint.connections) == (b"ok", b"ok", 1)
            assert set(first.phases) - {"tls"} == {"lookup", "connect", "firstByte", "total"}
            assert ("tls" in first.phases) is (client == "own"), "aiohttp counts the handshake as connecting"
            assert set(second.phases) == {"firstByte", "total"}
            until = int((since + 2 * DAY).timestamp()) * 1_000_000
            assert (first.tls, first.certificate_until) == (second.tls, second.certificate_until) == ("TLSv1.3", until)
        else:
            with pytest.raises(RequestFailed, match=rf"The TLS certificate of right\.example:{endpoint.port} {said}\.") as caught:
                await outbound.post(url, {}, b"{}", 20)
            assert caught.value.code == "tls"
            assert (caught.value.address, endpoint.requests) == ("127.0.0.1", [])


async def test_an_authority_that_nobody_knows_is_not_trusted(doors: Doors, tmp_path: Path) -> None:
    outbound = doors(LOOPBACK)
    async with peer(answer_of(b"ok"), _server(tmp_path, [x509.IPAddress(ip_address("127.0.0.1"))])) as endpoint:
        with pytest.raises(RequestFailed, match="signed by an authority that this machine does not"):
            await outbound.post(f"https://127.0.0.1:{endpoint.port}/", {}, b"{}", 20)
        assert endpoint.requests == []


async def test_a_peer_that_hangs_up_in_the_handshake_is_said(trusting: ssl.SSLContext) -> None:
    async def hangs_up(_: Peer, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await reader.read(1)

    outbound = Outbound(LOOPBACK, lookup=lambda _: ["127.0.0.1"], tls=trusting)
    async with peer(hangs_up) as endpoint:
        with pytest.raises(RequestFailed, match=r"No TLS connection with .* came about: it closed the connection in the middle of the handshake") as caught:
            await outbound.post(f"https://right.example:{endpoint.port}/", {}, b"{}", 20)
        assert (caught.value.code, set(caught.value.phases)) == ("tls", {"lookup", "connect", "total"})
    await outbound.aclose()


def test_tls_in_the_loop_of_the_server(trusting: ssl.SSLContext, tmp_path: Path) -> None:
    async def ask() -> None:
        outbound = Outbound(LOOPBACK, lookup=lambda _: ["127.0.0.1"], tls=trusting)
        async with peer(answer_of(b"ok"), _server(tmp_path, [x509.DNSName("*.hooks.example")])) as endpoint:
            for host in ("a.hooks.example", "b.hooks.example", "a.hooks.example"):
                answer = await outbound.post(f"https://{host}:{endpoint.port}/", {}, b"{}", 20)
                assert (answer.body, answer.tls, answer.certificate_until is not None) == (b"ok", "TLSv1.3", True)
            assert endpoint.connections == 2
            with pytest.raises(RequestFailed, match="is made out to another name"):
                await outbound.post(f"https://other.test:{endpoint.port}/", {}, b"{}", 20)
        await outbound.aclose()

    uvloop.run(ask())
