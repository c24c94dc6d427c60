"""The programs that the page of a webhook gives to copy, run as they stand there: they take what is signed, and refuse what is not."""

import asyncio
import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flows.webhook_house import House
from tidings.model.webhooks import Hook
from tidings.web.pages.receivers import VARIABLE, receivers_of
from tidings.webhooks.check import check

# The command that runs each program, its file's name, and the interpreter that has to be there.
PROGRAMS = {
    "python-library": (("-m", "uvicorn", "receiver:app", "--port", "{port}"), "receiver.py", sys.executable),
    "python": (("receiver.py",), "receiver.py", sys.executable),
    "node": (("receiver.mjs",), "receiver.mjs", "node"),
    "go": (("run", "receiver.go"), "receiver.go", "go"),
    "php": (("-S", "127.0.0.1:{port}", "receiver.php"), "receiver.php", "php"),
    "ruby": (("-S", "rackup", "-p", "{port}", "config.ru"), "config.ru", "ruby"),
    "python-ed25519": (("receiver.py",), "receiver.py", sys.executable),
    "node-ed25519": (("receiver.mjs",), "receiver.mjs", "node"),
}


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


@contextlib.contextmanager
def running(name: str, hook: Hook, port: int, folder: Path) -> Iterator[Path]:
    """The program of this name, as long as the block lasts; the file with what it says."""
    arguments, file, interpreter = PROGRAMS[name]
    (folder / file).write_text(next(one.code for one in receivers_of(hook) if one.id == name), encoding="utf-8")
    said = folder / "said.txt"
    env = {**os.environ, VARIABLE: hook.secret, "PORT": str(port), "PYTHONUNBUFFERED": "1"}
    command = [interpreter, *(each.format(port=port) for each in arguments)]
    with said.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            yield said
        finally:
            os.killpg(process.pid, 9)  # `go run` has a child
            process.wait()


def until(fits: Callable[[], bool], said: Path) -> None:
    """Waits until something is as it should be."""
    end = time.monotonic() + 120
    while not fits():
        assert time.monotonic() < end, said.read_text(encoding="utf-8")
        time.sleep(0.05)


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.mark.parametrize(("name", "envelope"), list(zip(PROGRAMS, itertools.cycle(("plain", "standard")), strict=False)))
async def test_a_program_passes_the_self_test_and_reads_what_comes(name: str, envelope: str, house: House, tmp_path: Path) -> None:
    if shutil.which(PROGRAMS[name][2]) is None:
        pytest.skip(f"there is no {PROGRAMS[name][2]} here")
    port = free_port()
    hook = await house.hook("sync_failure", target_url=f"http://127.0.0.1:{port}/hooks/in", envelope=envelope, ed25519=True)
    with running(name, hook, port, tmp_path) as said:
        await asyncio.to_thread(until, lambda: is_open(port), said)
        found = await check(house.db, house.box, house.outbound, 15, house.workspace_id, hook.id)
        assert [(one.name, one.verdict) for one in found] == [(each, "good") for each in ("good", "wrong_signature", "stale_timestamp", "repeat")]
        async with house.dispatching():
            sync = await house.end_sync(state="failed")
            await asyncio.to_thread(until, lambda: str(sync.reason) in said.read_text(encoding="utf-8"), said)


async def test_no_program_holds_a_secret_or_what_was_left_to_fill_in(house: House) -> None:
    for kind in ("sync_success", "sync_failure"):
        hook = await house.hook(kind, target_url="http://127.0.0.1/a'b\"?token=abc", ed25519=True)
        programs = receivers_of(hook)
        assert [one.id for one in programs] == list(PROGRAMS)
        for one in programs:
            assert hook.secret not in one.code
            assert "token=abc" not in one.code
            assert "a'b" not in one.code
            assert "__" not in one.code
    assert len(receivers_of(await house.hook(target_url="http://127.0.0.1/"))) == 6  # the rest needs a key
