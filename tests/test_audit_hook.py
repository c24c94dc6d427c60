"""The net below all tests: nothing in the test process connects to anything but loopback, however it tries."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
import uvloop

ELSEWHERE = "203.0.113.7"  # for documentation (RFC 5737): nobody's, should the net have a hole
ELSEWHERE_V6 = "2001:db8::7"


@pytest.mark.parametrize("host", [ELSEWHERE, "192.0.2.1", "8.8.8.8", "169.254.169.254", "10.0.0.1"])
def test_no_socket_connects_to_another_machine(host: str) -> None:
    with socket.socket() as one, pytest.raises(RuntimeError, match="tests speak to this machine only"):
        one.connect((host, 80))
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        for send in (lambda: one.connect((host, 53)), lambda: one.sendto(b"", (host, 53)), lambda: one.sendmsg([b""], [], 0, (host, 53))):
            with pytest.raises(RuntimeError, match="tests speak to this machine only"):
                send()


def test_no_socket_connects_to_another_machine_over_ipv6() -> None:
    for host in (ELSEWHERE_V6, "::ffff:203.0.113.7", "fe80::1%1"):
        with socket.socket(socket.AF_INET6) as one, pytest.raises(RuntimeError, match="tests speak to this machine only"):
            one.connect((host, 80))


def test_no_name_server_is_asked() -> None:
    for name in ("example.com", b"example.com", "metadata.google.internal"):
        with pytest.raises(socket.gaierror, match="tests have no name server"):
            socket.getaddrinfo(name, 80)
    with pytest.raises(socket.gaierror):
        socket.gethostbyname("example.com")
    assert socket.getaddrinfo("localhost", 80)


async def _by_asyncio() -> None:
    await asyncio.open_connection(ELSEWHERE, 80)


async def _by_datagram() -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(ELSEWHERE, 53))


async def _by_the_http_client() -> None:
    async with aiohttp.ClientSession() as session:
        await session.get(f"http://{ELSEWHERE}/")


async def _by_socket_of_ours() -> None:
    with socket.socket() as one:
        one.setblocking(False)
        await asyncio.get_running_loop().sock_connect(one, (ELSEWHERE, 80))


@pytest.mark.parametrize("dial", [_by_asyncio, _by_datagram, _by_the_http_client, _by_socket_of_ours])
async def test_the_event_loop_of_the_tests_is_held_as_well(dial: Callable[[], Awaitable[None]]) -> None:
    assert type(asyncio.get_running_loop()).__module__.startswith("asyncio."), "uvloop opens sockets that the hook does not see"
    with pytest.raises(RuntimeError, match="tests speak to this machine only"):
        await dial()


@pytest.mark.parametrize("dial", [_by_the_http_client, _by_socket_of_ours])
def test_what_the_door_does_is_seen_under_uvloop_too(dial: Callable[[], Awaitable[None]]) -> None:
    """The product runs on uvloop; a socket that is handed to it connects through Python, and passes the hook."""

    async def run() -> None:
        await dial()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, pytest.raises(RuntimeError, match="tests speak to this machine only"):
        runner.run(run())
