"""“My webhook did not arrive”, in a real browser: from a sync's id to the reason, put right, sent again."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.conftest import EMAIL, PASSWORD, People
from tests.flows.commands import Server, answer, environment, serving


class _Receiver(BaseHTTPRequestHandler):
    status = 503

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"message": "upstream is down", "retry": false}'
        self.send_response(self.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@dataclass
class Receiver:
    """A receiver that answers 503 until it is mended."""

    url: str
    handler: type[_Receiver]

    def mend(self) -> None:
        self.handler.status = 200


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    handler = type("Handler", (_Receiver,), {})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield Receiver(f"http://127.0.0.1:{server.server_port}/hook", handler)
        server.shutdown()
        thread.join()


@pytest.fixture
def server(home: Path, tmp_path: Path) -> Iterator[Server]:
    """One that may send to loopback, and tries twice."""
    allowed = {"TIDINGS_LOCAL_ROOTS": str(tmp_path), "TIDINGS_ALLOWED_NETWORKS": "127.0.0.0/8", "TIDINGS_RETRY_SCHEDULE": "1"}
    with serving(env=environment(home, **allowed)) as server:
        yield server


@pytest.fixture
def sync_id(owner: Person, server: Server, home: Path, tmp_path: Path, receiver: Receiver) -> str:
    """A sync that has ended, and of which the receiver was told without taking it."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nSome text.\n")
    key = answer("keys", "create", "test", "--role", "owner", env=environment(home))["apiKey"]
    bot = server.api("POST", "/bots", key, {"name": "Testing bot"})["id"]
    folder = {"name": "Help centre", "type": "folder", "config": {"path": str(tmp_path / "docs")}, "syncNow": False}
    source = server.api("POST", f"/bots/{bot}/data-sources", key, folder)["id"]
    for path in ("?token=abc", "/second"):
        server.api("POST", f"/bots/{bot}/webhooks", key, {"type": "sync_success", "targetUrl": receiver.url + path})
    requested: str = server.api("POST", f"/data-sources/{source}/sync", key, {})["syncId"]
    return requested


def test_the_reason_is_found_from_a_sync_id_and_put_right(owner: Person, receiver: Receiver, sync_id: str) -> None:
    page = owner.page
    page.goto("/app/bots")
    owner.presses("Deliveries")
    expect(page.get_by_text("Given up")).to_have_count(3, timeout=60_000)  # without a reload; one is the choice of the filter
    owner.looks("deliveries")
    page.keyboard.press("/")
    page.keyboard.insert_text(f"Tidings-Sync-Id: {sync_id}")
    page.keyboard.press("Enter")
    expect(page.locator(".deliveries > li")).to_have_count(2)
    expect(page.get_by_text("The endpoint answered 503").first).to_be_visible()
    owner.looks("deliveries-of-a-sync")
    page.get_by_role("link", name="/hook", exact=False).last.click()
    expect(page.get_by_text("That was the last of 2 attempts")).to_be_visible()
    expect(page.get_by_text("503 Service Unavailable")).to_be_visible()
    expect(page.get_by_text("upstream is down")).to_be_visible()
    expect(page.get_by_role("region", name="Body of the response")).to_have_css("white-space-collapse", "preserve")  # indented, line by line
    owner.looks("delivery-given-up")
    page.get_by_role("link", name="Attempt 1", exact=True).click()
    expect(page.get_by_role("heading", name="Request of attempt 1")).to_be_visible()
    receiver.mend()
    owner.presses("Redeliver")
    expect(page.get_by_text("The receiver accepted it at attempt 3")).to_be_visible(timeout=30_000)  # without a reload
    owner.looks("delivery-delivered")
    page.goto("/app/deliveries?q=nothing-has-this-name")
    expect(page.get_by_role("heading", name="No deliveries")).to_be_visible()
    owner.looks("deliveries-none")
    page.goto("/app/deliveries/0")
    assert "API" not in page.inner_text("main")


def test_the_workbench_works_without_javascript(owner: Person, people: People, receiver: Receiver, sync_id: str) -> None:
    owner.page.goto(f"/app/deliveries?q={sync_id}&state=exhausted")
    expect(owner.page.locator(".deliveries > li")).to_have_count(2, timeout=60_000)
    plain = people(java_script_enabled=False)
    page = plain.page
    page.goto("/app/deliveries")
    plain.signs_in(EMAIL, PASSWORD)
    page.get_by_label("Search").fill("help cent")
    plain.presses("Find")
    expect(page.get_by_label("Data source")).to_have_value(page.url.rpartition("source=")[2])
    expect(page.locator(".deliveries > li")).to_have_count(2)
    receiver.mend()
    plain.presses("Redeliver")
    while not page.get_by_text("The receiver accepted it at attempt 3").count():
        page.reload()
    plain.presses("Deliveries")
    page.get_by_label("Webhook").select_option(index=1)
    plain.presses("Find")
    plain.presses("Recover")
    expect(page.get_by_text("1 delivery is sent again")).to_be_visible()
    expect(owner.page.locator(".deliveries > li")).to_have_count(0, timeout=30_000)
    assert owner.said == []
