"""A request as bytes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from tidings.outbound.guard import Target, check_url

# What tells where a request ends and what becomes of the connection; set here and nowhere else.
OF_THE_TRANSPORT = frozenset({"connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"})

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2


@dataclass(frozen=True, slots=True)
class Route:
    """What is the same for all requests to a URL."""

    target: Target
    endpoint: str  # scheme://host:port, whose connections are kept together
    opening: str  # how each request begins, up to the number of its bytes


@lru_cache(maxsize=4096)
def route_to(url: str) -> Route:
    """The way to a URL. Raises RefusedAddress as `check_url` does."""
    target = check_url(url)
    return Route(target, target.endpoint, f"POST {target.path} HTTP/1.1\r\nHost: {urlsplit(target.url).netloc}\r\nContent-Length: ")


def header_lines(headers: Mapping[str, str]) -> str:
    """The headers as they are sent. Raises ValueError where one would not arrive as it is meant, or would pass for something else."""
    _check_names(tuple(headers))
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\r") != len(headers) or lines.count("\n") != len(headers) or "\0" in lines:
        raise ValueError("a header has a line break or a NUL in it")
    return lines


@lru_cache(maxsize=1024)
def _check_names(names: tuple[str, ...]) -> None:
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name[:100]!r} is not the name of a header")
        if name.lower() in OF_THE_TRANSPORT:
            raise ValueError(f"the header {name} belongs to the transport")
