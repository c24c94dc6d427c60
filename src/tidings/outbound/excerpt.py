"""The first bytes of an answer's body, decompressed within bounds."""

import zlib
from contextlib import suppress

KEPT_BYTES = 16 * 1024
RAW_BYTES = 64 * 1024


class Excerpt:
    """Takes a body piece by piece and keeps its first 16 KiB after decompression. Says when it has seen enough: more is not even read."""

    def __init__(self, content_encoding: str) -> None:
        self.body = b""
        self.truncated = False
        self._raw = 0
        self._damaged = False
        compressed = content_encoding.strip().lower() in {"gzip", "x-gzip", "deflate"}
        self._zlib = zlib.decompressobj(wbits=47) if compressed else None  # gzip or zlib, by their first bytes

    def feed(self, chunk: bytes) -> bool:
        """Whether more is wanted."""
        self._raw += len(chunk)
        self.body += b"" if self._damaged else self._decompressed(chunk)
        # what goes on for long and comes to little (empty blocks, endless headers) has to end as well
        self.truncated = len(self.body) > KEPT_BYTES or self._raw > RAW_BYTES
        if self.truncated:
            self.body = self.body[:KEPT_BYTES]
        return not self.truncated

    def _decompressed(self, chunk: bytes) -> bytes:
        """Never more than one byte over what is kept, however little it was before."""
        if self._zlib is None:
            return chunk[: KEPT_BYTES + 1]
        room = KEPT_BYTES + 1 - len(self.body)
        try:
            return self._zlib.decompress(chunk, room)
        except zlib.error:
            self._zlib = zlib.decompressobj(wbits=-15)  # "deflate" without its wrapping, as some servers send it
        if self._raw == len(chunk):
            with suppress(zlib.error):
                return self._zlib.decompress(chunk, room)
            self._zlib = None  # not compressed at all, whatever the header says
            return chunk[: KEPT_BYTES + 1]
        self._damaged = True
        return b""
