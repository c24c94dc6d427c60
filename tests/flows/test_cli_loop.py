"""Commands that take part in the loop: `sync` with and without a server, `listen` as the receiver of what comes of it."""

import http.client
import json
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.flows.commands import Process, Server, a_data_source, answer, environment, one_sentence, run, serving, started
from tests.ports import free_port
from tidings import clock
from tidings.store.database import SQLITE_FILE
from tidings.webhooks.signing import new_signing_secret, parse_signing_secret, sign


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with some Markdown files."""
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(secrets.randbelow(10) + 5):
        (folder / f"{number}.md").write_text(f"# Page {number}\n\n{secrets.token_hex(20)}\n")
    return folder


@pytest.fixture
def env(home: Path, database_url: str | None, folder: Path) -> dict[str, str]:
    """A Tidings that may read the folder and post to this machine."""
    return environment(home, database_url, TIDINGS_LOCAL_ROOTS=str(folder), TIDINGS_ALLOWED_NETWORKS="127.0.0.0/8")


@pytest.fixture
def key(env: dict[str, str]) -> str:
    """An operator's key."""
    made: str = answer("setup", "--email", "ann@example.com", "--password", secrets.token_hex(8), env=env)["apiKey"]
    return made


def hook_to(server: Server, key: str, source: str, receiver: str, secret: str) -> None:
    bot = server.api("GET", f"/data-sources/{source}", key)["botId"]
    wanted = {"type": "sync_success", "targetUrl": f"{receiver}/in", "secret": secret}
    server.api("POST", f"/bots/{bot}/webhooks", key, wanted)


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request("POST", "/in?x=1", body, headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def test_a_sync_beside_a_living_server(env: dict[str, str], key: str, folder: Path) -> None:
    count = len(list(folder.iterdir()))
    with serving(env=env) as server:
        source = a_data_source(server, key, folder)
        ended = answer("sync", source, "--wait", env=env)
        assert (ended["state"], ended["triggeredBy"]) == ("succeeded", "cli")
        assert ended["results"]["modifiedRows"] == count
        assert ended == server.api("GET", f"/syncs/{ended['id']}", key)
        done = run("sync", source, "--wait", env=env)
        assert done.returncode == 0
        assert "Unmodified" in done.stdout
        queued = answer("sync", source, env=env)
        assert queued["state"] in {"queued", "merged"}
        assert server.ended(queued["syncId"], key)["state"] == "succeeded"
        server.api("PATCH", f"/data-sources/{source}", key, {"paused": True})
        paused = run("sync", source, env=env)
        assert paused.returncode == 1
        assert "paused" in paused.stderr


def test_a_sync_that_fails_says_why(env: dict[str, str], key: str, folder: Path) -> None:
    with serving(env=env) as server:
        source = a_data_source(server, key, folder)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        done = run("sync", source, "--wait", env=env)
        assert done.returncode == 1
        assert one_sentence(done.stderr)
        as_json = run("sync", source, "--wait", "--json", env=env)
        assert as_json.returncode == 1
        assert json.loads(as_json.stdout)["code"] == "source_unreachable"


def test_a_sync_without_a_server_does_the_work_itself(home: Path, folder: Path) -> None:
    env = environment(home, TIDINGS_LOCAL_ROOTS=str(folder), TIDINGS_ALLOWED_NETWORKS="127.0.0.0/8")
    key = answer("setup", "--email", "ann@example.com", "--password", secrets.token_hex(8), env=env)["apiKey"]
    secret = new_signing_secret()
    with started("listen", "--port", "0", "--secret", secret, "--json", env=env) as receiver:
        target = receiver.fact()["url"]
        with serving(env=env) as server:
            source = a_data_source(server, key, folder)
            hook_to(server, key, source, target, secret)
            assert server.process.stop() == 0
        queued = run("sync", source, env=env)
        assert queued.returncode == 0
        assert "serve" in queued.stdout  # says that it will run at the next one
        done = run("sync", source, "--wait", env=env, ordinary=True)
        assert done.returncode == 0, done.stderr
        assert "Synced in" in done.stdout
        arrived = receiver.fact()
        assert arrived["signature"] == "valid"
        assert arrived["body"]["results"]["modifiedRows"] == len(list(folder.iterdir()))
        assert "Warning" not in done.stdout
        for text in ("word " * 500, "Sign in."):
            (folder / "long.md").write_text(text, encoding="utf-8")
            done = run("sync", source, "--wait", env=env)
            assert done.returncode == 0, done.stderr
        assert "\nWarning: " in done.stdout


def test_without_a_server_what_an_inbox_is_owed_waits_for_one(home: Path) -> None:
    env = environment(home, TIDINGS_BASE_URL=f"http://127.0.0.1:{free_port()}")
    answer("setup", "--email", "ann@example.com", "--password", secrets.token_hex(8), "--example", env=env)
    with closing(sqlite3.connect(home / SQLITE_FILE)) as database:
        ((source,),) = database.execute("SELECT id FROM data_sources")
        assert run("sync", source, "--wait", env=env).returncode == 0
        owed = database.execute("SELECT state, attempt_count FROM deliveries").fetchall()
    assert owed == [("pending", 1)]  # nobody listens there; were our own address refused, it would be given up


def test_listen_checks_signatures_and_answers_with_errors_if_asked(home: Path) -> None:
    secret, other = new_signing_secret(), new_signing_secret()
    fails = secrets.randbelow(3) + 1
    with started("listen", "--port", "0", "--secret", secret, "--fail", str(fails), "--json", env=environment(home), ordinary=True) as process:
        url = process.fact()["url"]
        for number in range(fails + 2):
            right = number != fails + 1
            body = json.dumps({"number": number, "text": "ä: \u2028"}).encode()
            answered = post(url, body, signed(secret if right else other, body))
            assert answered == (500 if number < fails else 200 if right else 401)
            told = process.fact()
            assert (told["answered"], told["signature"], told["body"]) == (answered, "valid" if right else "wrong", json.loads(body))
            assert (told["problem"] is None) == right
            assert told["path"] == "/in?x=1"
        assert process.stop() == 0


def test_listen_passes_the_self_test_if_it_knows_the_secret(env: dict[str, str], key: str, folder: Path) -> None:
    secret = new_signing_secret()
    with serving(env=env) as server:
        hook_of = server.api("GET", f"/data-sources/{a_data_source(server, key, folder)}", key)["botId"]
        for words, wrong in ((("--secret", secret), []), ((), ["wrong_signature", "stale_timestamp"])):
            with started("listen", "--port", "0", *words, "--json", env=env) as receiver:
                wanted = {"type": "sync_success", "targetUrl": receiver.fact()["url"], "secret": secret, "ed25519": True}
                hook = server.api("POST", f"/bots/{hook_of}/webhooks", key, wanted)
                said = server.api("POST", f"/webhooks/{hook['id']}/check", key)
                told = [receiver.fact() for _ in range(4)]
            assert said["verdict"] == ("bad" if wrong else "good")
            assert [one["name"] for one in said["checks"] if one["verdict"] != "good"] == wrong
            assert [one["status"] for one in said["checks"]] == [one["answered"] for one in told] == ([200] * 4 if wrong else [200, 401, 401, 200])
            expected = ["not checked"] * 4 if wrong else ["valid", "wrong", "wrong", "valid"]
            assert [one["signature"] for one in told] == expected
        assert server.process.stop() == 0
    logged = "".join(server.process.errors)
    assert "/webhooks/{webhook_id}/check" in logged
    assert secret.removeprefix("whsec_") not in logged


def test_listen_prints_json_on_one_line_whatever_the_width(home: Path) -> None:
    payload: dict[str, Any] = {"success": False, "reason": "Over plan storage token limit, please upgrade plan", "bot": "b" * 200, "dataSource": "d" * 200}
    with started("listen", "--port", "0", env=environment(home, COLUMNS="40")) as process:
        url = process.line().split()[2]
        assert "not checked" in process.line()
        wait_for(process, "")
        post(url, json.dumps(payload, separators=(",", ":")).encode(), {})
        assert "signature not checked" in process.line()
        assert process.line() == json.dumps(payload)
        wait_for(process, "")
        post(url, b"\x1b[31mno JSON\x07", {"Tidings-Event": "a\tb"})
        assert "a\\x09b" in process.line()
        assert process.line() == "\\x1b[31mno JSON\\x07"


def wait_for(process: Process, text: str) -> None:
    while process.line() != text:
        pass


def signed(secret: str, body: bytes) -> dict[str, str]:
    at = clock.now() // clock.SECOND
    message = f"msg_{secrets.token_hex(8)}"
    return {"webhook-id": message, "webhook-timestamp": str(at), "webhook-signature": sign([parse_signing_secret(secret)], message, at, body)}
