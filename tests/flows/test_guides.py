"""The code of the guides for receivers does what they say, behind a real server of its own and against a real Tidings."""

import base64
import contextlib
import json
import random
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.flows.commands import Server, a_data_source, answer, environment, serving
from tidings.web.pages.receivers import VARIABLE
from tidings.webhooks.signing import new_signing_secret

GUIDES = Path(__file__).resolve().parent.parent.parent / "docs" / "guides"
Receive = Callable[[dict[str, str], bytes], int]


def code_of(guide: str) -> dict[str, Any]:
    """What the Python of a guide defines."""
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", (GUIDES / guide).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        exec(block, names)  # noqa: S102 - our own guides
    return names


@dataclass
class Inbox:
    """A receiver whose answer is whatever `receive` says; what came is kept."""

    url: str
    receive: Receive
    came: list[tuple[dict[str, str], bytes, int]] = field(default_factory=list)

    def until(self, count: int, *, accepted: bool = True) -> None:
        """Waits until so many were answered with 2xx."""
        until = time.monotonic() + 60
        while sum(status < 300 for _, _, status in self.came) < count if accepted else len(self.came) < count:
            assert time.monotonic() < until, self.came
            time.sleep(0.02)


@contextlib.contextmanager
def inbox() -> Iterator[Inbox]:
    """A receiver on a free port; it refuses everything at first."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = made.receive(headers, body)
            made.came.append((headers, body, status))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Inbox(f"http://127.0.0.1:{server.server_port}/in", lambda _headers, _body: 503)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# A\n")
    return folder


@pytest.fixture
def env(home: Path, database_url: str | None, folder: Path) -> dict[str, str]:
    again_soon = ",".join(["0.3"] * 5)
    return environment(home, database_url, TIDINGS_LOCAL_ROOTS=str(folder), TIDINGS_ALLOWED_NETWORKS="127.0.0.0/8", TIDINGS_RETRY_SCHEDULE=again_soon)


def synced(server: Server, key: str, source: str, folder: Path) -> str:
    """One more sync that changed something; what it told of."""
    text = secrets.token_hex(8)
    (folder / "a.md").write_text(f"# A\n\n{text}\n")
    sync = server.api("POST", f"/data-sources/{source}/sync", key)["syncId"]
    assert server.ended(sync, key)["state"] == "succeeded"
    return str(sync)


def test_a_receiver_that_misses_nothing(env: dict[str, str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = answer("setup", "--email", "ann@example.com", "--password", secrets.token_hex(8), env=env)["apiKey"]
    monkeypatch.chdir(tmp_path)  # where the table of the guide is made
    secret = new_signing_secret()
    monkeypatch.setenv(VARIABLE, secret)
    names = code_of("miss-nothing.md")
    names |= {"genuine": code_of("check-a-signature.md")["genuine"]}

    def kept() -> list[int]:
        return [sequence for (sequence,) in names["inbox"].execute("SELECT sequence FROM inbox WHERE sequence > 0 ORDER BY sequence")]

    with contextlib.closing(names["inbox"]), serving(env=env) as server, inbox() as receiver:
        source = a_data_source(server, key, folder)
        bot = server.api("GET", f"/data-sources/{source}", key)["botId"]
        hook = server.api("POST", f"/bots/{bot}/webhooks", key, {"type": "sync_success", "targetUrl": receiver.url, "secret": secret})
        member = answer("keys", "create", "receiver", "--role", "member", env=env)["apiKey"]
        names |= {"API": f"{server.url}/api/v1", "API_KEY": member, "HOOK": hook["id"]}

        receiver.receive = names["receive"]
        synced(server, key, source, folder)
        receiver.until(1)
        assert (names["whole"](), kept()) == (1, [1])

        receiver.receive = lambda _headers, _body: 200  # says that it has it, and loses it: as a program that dies with its queue
        lost = random.randrange(1, 4)
        for _ in range(lost):
            synced(server, key, source, folder)
        receiver.until(1 + lost)

        receiver.receive = lambda *request: max(names["receive"](*request), 500)  # has it, but its answer is lost: it comes again
        synced(server, key, source, folder)
        receiver.until(2 + lost + 1, accepted=False)
        receiver.receive = names["receive"]
        receiver.until(2 + lost)
        server.api("POST", f"/webhooks/{hook['id']}/test", key, {})
        receiver.until(3 + lost)
        assert (names["whole"](), kept()) == (1, [1, 2 + lost])

        names["catch_up"]()
        assert (names["whole"](), kept()) == (2 + lost, list(range(1, 3 + lost)))
        told = [json.loads(text) for (text,) in names["inbox"].execute("SELECT told FROM inbox WHERE sequence > 0")]
        assert all(each["success"] and each["results"]["totalDataSourceRows"] == 1 for each in told)
        fed = server.api("GET", f"/events?webhookId={hook['id']}&after=0", key)["items"]
        assert kept() == [event["seq"] for event in fed]
        assert server.api("POST", f"/webhooks/{hook['id']}/check", key)["verdict"] == "good"


def test_the_check_by_public_key_works(env: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, new_signing_secret())  # without one, the code of the guide refuses to start
    key = answer("setup", "--email", "ann@example.com", "--password", secrets.token_hex(8), env=env)["apiKey"]
    names = code_of("check-a-signature.md")
    with serving(env=env) as server, inbox() as receiver:
        bot = server.api("POST", "/bots", key, {"name": "B"})["id"]
        hooks = [server.api("POST", f"/bots/{bot}/webhooks", key, {"type": "sync_success", "targetUrl": receiver.url, "ed25519": True}) for _ in range(2)]
        own, other = (names["public_key"](server.url, hook["kid"]) for hook in hooks)
        assert own.public_bytes_raw() == base64.b64decode(hooks[0]["publicKey"].removeprefix("whpk_"))
        receiver.receive = lambda *request: 200 if names["check_ed25519"](own, *request) else 401
        said = server.api("POST", f"/webhooks/{hooks[0]['id']}/check", key)
        assert said["verdict"] == "good", said
        headers, body, _ = receiver.came[0]
        assert names["check_ed25519"](own, headers, body)
        assert not names["check_ed25519"](other, headers, body)
        assert not names["check_ed25519"](own, headers, body + b" ")
