"""The first bytes of a body, whole or in pieces, compressed or not, sound or broken."""

import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st

from tidings.outbound.excerpt import KEPT_BYTES, RAW_BYTES, Excerpt


def _pieces(whole: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(whole[at : at + size])
        at += size
    return [piece for piece in [*pieces, whole[at:]] if piece]


def _fed(encoding: str, pieces: list[bytes]) -> Excerpt:
    excerpt = Excerpt(encoding)
    for piece in pieces:
        if not excerpt.feed(piece):
            break
    return excerpt


@given(st.binary(max_size=200), st.integers(1, 300), st.lists(st.integers(1, 9000), max_size=6), st.sampled_from(["", "gzip", "deflate"]))
def test_an_excerpt_is_the_beginning_of_the_text(seed: bytes, times: int, sizes: list[int], encoding: str) -> None:
    text = seed * times
    packed = {"": text, "gzip": gzip.compress(text), "deflate": zlib.compress(text)}[encoding]
    excerpt = _fed(encoding, _pieces(packed, sizes))
    assert excerpt.body == text[:KEPT_BYTES]
    assert excerpt.truncated is (len(text) > KEPT_BYTES or len(packed) > RAW_BYTES)


@given(st.lists(st.binary(max_size=3000), max_size=10), st.sampled_from(["", "gzip", "deflate", "br", "GZIP "]))
def test_no_bytes_break_an_excerpt(pieces: list[bytes], encoding: str) -> None:
    assert len(_fed(encoding, pieces).body) <= KEPT_BYTES


def test_deflate_without_its_wrapping_and_wrong_headers_are_read() -> None:
    packer = zlib.compressobj(wbits=-15)
    raw = packer.compress(b"hello " * 50) + packer.flush()
    assert _fed("deflate", [raw]).body == b"hello " * 50
    assert _fed("gzip", [b"<html>plain</html>"]).body == b"<html>plain</html>"
    assert _fed("br", [b"\x01\x02"]).body == b"\x01\x02"
