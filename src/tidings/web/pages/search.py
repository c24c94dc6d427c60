"""What a bot knows: its passages for some words, best first."""

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request
from markupsafe import Markup, escape
from pydantic import AfterValidator
from starlette.responses import Response

from tidings.knowledge import search
from tidings.model.bots import Bot
from tidings.store import bots
from tidings.store.search import Hit, to_search
from tidings.store.transactions import Tx
from tidings.web.api.shapes import text_of_query
from tidings.web.pages.bots import TABS
from tidings.web.pages.calling import BotId, House, Member
from tidings.web.pages.plain_text import plain
from tidings.web.pages.render import render

router = APIRouter()

SHOWN = 20  # passages
PASSAGE = 560  # characters of each
_BEFORE = 120  # of them stand before the first word that was found
MOST_MARKED = 60  # words of each: of a table of single letters they would be most of the page
_WORD = re.compile(r"[^\W_]+")
_ENDING = re.compile(r"(?<=..)(ings?|ed|es|s|ly|e)$")


@router.get("/app/bots/{bot_id}/search")
async def find(
    request: Request, bot_id: BotId, visitor: Member, house: House, q: Annotated[str, AfterValidator(text_of_query), Query(max_length=500)] = ""
) -> Response:
    """Asks for words, and shows the passages that have them: first those with all, then those with some."""

    def read(tx: Tx) -> tuple[Bot, tuple[int, int], list[Hit]]:
        return bots.get(tx, visitor.workspace_id, bot_id), to_search(tx, bot_id), search.search(tx, bot_id, q, SHOWN)

    bot, (sources, documents), hits = await house.db.read(read)
    words = search.words_of(q)
    found = [(hit, passage(plain(hit.text) or hit.text, words)) for hit in hits]
    parts = [("with all of these words", [one for one in found if one[0].score >= 1]), ("with some of these words", [one for one in found if one[0].score < 1])]
    return render(request, "bots/search.html", bot=bot, tabs=TABS, q=q, words=words, sources=sources, documents=documents, parts_found=parts, most=SHOWN)


def passage(text: str, words: tuple[str, ...]) -> Markup:
    """The part of a text where words of a query stand, these marked; a word counts in its other endings too, as the index has it."""
    stems = {_stem(word) for word in words}
    marks = [mark.span() for mark in _WORD.finditer(text) if _stem(mark[0].lower()) in stems]
    start = max(marks[0][0] - _BEFORE, 0) if marks else 0
    start = max(text.rfind(" ", 0, start), text.rfind("\n", 0, start)) + 1 if start else 0
    end = min(start + PASSAGE, len(text))
    made, at = [Markup("… ") if start else Markup()], start
    for first, last in marks[:MOST_MARKED]:
        if last <= end:
            made += [escape(text[at:first]), Markup("<mark>{}</mark>").format(text[first:last])]
            at = last
    return Markup().join([*made, escape(text[at:end]), Markup(" …") if end < len(text) else Markup()])


def _stem(word: str) -> str:
    return re.sub("y$", "i", _ENDING.sub("", word))  # battery, batteries
