"""The first visit, signing in and out, and the bots, in a real browser."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.browser import Person
from tests.browser.conftest import EMAIL, PASSWORD, People
from tests.flows.commands import Server, answer, environment


def test_the_first_visit_sets_up_and_leads_to_a_bot(people: People) -> None:
    ann = people()
    ann.page.goto("/")
    assert ann.page.url.endswith("/setup")
    ann.looks("setup")
    ann.fills(email="ann@example.com", password="short", workspace="Northwind Support")
    ann.presses("Set up")
    expect(ann.page.get_by_text("It is 5 characters long.")).to_be_visible()
    assert ann.page.locator("[name=workspace]").input_value() == "Northwind Support"  # what was typed is kept
    ann.looks("setup-refused")
    ann.fills(password=PASSWORD)
    ann.page.get_by_label("Add an example bot").uncheck()
    ann.presses("Set up")
    expect(ann.page.get_by_role("heading", name="No bots yet")).to_be_visible()
    ann.looks("bots-empty")
    ann.presses("New bot")
    ann.looks("bots-new")
    ann.fills(name="Help <b>desk</b>")
    ann.presses("Create")
    expect(ann.page.get_by_role("heading", name="Help <b>desk</b>", exact=True)).to_be_visible()
    ann.turns_to("Settings")
    ann.looks("bot-settings")


def test_forms_work_without_javascript(people: People) -> None:
    plain = people(java_script_enabled=False)
    plain.page.goto("/app/bots")
    plain.sets_up(EMAIL, PASSWORD)
    plain.presses("New bot")
    plain.fills(name="Testing bot")
    plain.presses("Create")
    plain.turns_to("Settings")
    plain.fills(name="Renamed bot")
    plain.presses("Save")
    expect(plain.page.get_by_role("heading", name="Renamed bot", exact=True)).to_be_visible()
    plain.looks("bot-settings-without-scripts")
    plain.presses("Delete Renamed bot")
    expect(plain.page.get_by_role("heading", name="Delete Renamed bot?")).to_be_visible()
    plain.presses("Delete Renamed bot")
    expect(plain.page.get_by_role("heading", name="No bots yet")).to_be_visible()
    plain.presses("Sign out")
    plain.page.goto("/app/bots/new")
    plain.fills(email=EMAIL, password="a wrong password")
    plain.presses("Sign in")
    expect(plain.page.get_by_text("do not belong together")).to_be_visible()
    plain.fills(password=PASSWORD)
    plain.presses("Sign in")
    assert plain.page.url.endswith("/app/bots/new")  # where one wanted to
    plain.page.goto("/app/nothing")
    expect(plain.page.get_by_role("navigation", name="Main")).to_be_visible()
    plain.looks("not-found")


def test_what_was_typed_outlives_a_session(owner: Person, people: People) -> None:
    owner.context.clear_cookies()
    for person in (owner, people(java_script_enabled=False)):
        page = person.page
        page.goto("/app/bots/new")
        _signs_in(page)
        expect(page.get_by_role("button", name="Create", exact=True)).to_be_visible()
        person.fills(name=f"Typed for long, {person.scripts}")
        person.context.clear_cookies()
        person.presses("Create")
        expect(page.get_by_text("You are not signed in any more, so nothing was done.")).to_be_visible()
        person.looks(f"signed-out-{person.scripts}")
        with person.context.expect_page() as opened:
            page.get_by_role("link", name="Sign in, in a new tab").click()
        _signs_in(opened.value)
        expect(opened.value.get_by_role("button", name="Create", exact=True)).to_be_visible()
        page.go_back()
        expect(page.get_by_label("Name")).to_have_value(f"Typed for long, {person.scripts}")
        person.presses("Create")
        expect(page.get_by_text(f"Typed for long, {person.scripts} was created.")).to_be_visible()


def _signs_in(page: Page) -> None:
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_a_bot_is_deleted_after_a_dialog_that_names_it(owner: Person) -> None:
    owner.page.goto("/app/bots/new")
    owner.fills(name="Testing bot")
    owner.presses("Create")
    owner.turns_to("Settings")
    owner.presses("Delete Testing bot")
    dialog = owner.page.get_by_role("dialog", name="Delete Testing bot?")
    expect(dialog).to_be_visible()
    owner.looks("bot-delete-dialog")
    owner.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(owner.page.get_by_role("link", name="Delete Testing bot")).to_be_focused()  # focus comes back to where it was
    owner.presses("Delete Testing bot")
    dialog.get_by_role("button", name="Delete Testing bot").click()
    expect(owner.page.get_by_text("Testing bot was deleted.")).to_be_visible()


def test_the_cards_follow_a_sync_and_survive_a_lost_connection(owner: Person, server: Server, home: Path, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for number in range(3):
        (tmp_path / "docs" / f"{number}.md").write_text(f"# Page {number}\n\nSome text.\n")
    key = answer("keys", "create", "test", "--role", "owner", env=environment(home))["apiKey"]
    bot = server.api("POST", "/bots", key, {"name": "Testing bot"})["id"]
    owner.page.goto("/app/bots")
    expect(owner.page.get_by_text("No data source yet")).to_be_visible()
    folder = {"name": "Runbooks", "type": "folder", "config": {"path": str(tmp_path / "docs")}}
    server.api("POST", f"/bots/{bot}/data-sources", key, folder)
    expect(owner.page.get_by_text("Fresh")).to_be_visible(timeout=60_000)  # without a reload
    owner.looks("bots")
    owner.context.set_offline(True)
    server.api("PATCH", f"/bots/{bot}", key, {"name": "Found again"})
    owner.context.set_offline(False)
    expect(owner.page.get_by_role("heading", name="Found again")).to_be_visible(timeout=60_000)
    _hide(owner.page, hidden=True)  # then it holds no connection, of which a browser has six for all its tabs
    server.api("PATCH", f"/bots/{bot}", key, {"name": "Seen again"})
    owner.page.wait_for_timeout(3_000)
    expect(owner.page.get_by_role("heading", name="Found again")).to_be_visible()
    _hide(owner.page, hidden=False)
    expect(owner.page.get_by_role("heading", name="Seen again")).to_be_visible(timeout=60_000)
    assert server.process.stop(within=20) == 0  # the open stream holds nothing up


def _hide(page: Page, *, hidden: bool) -> None:
    """As a browser does with a tab that stands behind another one."""
    page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true}); document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def test_a_person_ends_sessions_and_changes_the_password(owner: Person, people: People) -> None:
    other = people()
    other.page.goto("/login")
    other.signs_in(EMAIL, PASSWORD)
    other.page.wait_for_url("**/app/bots")
    owner.page.goto("/app/account")
    owner.looks("account")
    owner.presses("Sign out everywhere else")
    expect(owner.page.get_by_text("You are signed out everywhere else.", exact=True)).to_be_visible()
    other.page.goto("/app/bots")
    assert "/login" in other.page.url
    owner.fills(present="not this one", new="another-long-password")
    owner.presses("Change password")
    expect(owner.page.get_by_text("This is not your present password.")).to_be_visible()
    owner.fills(present=PASSWORD, new="another-long-password")
    owner.presses("Change password")
    expect(owner.page.get_by_text("The password was changed.")).to_be_visible()
    other.fills(email=EMAIL, password="another-long-password")
    other.presses("Sign in")
    expect(other.page.get_by_role("heading", name="No bots yet")).to_be_visible()


def test_the_keyboard_leads_around(owner: Person) -> None:
    owner.page.goto("/app/bots/new")
    owner.page.locator("body").press("Tab")
    owner.page.locator("h1").click()  # out of the field
    owner.page.keyboard.press("?")
    expect(owner.page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    owner.looks("keyboard")
    owner.page.keyboard.press("Escape")
    owner.page.keyboard.press("g")
    owner.page.keyboard.press("b")
    owner.page.wait_for_url("**/app/bots")
