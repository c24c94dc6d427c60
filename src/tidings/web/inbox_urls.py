"""`POST /api/public/inbox/{secret}`: takes webhooks for people to look at. Whoever has the URL can post, within bounds that keep the disk small."""

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tidings import clock
from tidings.clock import SECOND, Micros
from tidings.errors import NotFound, TidingsError, TooLarge, TooMany, Unavailable
from tidings.model.inboxes import Inbox
from tidings.outbound import INBOX_PATH, INBOX_SECRET
from tidings.secretbox import SecretBox
from tidings.store import inboxes
from tidings.store.database import Database
from tidings.web.call_bodies import Body, Room
from tidings.web.problems import problem, problem_of
from tidings.webhooks.inboxes import LARGEST_MESSAGE, receive_in

RATE = 300  # messages that an inbox takes in a minute
MINUTE: Micros = 60 * SECOND


class InboxUrls:
    """The endpoint. What an inbox keeps, it answers as it was told to."""

    def __init__(self, db: Database, box: SecretBox) -> None:
        self._db, self._box = db, box
        self._room = Room()
        self._counts: dict[str, tuple[Micros, int]] = {}  # of each inbox: since when, how many

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        body = Body(self._room)
        answer: Response
        try:
            if scope["method"] != "POST":
                answer = problem(scope, 405, "An inbox takes POST.", "method_not_allowed", headers={"Allow": "POST"})
            else:
                inbox = await self._inbox(scope["path"].removeprefix(INBOX_PATH))
                content = await _read(receive, body)
                status = await self._db.write(receive_in, self._box, inbox, scope["headers"], content, clock.now())
                answer = JSONResponse({"received": True}, status)
        except TidingsError as error:
            answer = problem_of(scope, error)
            if isinstance(error, TooLarge):
                answer.headers["Connection"] = "close"  # what is still on its way is not read
        finally:
            body.forget()
        await answer(scope, receive, send)

    async def _inbox(self, secret: str) -> Inbox:
        """The inbox at this URL. NotFound; TooMany where it takes no more in this minute."""
        inbox = await self._db.read(inboxes.find, secret) if INBOX_SECRET.fullmatch(secret) else None
        if inbox is None:
            raise NotFound("There is nothing at this address.")
        now = clock.now()
        since, count = self._counts.get(inbox.id, (now, 0))
        if not 0 <= now - since < MINUTE:
            since, count = now, 0
        if count >= RATE:
            raise TooMany(f"An inbox takes at most {RATE} messages a minute. Wait a little, then send it again.")
        self._counts[inbox.id] = (since, count + 1)
        return inbox


async def _read(receive: Receive, body: Body) -> bytes:
    """The whole of a body. TooLarge; Unavailable where it can't be taken now."""
    more = True
    while more:
        message = await receive()
        body.add(message.get("body", b""))
        if body.size > LARGEST_MESSAGE:
            raise TooLarge(f"An inbox takes at most {LARGEST_MESSAGE // 1024} KiB.")
        if message["type"] == "http.disconnect":
            raise Unavailable("The caller left before all of its request was there.")
        more = message.get("more_body", False)
    content = body.content()
    if content is None:
        raise Unavailable("Too much is posted at once. Send it again in a moment.")
    return content
