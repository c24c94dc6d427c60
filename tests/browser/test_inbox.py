"""The first visit from an empty home to a verified message, and inboxes, in a real browser."""

import re

import httpx
from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.conftest import EMAIL, PASSWORD, People

COMES = 60_000  # milliseconds, on a machine that does much else


def post(address: str, body: object) -> None:
    """Posts to an inbox, as a stranger does."""
    assert httpx.post(address, json=body, headers={"X-Api-Key": "a-secret"}, timeout=30).status_code == 200


def test_the_first_visit_watches_a_sync_and_its_webhook(people: People) -> None:
    ann = people()
    ann.page.goto("/")
    assert ann.page.get_by_label("Add an example bot").is_checked()
    ann.fills(email=EMAIL, password=PASSWORD, workspace="Northwind Support")
    ann.presses("Set up")
    expect(ann.page.get_by_role("heading", name="What Tidings does, in three steps")).to_be_visible()
    expect(ann.page.get_by_text("and its signature fits.")).to_be_visible(timeout=COMES)  # without a reload
    expect(ann.page.get_by_text("Example bot has read 5 pages about Tidings")).to_be_visible()
    ann.looks("inbox-first-visit")
    ann.presses("See the message")
    expect(ann.page.get_by_text(re.compile("The secret of Sync success [0-9a-f]{8} of Example bot signed it"))).to_be_visible()
    expect(ann.page.locator("pre").first).to_contain_text('"dataSource": "About Tidings"')
    ann.looks("inbox-message")
    ann.page.go_back()
    ann.presses("New bot")
    expect(ann.page.get_by_role("heading", name="New bot")).to_be_visible()
    ann.page.go_back()
    ann.presses("Hide these steps")
    expect(ann.page.get_by_role("heading", name="What Tidings does, in three steps")).to_be_hidden()
    expect(ann.page.get_by_role("heading", name="Example inbox", exact=True)).to_be_visible()
    ann.page.goto("/app/bots")
    ann.page.get_by_role("heading", name="Example bot").click()
    ann.turns_to("Settings")
    ann.presses("Delete Example bot")
    ann.page.get_by_role("dialog").get_by_role("button", name="Delete Example bot").click()
    expect(ann.page.get_by_role("heading", name="No bots yet")).to_be_visible()
    ann.page.wait_for_load_state()  # and with it the script that hears the keys
    ann.page.keyboard.press("g")
    ann.page.keyboard.press("i")
    expect(ann.page.get_by_role("heading", name="No inbox yet")).to_be_visible()  # nothing is left behind
    ann.looks("inbox-none")


def test_an_inbox_shows_what_is_posted_as_it_comes(owner: Person) -> None:
    owner.page.goto("/app/inbox")
    owner.fills(name="Try <b>it</b>")
    owner.presses("Make an address")
    expect(owner.page.get_by_text("Nothing yet.")).to_be_visible()
    owner.looks("inbox-empty")
    address = owner.page.locator("#address-title ~ .sample pre").inner_text()
    post(address, {"hello": "<script>alert(1)</script>"})
    expect(owner.page.get_by_text("Not verified")).to_be_visible(timeout=COMES)
    owner.context.set_offline(True)
    post(address, {"second": True})
    owner.context.set_offline(False)
    expect(owner.page.get_by_text("Not verified")).to_have_count(2, timeout=COMES)
    owner.looks("inbox")
    owner.page.get_by_role("link", name="A message").last.click()
    expect(owner.page.get_by_text("No webhook of this workspace sends to this inbox")).to_be_visible()
    expect(owner.page.locator("pre").first).to_contain_text("<script>alert(1)</script>")
    expect(owner.page.locator("pre").last).to_contain_text("x-api-key: ********")
    owner.looks("inbox-message-unverified")
    owner.page.goto("/app/inbox")
    owner.looks("inbox-overview")
    owner.page.get_by_role("link", name="Try <b>it</b>").click()
    owner.presses("Empty it")
    owner.page.get_by_role("dialog").get_by_role("button", name="Empty Try <b>it</b>").click()
    expect(owner.page.get_by_text("Nothing yet.")).to_be_visible()


def test_a_page_says_that_what_it_shows_was_deleted(owner: Person) -> None:
    owner.page.goto("/app/inbox")
    owner.fills(name="Try it")
    owner.presses("Make an address")
    expect(owner.page.get_by_text("Nothing yet.")).to_be_visible()
    second = owner.context.new_page()
    second.goto(owner.page.url)
    second.get_by_role("link", name="Delete").click()
    second.get_by_role("dialog").get_by_role("button", name="Delete Try it").click()
    expect(second.get_by_text("Try it was deleted.")).to_be_visible()
    expect(owner.page.get_by_text("There is no such inbox. It may have been deleted.")).to_be_visible(timeout=COMES)


def test_inboxes_work_without_javascript(people: People) -> None:
    plain = people(java_script_enabled=False)
    plain.page.goto("/setup")
    plain.fills(email=EMAIL, password=PASSWORD, workspace="Northwind Support")
    plain.presses("Set up")
    while not plain.page.get_by_role("link", name="See the message").count():
        plain.presses("Look again")
    plain.looks("inbox-first-visit-without-scripts")
    plain.presses("See the message")
    expect(plain.page.get_by_text("Signature fits")).to_be_visible()
    plain.page.goto("/app/inbox")
    plain.fills(name="Another")
    plain.presses("Make an address")
    plain.page.locator("[name=answer]").select_option("503")
    plain.presses("Save")
    expect(plain.page.get_by_text("Answers 503")).to_be_visible()
    plain.presses("Delete")
    expect(plain.page.get_by_role("heading", name="Delete Another?")).to_be_visible()
    plain.presses("Delete Another")
    expect(plain.page.get_by_text("Another was deleted.")).to_be_visible()
