"""The Search tab of a bot: what it finds, with the words marked, and what it says where it finds nothing; on both databases."""

from tests.web.test_data_source_pages import Browser, ann, root  # noqa: F401 - `ann` is a fixture
from tests.web.test_sign_in import house  # noqa: F401 - a fixture
from tests.web.world import World
from tidings import clock
from tidings.web.live import lasting
from tidings.web.pages.plain_text import plain
from tidings.web.pages.search import MOST_MARKED, PASSAGE, passage
from tidings.web.pages.words import ago


async def test_what_the_bot_knows_is_found_and_what_it_says_before_that(house: World, ann: Browser) -> None:  # noqa: F811
    assert "This bot knows nothing yet" in (await ann.get(f"{ann.bot}/search")).text
    source = await ann.made(root(house))
    assert "Nothing was synced yet" in (await ann.get(f"{ann.bot}/search?q=refunds")).text
    row = await house.with_row(source.rpartition("/")[2], "A <b>refund</b> takes two weeks.")
    await house.with_row(source.rpartition("/")[2], "## Shipping\n\nParcels take **two days**, see [the <rules>](https://example.com/rules).")
    assert "This bot knows 2 documents from 1 data source." in (await ann.get(f"{ann.bot}/search")).text
    page = (await ann.get(f"{ann.bot}/search?q=refund+weeks")).text
    assert "A &lt;b&gt;<mark>refund</mark>&lt;/b&gt; takes two <mark>weeks</mark>." in page
    assert f'href="{source}?q=Title%20{row}#rows"' in page
    assert "3 tokens" in page
    assert "Passages with some of these words" in (await ann.get(f"{ann.bot}/search?q=shipping+weeks")).text
    assert "<mark>Shipping</mark>\nParcels take two days, see the &lt;rules&gt;." in (await ann.get(f"{ann.bot}/search?q=shipping")).text
    assert "Nothing found" in (await ann.get(f"{ann.bot}/search?q=%22nothing+like+it")).text
    for odd in ("q=", "q=%00", "q=%FF", "q=NEAR(", "q=" + "x" * 600):
        assert (await ann.get(f"{ann.bot}/search?{odd}")).status_code in {200, 404}
    theirs = (await house.stranger.made("/bots", {"name": "Theirs"}))["id"]
    assert (await ann.get(f"/app/bots/{theirs}/search?q=refund")).status_code == 404


def test_a_passage_begins_near_the_first_word_found_and_marks_its_other_endings() -> None:
    assert passage("Returned goods, many returns.", ("return",)) == "<mark>Returned</mark> goods, many <mark>returns</mark>."
    assert passage("Nothing <i>here</i>", ("other",)) == "Nothing &lt;i&gt;here&lt;/i&gt;"
    assert passage("The battery is flat.", ("batteries",)) == "The <mark>battery</mark> is flat."
    long = passage("word " * 400 + "Refunds are free. " + "word " * 400, ("refund",))
    assert "<mark>Refunds</mark> are free." in long
    assert passage("a b " * 100, ("a", "b")).count("<mark>") == MOST_MARKED
    assert long.startswith("… word")
    assert long.endswith(" …")
    assert len(long) < PASSAGE + 40


def test_markdown_is_shown_without_its_signs() -> None:
    listed = "# The *title*\n\n- one `two`\n- three\n\n3. four\n\n| a | b |\n|---|---|\n| **c** | |\n\n"
    text = f"{listed}![a map](map.png) soft\nline  \nhard &amp; fast\n\n---\n\n```\nx = 1\n\ny = **2**\n```\n"
    lines = ["The title", "• one two", "• three", "3. four", "a · b", "c", "a map soft line", "hard & fast", "x = 1\n\ny = **2**"]
    assert plain(text) == "\n".join(lines)
    assert plain("2 * 3 * 4 <b>is 24</b>, #tags and snake_case_names") == "2 * 3 * 4 <b>is 24</b>, #tags and snake_case_names"
    assert plain("| a | **b** |\n| c | |") == "a · b\nc"  # the rest of a table
    assert plain("") == plain("[unused]: https://example.com") == ""


def test_a_part_that_differs_in_how_long_ago_something_was_is_not_sent_again() -> None:
    now = clock.now()
    clock.set_source(lambda: now)
    first = f"<p>{ago(now - 60 * clock.SECOND)}, 3 rows</p>"
    clock.set_source(lambda: now + 3600 * clock.SECOND)
    later = f"<p>{ago(now - 60 * clock.SECOND)}, 3 rows</p>"
    clock.set_source(None)
    assert first != later
    assert lasting(first) == lasting(later)
    assert lasting(later) != lasting(later.replace("3 rows", "4 rows"))
