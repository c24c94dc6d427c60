"""Search over the published documents of a bot."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AfterValidator, Field

from tidings.knowledge import search
from tidings.store import bots
from tidings.store.search import Hit
from tidings.store.transactions import Tx
from tidings.web.api.calling import Db, Reader
from tidings.web.api.shapes import Id, PathId, Shape, text_of_query
from tidings.web.api.shapes import Query as QueryShape

router = APIRouter(prefix="/api/v1", tags=["Search"])


class SearchQuery(QueryShape):
    """What to look for."""

    q: Annotated[str, AfterValidator(text_of_query), Field(description="Plain text: all of its words are wanted, any is accepted.")] = ""
    limit: Annotated[int, Field(ge=1, le=200, description="How many documents at most.")] = 50


class HitShape(Shape):
    """One document found."""

    row_id: Id
    document_id: Id
    title: str | None
    url: str | None
    text: str
    score: float = Field(description="Sorts the documents found: 1 and more where all words are there.")
    data_source: str = Field(description="The name of the data source.")


class HitsShape(Shape):
    """The documents found, best first."""

    items: list[HitShape]


@router.get("/bots/{bot_id}/search", summary="Search a bot's documents")
async def search_documents(bot_id: PathId, query: Annotated[SearchQuery, Query()], caller: Reader, db: Db) -> HitsShape:
    """The published documents that fit best; none where nothing fits."""

    def find(tx: Tx) -> list[Hit]:
        bots.get(tx, caller.workspace_id, bot_id)
        return search.search(tx, bot_id, query.q, query.limit)

    return HitsShape(items=[_shape(hit) for hit in await db.read(find)])


def _shape(hit: Hit) -> HitShape:
    return HitShape(
        row_id=hit.row_id,
        document_id=hit.document_id,
        title=hit.title,
        url=hit.url,
        text=hit.text,
        score=hit.score,
        data_source=hit.data_source,
    )
