"""A Tidings that really runs sends nothing to itself: a webhook can call neither its API nor its trigger URLs, although loopback is allowed."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.flows.commands import Server, a_data_source, answer, environment, serving, started

LOOPBACK = {"TIDINGS_ALLOWED_NETWORKS": "127.0.0.0/8,0.0.0.0/8,::/0"}


def operator_key(env: dict[str, str]) -> str:
    found: str = answer("setup", "--email", "ann@example.com", "--password", "a long password", env=env)["apiKey"]
    return found


def explained(server: Server, key: str, url: str) -> Any:
    return server.api("POST", "/webhooks/explain-target", key, {"url": url})


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - loopback alone, or all addresses: the tests' machine is not asked for long
def test_no_webhook_targets_the_server_itself(home: Path, host: str) -> None:
    env = environment(home, **LOOPBACK)
    key = operator_key(env)
    with serving("--host", host, env=env) as server:
        port = int(server.url.rpartition(":")[2])
        bot = server.api("POST", "/bots", key, {"name": "A bot"})
        for spelt in ("127.0.0.1", "localhost", "LOCALHOST.", "0.0.0.0", "[::ffff:127.0.0.1]", "[::]"):  # noqa: S104
            url = f"http://{spelt}:{port}/api/v1/bots"
            said = explained(server, key, url)
            assert said["allowed"] is False, spelt
            assert "is this Tidings itself. It sends nothing to itself but to its inboxes." in said["reason"]
            status, problem = server.call("POST", f"/api/v1/bots/{bot['id']}/webhooks", {"type": "sync_success", "targetUrl": url}, key)
            assert (status, problem["errors"]) == (422, [{"field": "targetUrl", "message": said["reason"]}])
        assert explained(server, key, f"http://127.0.0.1:{port - 1}/")["allowed"] is True, "another program on this machine"


@pytest.mark.parametrize("dispatchers", [1, 2])
def test_a_worker_by_itself_knows_the_server_by_its_base_url(home: Path, blank_database_url: str | None, tmp_path: Path, dispatchers: int) -> None:
    """The hook was made while the base URL was another; the worker refuses at the attempt, once and for all, and says why."""
    if blank_database_url is None:
        pytest.skip("a worker by itself needs PostgreSQL")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nText.")
    env = environment(home, blank_database_url, TIDINGS_LOCAL_ROOTS=str(tmp_path), **LOOPBACK)
    key = operator_key(env)
    with socket.create_server(("127.0.0.1", 0)) as canary, serving("--role", "web", env=env) as server:
        port = canary.getsockname()[1]
        source = a_data_source(server, key, tmp_path / "docs")
        bot_id = server.api("GET", f"/data-sources/{source}", key)["botId"]
        hook = server.api("POST", f"/bots/{bot_id}/webhooks", key, {"type": "sync_success", "targetUrl": f"http://127.0.0.1:{port}/"})
        words = ("serve", "--role", "worker", "--dispatchers", str(dispatchers), "--json")
        with started(*words, env=env | {"TIDINGS_BASE_URL": f"http://localhost:{port}"}) as worker:
            assert worker.fact()["role"] == "worker"
            server.api("POST", f"/data-sources/{source}/sync", key, {})
            delivery = _ended(server, key, hook["id"])
        canary.setblocking(False)
        with pytest.raises(BlockingIOError):
            canary.accept()
    assert delivery["state"] == "exhausted"
    [attempt] = delivery["attempts"]
    assert attempt["error"] == f"127.0.0.1 at port {port} is this Tidings itself. It sends nothing to itself but to its inboxes."


def test_the_example_tells_its_inbox_although_no_network_is_allowed(home: Path, blank_database_url: str | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = environment(home, blank_database_url, TIDINGS_BASE_URL=f"http://127.0.0.1:{port}")
    key = answer("setup", "--email", "ann@example.com", "--password", "a long password", "--example", env=env)["apiKey"]
    dispatchers = "1" if blank_database_url is None else "2"
    with serving("--port", str(port), "--dispatchers", dispatchers, env=env) as server:
        [bot] = server.api("GET", "/bots", key)["items"]
        hooks = {hook["type"]: hook for hook in server.api("GET", f"/bots/{bot['id']}/webhooks", key)["items"]}
        assert sorted(hooks) == ["sync_failure", "sync_success"]
        delivery = _ended(server, key, hooks["sync_success"]["id"])
        assert (delivery["state"], [attempt["status"] for attempt in delivery["attempts"]]) == ("delivered", [200])
        assert explained(server, key, f"http://127.0.0.1:{port}/api/v1/bots")["allowed"] is False


def _ended(server: Server, key: str, hook_id: str) -> Any:
    """The one delivery of a hook, once it waits for nothing more."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        items = server.api("GET", f"/webhooks/{hook_id}/deliveries", key)["items"]
        if items and items[0]["state"] != "pending":
            return server.api("GET", f"/deliveries/{items[0]['id']}", key)
        time.sleep(0.1)
    raise AssertionError("the delivery did not end")
