"""Search: all words wanted, any accepted, nobody else's, and whatever is typed is words."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.flows.engine import engine_over
from tidings.knowledge.search import search, words_of
from tidings.settings import Settings
from tidings.store.database import Database

PAGES = {
    "both.md": "# Boats\n\nThe harbour master counts yachts and ferries each morning.",
    "one.md": "# Trains\n\nFerries are not trains, says the station master.",
    "title.md": "# Yachts\n\nNothing in this text repeats its heading.",
    "path.md": "# Paths\n\nLook into docs/harbour-guide.pdf or mail crew@example.org.",
}
ODD = [
    '"',
    "'",
    "a AND",
    "NEAR(x",
    "text:ferries",
    "*",
    "ferr*",
    "(",
    "^",
    "-ferries",
    "ferries | !",
    "ferries & & yachts",
    "\0",
    "'; --",
    "a:b <-> c",
    "%",
    "\\",
    "🛥",
    "",
]


async def test_ranking_and_scope(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder, other = tmp_path / "docs", tmp_path / "other"
    for where in (folder, other):
        where.mkdir()
        for name, text in PAGES.items():
            (where / name).write_text(text if where == folder else text + " Elsewhere.")
    async with engine_over(database, settings, folder) as engine, engine_over(database, settings, other) as neighbour:
        await engine.sync()
        await neighbour.sync()

        async def titles(q: str, limit: int = 10) -> list[str]:
            return [hit.title for hit in await database.read(search, engine.bot, q, limit)]

        assert (await titles("yachts ferries"))[0] == "Boats"
        assert set(await titles("yachts ferries")) == {"Boats", "Trains", "Yachts"}
        assert await titles("YACHT") == ["Yachts", "Boats"]  # stemmed; a heading weighs more
        assert set(await titles("yachts trains")) == {"Boats", "Trains", "Yachts"}  # no document has both, so one is enough
        assert "Paths" not in await titles("the")  # a word that says nothing by itself finds none, or those that have it; never everything
        assert await titles("elsewhere") == []
        assert await titles("harbour-guide") == ["Paths", "Boats"] or (await titles("harbour-guide"))[0] == "Paths"
        assert await titles("example.org") == ["Paths"]
        assert len(await titles("yachts ferries", 1)) == 1
        scores = [hit.score for hit in await database.read(search, engine.bot, "yachts ferries master", 10)]
        assert scores == sorted(scores, reverse=True)
        for q in ODD:
            await titles(q)
        assert "Trains" in await titles("-ferries")


@given(st.text(max_size=200))
def test_words_are_distinct_and_bounded(q: str) -> None:
    words = words_of(q)
    assert len(words) == len(set(words)) <= 32
    assert all(word and "_" not in word and '"' not in word and " " not in word for word in words)


@pytest.mark.parametrize(("q", "words"), [("Don't stop", ("don", "t", "stop")), ("a_b  a", ("a", "b")), ("Überfluß 9", ("überfluß", "9")), ("--", ())])
def test_words_of(q: str, words: tuple[str, ...]) -> None:
    assert words_of(q) == words
