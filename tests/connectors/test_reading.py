"""Reading a file that somebody writes to at the same time: what comes with a validator is one whole version."""

import contextlib
import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.connectors.local_files import write
from tidings import clock
from tidings.connectors.bounds import Bounds
from tidings.connectors.reading import measure, read_file
from tidings.errors import RowNotRead

LIMIT = 64 << 20


@pytest.fixture(autouse=True)
def _later() -> Iterator[None]:
    """Now is an hour later, so that a validator is only missing where the file changed while it was read."""
    start = clock.now()
    clock.set_source(lambda: start + 3600 * clock.SECOND)
    yield
    clock.set_source(None)


@contextlib.contextmanager
def writing(path: Path, body: str) -> Iterator[None]:
    """A process that runs `body` over and over, `file` being the file, `n` a number that grows."""
    script = (
        f"import os, sys, time\nn = 0\nfile = open(sys.argv[1], 'r+b', buffering=0)\nwhile True:\n    n += 1\n{textwrap.indent(textwrap.dedent(body), '    ')}"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(path)])
    try:
        first = path.stat().st_mtime_ns
        while path.stat().st_mtime_ns == first:
            time.sleep(0.001)
        yield
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_file_that_keeps_changing_is_taken_as_it_last_was_without_a_validator(tmp_path: Path) -> None:
    path = write(tmp_path / "log.md", b"x" * (16 << 20))
    with writing(path, "file.seek(0, 2); file.write(b'line' * 64); time.sleep(0.0005)"):
        for _ in range(100):  # on a busy machine the writer may have had a pause
            content, validator = read_file(str(path), Bounds(str(tmp_path)), LIMIT)
            assert len(content) >= 16 << 20
            if validator is None:
                break
    assert validator is None
    content, validator = read_file(str(path), Bounds(str(tmp_path)), LIMIT)
    assert content == path.read_bytes()
    assert validator == measure(path.stat(), clock.now())


def test_what_has_a_validator_is_one_whole_version(tmp_path: Path) -> None:
    """Each version is written in place, in three steps with pauses; a mixture of two of them must never pass as settled."""
    path = write(tmp_path / "a.md", b"")
    body = """
        version = bytes([65 + n % 26]) * (3000 + n % 977)
        file.seek(0); file.truncate()
        for part in (version[:1000], version[1000:2000], version[2000:]):
            file.write(part)
            time.sleep(0.0002)
        time.sleep(0.002)
    """
    whole = 0
    with writing(path, body):
        for _ in range(3_000):
            before = path.stat()
            content, validator = read_file(str(path), Bounds(str(tmp_path)), LIMIT)
            if validator is not None:
                assert validator.split(":")[2] == str(len(content))
                assert len(set(content)) <= 1, "bytes of two versions"
                whole += validator == measure(before, clock.now())
    assert whole


def test_a_file_that_shrinks_or_grows_past_the_limit_while_it_is_read_is_no_error_of_ours(tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", b"x" * 100_000)
    limit = random.randrange(100_000, 200_000)
    with writing(path, "file.truncate(n * 7919 % 300_000)"):
        for _ in range(2_000):
            with contextlib.suppress(RowNotRead):
                content, _ = read_file(str(path), Bounds(str(tmp_path)), limit)
                assert len(content) <= limit


def test_a_file_of_the_kernel_that_tells_no_size_is_read_to_its_end_or_its_limit() -> None:
    content, _ = read_file("/proc/self/status", Bounds("/proc"), LIMIT)
    assert content.startswith(b"Name:")
    assert content.endswith(b"\n")
    with pytest.raises(RowNotRead, match="TIDINGS_MAX_FILE_MB"):
        read_file("/proc/self/status", Bounds("/proc"), 10)
