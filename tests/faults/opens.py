"""How often each file of a folder is opened, by whomever: counted by the kernel (inotify), from outside."""

import contextlib
import ctypes
import os
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

IN_OPEN = 0x20
IN_Q_OVERFLOW = 0x4000
EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name
LARGEST_READ = 1 << 20


class Opens:
    """Counts from the moment it is made. The queue of the kernel holds 16,384 events: ask in time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._counted: Counter[str] = Counter()

    def count(self) -> Counter[str]:
        """How often each name in the folder was opened so far."""
        with contextlib.suppress(BlockingIOError):
            while events := os.read(self._descriptor, LARGEST_READ):
                self._add(events)
        return self._counted

    def _add(self, events: bytes) -> None:
        at = 0
        while at < len(events):
            _, mask, _, length = EVENT.unpack_from(events, at)
            assert not mask & IN_Q_OVERFLOW, "More files were opened than could be counted."
            at += EVENT.size + length
            if length:  # the folder itself has no name
                self._counted[os.fsdecode(events[at - length : at].rstrip(b"\0"))] += 1


@contextlib.contextmanager
def counting_opens(folder: Path) -> Iterator[Opens]:
    """Counts the opens of the files in a folder (not those of folders below it) for the length of the block."""
    if not sys.platform.startswith("linux"):
        pytest.skip("Opens are counted by inotify, which only Linux has.")
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0 or libc.inotify_add_watch(descriptor, os.fsencode(folder), IN_OPEN) < 0:
        pytest.skip(f"Opens can't be counted here: {os.strerror(ctypes.get_errno())}.")
    try:
        yield Opens(descriptor)
    finally:
        os.close(descriptor)
