"""What every request to /api/v1 passes before the framework sees it: the API key, bounds of the body, JSON that we can store, Idempotency-Key."""

import re
from typing import Any

import orjson
from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidings.errors import FieldError, Invalid, TidingsError, TooLarge, Unauthorized
from tidings.model.workspaces import Caller
from tidings.store.database import Database
from tidings.web.idempotency import Idempotency
from tidings.web.problems import problem, problem_of
from tidings.web.services import Services
from tidings.workspaces import keys

API = "/api/v1"
MAX_BODY = 1024 * 1024  # bytes of a JSON body
UPLOAD_TYPE = "multipart/form-data"
FILES_WANTED = f"Files come as {UPLOAD_TYPE}. Try curl --form files=@FILE."
_JSON_WANTED = "The body has to be JSON. Send it with the header Content-Type: application/json."
MAX_DEPTH = 64  # levels of a JSON body
_WITH_BODY = {"POST", "PUT", "PATCH"}
_UPLOADS = re.compile(rf"{API}/data-sources/[^/]+/files")


class ClientGone(Exception):
    """The client left before it had sent its body: nobody is left to answer to."""


class Gate:
    """Lets callers with a key through to `app`; the caller is then in `scope["state"]`, beside the database to use for this request."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services
        self._idempotency = Idempotency(services.db, services.secretbox)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] != "http" or not (scope["path"] == API or scope["path"].startswith(f"{API}/")):
            await self._app(scope, receive, send)
            return
        try:
            await self._admit(scope, receive, send)
        except TidingsError as error:
            await problem_of(scope, error)(scope, receive, send)
        except ClientGone:
            return

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        state = scope["state"]
        state["caller"] = await _caller(self._services.db, headers)
        state["db"] = self._services.db
        state["idempotency"] = self._idempotency
        _check_query(scope)
        if scope["method"] not in _WITH_BODY or _is_upload(scope, headers):
            await self._app(scope, receive, send)  # what is uploaded is bounded, and told from other uploads, where it is read
            return
        body = await _read(headers, receive)
        if body and not _is_json(headers):
            refusal = FILES_WANTED if _UPLOADS.fullmatch(scope["path"]) else _JSON_WANTED
            await problem(scope, 415, refusal, "unsupported_media_type")(scope, receive, send)
            return
        if body:
            body = checked_json(body)
            kept = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
            scope["headers"] = [*kept, (b"content-type", b"application/json")]  # so that the framework reads it as such
        if scope["method"] == "POST" and "idempotency-key" in headers:
            await self._idempotency.run(scope, body, lambda answer: self._app(scope, _replay(body, receive), answer), send)
        else:
            await self._app(scope, _replay(body, receive), send)


def checked_json(body: bytes) -> bytes:
    """The same JSON, written plainly. Invalid where it is none, is nested too deeply, or holds what no database can store (RFC 8259 allows U+0000)."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(FieldError("body", f"This is not JSON that we can read: {error.msg}, line {error.lineno}, column {error.colno}.")) from None
    waiting: list[tuple[Any, tuple[str, ...]]] = [(value, ())]
    while waiting:
        item, path = waiting.pop()
        if len(path) > MAX_DEPTH:
            raise Invalid(FieldError(path[0][:100], f"It is nested too deeply: {MAX_DEPTH} levels are the most."))
        if isinstance(item, dict):
            if any("\0" in name for name in item):
                raise Invalid(FieldError(".".join(path)[:100] or "body", "The name of a field holds a NUL character. Leave it out."))
            waiting += [(inner, (*path, name)) for name, inner in item.items()]
        elif isinstance(item, list):
            waiting += [(inner, (*path, str(number))) for number, inner in enumerate(item)]
        elif isinstance(item, str) and "\0" in item:
            raise Invalid(FieldError(".".join(path)[:100] or "body", "It holds a NUL character. Leave it out."))
    return orjson.dumps(value)


async def _caller(db: Database, headers: Headers) -> Caller:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthorized("An API key is needed. Send it as Authorization: Bearer <key>; `tidings keys create` makes one.")
    caller = await keys.caller_of(db, key.strip())
    if caller is None:
        raise Unauthorized("This API key is not known, or was revoked. `tidings keys create` makes another one.")
    return caller


def _check_query(scope: Scope) -> None:
    """Invalid where a parameter is there twice: none takes several values, and which one would count is anybody's guess."""
    seen: set[str] = set()
    for name, _ in QueryParams(scope["query_string"]).multi_items():
        if name in seen:
            raise Invalid(FieldError(name[:100] or "query", "It is there more than once. Send it once."))
        seen.add(name)


def _is_json(headers: Headers) -> bool:
    kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _is_upload(scope: Scope, headers: Headers) -> bool:
    return _UPLOADS.fullmatch(scope["path"]) is not None and headers.get("content-type", "").lower().startswith(UPLOAD_TYPE)


async def _read(headers: Headers, receive: Receive) -> bytes:
    """The whole body. TooLarge over the bound, as soon as that is known."""
    said = headers.get("content-length", "")
    if said.isdecimal() and len(said) < 19 and int(said) > MAX_BODY:
        raise _too_large()
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise _too_large()
        more = message.get("more_body", False)
    return bytes(body)


def _too_large() -> TooLarge:
    return TooLarge(f"The body is larger than {MAX_BODY} bytes, which is the most that is taken. Send less at once.")


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read already, then whatever comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
