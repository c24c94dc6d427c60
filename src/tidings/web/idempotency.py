"""Idempotency-Key: a repeat of a POST within 24 hours is answered as the first was, and does nothing."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Scope, Send

from tidings.errors import Conflict, FieldError, Invalid, TidingsError
from tidings.model.workspaces import Caller
from tidings.secretbox import SecretBox
from tidings.store import idempotency
from tidings.store.database import Database
from tidings.store.idempotency import Answer, Claim
from tidings.store.signals import Signal
from tidings.store.transactions import Tx

P = ParamSpec("P")
T = TypeVar("T")

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")
_KEPT_HEADERS = ("content-type", "location", "www-authenticate", "allow")

log = structlog.get_logger("tidings.web")


class ClaimedDatabase:
    """The database of one request that holds a claim: whatever the request commits, the same transaction notes that it did. So a request whose
    process dies is never run twice, and one that was thought dead commits nothing beside its repeat."""

    def __init__(self, db: Database, claim: Claim) -> None:
        self._db = db
        self._claim = claim

    async def read(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As of the database."""
        return await self._db.read(fn, *args, **kwargs)

    async def write(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As of the database, and notes the claim's effect as made."""

        def write(tx: Tx) -> T:
            value = fn(tx, *args, **kwargs)
            idempotency.commit(tx, self._claim)
            return value

        return await self._db.write(write)

    def listen(self, what: str) -> Signal:
        """As of the database."""
        return self._db.listen(what)

    def migrate(self) -> None:
        """As of the database."""
        self._db.migrate()

    def pending_migrations(self) -> list[str]:
        """As of the database."""
        return self._db.pending_migrations()

    def close(self) -> None:
        """As of the database."""
        self._db.close()

    @property
    def engine(self) -> Any:
        """As of the database."""
        return self._db.engine


class Idempotency:
    """Runs a request, or answers as the first one with its key was answered."""

    def __init__(self, db: Database, secretbox: SecretBox) -> None:
        self._db = db
        self._secretbox = secretbox

    async def run(self, scope: Scope, content: bytes, run: Callable[[Send], Awaitable[None]], send: Send) -> None:
        """`content` stands for what was sent. While `run` goes on, `scope["state"]["db"]` is a database that notes its effect. Invalid, Conflict."""
        caller: Caller = scope["state"]["caller"]
        key = Headers(scope=scope).get(HEADER, "")
        if not _KEY.fullmatch(key):
            raise Invalid(FieldError(HEADER, "It has to be 1 to 255 printable ASCII characters, for example a UUID."))
        standing = await self._db.write(idempotency.claim, caller.workspace_id, key, _hash(scope, caller, content))
        if isinstance(standing, Answer):
            await self._repeat(caller.workspace_id, key, standing)(scope, _nothing, send)
        elif isinstance(standing, Claim):
            scope["state"]["db"] = ClaimedDatabase(self._db, standing)
            await self._first(standing, run, send)
        else:
            raise _refusal(standing)

    async def answered(self, scope: Scope, content: bytes, run: Callable[[Send], Awaitable[None]]) -> Response:
        """The same for a route that reads its own body: the answer as a response."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await (self.run(scope, content, run, keep) if HEADER in Headers(scope=scope) else run(keep))
        answer = Response(b"".join(message.get("body", b"") for message in messages[1:]), messages[0]["status"])
        answer.raw_headers = list(messages[0].get("headers", ()))
        return answer

    async def _first(self, claim: Claim, run: Callable[[Send], Awaitable[None]], send: Send) -> None:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        ended = False
        try:
            await run(keep)
            ended = True
        finally:
            try:
                await self._settle(claim, messages, ended=ended)
            except TidingsError as error:  # the effect is noted; only its answer is not
                log.warning("the answer to a request with an Idempotency-Key could not be kept", reason=str(error))
            for message in messages:
                await send(message)

    async def _settle(self, claim: Claim, messages: list[Message], *, ended: bool) -> None:
        status = messages[0]["status"] if messages else 500
        if status >= 500 or not ended:
            await self._db.write(idempotency.release, claim)
            return
        headers = MutableHeaders(raw=list(messages[0].get("headers", ())))
        body = b"".join(message.get("body", b"") for message in messages[1:]).decode()
        sealed = self._secretbox.seal(body, "idempotency_keys", f"{claim.workspace_id} {claim.key}", "body")
        kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
        await self._db.write(idempotency.answer, claim, Answer(status, kept, sealed.encode()))

    def _repeat(self, workspace_id: str, key: str, first: Answer) -> Response:
        body = self._secretbox.open(first.body.decode(), "idempotency_keys", f"{workspace_id} {key}", "body")
        return Response(body.encode() or None, first.status, {**first.headers, "Idempotent-Replayed": "true"})


def _refusal(standing: Literal["other", "running", "lost"]) -> TidingsError:
    if standing == "other":
        return Invalid(FieldError(HEADER, "Another request was sent with this key within the last 24 hours. Take a new key for a new request."))
    if standing == "running":
        return Conflict("The first request with this Idempotency-Key has not been answered yet. Repeat it in a moment.")
    return Conflict(
        "The first request with this Idempotency-Key was carried out, but the server ended before it could answer. "
        "Look at what is there; take a new key if the request has to be sent again."
    )


def _hash(scope: Scope, caller: Caller, content: bytes) -> bytes:
    """Of everything that makes a request another one. The role is part of it, because answers show less to members."""
    parts = (scope["method"].encode(), scope["path"].encode(), scope.get("query_string", b""), caller.role.encode(), content)
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
