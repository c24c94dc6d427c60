"""What operators do while there is work: copies taken, secrets and keys exchanged; and a server that runs out of file descriptors."""

import asyncio
import contextlib
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from tests.faults import judge
from tests.faults.house import dice, furnished, server_over
from tests.faults.phases import SQLITE_FILE, peeking
from tests.faults.server import Api
from tests.flows.webhook_house import Got, House, Receiver
from tests.postgres import create_database, drop_database
from tidings.secretbox import SecretBox

DESCRIPTORS = 128
CALLERS = 3 * DESCRIPTORS
HOLD_SECONDS = 3.0
BACK_SECONDS = 60.0
ROTATIONS, EACH = 8, 3
OVERLAP = 86_400


def test_a_copy_taken_under_load_is_whole(home: Path, database_url: str | None, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    roots, copy, chance = tmp_path / "roots", tmp_path / "copy", dice()
    if database_url is not None and (shutil.which("pg_dump") is None or shutil.which("pg_restore") is None):
        pytest.skip("A copy of PostgreSQL takes pg_dump and pg_restore.")
    server = server_over(home, database_url, roots)
    restored, url = tmp_path / "restored", None
    restored.mkdir()
    with contextlib.ExitStack() as until_the_end:
        until_the_end.callback(server.end)
        key = server.set_up()
        server.start()
        server.await_ready()
        house = until_the_end.enter_context(furnished(server, key, roots, chance, files=200, listeners=10))
        with house.client() as client:
            time.sleep(chance.uniform(1, 4))
            server.run("backup", str(copy))
            client.finish()
        server.kill()
        shutil.copy(home / "secret.key", restored)
        if database_url is None:
            shutil.copy(copy, restored / SQLITE_FILE)
        else:
            server_url = request.getfixturevalue("postgres_url")
            url = create_database(server_url)
            until_the_end.callback(drop_database, server_url, url)
            subprocess.run(["pg_restore", "--no-owner", f"--dbname={url}", str(copy)], check=True)
        again = server_over(restored, url, roots)
        until_the_end.callback(again.end)
        again.start()
        again.await_ready()
        with contextlib.closing(Api(again.url, key)) as api:
            judge.await_rest(api, house.sources)
        assert house.receiver.wrong == []
        assert again.stop() == 0
        with peeking(restored, url) as peek:
            judge.judge_store(peek)
        if url is None:
            judge.judge_file(restored / SQLITE_FILE)


def test_a_server_without_file_descriptors_goes_on_when_it_has_some_again(home: Path, database_url: str | None, tmp_path: Path) -> None:
    roots = tmp_path / "roots"
    server = server_over(home, database_url, roots)
    server.wrapper = ["sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh"]
    try:
        key = server.set_up()
        server.start()
        server.await_ready()
        with furnished(server, key, roots, dice(), files=20, sources=1) as house, house.client(running=False) as client, contextlib.ExitStack() as callers:
            for _ in range(CALLERS):
                caller = callers.enter_context(socket.socket())
                caller.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    caller.connect(("127.0.0.1", server.port))
            time.sleep(HOLD_SECONDS)
            used = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
            callers.close()
            began = time.monotonic()
            while (accepted := client.call(house.sources[0])) is None:
                assert time.monotonic() - began < BACK_SECONDS, "It accepts nobody any more"
                time.sleep(0.1)
            house.receiver.await_sync(accepted.sync_id, BACK_SECONDS)
            judge.await_rest(house.api, house.sources)
            house.judge(client)
            assert server.stop() == 0
        print(f"{used} of {DESCRIPTORS} descriptors were in use")  # noqa: T201
        assert used > DESCRIPTORS - 10
    finally:
        server.end()


async def test_secrets_and_keys_change_under_load_and_no_signature_fails(house: House, receiver: Receiver) -> None:
    old, new = secrets.token_bytes(32), secrets.token_bytes(32)
    house.box = SecretBox([old])
    hook = await house.hook(target_url=receiver.url)
    known, wrong = [hook.secret], []

    async def verify(got: Got) -> web.Response:
        await asyncio.sleep(0.01)
        if not any(accepts(secret, got) for secret in known[-3:]):  # one may be on its way while the secret is exchanged twice
            wrong.append(got)
        return web.Response()

    receiver.answer = verify
    for keys in ([old], [new, old], [new, old]):
        house.box = SecretBox(keys)
        async with house.dispatching():
            for _ in range(ROTATIONS):
                for _ in range(EACH):
                    await house.end_sync()
                known.append((await house.change(hook, secret="generate", overlap_seconds=OVERLAP)).secret)
    async with house.dispatching():
        found = await house.until(lambda found: all(one.state == "delivered" for one in found))
    assert wrong == []
    assert len(found) == len({got.headers["webhook-id"] for got in receiver.got}) == 3 * ROTATIONS * EACH


def accepts(secret: str, got: Got) -> bool:
    """Whether a receiver that knows this secret takes the request."""
    try:
        Webhook(secret).verify(got.body, got.headers)
    except Exception:  # noqa: BLE001 - whatever it says
        return False
    return True
