"""How much a pack of git's stands for, told without taking it into memory."""

import tracemalloc
import zlib
from pathlib import Path

import pytest
from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.objects import Blob
from dulwich.pack import write_pack_objects

from tidings.connectors.packs import objection_to, sizes

BLOB, REFERENCE_DELTA = 3, 7


def sizes_in(path: Path) -> list[int]:
    with path.open("rb") as file:
        return list(sizes(file))


def pack_of(path: Path, *objects: tuple[int, bytes]) -> Path:
    """A pack of these objects, each with its kind; what it claims to have is 3 bytes."""
    path.write_bytes(b"PACK" + (2).to_bytes(4) + len(objects).to_bytes(4) + b"".join(bytes([kind << 4 | 3]) + rest for kind, rest in objects) + bytes(20))
    return path


def test_the_sizes_are_those_of_the_objects(tmp_path: Path) -> None:
    texts = [b"", b"a", b"b" * 15, b"c" * 16, bytes(range(256)) * 5_000, *(b"the very same line\n" * 400 + b"%d" % n for n in range(5))]
    path = tmp_path / "pack"
    for deltify in (False, True):
        with path.open("wb") as file:
            write_pack_objects(file, [Blob.from_string(text) for text in texts], DEFAULT_OBJECT_FORMAT, deltify=deltify)
        assert sorted(sizes_in(path)) == sorted(map(len, texts))


def test_a_difference_counts_for_what_it_makes(tmp_path: Path) -> None:
    makes = bytes([5, 0x80, 0x80, 0x80, 0x80, 0x10])  # of 5 bytes 4 GB
    path = pack_of(tmp_path / "pack", (REFERENCE_DELTA, b"x" * 20 + zlib.compress(makes)), (BLOB, zlib.compress(b"abc")))
    assert sizes_in(path) == [1 << 32, 3]


def test_many_differences_that_make_more_than_can_be_unpacked_are_refused(tmp_path: Path) -> None:
    makes = zlib.compress(bytes([5, 0x80, 0x80, 0x80, 0x40]))  # of 5 bytes 128 MB
    path = pack_of(tmp_path / "pack", (BLOB, zlib.compress(b"abc")), *((REFERENCE_DELTA, b"x" * 20 + makes) for _ in range(8)))
    with path.open("rb") as file:
        assert objection_to(file, 128 << 20, (1 << 30) + 3) is None
        assert "packed so densely" in str(objection_to(file, 128 << 20, 1 << 30))
        assert "a file of more than 127 MB" in str(objection_to(file, 127 << 20, 1 << 30))


def test_what_is_more_than_it_claims_is_gone_past_in_flat_memory(tmp_path: Path) -> None:
    path = pack_of(tmp_path / "pack", (BLOB, zlib.compress(bytes(50 << 20))), (BLOB, zlib.compress(b"abc")))
    tracemalloc.start()
    assert sizes_in(path) == [3, 3]
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("rest", [b"", zlib.compress(b"abc")[:5], b"nonsense"])
def test_nonsense_is_refused(tmp_path: Path, rest: bytes) -> None:
    path = pack_of(tmp_path / "pack", (BLOB, zlib.compress(b"abc")), (BLOB, rest))
    with pytest.raises((zlib.error, IndexError)):
        sizes_in(path)
