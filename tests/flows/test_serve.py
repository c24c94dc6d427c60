"""`tidings serve`: comes up, owns its home, stops cleanly, goes on after a stop; and says in a sentence why it can't."""

import asyncio
import contextlib
import http.client
import os
import re
import secrets
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from tests.flows.commands import Process, a_data_source, answer, environment, one_sentence, run, serving, started
from tidings.cli.running import LOCK_SECONDS
from tidings.settings import Settings
from tidings.store.database import open_database
from tidings.store.sqlite import own
from tidings.store.tables import api_keys

PASSWORD = secrets.token_urlsafe(12)


def set_up(env: dict[str, str]) -> str:
    """An operator's key."""
    key: str = answer("setup", "--email", "ann@example.com", "--password", PASSWORD, env=env)["apiKey"]
    return key


def test_it_comes_up_on_an_empty_home_and_stops_cleanly(blank_database_url: str | None, home: Path) -> None:
    env = environment(home / "new", blank_database_url)
    with serving(env=env, ordinary=True) as server:
        assert server.call("GET", "/healthz") == (200, {"status": "ok"})
        assert server.call("GET", "/readyz") == (200, {"status": "ok"})
        assert server.said["setUp"] is False
        assert server.said["home"] == str(home / "new")
        private = {"secret.key"} | ({"tidings.sqlite"} if blank_database_url is None else set())
        assert {name: (home / "new" / name).stat().st_mode & 0o777 for name in private} == dict.fromkeys(private, 0o600)
        begun = time.monotonic()
        assert server.process.stop() == 0
        assert time.monotonic() - begun < 30
    assert not any("Traceback" in line for line in server.process.errors)


def test_the_lock_of_one_that_was_killed_is_waited_for_and_that_of_one_that_runs_is_told_of(home: Path) -> None:
    """What a killed server was just about to start has its open files until it has begun."""
    env, lock = environment(home), own(home)
    assert lock is not None
    refused = run("serve", "--port", "0", env=env)
    assert (refused.returncode, one_sentence(refused.stderr)) == (1, True)
    assert "Another `tidings serve` runs on the data in" in refused.stderr
    letting_go = threading.Timer(LOCK_SECONDS / 4, os.close, [lock])
    with started("serve", "--port", "0", "--json", env=env) as process:
        letting_go.start()
        assert process.fact()["home"] == str(home)


def test_it_tells_a_person_where_it_is_and_how_to_set_it_up(home: Path) -> None:
    with started("serve", "--port", "0", env=environment(home), ordinary=True) as process:
        first = process.line()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", first)
        assert found, first
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=30)) as connection:
            connection.request("GET", "/healthz")  # what it printed, it listens on
            assert connection.getresponse().status == 200
        told = process.line()
        assert "not set up yet" in told
        assert f"Open {found[0]} in a browser" in told
        command = process.line()
        assert f"TIDINGS_HOME={home}" in command
        assert "setup --email" in command
        assert process.stop(signal.SIGINT) == 0


def test_a_second_one_is_refused_while_the_first_lives(home: Path) -> None:
    env = environment(home)
    with serving(env=env) as first:
        second = run("serve", "--port", "0", env=env)
        assert second.returncode == 1
        assert one_sentence(second.stderr.splitlines()[-1])
        assert str(home) in second.stderr
        assert first.call("GET", "/healthz")[0] == 200
        first.process.stop(signal.SIGKILL)
    with serving(env=env) as third:
        assert third.call("GET", "/readyz")[0] == 200


def test_a_home_that_can_not_be_written_to_is_told(home: Path) -> None:
    (home / "serve.lock").mkdir()
    done = run("serve", "--port", "0", env=environment(home))
    assert done.returncode == 1
    assert one_sentence(done.stderr)
    assert f"Tidings can't write {home / 'serve.lock'}" in done.stderr


def test_many_serve_from_one_postgresql(postgres_url: str, blank_database_url: str | None, home: Path) -> None:
    if blank_database_url is None:
        pytest.skip("SQLite has one server")
    env = environment(home, blank_database_url)
    with (
        serving("--role", "web", env=env, ordinary=True) as web,
        serving("--role", "web", env=env) as other,
        started("serve", "--role", "worker", "--json", env=env, ordinary=True) as worker,
    ):
        said = worker.fact()
        assert (said["url"], said["role"]) == (None, "worker")
        assert web.call("GET", "/readyz")[0] == other.call("GET", "/readyz")[0] == 200
        assert [worker.stop(), web.process.stop(), other.process.stop()] == [0, 0, 0]


