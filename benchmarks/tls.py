"""New TLS connections a second, beside the bare ceiling of the same run.

    python benchmarks/tls.py [--hosts 5000] [--rounds 3]

Ours: one POST to each of so many distinct hosts through the door to the network (uvloop, one process): the name looked up, each address checked, the
certificate verified, one deadline, the connection kept. The ceiling: a bare asyncio connection with TLS for each of the same names, one POST, closed.
All names lead to one receiver on this machine, a process of its own, whose certificate is for all of them. Rounds alternate, the medians count. The last
line is JSON.
"""

import argparse
import asyncio
import datetime as dt
import json
import multiprocessing
import os
import resource
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from deliver import AT_ONCE, Raw, Round, signed
from outgoing import ALLOWED, BODY, Receiving

from tidings.outbound import Outbound
from tidings.settings import load_settings
from tidings.webhooks.signing import new_signing_secret, parse_signing_secret

DOMAIN = "hooks.example"


def make_certificate(file: Path) -> None:
    """A key and a certificate for every host of the domain, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A receiver")]), dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - dt.timedelta(days=1), now + dt.timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(f"*.{DOMAIN}")]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )


def run_receiver(certificate: str, pipe: Connection) -> None:
    """Listens on a port, tells it, and serves until the pipe is closed."""

    async def serve() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server = await asyncio.get_running_loop().create_server(lambda: Receiving([]), "127.0.0.1", 0, ssl=context, backlog=512)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.recv)

    uvloop.run(serve())


async def bare(certificate: str, port: int, hosts: int) -> None:
    """Connect, POST, close, for each host."""
    context, key, body = ssl.create_default_context(cafile=certificate), parse_signing_secret(new_signing_secret()), BODY.encode()
    loop, left = asyncio.get_running_loop(), iter(range(hosts))

    async def send() -> None:
        for number in left:
            host = f"host{number}.{DOMAIN}"
            transport, connection = await loop.create_connection(Raw, "127.0.0.1", port, ssl=context, server_hostname=host)
            headers = "".join([f"{name}: {value}\r\n" for name, value in signed(key).items()])
            if await connection.post(f"POST /hook HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body) != 204:
                raise RuntimeError("the receiver did not answer 204")
            transport.abort()

    await asyncio.gather(*(send() for _ in range(AT_ONCE)))


async def ours(certificate: str, port: int, hosts: int) -> None:
    """One POST to each host."""
    settings = load_settings(allowed_networks=ALLOWED)
    context, key, body = ssl.create_default_context(cafile=certificate), parse_signing_secret(new_signing_secret()), BODY.encode()
    outbound = Outbound(settings.allowed_networks, client=settings.http_client, lookup=lambda _: ["127.0.0.1"], tls=context)
    left = iter(range(hosts))

    async def send() -> None:
        for number in left:
            answer = await outbound.post(f"https://host{number}.{DOMAIN}:{port}/hook", signed(key), body, 15)
            if answer.status != 204 or answer.tls is None:
                raise RuntimeError("the receiver did not answer 204 over TLS")

    try:
        await asyncio.gather(*(send() for _ in range(AT_ONCE)))
    finally:
        await outbound.aclose()


def measure(work: Callable[[str, int, int], Awaitable[None]], certificate: str, port: int, hosts: int) -> Round:
    """One round, in this process."""
    used, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    uvloop.run(work(certificate, port, hosts))  # type: ignore[arg-type]
    elapsed, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return Round(hosts / elapsed, (now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime) / hosts * 1e6)


def main() -> None:
    """Measures both, prints both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds: dict[str, list[Round]] = {"ours": [], "bare": []}
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as folder:
        certificate = Path(folder) / "receiver.pem"
        make_certificate(certificate)
        mine, theirs = multiprocessing.Pipe()
        receiver = multiprocessing.get_context("spawn").Process(target=run_receiver, args=(str(certificate), theirs), daemon=True)
        receiver.start()
        port = mine.recv()
        try:
            for number in range(options.rounds):
                for kind, work in (("ours", ours), ("bare", bare)):
                    rounds[kind].append(measure(work, str(certificate), port, options.hosts))
                    print(f"{kind} round {number + 1}: {rounds[kind][-1].per_second:8,.0f}/s {rounds[kind][-1].cpu_us:6.0f} us of CPU each", flush=True)
        finally:
            mine.send("stop")
            receiver.join(5)
    found, ceiling = (Round(statistics.median(one.per_second for one in kept), statistics.median(one.cpu_us for one in kept)) for kept in rounds.values())
    print(f"new TLS connections over {options.hosts:,} hosts: {found.per_second:,.0f}/s, {found.cpu_us:.0f} us of CPU each")
    print(f"  bare asyncio connections {ceiling.per_second:,.0f}/s, {ceiling.cpu_us:.0f} us; ratio {found.per_second / ceiling.per_second:.2f}")
    figures = {
        "benchmark": "tls",
        "hosts": options.hosts,
        "connections_per_second": round(found.per_second),
        "cpu_us": round(found.cpu_us),
        "bare_per_second": round(ceiling.per_second),
        "bare_cpu_us": round(ceiling.cpu_us),
        "ratio": round(found.per_second / ceiling.per_second, 3),
    }
    print(json.dumps({**figures, "cpus": os.cpu_count(), "python": sys.version.split()[0]}))


if __name__ == "__main__":
    main()
