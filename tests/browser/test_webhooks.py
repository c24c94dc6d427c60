"""The Webhooks tab in a real browser: from the first trigger URL to the answer of a receiver."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.conftest import EMAIL, PASSWORD, People
from tests.flows.commands import Server, answer, environment, serving


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"thanks, noted")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def receiver() -> Iterator[str]:
    """Takes what is posted to it; its URL."""
    with HTTPServer(("127.0.0.1", 0), _Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook"
        server.shutdown()
        thread.join()


@pytest.fixture
def server(home: Path, tmp_path: Path) -> Iterator[Server]:
    """One that may send to loopback."""
    with serving(env=environment(home, TIDINGS_LOCAL_ROOTS=str(tmp_path), TIDINGS_ALLOWED_NETWORKS="127.0.0.0/8")) as server:
        yield server


@pytest.fixture
def bot(owner: Person, server: Server, home: Path, tmp_path: Path) -> str:
    """The address of the tab of a bot that has a data source."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nSome text.\n")
    key = answer("keys", "create", "test", "--role", "owner", env=environment(home))["apiKey"]
    bot_id: str = server.api("POST", "/bots", key, {"name": "Testing bot"})["id"]
    server.api("POST", f"/bots/{bot_id}/data-sources", key, {"name": "Help centre", "type": "folder", "config": {"path": str(tmp_path / "docs")}})
    return f"/app/bots/{bot_id}/webhooks"


def test_hooks_are_set_up_tested_and_deleted(owner: Person, bot: str, receiver: str) -> None:
    page = owner.page
    page.goto(bot)
    owner.looks("webhooks-empty")
    owner.presses("Setup: Sync trigger")
    page.get_by_label("Data source").select_option("Help centre")
    owner.presses("Create")
    url = page.get_by_label("URL", exact=True)
    expect(url).to_have_attribute("type", "password")  # masked until asked for
    owner.presses("Show")
    expect(url).to_have_attribute("type", "text")
    former = url.input_value()
    assert httpx.get(former).json() == {"success": True}
    owner.looks("webhooks-trigger")
    secret = page.get_by_label("Secret", exact=True)
    was = secret.input_value()
    owner.presses("Generate a new secret")
    expect(secret).not_to_have_value(was)
    owner.presses("Update")
    expect(page.get_by_text("There is a new URL: use it from now on.")).to_be_visible()
    assert httpx.get(former).status_code == 404
    assert httpx.get(url.input_value()).status_code == 200
    owner.presses("Setup: Sync success")
    page.get_by_label("Target URL").press_sequentially("http://169.254.169.254/")
    expect(page.locator("#about-targetUrl.error")).to_be_visible()  # the guard says so before anything is sent
    owner.looks("webhooks-refused")
    page.get_by_label("Target URL").fill(receiver)
    expect(page.get_by_text("Webhooks may be sent there")).to_be_visible()
    owner.presses("Create")
    owner.presses("Send test")
    expect(page.get_by_text("thanks, noted")).to_be_visible(timeout=30_000)  # without a reload
    expect(page.get_by_text("The receiver answered 200")).to_be_visible()
    owner.looks("webhooks-tested")
    switch = page.locator("#sync_success").get_by_role("switch")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    page.locator("#sync_success").get_by_role("link", name=receiver).click()
    page.get_by_role("link", name="Delete Sync success").click()
    dialog = page.get_by_role("dialog", name="Delete Sync success")
    expect(dialog).to_be_visible()
    owner.looks("webhooks-delete")
    dialog.get_by_role("button", name="Delete Sync success").click()
    expect(page.get_by_text("was deleted.")).to_be_visible()
    expect(page.get_by_text(receiver)).to_have_count(0)


def test_the_tab_works_without_javascript(owner: Person, people: People, bot: str, receiver: str) -> None:
    plain = people(java_script_enabled=False)
    page = plain.page
    page.goto(bot)
    plain.fills(email=EMAIL, password=PASSWORD)
    plain.presses("Sign in")
    plain.presses("Setup: Sync trigger")
    page.get_by_label("Data source").select_option("Help centre")
    plain.presses("Create")
    plain.presses("Show")
    former = page.get_by_label("URL", exact=True).input_value()
    plain.presses("Generate a new secret")
    plain.presses("Update")
    plain.presses("Show")
    assert httpx.get(former).status_code == 404
    assert httpx.get(page.get_by_label("URL", exact=True).input_value()).status_code == 200
    plain.presses("Setup: Sync failure")
    page.get_by_label("Target URL").fill(receiver)
    plain.presses("Create")
    plain.presses("Send test")
    page.wait_for_url("**&test=**")
    for _ in range(200):
        page.wait_for_load_state()
        if page.get_by_text("thanks, noted").count():
            break
        page.locator("a[href*='&test=']").click()
    expect(page.get_by_text("thanks, noted")).to_be_visible()
    page.locator("#sync_failure").get_by_role("switch").click()
    expect(page.locator("#sync_failure").get_by_role("switch")).to_have_attribute("aria-checked", "false")
    page.locator("#sync_failure").get_by_role("link", name=receiver).click()
    plain.page.get_by_role("link", name="Delete Sync failure").click()
    plain.page.get_by_role("button", name="Delete Sync failure").click()
    expect(page.get_by_text("was deleted.")).to_be_visible()
    assert owner.said == []