def test_a_port_in_use_is_named(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", "--port", port, env=environment(home))
    assert done.returncode == 1
    assert one_sentence(done.stderr.splitlines()[-1])
    assert port in done.stderr
    assert "--port" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("words", [("--role", "web"), ("--role", "worker"), ("--dispatchers", "2")])
def test_several_processes_need_postgresql(words: tuple[str, str], home: Path) -> None:
    done = run("serve", *words, env=environment(home))
    assert done.returncode == 1
    assert "TIDINGS_DATABASE_URL" in done.stderr
    assert f"leave out {words[0]}" in done.stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["serve", "--role", "boss"], "--role"),
        (["serve", "--port", "70000"], "--port"),
        (["serve", "--role", "worker", "--port", "1"], "--port"),
        (["serve", "--dispatchers", "0"], "--dispatchers"),
        (["serve", "--dispatchers", "17"], "--dispatchers"),
        (["serve", "--role", "web", "--dispatchers", "2"], "--dispatchers"),
        (["serve", "extra"], "extra"),
    ],
)
def test_misuse_is_code_2(words: list[str], named: str, home: Path) -> None:
    done = run(*words, env=environment(home))
    assert done.returncode == 2
    assert named in done.stderr
    assert not any(home.iterdir())


@pytest.mark.parametrize(
    ("setting", "value"),
    [("TIDINGS_RETRY_SCHEDULE", "soon"), ("TIDINGS_SECRET_KEY", "short"), ("TIDINGS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")],
)
def test_a_setting_that_will_not_do_is_named(setting: str, value: str, home: Path) -> None:
    done = run("serve", "--port", "0", env=environment(home, **{setting: value}))
    assert done.returncode in {1, 2}
    assert setting in done.stderr
    assert "Traceback" not in done.stderr


def test_a_host_that_is_not_ours_is_named(home: Path) -> None:
    done = run("serve", "--host", "192.0.2.7", "--port", "0", env=environment(home))
    assert done.returncode == 1
    assert "192.0.2.7" in done.stderr


async def until_the_key_was_used(settings: Settings) -> None:
    """Waits until whoever has the only key was let in."""
    with contextlib.closing(open_database(settings)) as db:
        while await db.read(lambda tx: tx.execute(select(api_keys.c.last_used_at)).scalar_one()) is None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


def test_a_held_answer_is_given_when_the_server_stops(settings: Settings, database_url: str | None, home: Path) -> None:
    env = environment(home, database_url)
    key = set_up(env)
    with serving(env=env) as server:
        answers: list[Any] = []
        asking = threading.Thread(target=lambda: answers.append(server.call("GET", "/api/v1/events?wait=60", None, key)))
        asking.start()
        asyncio.run(until_the_key_was_used(settings))
        begun = time.monotonic()
        assert server.process.stop() == 0
        assert time.monotonic() - begun < 30
        asking.join(30)
    assert [status for status, _ in answers] == [200]


def test_what_was_queued_goes_on_after_a_kill(database_url: str | None, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    count = secrets.randbelow(40) + 20
    for number in range(count):
        (folder / f"{number}.md").write_text(f"# Page {number}\n\n{secrets.token_hex(40)}\n")
    env = environment(home, database_url, TIDINGS_LOCAL_ROOTS=str(folder), TIDINGS_LEASE_SECONDS="2")
    key = set_up(env)
    with serving(env=env) as server:
        source = a_data_source(server, key, folder)
        sync = server.api("POST", f"/data-sources/{source}/sync", key)["syncId"]
        server.process.stop(signal.SIGKILL)
    with serving(env=env) as server:
        ended = server.ended(sync, key)
        assert ended["state"] == "succeeded"
        assert ended["results"]["totalDataSourceRows"] == count
        assert server.process.stop() == 0


def test_the_base_url_stands_in_what_is_shown(home: Path, tmp_path: Path) -> None:
    base = f"https://{secrets.token_hex(4)}.example.com/tidings"
    env = environment(home, TIDINGS_BASE_URL=base, TIDINGS_LOCAL_ROOTS=str(tmp_path))
    key = set_up(env)
    with serving(env=env) as server:
        assert server.said["baseUrl"] == base
        assert urlsplit(server.url).hostname == "127.0.0.1"
        source = a_data_source(server, key, tmp_path)
        bot = server.api("GET", f"/data-sources/{source}", key)["botId"]
        hook = server.api("POST", f"/bots/{bot}/webhooks", key, {"type": "sync_trigger", "dataSourceId": source})
        assert hook["url"].startswith(f"{base}/api/public/hooks/{hook['id']}/")


def test_secrets_of_trigger_urls_are_in_no_log_line(home: Path, tmp_path: Path) -> None:
    env = environment(home, TIDINGS_LOCAL_ROOTS=str(tmp_path))
    key = set_up(env)
    with serving(env=env) as server:
        source = a_data_source(server, key, tmp_path)
        bot = server.api("GET", f"/data-sources/{source}", key)["botId"]
        hook = server.api("POST", f"/bots/{bot}/webhooks", key, {"type": "sync_trigger", "dataSourceId": source})
        assert server.call("GET", urlsplit(hook["url"]).path) == (200, {"success": True})
        assert server.call("GET", urlsplit(hook["url"]).path + "x")[0] == 404
        assert server.process.stop() == 0
    log = "".join(server.process.errors)
    assert log
    assert hook["secret"] not in log
    assert key not in log


def test_a_process_that_is_stopped_twice_ends(home: Path) -> None:
    with serving(env=environment(home)) as server:
        process: Process = server.process
        process.process.send_signal(signal.SIGTERM)
        assert process.stop() == 0
