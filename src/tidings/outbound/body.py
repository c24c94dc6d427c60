"""The whole body of an answer, decompressed within a bound."""

import zlib

from tidings.errors import RequestFailed
from tidings.outbound.failures import Malformed

ENCODINGS = "gzip, deflate"  # what a request may ask for
MEGABYTE = 1 << 20
GZIP = b"\x1f\x8b"
SLACK = 64 * 1024  # of what is transferred, beyond the bound on what comes out: headers of compression, little bodies

_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})


class Body:
    """Takes a body piece by piece. More than `limit` bytes, or what takes more than that to transfer, is refused as soon as it shows."""

    def __init__(self, content_encoding: str, limit: int) -> None:
        encoding = content_encoding.strip().lower()
        if encoding not in {"", "identity", *_COMPRESSED}:
            raise Malformed(f"its body is encoded as {encoding[:100]!r}, which was not asked for")
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._raw = 0
        self._zlib = zlib.decompressobj(wbits=47) if encoding in _COMPRESSED else None  # gzip or zlib, by their first bytes

    def feed(self, chunk: bytes) -> None:
        """Takes a piece. Raises RequestFailed (`too_large`), Malformed."""
        first, self._raw = self._raw == 0, self._raw + len(chunk)
        try:
            self._take(chunk)
        except zlib.error as error:
            if not first or chunk.startswith(GZIP):
                raise Malformed(f"its compressed body is damaged ({error})") from error
            self._take_bare(chunk)
        if self._size > self._limit or self._raw > self._limit + SLACK:
            raise RequestFailed(f"The answer is larger than {self._limit / MEGABYTE:g} MB.", code="too_large")

    def whole(self) -> bytes:
        """All of it, once there is no more to come. Malformed where the compressed body was cut off."""
        if self._zlib is not None and self._raw and not self._zlib.eof:
            raise Malformed("its compressed body was cut off")
        return b"".join(self._parts)

    def _take(self, chunk: bytes) -> None:
        """Never more than one byte over the bound, however little it was before."""
        while self._zlib is not None and chunk:
            if self._zlib.eof:  # files of several members, one behind the other, are one file (RFC 1952); other bytes behind the end mean nothing
                if not GZIP.startswith(chunk[:2]):
                    return
                self._zlib = zlib.decompressobj(wbits=47)
            self._keep(self._zlib.decompress(chunk, self._limit + 1 - self._size))
            if self._size > self._limit:
                return
            chunk = self._zlib.unused_data
        if self._zlib is None:
            self._keep(chunk)

    def _take_bare(self, chunk: bytes) -> None:
        """The first piece is not compressed as it should be: "deflate" without its wrapping, or nothing at all, whatever the header says."""
        self._zlib = zlib.decompressobj(wbits=-15)
        try:
            self._take(chunk)
        except zlib.error:
            self._zlib = None
            self._take(chunk)

    def _keep(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
