"""Files that are uploaded in a real browser, with scripts and without."""

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.conftest import EMAIL, PASSWORD, People


def adds_files(owner: Person, folder: Path) -> None:
    """A data source of files, at its page, and two files to upload."""
    for name in ("a.md", "b.md"):
        (folder / name).write_text("# Page\n\nText.\n")
    owner.page.goto("/app/bots/new")
    owner.fills(name="Testing bot")
    owner.presses("Create")
    owner.presses("Add data source")
    owner.page.get_by_role("link", name="Files Files that").click()
    owner.page.get_by_role("button", name="Add", exact=True).click()
    expect(owner.page.get_by_role("heading", name="No files yet")).to_be_visible()


def test_files_are_uploaded_and_deleted(owner: Person, people: People, tmp_path: Path) -> None:
    adds_files(owner, tmp_path)
    owner.looks("files-empty")
    owner.page.get_by_label("Upload files").set_input_files([tmp_path / "a.md", tmp_path / "b.md"])
    owner.presses("Upload")
    expect(owner.page.get_by_text("2 files were uploaded")).to_be_visible(timeout=30_000)
    owner.looks("files")
    plain = people(java_script_enabled=False)
    plain.page.goto(owner.page.url)
    plain.signs_in(EMAIL, PASSWORD)
    plain.page.get_by_label("Upload files").set_input_files(tmp_path / "b.md")
    plain.presses("Upload")
    expect(plain.page.get_by_text("1 file was uploaded")).to_be_visible(timeout=30_000)
    plain.presses("Delete b.md")
    plain.presses("Delete b.md")
    expect(plain.page.get_by_text("b.md was deleted")).to_be_visible(timeout=30_000)


def test_what_a_script_asked_for_and_did_not_get_is_said(owner: Person, tmp_path: Path) -> None:
    """By itself htmx does nothing with an answer that is no success: people would wait for it for ever."""
    adds_files(owner, tmp_path)
    page, field = owner.page, owner.page.get_by_label("Upload files")
    field.set_input_files(tmp_path / "a.md")
    owner.context.set_offline(True)
    owner.presses("Upload")
    expect(page.get_by_text("Tidings can't be reached. Check your connection, then try again.")).to_be_visible()
    owner.context.set_offline(False)
    kept = owner.context.cookies()
    owner.context.clear_cookies()
    owner.presses("Upload")
    expect(page.get_by_text("You are not signed in any more, so nothing was done.")).to_be_visible()
    expect(page.get_by_text("Tidings can't be reached.")).to_be_hidden()
    assert field.evaluate("field => field.files.length") == 1
    owner.said.clear()  # the browser's own words about both
    owner.looks("files-refused")
    owner.context.add_cookies([{key: each[key] for key in ("name", "value", "domain", "path")} for each in kept])  # type: ignore[misc]
    token = page.locator("#upload [name=form_token]")
    right = token.input_value()
    token.evaluate("field => { field.value = '0'.repeat(64) }")
    owner.presses("Upload")
    expect(page.get_by_text("This form has expired, so nothing was done.")).to_be_visible()
    token.evaluate("(field, right) => { field.value = right }", right)
    owner.presses("Upload")
    expect(page.get_by_text("1 file was uploaded")).to_be_visible()
    owner.presses("Overview")
    expect(page.get_by_role("link", name="Page", exact=True)).to_be_visible()  # it was read, so there is something to search
    owner.presses("Testing bot")
    owner.turns_to("Search")
    owner.context.clear_cookies()
    page.get_by_label("Words to look for").fill("text")
    expect(page.get_by_text("You are signed out. Load the page again to sign in.")).to_be_visible()
    assert page.get_by_label("Words to look for").input_value() == "text"
