"""What an attempt tells of its way: phases, address, TLS, the end of the certificate, on both databases."""

import asyncio
from pathlib import Path

import pytest
from cryptography import x509

from tests.certificates import DAY, NOW, server_context, trusting_context
from tests.flows.webhook_house import House
from tests.pure.outbound_peers import Peer, peer
from tidings import clock
from tidings.outbound import Outbound
from tidings.webhooks.hooks import warning


@pytest.mark.parametrize("days", [9, 90])
async def test_an_attempt_over_tls_tells_its_phases_and_the_end_of_the_certificate(house: House, tmp_path: Path, days: int) -> None:
    context = server_context(tmp_path, [x509.DNSName("hooks.example.com")], NOW - DAY, days + 1)
    await house.outbound.aclose()
    house.outbound = Outbound(house.settings.allowed_networks, lookup=lambda _host: ["127.0.0.1"], tls=trusting_context())
    async with peer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", context) as endpoint:
        hook = await house.hook(target_url=f"https://hooks.example.com:{endpoint.port}/hook")
        async with house.dispatching():
            for count in (1, 2):
                await house.end_sync()
                await house.until_all("delivered", count)
    first, second = (one.attempts[0] for one in await house.deliveries())
    assert first.address == second.address == "127.0.0.1"
    assert first.tls in {"TLSv1.2", "TLSv1.3"}
    assert first.phases is not None
    assert second.phases is not None
    assert set(first.phases) == {"lookup", "connect", "tls", "firstByte", "total"}
    assert set(second.phases) == {"firstByte", "total"}  # over the connection that was kept
    assert first.phases["total"] >= first.phases["tls"] > 0
    looked = await house.look(hook)
    assert first.certificate_until == second.certificate_until == looked.certificate_until
    said = warning(looked, clock.now())
    assert (said is None) == (days > 14)
    assert said is None or said.startswith("The TLS certificate of the endpoint expires in 8 days")


async def test_an_attempt_without_an_answer_tells_how_far_it_came(house: House) -> None:
    async def silent(_peer: Peer, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3600)

    async with peer(silent) as endpoint:
        await house.hook(target_url=f"http://127.0.0.1:{endpoint.port}/hook")
        async with house.dispatching(delivery_timeout=0.3, retry_schedule=()):
            await house.end_sync()
            (found,) = await house.until_all("exhausted")
    (attempt,) = (await house.only_delivery()).attempts
    assert "gave no answer within 0.3 s" in (found.reason or "")
    assert (attempt.status, attempt.address, attempt.tls) == (None, "127.0.0.1", None)
    assert attempt.phases is not None
    assert set(attempt.phases) == {"connect", "total"}
    assert attempt.phases["total"] >= 300
