"""Syncs, rows and snapshots in a real browser: what changed is seen, what a guard stopped is approved, what was wrong is undone."""

import http.client
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.conftest import EMAIL, PASSWORD, People
from tests.flows.commands import Server, a_data_source, answer, environment


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder of twenty files."""
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number:02}.md").write_text(f"# Runbook {number}\n\nStep one of {number}.\n\nCall the person on duty.\n")
    return folder


@pytest.fixture
def key(server: Server, home: Path, owner: Person) -> str:
    """A key of the workspace that the owner has set up."""
    made: str = answer("keys", "create", "test", "--role", "owner", env=environment(home))["apiKey"]
    return made


def synced(server: Server, key: str, source: str, **how: Any) -> str:
    """The id of a sync that has ended."""
    sync: str = server.api("POST", f"/data-sources/{source}/sync", key, how)["syncId"]
    assert server.api("GET", f"/syncs/{sync}?wait=60", key)["state"] in {"succeeded", "failed"}
    return sync


def test_from_a_trigger_call_to_the_line_that_changed(owner: Person, server: Server, key: str, docs: Path) -> None:
    source = a_data_source(server, key, docs, "Runbooks")
    bot = server.api("GET", f"/data-sources/{source}", key)["botId"]
    trigger = server.api("POST", f"/bots/{bot}/webhooks", key, {"type": "sync_trigger", "dataSourceId": source})
    owner.page.goto(f"/app/data-sources/{source}")
    owner.presses("See what would change")
    expect(owner.page.get_by_text("A sync would add 20 rows now")).to_be_visible(timeout=60_000)  # without a reload
    expect(owner.page.get_by_role("link", name="Runbook 7", exact=True)).to_be_visible(timeout=60_000)
    owner.looks("sync-dry-run")
    owner.presses("Sync now")
    expect(owner.page.get_by_text("It added 20 rows")).to_be_visible(timeout=60_000)
    (docs / "07.md").write_text((docs / "07.md").read_text().replace("Call", "Write to"))
    (docs / "08.pdf").write_bytes(b"%PDF-1.4 and nothing else")
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=90)
    connection.request("POST", f"{urlsplit(trigger['url']).path}?ref=article-812&wait=60", headers={"User-Agent": "A CMS/1.0"})
    assert connection.getresponse().status == 200
    connection.close()
    owner.page.goto(f"/app/data-sources/{source}")
    owner.page.get_by_role("link", name="asked for by a trigger URL").click()
    expect(owner.page.get_by_text("It changed 1 row, and charged")).to_be_visible()
    expect(owner.page.get_by_text("article-812")).to_be_visible()
    expect(owner.page.get_by_text("A CMS/1.0")).to_be_visible(timeout=60_000)
    owner.looks("sync")
    owner.page.locator("[name=kind]").select_option("Changed")
    owner.presses("Search")
    expect(owner.page.get_by_role("link", name="08.pdf")).to_have_count(0)
    owner.page.get_by_role("link", name="Runbook 7", exact=True).click()
    expect(owner.page.locator("ins")).to_contain_text("Write to the person on duty.")
    expect(owner.page.locator("del")).to_contain_text("Call the person on duty.")
    owner.looks("sync-change")
    owner.presses("The row as it is now")
    expect(owner.page.get_by_text("Write to the person on duty.")).to_be_visible()
    owner.looks("row")
    owner.page.get_by_role("link", name="Sync", exact=False).last.click()  # the oldest of what syncs did to it
    owner.page.get_by_role("link", name="Runbooks", exact=True).click()
    owner.page.get_by_role("link", name="08.pdf", exact=True).click()
    expect(owner.page.get_by_text("It could never be read")).to_be_visible()
    owner.looks("row-failed")


def test_what_a_guard_stopped_is_approved_and_undone_again(owner: Person, server: Server, key: str, docs: Path) -> None:
    source = a_data_source(server, key, docs, "Runbooks")
    owner.page.goto(f"/app/data-sources/{source}/snapshots")
    expect(owner.page.get_by_role("heading", name="No snapshot yet")).to_be_visible()
    owner.looks("snapshots-empty")
    synced(server, key, source)
    for number in range(15):
        (docs / f"{number:02}.md").unlink()
    stopped = synced(server, key, source)
    owner.page.goto(f"/app/syncs/{stopped}")
    expect(owner.page.get_by_text("This sync would remove 15 of 20 rows")).to_be_visible()
    owner.looks("sync-stopped")
    owner.presses("Approve…")
    dialog = owner.page.get_by_role("dialog")
    expect(dialog.get_by_text(re.compile(r"^Runbook \d+$")).first).to_be_visible()  # ten of them, whichever
    owner.looks("sync-approve")
    dialog.get_by_role("link", name="Not now").click()
    expect(dialog).to_be_hidden()
    expect(owner.page.get_by_role("link", name="Approve…")).to_be_focused()
    owner.presses("Approve…")
    dialog.get_by_role("button", name="Approve and sync").click()
    expect(owner.page.get_by_text("It removed 15 rows")).to_be_visible(timeout=60_000)
    owner.page.goto(f"/app/data-sources/{source}")
    owner.presses("Snapshots")
    expect(owner.page.get_by_role("heading", name="Snapshot 2")).to_be_visible()
    owner.looks("snapshots")
    owner.presses("What it changed: snapshot 2")
    expect(owner.page.get_by_text("Runbook 14", exact=True)).to_be_visible()
    owner.looks("snapshots-compared")
    owner.page.go_back()
    owner.presses("Go back… to snapshot 1")
    expect(dialog.get_by_text("20 rows in place of 5")).to_be_visible()
    owner.looks("snapshots-roll-back")
    dialog.get_by_role("button", name="Go back to snapshot 1").click()
    expect(owner.page.get_by_text("The bot knows again what snapshot 1 holds.")).to_be_visible()
    expect(owner.page.get_by_role("heading", name="Snapshot 2")).to_have_count(0)


def test_a_reason_with_a_very_long_word_stays_on_the_page(owner: Person, server: Server, key: str, tmp_path: Path) -> None:
    folder = tmp_path / ("quarterly_reports_" * 14)
    folder.mkdir()
    source = a_data_source(server, key, folder, "Reports")
    folder.rmdir()
    sync = synced(server, key, source)
    for page in (f"data-sources/{source}", f"syncs/{sync}", "activity"):
        owner.page.goto(f"/app/{page}")
        expect(owner.page.get_by_text(folder.name).first).to_be_visible()
        owner.looks(f"long-reason-{page.partition('/')[0]}")


def test_a_page_says_that_what_it_shows_was_deleted(owner: Person, server: Server, key: str, docs: Path) -> None:
    source = a_data_source(server, key, docs, "Runbooks")
    sync = synced(server, key, source)
    pages = [owner.page, owner.context.new_page(), owner.context.new_page()]
    bot = server.api("GET", f"/data-sources/{source}", key)["botId"]
    typing = owner.context.new_page()
    typing.goto(f"/app/bots/{bot}/webhooks?setup=sync_success")
    typing.locator("[name=targetUrl]").fill("https://example.com/typed")
    for page, path in zip(pages, (f"/app/data-sources/{source}", f"/app/syncs/{sync}", f"/app/bots/{bot}/data-sources"), strict=True):
        page.goto(path)
        expect(page.get_by_text("Runbooks").first).to_be_visible()
    server.api("DELETE", f"/data-sources/{source}", key)
    expect(pages[2].get_by_text("Runbooks")).to_have_count(0)
    for page in pages[:2]:
        page.bring_to_front()
        expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    server.api("DELETE", f"/bots/{bot}", key)
    pages[2].bring_to_front()
    expect(pages[2].get_by_role("heading", name="Not found")).to_be_visible()
    typing.bring_to_front()
    expect(typing.locator("[data-toast]")).to_be_visible()
    expect(typing.locator("[name=targetUrl]")).to_have_value("https://example.com/typed")


def test_all_of_it_without_javascript(owner: Person, people: People, server: Server, key: str, docs: Path) -> None:
    source = a_data_source(server, key, docs, "Runbooks")
    synced(server, key, source)
    for number in range(15):
        (docs / f"{number:02}.md").unlink()
    stopped = synced(server, key, source)
    plain = people(java_script_enabled=False)
    plain.page.goto(f"/app/syncs/{stopped}")
    plain.signs_in(EMAIL, PASSWORD)
    plain.presses("Approve…")
    expect(plain.page.get_by_role("heading", name="Approve what this sync would not do by itself?")).to_be_visible()
    plain.presses("Approve and sync")
    while not plain.page.get_by_text("It removed 15 rows").count():
        plain.presses("Look again")
    plain.presses("Sync again")
    while not plain.page.get_by_text("Nothing had changed").count():
        plain.presses("Look again")
    plain.page.goto(f"/app/data-sources/{source}/snapshots")
    plain.presses("Go back… to snapshot 1")
    expect(plain.page.get_by_role("heading", name="Go back to snapshot 1?")).to_be_visible()
    plain.presses("Go back to snapshot 1")
    expect(plain.page.get_by_text("This data source is paused")).to_be_visible()
