"""A name server on loopback that says what a test tells it, and a lookup that really asks it: UDP, one question at a time (RFC 1035)."""

import secrets
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

A, CNAME, AAAA = 1, 5, 28
IN = 1
ANSWER = 0x8400  # an authoritative answer, no error


@dataclass(frozen=True, slots=True)
class NameServer:
    """Where it listens, and which names it was asked for, one entry for each lookup."""

    port: int
    asked: list[str]

    def lookup(self, host: str) -> list[str]:
        """Its addresses of a host, IPv4 before IPv6, as a resolver of the system has them: both questions, each answer with all its records."""
        self.asked.append(host)
        return [*_ask(self.port, host, A), *_ask(self.port, host, AAAA)]


@contextmanager
def name_server(zone: Callable[[int], Sequence[str]]) -> Iterator[NameServer]:
    """A server whose every name has the records `zone(n)` when it is looked up for the n-th time, with a time to live of 0.

    Records are addresses of both families, and names that the name stands for, in the order in which they are answered.
    """
    with socket.socket(type=socket.SOCK_DGRAM) as door:
        door.bind(("127.0.0.1", 0))
        found = NameServer(door.getsockname()[1], [])
        serving = threading.Thread(target=_serve, args=(door, zone), daemon=True)
        serving.start()
        yield found
        with socket.socket(type=socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", found.port))
        serving.join(10)


def _serve(door: socket.socket, zone: Callable[[int], Sequence[str]]) -> None:
    times: Counter[bytes] = Counter()
    while (packet := door.recvfrom(512))[0]:
        question, peer = packet
        times[question[12:]] += 1
        kind = struct.unpack("!H", question[-4:-2])[0]
        name, records = b"\xc0\x0c", []  # the name of the question, as a pointer to it
        for value in zone(times[question[12:]]):
            if value[0].isalpha() and "." in value:
                records.append(name + struct.pack("!HHIH", CNAME, IN, 0, len(_labels(value))) + _labels(value))
                name = _labels(value)  # what follows are the records of the other name
            elif kind == (AAAA if ":" in value else A):
                packed = ip_address(value).packed
                records.append(name + struct.pack("!HHIH", kind, IN, 0, len(packed)) + packed)
        head = question[:2] + struct.pack("!HHHHH", ANSWER, 1, len(records), 0, 0)
        door.sendto(head + question[12:] + b"".join(records), peer)


def _ask(port: int, host: str, kind: int) -> list[str]:
    """The addresses of one family."""
    number = secrets.token_bytes(2)
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.settimeout(10)
        one.connect(("127.0.0.1", port))
        one.send(number + struct.pack("!HHHHH", 0x0100, 1, 0, 0, 0) + _labels(host) + struct.pack("!HH", kind, IN))
        answer = one.recv(4096)
    assert answer[:2] == number
    at = _after_name(answer, 12) + 4
    addresses = []
    for _ in range(struct.unpack("!H", answer[6:8])[0]):
        at = _after_name(answer, at)
        found, _, ttl, length = struct.unpack("!HHIH", answer[at : at + 10])
        assert ttl == 0
        data = answer[at + 10 : at + 10 + length]
        at += 10 + length
        if found == kind:
            addresses.append(str(IPv4Address(data) if kind == A else IPv6Address(data)))
    return addresses


def _labels(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _after_name(packet: bytes, at: int) -> int:
    while packet[at]:
        if packet[at] >= 0xC0:
            return at + 2
        at += 1 + packet[at]
    return at + 1
