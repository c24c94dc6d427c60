"""The files of a data source of type `files`: several are uploaded at once, replaced, and deleted."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.datastructures import UploadFile
from starlette.responses import Response

from tidings.bots import files
from tidings.connectors.base import MEGABYTE
from tidings.connectors.uploads import UploadedFile
from tidings.errors import Invalid, TooLarge
from tidings.model.bots import Bot, DataSource
from tidings.store import bots as bots_stored
from tidings.store import data_sources as stored
from tidings.store.transactions import Tx
from tidings.web.api.files import MAX_FILES, TIMES_MAX_FILE, chunks, read_form
from tidings.web.pages.calling import House, Member, Owner, SourceId
from tidings.web.pages.forms import sent
from tidings.web.pages.render import go, render
from tidings.web.pages.trials import by_script
from tidings.web.pages.words import plural
from tidings.web.services import Services

router = APIRouter()

SHOWN = 50  # files on one page
FileName = Annotated[str, Query(max_length=255)]


@router.get("/app/data-sources/{data_source_id}/files")
async def show(
    request: Request, data_source_id: SourceId, visitor: Member, house: House, after: Annotated[str, Field(max_length=255), Query()] = ""
) -> Response:
    """The files, by name."""
    return await _page(request, 200, visitor, house, data_source_id, after=after)


@router.post("/app/data-sources/{data_source_id}/files")
async def upload(request: Request, data_source_id: SourceId, visitor: Owner, house: House) -> Response:
    """Keeps those files that can be kept, each in place of a former one of its name, and asks for a sync; says of each other one what is wrong."""
    try:
        form = await read_form(request, _most(house))
    except (TooLarge, Invalid) as error:
        sentence, status = (error.errors[0].message, 422) if isinstance(error, Invalid) else (str(error), 413)
        return await _page(request, 200 if by_script(request) else status, visitor, house, data_source_id, refused={"": sentence})
    try:
        parts = [part for _, part in form.multi_items() if isinstance(part, UploadFile) and part.filename]
        sent_files = [(part.filename or "", chunks(part)) for part in parts]
        kept, refused = await files.keep_each(house.db, house.settings, visitor.workspace_id, data_source_id, sent_files, by="manual")
    finally:
        await form.close()
    if not parts:
        refused = {"": "No file was chosen. Choose one or more, then upload them."}
    said = f"{plural(len(kept), 'file')} {'was' if len(kept) == 1 else 'were'} uploaded; a sync brings what changed." if kept else None
    if refused or by_script(request):
        return await _page(request, 200 if by_script(request) else 422, visitor, house, data_source_id, refused=refused, done=said)
    return go(request, f"/app/data-sources/{data_source_id}/files", said=said)


@router.get("/app/data-sources/{data_source_id}/files/delete")
async def ask_to_delete(request: Request, data_source_id: SourceId, visitor: Owner, house: House, name: FileName) -> Response:
    """Asks before a file is deleted."""
    source = await house.db.read(stored.get, visitor.workspace_id, data_source_id)
    return render(request, "files/delete.html", source=source, name=name)


@router.post("/app/data-sources/{data_source_id}/files/delete")
async def delete(request: Request, data_source_id: SourceId, visitor: Owner, house: House) -> Response:
    """Deletes a file, and asks for a sync."""
    name = sent(request)["name"]
    await files.delete(house.db, house.settings, visitor.workspace_id, data_source_id, name, by="manual")
    return go(request, f"/app/data-sources/{data_source_id}/files", said=f"{name} was deleted; the next sync removes what was known from it.")


def _most(house: Services) -> int:
    """Bytes of one upload."""
    return int(house.settings.max_file_mb * MEGABYTE) * TIMES_MAX_FILE


async def _page(request: Request, status: int, visitor: Member, house: Services, data_source_id: str, *, after: str = "", **said: Any) -> Response:
    def read(tx: Tx) -> tuple[DataSource, Bot]:
        source = stored.get(tx, visitor.workspace_id, data_source_id)
        return source, bots_stored.get(tx, visitor.workspace_id, source.bot_id)

    source, bot = await house.db.read(read)
    every = await files.all_of_them(house.db, house.settings, visitor.workspace_id, data_source_id)
    left: list[UploadedFile] = [one for one in every if one.name > after]
    shown: dict[str, Any] = {"source": source, "bot": bot, "files": left[:SHOWN], "after": after, "more": left[SHOWN - 1].name if len(left) > SHOWN else None}
    limits = {"most": MAX_FILES, "largest": int(house.settings.max_file_mb * MEGABYTE), "together": _most(house)}
    return render(request, "files/list.html", status, **shown, **limits, refused=said.get("refused", {}), done=said.get("done"), count=len(every))
