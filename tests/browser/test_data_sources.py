"""Data sources in a real browser: one is added, its sync ends before one's eyes, its rows stand there."""

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.conftest import EMAIL, PASSWORD, People


def test_a_folder_is_added_and_its_first_sync_ends_live(owner: Person, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for number in range(3):
        (tmp_path / "docs" / f"{number}.md").write_text(f"# Page {number}\n\nSome text.\n")
    owner.page.goto("/app/bots/new")
    owner.fills(name="Testing bot")
    owner.presses("Create")
    expect(owner.page.get_by_role("heading", name="No data source yet")).to_be_visible()
    owner.looks("data-sources-empty")
    owner.presses("Add data source")
    owner.looks("data-sources-kinds")
    owner.page.get_by_role("link", name="Folder").click()
    owner.looks("data-sources-new")
    owner.page.get_by_label("Name", exact=True).fill("Runbooks")
    owner.page.get_by_label("Path", exact=True).fill("docs")
    owner.presses("Add and sync")
    expect(owner.page.locator("[aria-invalid=true]")).to_have_value("docs")
    owner.looks("data-sources-refused")
    owner.page.get_by_label("Path", exact=True).fill(str(tmp_path / "docs"))
    owner.page.get_by_text("Options", exact=True).click()
    owner.page.get_by_label("Secret", exact=True).fill("hush")
    owner.presses("Try it")
    expect(owner.page.get_by_role("alert")).to_contain_text("They belong to")  # where the mistake is
    expect(owner.page.get_by_label("Secret", exact=True)).to_have_value("hush")  # which no page sends back
    owner.page.get_by_label("Secret", exact=True).fill("")
    owner.presses("Try it")
    expect(owner.page.get_by_role("heading", name="All rows (3)")).to_be_visible()
    owner.looks("data-sources-tried")
    owner.presses("Add and sync")
    expect(owner.page.get_by_text("Succeeded", exact=True)).to_be_visible(timeout=60_000)  # without a reload
    expect(owner.page.get_by_text("Page 2", exact=True)).to_be_visible(timeout=60_000)
    owner.looks("data-source")
    _gets_a_schedule(owner)
    (tmp_path / "docs").rename(tmp_path / "gone")
    owner.presses("Sync now")
    expect(owner.page.get_by_text("Failing", exact=True)).to_be_visible(timeout=60_000)
    owner.looks("data-source-failing")
    owner.page.get_by_role("link", name="Testing bot").click()
    owner.looks("data-sources-failing")


def _gets_a_schedule(owner: Person) -> None:
    owner.page.get_by_role("navigation", name="Pages of this data source").get_by_role("link", name="Settings").click()
    owner.looks("data-source-settings")
    owner.page.get_by_label("At certain times").check()
    owner.page.get_by_label("Cron expression").fill("0 3 * * 1-5")
    owner.page.get_by_label("Time zone").fill("Europe/Berlin")
    expect(owner.page.get_by_text("At 03:00 on Monday through Friday (Europe/Berlin).")).to_be_visible()  # as it is typed
    owner.page.get_by_label("Only between certain hours").check()
    owner.page.get_by_label("Promise of freshness", exact=True).fill("36")
    expect(owner.page.locator("#next-runs li")).to_have_count(3)
    owner.looks("data-source-schedule")
    owner.page.get_by_label("Cron expression").fill("daily")
    owner.presses("Save times")
    expect(owner.page.get_by_label("Cron expression")).to_be_focused()
    owner.page.get_by_label("Only between certain hours").uncheck()
    owner.page.get_by_label("Cron expression").fill("0 3 * * 1-5")
    _somebody_else_saves_an_interval(owner)
    owner.presses("Save times")
    expect(owner.page.get_by_text("it is “Every 6 h” now. Send it again, and yours takes its place.")).to_be_in_viewport()
    owner.looks("data-source-both-changed")
    owner.presses("Save times")
    expect(owner.page.get_by_text("It was kept. At 03:00 on Monday through Friday (Europe/Berlin).")).to_be_visible()
    owner.presses("Overview")
    expect(owner.page.get_by_text("it holds")).to_be_visible()


def _somebody_else_saves_an_interval(owner: Person) -> None:
    page = owner.context.new_page()
    page.goto(owner.page.url.removesuffix("/schedule"))
    page.get_by_label("At an interval").check()
    page.get_by_role("button", name="Save times").click()
    expect(page.get_by_text("It was kept. Every 6 h")).to_be_visible()
    page.close()


def test_settings_are_tried_and_a_source_is_added_without_javascript(people: People, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for number in range(12):
        (tmp_path / "docs" / f"{number:02}.md").write_text("Text.")
    plain = people(java_script_enabled=False)
    plain.page.goto("/app/bots/new")
    plain.sets_up(EMAIL, PASSWORD)
    plain.presses("New bot")
    plain.fills(name="Testing bot")
    plain.presses("Create")
    plain.presses("Add data source")
    plain.clicks(plain.page.get_by_role("link", name="Folder"))
    plain.page.get_by_label("Name", exact=True).fill("")  # nobody needs a name to try
    plain.page.get_by_label("Path", exact=True).fill("/nowhere")
    plain.presses("Try it")
    expect(plain.page.locator("[aria-invalid=true]")).to_have_value("/nowhere")
    plain.page.get_by_label("Path", exact=True).fill(str(tmp_path / "docs"))
    plain.presses("Try it")
    expect(plain.page.get_by_role("heading", name="The first 10 rows")).to_be_visible()
    plain.page.get_by_label("Name", exact=True).fill("Runbooks")
    plain.presses("Add and sync")
    expect(plain.page.get_by_text("Runbooks is there")).to_be_visible()
    plain.clicks(plain.page.get_by_role("navigation", name="Pages of this data source").get_by_role("link", name="Settings"))
    plain.page.get_by_label("Path", exact=True).fill("/nowhere")
    plain.presses("Save and sync")
    expect(plain.page.locator("[aria-invalid=true]")).to_have_value("/nowhere")
    plain.page.get_by_label("Path", exact=True).fill(str(tmp_path / "docs"))
    plain.page.get_by_label("Exclude", exact=True).fill("00.md")
    plain.presses("Try it")
    expect(plain.page.get_by_text("01.md", exact=True)).to_be_visible()
    plain.presses("Save and sync")
    plain.clicks(plain.page.get_by_role("navigation", name="Pages of this data source").get_by_role("link", name="Settings"))
    expect(plain.page.get_by_label("Exclude", exact=True)).to_have_value("00.md")
    plain.page.get_by_label("At an interval").check()
    plain.page.get_by_label("Every", exact=True).fill("15")
    plain.page.get_by_label("Every: unit").select_option("minutes")
    plain.presses("Save times")
    expect(plain.page.locator("#next-runs")).to_contain_text("Every 15 min.")
    plain.page.get_by_label("Name", exact=True).fill("Handbook")
    plain.presses("Save name")
    expect(plain.page.get_by_role("heading", name="Handbook", exact=True)).to_be_visible()
