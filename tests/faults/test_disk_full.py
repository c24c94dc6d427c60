"""The disk that holds the database is full: calls are refused with a sentence, and everything goes on when there is space again, without a restart."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults import judge
from tests.faults.client import Accepted, Client
from tests.faults.house import House, dice, furnished, server_over
from tests.faults.phases import SQLITE_FILE, peeking
from tests.faults.server import Server

DISK = "48m"
FILES = 300
FULL_SECONDS = 60.0
CALLS_WHILE_FULL = 20


@pytest.fixture
def disk(home: Path) -> Iterator[list[str]]:
    """A small disk of its own on `home`, in a mount namespace that only a holder sees: the command that enters it. No root needed where the system
    allows user namespaces."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("A small disk takes unshare and nsenter (util-linux).")
    mount = f"mount -t tmpfs -o size={DISK} tidings {home} && echo ready && exec sleep 3600"
    holder = subprocess.Popen(["unshare", "--mount", *user, "sh", "-c", mount], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stderr is not None
    try:
        if holder.stdout.readline().strip() != "ready":
            pytest.skip(f"No small disk can be mounted here: {holder.stderr.read().strip()}")
        yield ["nsenter", "--mount", *(["--user", "--preserve-credentials"] if user else []), "--target", str(holder.pid)]
    finally:
        holder.kill()
        holder.communicate()


def seen_from_outside(disk: list[str], path: Path) -> Path:
    """A path on the small disk, as those see it who have not entered."""
    return Path(f"/proc/{disk[-1]}/root{path}")


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """The disk is full to the last byte for the length of the block."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size):
                    pass
    try:
        yield
    finally:
        ballast.unlink()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_full_disk_refuses_with_a_sentence_and_nothing_is_lost(home: Path, database_url: str | None, tmp_path: Path, disk: list[str]) -> None:
    roots = tmp_path / "roots"
    server = server_over(home, database_url, roots)
    server.wrapper = disk
    try:
        key = server.set_up()
        server.start()
        server.await_ready()
        with furnished(server, key, roots, dice(), files=FILES, sources=2) as house, house.client(running=False) as client:
            pid = server.pid
            for source in house.sources:
                client.call(source)
            judge.await_rest(house.api, house.sources)
            _fill_and_free(server, house, client, seen_from_outside(disk, home))
            judge.await_rest(house.api, house.sources)
            house.judge(client)
            assert server.pid == pid
            assert server.stop() == 0
            shutil.copy(seen_from_outside(disk, home) / SQLITE_FILE, tmp_path)
            with peeking(tmp_path, None) as peek:
                judge.judge_store(peek)
            judge.judge_file(tmp_path / SQLITE_FILE)
    finally:
        server.end()


def _fill_and_free(server: Server, house: House, client: Client, folder: Path) -> None:
    """Changes and calls while the disk is full: refused; then again with space."""
    for source in house.sources:
        source.folder.edit(FILES // 2)
        client.call(source)  # a sync that runs into the full disk
    with filled(folder), httpx.Client(trust_env=False) as calls:
        refused: set[str] = set()
        until = time.monotonic() + FULL_SECONDS
        while len(refused) < CALLS_WHILE_FULL:
            assert time.monotonic() < until, "Calls are accepted for ever on a full disk"
            ref = f"{house.dice.randrange(10**12)}".zfill(200)
            answer = calls.get(house.sources[0].trigger, params={"ref": ref})
            if answer.status_code == 200:
                client.log.accepted.append(Accepted(house.sources[0], answer.headers["tidings-sync-id"], ref, {}))
            else:
                refused.add(ref)
                assert answer.status_code == 503
                assert answer.json() == {"success": False, "reason": "The disk that holds the database is full. Free some space on it; nothing else is needed."}
                assert int(answer.headers["retry-after"]) > 0
        assert calls.get(f"{server.url}/healthz").status_code == 200
        assert calls.get(f"{server.url}/readyz").status_code == 200, "It still answers questions"
    for source in house.sources:
        source.folder.edit(FILES // 4)
        assert client.call(source) is not None
