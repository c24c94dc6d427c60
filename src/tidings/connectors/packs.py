"""How much memory a pack of git's would take, before a library takes its objects in: a few bytes can stand for any number of them."""

import mmap
import zlib
from collections.abc import Iterator
from typing import IO

HEAD, HASH = 12, 20  # bytes
OFFSET_DELTA, REFERENCE_DELTA = 6, 7  # kinds of objects that say how they differ from another one
PIECE = 64 * 1024


def objection_to(file: IO[bytes], largest: int, together: int) -> str | None:
    """What a pack holds that is not to be taken in, for a sentence: an object of more than `largest` bytes, or more than `together` of all. None: nothing.
    Errors as those of `sizes`."""
    for size in sizes(file):
        if size > largest:
            return f"a file of more than {largest >> 20} MB, and its server does not leave out large ones when it is asked to"
        together -= size
        if together < 0:
            return "files that are packed so densely that to unpack them would take hours"
    return None


def sizes(file: IO[bytes]) -> Iterator[int]:
    """The bytes that each object of a pack has, by its own word, to which the library holds it: those of a difference, and those that it makes, where they
    are more. zlib.error or IndexError where the pack makes no sense."""
    file.flush()
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pack:
        at = HEAD
        for _ in range(int.from_bytes(pack[8:HEAD])):
            kind, (first, at) = pack[at] >> 4 & 7, _number(pack, at)
            size = first >> 7 << 4 | first & 15
            if kind == OFFSET_DELTA:
                _, at = _number(pack, at)
            elif kind == REFERENCE_DELTA:
                at += HASH
            begun, at = _inflated(pack, at)
            if kind in {OFFSET_DELTA, REFERENCE_DELTA}:
                _, made_at = _number(begun, 0)
                size = max(size, _number(begun, made_at)[0])
            yield size


def _number(data: mmap.mmap | bytes, at: int) -> tuple[int, int]:
    """A number in pieces of 7 bits, the lowest first, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
        if byte < 128:
            return number, at


def _inflated(pack: mmap.mmap, at: int) -> tuple[bytes, int]:
    """The beginning of what is compressed there, and where it ends."""
    inflating, begun = zlib.decompressobj(), b""
    while not inflating.eof:
        piece = pack[at : at + PIECE]
        if not piece:
            raise zlib.error("cut off")
        some = inflating.decompress(piece, PIECE)
        begun = begun or some
        at += len(piece) - max(len(inflating.unconsumed_tail), len(inflating.unused_data))  # at the end both tell of the same
    return begun, at
