"""Files that are uploaded in a real browser, with scripts and without."""

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.conftest import EMAIL, PASSWORD, People


def test_files_are_uploaded_and_deleted(owner: Person, people: People, tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("# Page\n\nText.\n")
    owner.page.goto("/app/bots/new")
    owner.fills(name="Testing bot")
    owner.presses("Create")
    owner.presses("Add data source")
    owner.page.get_by_role("link", name="Files Files that").click()
    owner.page.get_by_role("button", name="Add", exact=True).click()
    expect(owner.page.get_by_role("heading", name="No files yet")).to_be_visible()
    owner.looks("files-empty")
    owner.page.get_by_label("Upload files").set_input_files([tmp_path / "a.md", tmp_path / "b.md"])
    owner.presses("Upload")
    expect(owner.page.get_by_text("2 files were uploaded")).to_be_visible(timeout=30_000)
    owner.looks("files")
    plain = people(java_script_enabled=False)
    plain.page.goto(owner.page.url)
    plain.fills(email=EMAIL, password=PASSWORD)
    plain.presses("Sign in")
    plain.page.get_by_label("Upload files").set_input_files(tmp_path / "b.md")
    plain.presses("Upload")
    expect(plain.page.get_by_text("1 file was uploaded")).to_be_visible(timeout=30_000)
    plain.presses("Delete b.md")
    plain.presses("Delete b.md")
    expect(plain.page.get_by_text("b.md was deleted")).to_be_visible(timeout=30_000)
