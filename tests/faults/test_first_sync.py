"""A first sync of 500 files: killed halfway and gone on with; and with one file among them that cannot be read."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.house import House, dice, furnished, server_over
from tests.faults.opens import counting_opens
from tests.faults.phases import peeking
from tests.faults.server import Server

FILES = 500
DONE_TWICE = FILES // 20
END_SECONDS = 120.0

# What root could read all the same is forbidden to a process without these two capabilities: to override permissions, to read whatever is there.
WITHOUT_PRIVILEGES = "import ctypes, os, sys; [ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) for capability in (1, 2)]; os.execv(sys.argv[1], sys.argv[1:])"


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    return tmp_path / "roots"


@pytest.fixture
def server(home: Path, database_url: str | None, roots: Path) -> Iterator[Server]:
    server = server_over(home, database_url, roots)
    server.wrapper = [sys.executable, "-c", WITHOUT_PRIVILEGES]
    yield server
    server.end()


def wait_for_end(house: House, source_id: str) -> Any:
    """The only sync of a data source, once it has ended."""
    until = time.monotonic() + END_SECONDS
    while (sync := house.api.get(f"/data-sources/{source_id}/syncs")["items"][0])["state"] in {"queued", "running"}:
        assert time.monotonic() < until, f"It does not end: {sync}"
        time.sleep(0.05)
    return sync


def test_a_sync_killed_halfway_is_finished_and_hardly_anything_is_done_twice(server: Server, home: Path, database_url: str | None, roots: Path) -> None:
    chance = dice()
    key = server.set_up()
    server.start()
    server.await_ready()
    with furnished(server, key, roots, chance, files=FILES, sources=1, subfolders=0) as house, peeking(home, database_url) as peek:
        source = house.sources[0]
        with counting_opens(source.folder.root) as opens:
            halfway = chance.randint(FILES // 5, FILES * 4 // 5)
            house.api.post(f"/data-sources/{source.id}/sync")
            until = time.monotonic() + END_SECONDS
            while (settled := peek.one("SELECT count(*) FROM changes")) < halfway:
                assert time.monotonic() < until, "It does not get halfway"
                time.sleep(0.001)
            server.kill()
            assert peek.rows("SELECT state FROM syncs") == [("running",)], f"It ended before it could be killed, after {settled} rows"
            server.start()
            server.await_ready()
            sync = wait_for_end(house, source.id)
            opened = opens.count()
        assert (sync["state"], sync["results"]["modifiedRows"], sync["results"]["totalDataSourceRows"]) == ("succeeded", FILES, FILES)
        keys = {file.key for file in source.folder.present}
        assert {row["key"] for row in house.api.pages(f"/data-sources/{source.id}/rows")} == keys == set(opened)
        twice = opened.total() - FILES
        print(f"Killed after {halfway} rows; {twice} files opened twice")  # noqa: T201 - the figure that this is about
        assert twice <= DONE_TWICE
        assert peek.rows("SELECT count(*), count(DISTINCT row_n) FROM versions") == [(FILES, FILES)]
        assert server.stop() == 0
    assert server.survivors() == []


@pytest.mark.parametrize("trouble", ["forbidden", "garbled"])
def test_one_file_that_cannot_be_read_is_named_and_the_others_are_stored(server: Server, roots: Path, trouble: str) -> None:
    chance = dice()
    key = server.set_up()
    server.start()
    server.await_ready()
    with furnished(server, key, roots, chance, files=FILES, sources=1, subfolders=0) as house:
        source = house.sources[0]
        bad = chance.choice(source.folder.present).key
        if trouble == "forbidden":
            (source.folder.root / bad).chmod(0)
        else:
            (source.folder.root / bad).unlink()
            bad = bad.replace(".md", ".pdf")
            (source.folder.root / bad).write_bytes(b"%PDF-1.7\n" + chance.randbytes(3_000))
        house.api.post(f"/data-sources/{source.id}/sync")
        sync = wait_for_end(house, source.id)
        assert (sync["state"], sync["results"]["totalDataSourceRows"]) == ("succeeded", FILES - 1)
        failed = house.api.get(f"/data-sources/{source.id}/rows", state="failed")["items"]
        assert [row["key"] for row in failed] == [bad]
        told = house.api.get(f"/syncs/{sync['id']}/changes", kind="failed")["items"]
        assert [(row["key"], row["reason"]) for row in told] == [(bad, failed[0]["error"])]
        assert len(failed[0]["error"].split()) > 4, "Its cause is a sentence"
        stored = list(house.api.pages(f"/data-sources/{source.id}/rows", state="ok"))
        assert len(stored) == FILES - 1
        arrival = house.receiver.await_one("sync_success-plain")
        assert arrival.headers["tidings-rows-failed"] == "1"
        assert server.stop() == 0
