"""Uploaded files of a data source of type `files`."""

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from tempfile import gettempdir
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import Response
from starlette.types import Message, Receive, Send

from tidings.bots import files
from tidings.connectors.base import MEGABYTE
from tidings.connectors.uploads import UploadedFile, room
from tidings.errors import FieldError, Invalid, TidingsError, TooLarge
from tidings.model.pages import Page
from tidings.web.api.calling import Db, House, Owner, Reader
from tidings.web.api.shapes import Listed, Paging, PathId, Shape, Time, listed, time_of
from tidings.web.gate import FILES_WANTED, UPLOAD_TYPE
from tidings.web.idempotency import Idempotency
from tidings.web.problems import problem_of

router = APIRouter(prefix="/api/v1", tags=["Files"])

MAX_FILES = 100  # of one request
TIMES_MAX_FILE = 4  # one request may be as large as so many files of the most that a file may have
CHUNK = 1024 * 1024
_CHARSET = re.compile(r";\s*charset=(\"[^\"]*\"|[^;]*)", re.IGNORECASE)

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            UPLOAD_TYPE: {
                "schema": {
                    "type": "object",
                    "properties": {"files": {"type": "array", "minItems": 1, "maxItems": MAX_FILES, "items": {"type": "string", "format": "binary"}}},
                    "required": ["files"],
                }
            }
        },
    }
}


class FileShape(Shape):
    """An uploaded file."""

    name: str
    size: int
    uploaded_at: Time


class FilesShape(Shape):
    """Files that were uploaded."""

    items: list[FileShape]


@router.post("/data-sources/{data_source_id}/files", status_code=201, summary="Upload files", response_model=FilesShape, openapi_extra=_BODY)
async def upload_files(data_source_id: PathId, request: Request, caller: Owner, house: House) -> Response:
    """Keeps the files of a multipart form, each in place of a former one of its name, and queues or merges a sync. All of them, or none."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != UPLOAD_TYPE:
        raise Invalid(FieldError("body", FILES_WANTED))
    form = await read_form(request, int(house.settings.max_file_mb * MEGABYTE) * TIMES_MAX_FILE)
    try:
        parts = _files_of(form)
        content = b"".join([await _digest(part) for part in parts])

        async def run(send: Send) -> None:
            sent = [(part.filename or "", chunks(part)) for part in parts]
            try:
                kept = await files.keep(request.scope["state"]["db"], house.settings, caller.workspace_id, data_source_id, sent, by="api")
                answer: Response = JSONResponse({"items": [_shape(one).model_dump() for one in kept]}, 201)
            except TidingsError as error:
                answer = problem_of(request.scope, error)
            await answer(request.scope, request.receive, send)

        idempotency: Idempotency = request.state.idempotency
        return await idempotency.answered(request.scope, content, run)
    finally:
        await form.close()


@router.get("/data-sources/{data_source_id}/files", summary="List uploaded files")
async def list_files(data_source_id: PathId, paging: Annotated[Paging, Query()], caller: Reader, db: Db, house: House) -> Listed[FileShape]:
    """The files of a data source, by name."""
    every = await files.all_of_them(db, house.settings, caller.workspace_id, data_source_id)
    after = _name_in(paging.cursor)
    left = [one for one in every if after is None or one.name > after]
    more = left[paging.limit - 1].name.encode().hex() if len(left) > paging.limit else None
    return listed(Page(tuple(left[: paging.limit]), more), _shape)


@router.delete("/data-sources/{data_source_id}/files/{name}", status_code=204, summary="Delete an uploaded file")
async def delete_file(data_source_id: PathId, name: str, caller: Owner, db: Db, house: House) -> None:
    """Deletes a file, and queues or merges a sync."""
    await files.delete(db, house.settings, caller.workspace_id, data_source_id, name, by="api")


async def read_form(request: Request, limit: int) -> FormData:
    """The multipart form, its files spooled to disk. TooLarge, Invalid, Unavailable."""
    body = _Bounded(request.receive, limit)
    parser = _Parser(request.headers, Request(request.scope, body).stream(), max_files=MAX_FILES, max_fields=MAX_FILES)
    try:
        with room(f"in the server's folder for temporary files ({gettempdir()})"):
            return await parser.parse()
    except MultiPartException as error:
        if body.size > limit:
            largest = f"{limit / MEGABYTE:g} MB"
            raise TooLarge(f"The files are larger than {largest} together, which is the most for one request. Send them one by one.") from None
        if error.message.startswith("Too many files"):
            raise Invalid(
                FieldError("body", f"More than {MAX_FILES} files came at once, so none was kept. Upload {MAX_FILES} at most, then the others.")
            ) from None
        raise Invalid(FieldError("body", f"This is not a multipart form that we can read: {error.message.rstrip('.')}.")) from None


class _Parser(MultiPartParser):
    """Starlette's, which takes a form that was cut off for one that ended, and says nothing of the file that it drops."""

    _ended = False

    async def parse(self) -> FormData:
        self.stream = self._to_its_end(self.stream)
        kind = self.headers.get("content-type", "")
        self.headers = Headers({"content-type": _CHARSET.sub("", kind)})  # names of files are UTF-8 (RFC 7578, section 5.1), whatever a client says
        return await super().parse()

    def on_end(self) -> None:
        self._ended = True

    async def _to_its_end(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async for chunk in stream:
            yield chunk
        if not self._ended:
            raise MultiPartException("it ends before its last boundary, so a file may not be whole")


class _Bounded:
    """A `receive` that ends the form, and closes what was spooled of it, where it is too large or the client leaves."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self.size = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self.size += len(message.get("body", b""))
        if self.size > self._limit or message["type"] == "http.disconnect":
            raise MultiPartException("it is not whole")
        return message


def _files_of(form: FormData) -> list[UploadFile]:
    for field, part in form.multi_items():
        if not isinstance(part, UploadFile):
            raise Invalid(FieldError(field[:100] or "body", "Only files are taken here: this part has no file name."))
    parts: list[Any] = [part for _, part in form.multi_items()]
    if not parts:
        raise Invalid(FieldError("files", "There is no file in this request."))
    return parts


async def _digest(part: UploadFile) -> bytes:
    """Of the name and content, for telling a repeat from another request: the form's boundary differs from one to the other."""
    digest = hashlib.sha256()
    async for chunk in chunks(part):
        digest.update(chunk)
    name = (part.filename or "").encode(errors="surrogatepass")
    return hashlib.sha256(digest.digest() + name).digest()


async def chunks(part: UploadFile) -> AsyncIterator[bytes]:
    """The content of an uploaded file, from its beginning."""
    await part.seek(0)
    while chunk := await part.read(CHUNK):
        yield chunk


def _name_in(cursor: str | None) -> str | None:
    try:
        return None if cursor is None else bytes.fromhex(cursor).decode()
    except ValueError:
        raise Invalid(FieldError("cursor", "This is no cursor of ours. Send back the nextCursor of the page before.")) from None


def _shape(one: UploadedFile) -> FileShape:
    return FileShape(name=one.name, size=one.size, uploaded_at=time_of(one.uploaded_at))
