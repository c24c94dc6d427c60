"""Names as people give them elsewhere: as long as they may be without a space, and in scripts that run to the left."""

from pathlib import Path

from tests.browser.browser import NARROW, Person
from tests.flows.commands import Server, a_data_source, answer, environment

LONG = "N" * 200


def fits(person: Person, path: str) -> None:
    """Nothing of the page stands out at the side, on a phone."""
    person.page.set_viewport_size({"width": NARROW["width"], "height": NARROW["height"]})
    person.page.goto(path)
    assert person.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0, path


def test_long_names_fit(owner: Person, server: Server, home: Path, tmp_path: Path) -> None:
    key = answer("keys", "create", "test", "--role", "owner", env=environment(home))["apiKey"]
    server.api("PATCH", "/workspace", key, {"name": LONG})
    for path in ("/app/bots", "/app/usage", "/app/nowhere"):
        fits(owner, path)
    revoked = answer("keys", "create", LONG, env=environment(home))["id"]
    fits(owner, f"/app/settings/keys/{revoked}/revoke")
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "long.md").write_text(f"# {LONG}\n\nA text about the tide.\n")
    source = a_data_source(server, key, folder, LONG)
    bot = server.api("GET", f"/data-sources/{source}", key)["botId"]
    server.api("PATCH", f"/bots/{bot}", key, {"name": LONG})
    server.ended(server.api("POST", f"/data-sources/{source}/sync", key, {})["syncId"], key)
    for path in (f"/app/bots/{bot}/search?q=tide", f"/app/bots/{bot}/delete", f"/app/data-sources/{source}/delete", f"/app/data-sources/{source}/charts"):
        fits(owner, path)
    for path in (f"/app/bots/{bot}/data-sources", f"/app/data-sources/{source}"):
        fits(owner, path)
        assert owner.page.locator("h1").evaluate("heading => heading.scrollWidth - heading.clientWidth") <= 0, path
    owner.page.goto(f"/app/bots/{bot}/settings")
    owner.presses(f"Delete {LONG}")
    assert owner.page.locator("dialog[open]").evaluate("dialog => dialog.scrollWidth - dialog.clientWidth") <= 0


def test_names_run_in_the_direction_of_their_script(owner: Person, server: Server, home: Path) -> None:
    key = answer("keys", "create", "test", "--role", "owner", env=environment(home))["apiKey"]
    bot = server.api("POST", "/bots", key, {"name": "שלום!"})["id"]
    left = """place => [...'ש!'].map(letter => {
        const range = document.createRange(), at = place.textContent.indexOf(letter);
        range.setStart(place.firstChild, at);
        range.setEnd(place.firstChild, at + 1);
        return range.getBoundingClientRect().left;
    })"""
    owner.page.goto(f"/app/bots/{bot}/data-sources")
    first, mark = owner.page.locator("h1").evaluate(left)
    assert mark < first  # as it is written in Hebrew, where a line ends at the left
