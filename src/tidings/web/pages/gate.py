"""What every request for a page passes before a route sees it: who has signed in; of unsafe ones the bounds, the origin and the form's token."""

import re
import secrets
from collections.abc import Sequence
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidings.errors import Conflict, FieldError, Invalid, TidingsError, TooLarge, Unavailable
from tidings.model.workspaces import Visitor
from tidings.store.room import lack_of_room
from tidings.web import sessions
from tidings.web.gate import UPLOAD_TYPE, ClientGone
from tidings.web.pages.words import size
from tidings.web.services import Services
from tidings.workspaces import sign_in

SAFE = {"GET", "HEAD", "OPTIONS"}
MAX_FORM = 256 * 1024  # bytes
MAX_FIELDS = 500
FORM_TYPE = "application/x-www-form-urlencoded"
OF_PERSONS = ("/logout", "/app/switch", "/app/account", "/invite/")  # the same in whichever workspace a form was opened
LONGEST_HEAD = 4096  # bytes of an upload in which its token has to be
_TOKEN = re.compile(rb'--[^\r\n]{1,200}\r\nContent-Disposition: form-data; name="form_token"\r\n\r\n([0-9a-f]{64})\r\n', re.IGNORECASE)


class PagesGate:
    """Passes on to `app` with `visitor`, `form_token`, `new_visit` and `form` (name -> value, the last one where there are several) in `scope["state"]`.
    What it refuses is left there as `refused`, for a route's dependency to raise, so that it becomes a page."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        connection, state = HTTPConnection(scope), scope["state"]
        session = sessions.kept(connection, self._services, sessions.SESSION)
        secret = visit = sessions.kept(connection, self._services, sessions.VISIT)
        visitor: Visitor | None = None
        state.update(visitor=None, new_visit=None, form={}, form_token=None, refused=None, lacking=await lack_of_room(self._services.db))
        unanswered: Unavailable | None = None
        try:
            try:
                state["visitor"] = visitor = await sign_in.visitor_of(self._services.db, session) if session else None
            except Unavailable as error:
                unanswered = error  # what was typed is read first, so that it can be sent once more: for that a cookie is enough, of a session or a visit
            if visitor is not None or unanswered is not None:
                secret = session
            if scope["method"] not in SAFE:
                given, receive = await self._check(connection, receive, state, [session, visit] if unanswered is not None else [secret])
                if unanswered is not None:
                    state["form_token"] = given  # with which it is sent once more
                elif visitor is not None:
                    _check_workspace(scope["path"], visitor, secret or "", given)
            if unanswered is not None:
                raise unanswered
        except TidingsError as error:
            state["refused"] = error
        except ClientGone:
            return
        if secret is None:
            secret = state["new_visit"] = secrets.token_urlsafe(32)
        state["form_token"] = state["form_token"] or sessions.form_token(secret, "" if visitor is None else visitor.workspace_id)
        await self._app(scope, receive, send)

    async def _check(self, connection: HTTPConnection, receive: Receive, state: dict[str, object], among: Sequence[str | None]) -> tuple[str, Receive]:
        """The token of the form, made for one `among` these secrets, and what is left to read."""
        sessions.check_origin(connection, self._services)
        given = connection.headers.get(sessions.TOKEN_HEADER, "")
        kind = connection.headers.get("content-type", FORM_TYPE).partition(";")[0].strip().lower()
        if kind == FORM_TYPE:
            form = fields(await _read(receive))
            state["form"] = form
            given = given or form.get(sessions.TOKEN_FIELD, "")
        elif kind == UPLOAD_TYPE and not given:
            given, receive = await _leading_token(receive)
        sessions.check_form_token(among, given)
        return given, receive


def _check_workspace(path: str, visitor: Visitor, secret: str, given: str) -> None:
    """Conflict where a form was opened while this session looked at another workspace, and is not about the person alone."""
    if sessions.is_of_workspace(secret, visitor.workspace_id, given) or path.startswith(OF_PERSONS):
        return
    where = next((name for workspace_id, name in visitor.others if sessions.is_of_workspace(secret, workspace_id, given)), None)
    if where is None:
        raise Conflict(f"This form is of a workspace that you don't belong to any more, so nothing was done. What you see now is {visitor.workspace}.")
    raise Conflict(
        f"This form is of {where}, and you have switched to {visitor.workspace} since it was opened, so nothing was done. "
        f"Switch back to {where}, then press Back, and send it once more."
    )


def fields(body: bytes) -> dict[str, str]:
    """The fields of a form, white space at the ends of lines as a browser sends it. Invalid where there are too many, or it is no text."""
    try:
        found = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise Invalid(FieldError("body", "This form can't be read. Load the page again, and send it once more.")) from None
    if any("\0" in text for values in found.values() for text in values):
        raise Invalid(FieldError("body", "A field holds a NUL character. Leave it out."))
    return {name: values[-1].replace("\r\n", "\n") for name, values in found.items()}


async def _leading_token(receive: Receive) -> tuple[str, Receive]:
    """The token that our forms put at the head of an upload, which is bounded where it is read; and a `receive` that gives again what was read for it."""
    read: list[Message] = []
    head, found, more = b"", None, True
    while more and found is None and len(head) < LONGEST_HEAD:
        message = await receive()
        read.append(message)
        head += message.get("body", b"")
        found, more = _TOKEN.match(head), message.get("more_body", False)

    async def again() -> Message:
        return read.pop(0) if read else await receive()

    return "" if found is None else found[1].decode(), again


async def _read(receive: Receive) -> bytes:
    """The whole of a form: of one that was broken off, half of what was typed would be taken for all of it. TooLarge, ClientGone."""
    body = bytearray()
    more = True
    while more:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > MAX_FORM:
            raise TooLarge(f"This form is larger than {size(MAX_FORM)}, which is the most that is taken. Send less at once.")
        more = message.get("more_body", False)
    return bytes(body)
