"""The programs that the page of a webhook gives to copy, run as they stand: they take what is signed, refuse what is not, outlive what is no webhook."""

import asyncio
import base64
import contextlib
import http.client
import itertools
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flows.webhook_house import House
from tests.ports import free_port
from tidings.model.webhooks import Hook
from tidings.web.pages.receivers import VARIABLE, receivers_of
from tidings.webhooks.check import check
from tidings.webhooks.signing import new_signing_secret, parse_signing_secret, sign

# The command that runs each program, its file's name, and the commands that have to be there.
PROGRAMS = {
    "python-library": (("-m", "uvicorn", "receiver:app", "--port", "{port}"), "receiver.py", (sys.executable,)),
    "python": (("receiver.py",), "receiver.py", (sys.executable,)),
    "node": (("receiver.mjs",), "receiver.mjs", ("node",)),
    "go": (("run", "receiver.go"), "receiver.go", ("go",)),
    "php": (("-S", "127.0.0.1:{port}", "receiver.php"), "receiver.php", ("php",)),
    "ruby": (("-S", "rackup", "-p", "{port}", "config.ru"), "config.ru", ("ruby", "rackup")),
    "python-ed25519": (("receiver.py",), "receiver.py", (sys.executable,)),
    "node-ed25519": (("receiver.mjs",), "receiver.mjs", ("node",)),
}
BY_SECRET = [name for name in PROGRAMS if not name.endswith("ed25519")]
IN_ORDER = {"good": "good", "wrong_signature": "good", "stale_timestamp": "good", "repeat": "good"}


@pytest.fixture
def port() -> int:
    """One that nobody listens on."""
    return free_port()


class Running:
    """A program that runs."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, said: Path) -> None:
        self.process, self.port, self._said = process, port, said

    def said(self) -> str:
        return self._said.read_text(encoding="utf-8")

    async def until(self, fits: Callable[[], bool]) -> None:
        """Waits until something is as it should be."""
        end = time.monotonic() + 120
        while not fits():
            assert time.monotonic() < end, self.said()
            await asyncio.sleep(0.05)

    def listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def answers(self, method: str, body: bytes, headers: dict[str, str]) -> int:
        """The status; 0 where it hangs up instead."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection), contextlib.suppress(http.client.HTTPException, OSError):
            connection.request(method, "/hooks/in", body, headers)
            return connection.getresponse().status
        return 0

    def goes_away_amid(self) -> None:
        """Somebody who breaks off within the body."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(b"POST /hooks/in HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")

    def waits_for_no_end(self) -> bool:
        """Whether it answers, or hangs up, where the length of a body makes no sense: it would wait, and take in what comes, for as long as somebody likes."""
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", self.port), 60) as connection:
            connection.sendall(b"POST /hooks/in HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n{")
            return connection.recv(1) in {b"H", b""}
        return True


@contextlib.contextmanager
def running(name: str, hook: Hook, secret: str, port: int, folder: Path) -> Iterator[Running]:
    """The program of this name, given this secret, as long as the block lasts."""
    arguments, file, needed = PROGRAMS[name]
    for command in needed:
        if shutil.which(command) is None:
            pytest.skip(f"there is no {command} here")
    (folder / file).write_text(next(one.code for one in receivers_of(hook) if one.id == name), encoding="utf-8")
    said = folder / "said.txt"
    env = {**os.environ, VARIABLE: secret, "PORT": str(port), "PYTHONUNBUFFERED": "1"}
    with said.open("wb") as output:
        started = [needed[0], *(each.format(port=port) for each in arguments)]
        process = subprocess.Popen(started, cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            yield Running(process, port, said)
        finally:
            with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
                os.killpg(process.pid, 9)  # `go run` has a child
            process.wait()


def signed(key: bytes, body: bytes, message_id: str = "msg_a") -> dict[str, str]:
    now = int(time.time())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": sign([key], message_id, now, body),
        "Content-Type": "application/json",
    }


async def verdicts(house: House, hook: Hook) -> dict[str, str]:
    """What the self-test finds."""
    return {one.name: one.verdict for one in await check(house.db, house.box, house.outbound, 15, house.workspace_id, hook.id)}


@pytest.mark.parametrize(("name", "envelope"), list(zip(PROGRAMS, itertools.cycle(("plain", "standard")), strict=False)))
async def test_a_program_reads_what_comes_and_outlives_what_is_no_webhook(name: str, envelope: str, house: House, port: int, tmp_path: Path) -> None:
    hook = await house.hook("sync_failure", target_url=f"http://127.0.0.1:{port}/hooks/in", envelope=envelope, ed25519=True)
    with running(name, hook, hook.secret, port, tmp_path) as program:
        await program.until(program.listens)
        assert await verdicts(house, hook) == IN_ORDER
        async with house.dispatching():
            sync = await house.end_sync(state="failed")
            await program.until(lambda: str(sync.reason) in program.said())
        good = signed(parse_signing_secret(hook.secret), b"{}")
        odd = [
            {},
            good | {"webhook-id": "msg_b"},
            good | {"webhook-timestamp": str(int(time.time()) + 600)},
            good | {"webhook-timestamp": "soon"},
            good | {"webhook-timestamp": "9" * 30},
            good | {"webhook-signature": "v1"},
            good | {"webhook-signature": "v1a,!"},
            good | {"webhook-signature": "v1,ä v1a,ä"},
            {each: value for each, value in good.items() if each != "webhook-signature"},
        ]
        assert [await asyncio.to_thread(program.answers, "POST", b"{}", headers) for headers in odd] == [401] * len(odd)
        assert await asyncio.to_thread(program.answers, "POST", b"{} ", good) == 401
        assert await asyncio.to_thread(program.answers, "GET", b"", {}) in {401, 404, 405, 501}
        large = b" " * 5_000_000
        assert await asyncio.to_thread(program.answers, "POST", large, signed(secrets.token_bytes(32), large)) in {0, 401, 413}
        assert await asyncio.to_thread(program.waits_for_no_end)
        await asyncio.to_thread(program.goes_away_amid)
        assert await verdicts(house, hook) == IN_ORDER


@pytest.mark.parametrize("name", BY_SECRET)
async def test_a_program_knows_the_former_secret_or_the_new_one_during_a_change(name: str, house: House, port: int, tmp_path: Path) -> None:
    unpadded = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    former = await house.hook(target_url=f"http://127.0.0.1:{port}/", secret=unpadded)
    hook = await house.change(former, secret="generate", overlap_seconds=3600)
    for secret, new in ((former.secret, "bad"), (hook.secret, "good")):
        with running(name, hook, secret, port, tmp_path) as program:
            await program.until(program.listens)
            assert await verdicts(house, hook) == IN_ORDER | {"new_secret": new}
        await program.until(lambda: not program.listens())


@pytest.mark.parametrize("name", BY_SECRET)
async def test_a_program_without_a_secret_believes_nobody(name: str, house: House, port: int, tmp_path: Path) -> None:
    hook = await house.hook(target_url=f"http://127.0.0.1:{port}/", secret=new_signing_secret())
    body = json.dumps({"success": True, "dataSource": "A", "results": {"modifiedRows": 1}}).encode()
    with running(name, hook, "", port, tmp_path) as program:
        await program.until(lambda: program.process.poll() is not None or program.listens())
        assert await asyncio.to_thread(program.answers, "POST", body, signed(b"", body)) in {0, 401, 500}


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
