"""The Webhooks tab in a real browser: from the first trigger URL to the answer of a receiver."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.conftest import EMAIL, PASSWORD, People
from tests.flows.commands import Server, answer, environment, serving


@dataclass
class Receiver:
    """Takes whatever is posted to it, signed or not."""

    url: str = ""
    status: int = 200


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(made.status)
            self.end_headers()
            self.wfile.write(b"thanks, noted")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        made.url = f"http://127.0.0.1:{server.server_port}/hook"
        yield made
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
    folder = {"name": "Help centre", "type": "folder", "config": {"path": str(tmp_path / "docs")}, "syncNow": False}
    source = server.api("POST", f"/bots/{bot_id}/data-sources", key, folder)["id"]
    sync = server.api("POST", f"/data-sources/{source}/sync", key, {})["syncId"]
    assert server.api("GET", f"/syncs/{sync}?wait=60", key)["state"] == "succeeded"  # before there are webhooks, which then have nothing to tell
    return f"/app/bots/{bot_id}/webhooks"


def test_hooks_are_set_up_tested_and_deleted(owner: Person, bot: str, receiver: Receiver) -> None:
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
    expect(page.locator("#sync_trigger").get_by_text("Last used")).to_be_visible(timeout=30_000)  # without a reload, and the form stays open
    expect(page.locator("#sync_trigger").get_by_text("Working", exact=True)).to_be_visible()
    owner.looks("webhooks-trigger")
    secret = page.get_by_label("Secret", exact=True)
    was = secret.input_value()
    owner.presses("Generate a new secret")
    expect(secret).not_to_have_value(was)
    secret.press("Enter")  # updates, and does not press the icon that makes yet another
    expect(page.get_by_text("There is a new URL: use it from now on.")).to_be_visible()
    assert httpx.get(former).status_code == 404
    assert httpx.get(url.input_value()).status_code == 200
    owner.presses("Setup: Sync success")
    page.get_by_label("Target URL").press_sequentially("http://169.254.169.254/")
    expect(page.locator("#about-targetUrl.error")).to_be_visible()  # the guard says so before anything is sent
    owner.looks("webhooks-refused")
    page.get_by_label("Target URL").fill(receiver.url)
    expect(page.get_by_text("Webhooks may be sent there")).to_be_visible()
    owner.presses("Create")
    owner.presses("Send test")
    expect(page.get_by_text("thanks, noted")).to_be_visible(timeout=30_000)  # without a reload
    expect(page.get_by_text("The receiver answered 200")).to_be_visible()
    owner.looks("webhooks-tested")
    switch = page.locator("#sync_success").get_by_role("switch")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    page.locator("#sync_success").get_by_role("link", name=receiver.url).click()
    expect(page.get_by_text("It was disabled by hand.")).to_be_visible()
    owner.looks("webhook-disabled")
    page.get_by_role("link", name="Delete Sync success").click()
    dialog = page.get_by_role("dialog", name="Delete Sync success")
    expect(dialog).to_be_visible()
    owner.looks("webhooks-delete")
    dialog.get_by_role("button", name="Delete Sync success").click()
    expect(page.get_by_text("was deleted.")).to_be_visible()
    expect(page.get_by_text(receiver.url)).to_have_count(0)


def test_the_page_of_a_trigger_shows_its_calls_live_and_tries_a_mapping(owner: Person, bot: str) -> None:
    page = owner.page
    page.goto(bot)
    owner.presses("Setup: Sync trigger")
    page.get_by_label("Data source").select_option("Help centre")
    owner.presses("Create")
    owner.presses("Calls and settings")
    expect(page.get_by_text("Nobody has called it yet.")).to_be_visible()
    owner.looks("webhook-trigger-new")
    url = page.get_by_label("URL", exact=True)
    expect(url).to_have_attribute("type", "password")  # masked until asked for
    assert httpx.post(url.input_value()).status_code == 200
    assert httpx.get(url.input_value()[:-1] + "!").status_code == 404
    expect(page.get_by_text("Refused, 404")).to_be_visible(timeout=30_000)  # without a reload
    expect(page.get_by_role("link", name="Its sync")).to_be_visible()
    page.get_by_label("Keys of rows").fill("$.entry.path")
    page.get_by_label("A body to try it on").fill('{"entry": {"path": "a.md"}}')
    owner.presses("Try it")
    expect(page.get_by_text("1 row: a.md.")).to_be_visible()
    owner.looks("webhook-trigger")
    owner.presses("Save the mapping")
    expect(page.get_by_text("The rows that a call names")).to_be_visible()


def test_the_page_of_a_receiver_leads_from_failing_to_delivered(owner: Person, bot: str, receiver: Receiver) -> None:
    page = owner.page
    receiver.status = 503
    page.goto(bot)
    owner.presses("Setup: Sync success")
    page.get_by_label("Target URL").fill(receiver.url)
    owner.presses("Create")
    owner.presses("Deliveries and settings")
    expect(page.get_by_text("Nothing was sent yet.")).to_be_visible()
    owner.looks("webhook-new")
    page.goto(bot.replace("webhooks", "data-sources"))
    owner.presses("Sync now: Help centre")
    page.wait_for_url("**/app/data-sources/*")  # else it may not have been sent
    page.goto(bot)
    page.locator("#sync_success").get_by_role("link", name=receiver.url).click()
    expect(page.get_by_text("The receiver answered 503").first).to_be_visible(timeout=60_000)  # without a reload
    owner.looks("webhook-failing")
    receiver.status = 200
    owner.presses("Check now")
    expect(page.get_by_text("Something is to be mended at the receiver.")).to_be_visible(timeout=60_000)  # it takes wrong signatures
    owner.looks("webhook-checked")
    page.get_by_label("Go", exact=True).check()
    expect(page.get_by_text("package main")).to_be_visible()
    expect(page.get_by_text("pip install fastapi")).to_be_hidden()
    page.get_by_label("Sign with an Ed25519 key as well").check()
    page.get_by_label("Name of header 1").fill("X-Api-Key")
    page.get_by_label("Value of header 1").fill("abc")
    page.locator("#settings").get_by_role("button", name="Update").click()
    expect(page.get_by_text("The webhook was updated.")).to_be_visible()
    expect(page.get_by_label("Value of header 1")).to_have_attribute("type", "password")
    owner.presses("Send test")
    expect(page.get_by_text("thanks, noted")).to_be_visible(timeout=30_000)  # without a reload
    owner.looks("webhook-tested")


def test_the_page_works_without_javascript(people: People, owner: Person, bot: str, receiver: Receiver) -> None:
    plain = people(java_script_enabled=False)
    page = plain.page
    page.goto(bot)
    plain.signs_in(EMAIL, PASSWORD)
    plain.presses("Setup: Sync trigger")
    page.get_by_label("Data source").select_option("Help centre")
    plain.presses("Create")
    plain.presses("Calls and settings")
    plain.presses("Generate a new secret")
    plain.presses("Update")
    plain.presses("Show")
    assert httpx.get(page.get_by_label("URL", exact=True).input_value()).status_code == 200
    page.get_by_label("Keys of rows").fill("nonsense")
    plain.presses("Try it")
    expect(page.get_by_text("Line 1: An expression begins with $")).to_be_visible()
    plain.presses("Disable")
    plain.presses("Enable")
    expect(page.get_by_text("The trigger URL works again.")).to_be_visible()
    plain.presses("Webhooks")
    plain.presses("Setup: Sync failure")
    page.get_by_label("Target URL").fill(receiver.url)
    plain.presses("Create")
    plain.presses("Deliveries and settings")
    page.get_by_label("Ruby", exact=True).check()
    expect(page.get_by_text("gem install rack")).to_be_visible()
    page.get_by_label("Body", exact=True).select_option("standard")
    plain.clicks(page.locator("#settings").get_by_role("button", name="Update"))
    expect(page.get_by_text("With type, time and ids").first).to_be_visible()
    plain.presses("Recover")
    expect(page.get_by_text("so there is nothing to send again")).to_be_visible()
    plain.presses("Check now")
    expect(page.get_by_text("Something is to be mended at the receiver.")).to_be_visible()
    plain.clicks(page.get_by_role("link", name="Delete Sync failure"))
    plain.clicks(page.get_by_role("button", name="Delete Sync failure"))
    expect(page.get_by_text("was deleted.")).to_be_visible()
    assert owner.said == []


def test_the_tab_works_without_javascript(owner: Person, people: People, bot: str, receiver: Receiver) -> None:
    plain = people(java_script_enabled=False)
    page = plain.page
    page.goto(bot)
    plain.signs_in(EMAIL, PASSWORD)
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
    page.get_by_label("Target URL").fill(receiver.url)
    plain.presses("Create")
    plain.presses("Send test")
    while not page.get_by_text("thanks, noted").count():
        plain.presses("See the answer")
    plain.clicks(page.locator("#sync_failure").get_by_role("switch"))
    expect(page.locator("#sync_failure").get_by_role("switch")).to_have_attribute("aria-checked", "false")
    plain.clicks(page.locator("#sync_failure").get_by_role("link", name=receiver.url))
    plain.clicks(page.get_by_role("link", name="Delete Sync failure"))
    plain.clicks(page.get_by_role("button", name="Delete Sync failure"))
    expect(page.get_by_text("was deleted.")).to_be_visible()
    assert owner.said == []
