"""Usage, search and charts in a real browser."""

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.conftest import EMAIL, PASSWORD, People
from tests.flows.commands import Server, answer, environment

INKS = """canvas => {  // the colours of what is drawn, without the edges of letters
  const drawn = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer), found = new Map();
  for (const one of drawn) found.set(one, (found.get(one) ?? 0) + 1);
  return [...found].filter(([, times]) => times > 200).map(([one]) => one).sort();
}"""


def _synced(server: Server, home: Path, folder: Path) -> str:
    """A bot whose data source was synced; the bot's id."""
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.md").write_text(f"# Page {number}\n\nA refund takes {number} weeks.\n")
    key = answer("keys", "create", "test", "--role", "owner", env=environment(home))["apiKey"]
    bot: str = server.api("POST", "/bots", key, {"name": "Testing bot"})["id"]
    server.api("POST", f"/bots/{bot}/data-sources", key, {"name": "Runbooks", "type": "folder", "config": {"path": str(folder)}})
    return bot


def test_what_was_charged_is_a_chart_and_a_table(owner: Person, people: People, server: Server, home: Path, tmp_path: Path) -> None:
    owner.page.goto("/app/usage")
    expect(owner.page.get_by_role("heading", name="Nothing was charged in")).to_be_visible()
    owner.looks("usage-empty")
    bot = _synced(server, home, tmp_path / "docs")
    owner.page.goto(f"/app/bots/{bot}/data-sources")
    expect(owner.page.get_by_text("Fresh", exact=True)).to_be_visible(timeout=60_000)
    owner.page.locator("h1").click()
    owner.page.keyboard.press("g")
    owner.page.keyboard.press("u")
    expect(owner.page.locator("figure.drawn canvas")).to_be_visible()
    owner.page.get_by_role("link", name="Runbooks").click()
    expect(owner.page.locator("#charts figure.drawn canvas")).to_have_count(2)
    expect(owner.page).to_have_title("Runbooks · Tidings")  # the charts come from a page of their own, whose title stays there
    owner.presses("Sync now")
    expect(owner.page.locator("#charts details tbody tr")).to_have_count(4, timeout=60_000)  # without a reload
    owner.looks("data-source-charts")
    owner.page.goto("/app/usage")
    expect(owner.page.locator("figure.drawn canvas")).to_be_visible()
    owner.looks("usage")
    dark = owner.page.locator("figure.drawn canvas").evaluate("canvas => canvas.toDataURL()")
    owner.page.emulate_media(color_scheme="light")
    owner.page.wait_for_function("former => document.querySelector('figure.drawn canvas').toDataURL() !== former", arg=dark)
    inks = owner.page.locator("figure.drawn canvas").evaluate(INKS)
    owner.page.emulate_media(forced_colors="active")
    owner.page.reload()
    assert owner.page.locator("figure.drawn canvas").evaluate(INKS) == inks  # bars and lines stay apart
    assert owner.page.locator("figure .u-marker").first.evaluate("marker => getComputedStyle(marker).forcedColorAdjust") == "none"
    owner.page.emulate_media(forced_colors="none")
    owner.page.locator("figure .u-over").hover()
    expect(owner.page.locator("figure .u-legend")).to_contain_text("Before")
    owner.page.get_by_text("As a table").click()
    expect(owner.page.get_by_role("columnheader", name="That day")).to_be_visible()
    owner.looks("usage-table")
    owner.page.route("**/uplot.js", lambda route: route.fulfill(status=404))
    owner.page.reload()
    expect(owner.page.get_by_role("columnheader", name="That day")).to_be_visible()  # what draws the chart does not come
    owner.page.unroute("**/uplot.js")
    plain = people(java_script_enabled=False)
    plain.page.goto("/app/usage")
    plain.signs_in(EMAIL, PASSWORD)
    expect(plain.page.get_by_role("columnheader", name="That day")).to_be_visible()
    plain.presses("Runbooks")
    assert plain.page.locator(".charts").evaluate("place => place.offsetHeight") < 60  # the link to them, and no room for what does not come


def test_what_happens_is_told_as_it_happens(owner: Person, people: People, server: Server, home: Path, tmp_path: Path) -> None:
    owner.page.goto("/app/activity?what=sync&bot=")
    owner.looks("activity-none")
    owner.page.locator("h1").click()
    owner.page.keyboard.press("g")
    owner.page.keyboard.press("a")
    owner.page.wait_for_url("**/app/activity")
    bot = _synced(server, home, tmp_path / "docs")
    expect(owner.page.get_by_text("Sync of Runbooks succeeded: 3 added")).to_be_visible(timeout=60_000)  # without a reload
    expect(owner.page.get_by_text("The data source Runbooks was added.")).to_be_visible()
    owner.looks("activity")
    owner.page.reload()  # the bot is among those to choose from
    owner.page.get_by_label("What", exact=True).select_option(label="Changes and warnings")
    owner.page.get_by_label("Bot", exact=True).select_option(label="Testing bot")
    owner.presses("Show")
    expect(owner.page.get_by_text("The bot Testing bot was made.")).to_be_visible()
    expect(owner.page.get_by_text("Sync of Runbooks")).to_be_hidden()
    plain = people(java_script_enabled=False)
    plain.page.goto(f"/app/activity?bot={bot}&until=2001-01-01")
    plain.signs_in(EMAIL, PASSWORD)
    plain.presses("Show everything")
    expect(plain.page.get_by_text("Sync of Runbooks succeeded: 3 added")).to_be_visible()


def test_what_the_bot_knows_is_tried(owner: Person, people: People, server: Server, home: Path, tmp_path: Path) -> None:
    bot = _synced(server, home, tmp_path / "docs")
    owner.page.goto(f"/app/bots/{bot}/data-sources")
    expect(owner.page.get_by_text("Fresh", exact=True)).to_be_visible(timeout=60_000)
    owner.page.locator("h1").click()
    owner.page.keyboard.press("/")
    expect(owner.page.get_by_role("searchbox")).to_be_focused()
    owner.looks("search")
    owner.page.keyboard.type("refund weeks")
    expect(owner.page.locator("mark").first).to_have_text("refund")  # while one types
    owner.page.wait_for_url("**?q=refund%20weeks")
    owner.looks("search-found")
    owner.page.get_by_role("link", name="Page 1").click()
    expect(owner.page.locator("#rows").get_by_text("Page 1", exact=True)).to_be_visible()
    expect(owner.page.locator("#rows").get_by_text("Page 2", exact=True)).to_be_hidden()
    plain = people(java_script_enabled=False)
    plain.page.goto(f"/app/bots/{bot}/search")
    plain.signs_in(EMAIL, PASSWORD)
    plain.page.get_by_role("searchbox").fill("nothing like it")
    plain.presses("Search")
    expect(plain.page.get_by_role("heading", name="Nothing found")).to_be_visible()
