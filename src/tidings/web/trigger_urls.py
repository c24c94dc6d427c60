"""`GET|POST /api/public/hooks/{hookId}/{secret}`: the incoming hook as a bare ASGI endpoint, ahead of the framework's middleware.

Nothing of the URL is ever logged: it holds the secret.
"""

import asyncio
import contextlib
import json
import math
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes

from tidings import clock, metrics
from tidings.errors import Conflict, Unavailable
from tidings.logs import mask_secrets
from tidings.model.ids import is_id
from tidings.model.syncs import Requested
from tidings.model.trigger_calls import LONGEST_AGENT, Caller, TriggerCall
from tidings.model.webhooks import TRIGGER_PATH, RowMapping
from tidings.secretbox import SecretBox
from tidings.store.database import Database
from tidings.store.signals import Signal
from tidings.web.call_bodies import LARGEST_BODY, Body, Room
from tidings.webhooks.call_log import CallLog
from tidings.webhooks.mapping import NO_ROOM, Mapped, map_body
from tidings.webhooks.payloads import to_json
from tidings.webhooks.trigger import UNKNOWN, Accepted, Call, Refused, ToMap, outcome_of, taken_refs, trigger

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# What is read of a body that is too large, behind the answer: many callers read that only when they have sent everything.
DRAINED_BODY = 16 * 1024 * 1024  # bytes
LINGER_SECONDS = 2.0  # for each next piece
LONGEST_WAIT = 60.0  # seconds
POLL_SECONDS = 5.0

_SECRET = re.compile(r"[A-Za-z0-9._~-]{16,128}")
# What is looked up where a URL names no hook, or has no secret: a malformed URL takes the same way, and the same time, as a wrong secret.
# No hook has that id, and no secret that last character.
_NOBODY = "00000000-0000-0000-0000-000000000000"
_NO_SECRET = "0" * 31 + "!"

# Programs that fetch a link because somebody wrote it into a message, to show what is behind it.
_PREVIEWS = re.compile(
    rb"slackbot-linkexpanding|slack-imgproxy|twitterbot|facebookexternalhit|facebot|meta-externalfetcher|discordbot|telegrambot|whatsapp|linkedinbot|skypeuripreview"
    rb"|microsoftpreview|bingpreview|google-pagerenderer|googlemessages|pinterest(bot)?/|redditbot|mastodon/|cardyb|embedly|iframely|vkshare|viber|line-poker"
    rb"|kakaotalk-scrap|snapchat|tumblr/|zoomlinkpreview|synapse \(|flipboardproxy|bitlybot|outbrain|quora link preview|xing-contenttabreceiver",
    re.IGNORECASE,
)

_ALWAYS = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-robots-tag", b"noindex"),
]
_SUCCESS = b'{"success": true}'
_SUCCESS_HEADERS = [*_ALWAYS, (b"content-length", str(len(_SUCCESS)).encode())]
_STATE = {"queued": (b"tidings-sync-state", b"queued"), "merged": (b"tidings-sync-state", b"merged")}

_METHOD = Refused(405, "A trigger URL takes GET and POST.", stranger=True, allow="GET, POST")
_PREFETCH = Refused(403, "This looks like a browser that fetches ahead, or a program that previews links; nothing was triggered.", stranger=True)
_TOO_LARGE = Refused(413, "The request body is larger than 1 MiB. Send a smaller one, or none.", stranger=True)
_CUT_OFF = Refused(400, "The caller left before all of its request was there; nothing was triggered.", stranger=True)
_FAULT = Refused(500, "Something went wrong that should not, and nothing was triggered. Tell whoever runs Tidings: the log has the details.")

_COUNTS = {outcome: metrics.triggers.labels(outcome) for outcome in ("queued", "merged", "refused", "unknown", "limited")}


class TriggerUrls:
    """The endpoint. `stopping` is set when the server is about to end: whoever waits for a sync is answered then."""

    def __init__(self, db: Database, box: SecretBox, rate: int, stopping: asyncio.Event) -> None:
        self._db = db
        self._box = box
        self._rate = rate
        self._stopping = stopping
        self._calls = CallLog(db)
        self._room = Room()
        self._mapper = ThreadPoolExecutor(1, "mapping")  # one body at a time: the others wait for it, and not the loop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call."""
        begun = time.perf_counter()
        caller = _caller(scope)
        hook_id, secret = _named(unquote_to_bytes(scope.get("raw_path") or scope["path"].encode(errors="replace")))
        query = parse_qs(scope["query_string"].decode(errors="replace")) if scope["query_string"] else {}
        wait = _seconds(query["wait"][-1]) if "wait" in query else 0.0
        ended = self._db.listen("ended") if wait else None  # from before the commit on, so that no end is missed
        body = Body(self._room)
        try:
            answer = await _refused_unseen(scope, receive, body) or await self._decide(hook_id, secret, caller, query, body)
        except Exception:
            await _refuse(send, _FAULT, receive)
            raise
        finally:
            body.forget()
        self._remember(hook_id, caller, answer)
        metrics.trigger_seconds.observe(time.perf_counter() - begun)
        if isinstance(answer, Refused):
            await _refuse(send, answer, receive)
        else:
            await _accept(send, answer.requested, None if ended is None else await self._outcome(answer, ended, wait))

    async def aclose(self) -> None:
        """Writes down the calls that are remembered only in memory; the last that is asked of this endpoint."""
        self._mapper.shutdown(wait=False)
        await self._calls.write()

    async def _decide(self, hook_id: str, secret: str, caller: Caller, query: dict[str, list[str]], body: Body) -> Accepted | Refused:
        refs = taken_refs(query["ref"]) if "ref" in query else ()
        macs = self._box.lookup_macs(hook_id, secret)
        call = Call(hook_id, macs, caller, refs, self._rate, body=body.size > 0 and caller.method == "POST")
        try:
            answer = await self._db.write_each(trigger, call)
            if isinstance(answer, ToMap):
                answer = await self._db.write_each(trigger, replace(call, mapped=await self._map(answer.mapping, body)))
        except (Unavailable, Conflict) as error:
            return Refused(503, str(error), stranger=True, retry_after=1)
        assert not isinstance(answer, ToMap)  # what was mapped is not asked for again
        return answer

    async def _map(self, mapping: RowMapping, body: Body) -> Mapped:
        content = body.content()
        return NO_ROOM if content is None else await asyncio.get_running_loop().run_in_executor(self._mapper, map_body, mapping, content)

    def _remember(self, hook_id: str, caller: Caller, answer: Accepted | Refused) -> None:
        """For people: the list of the hook's calls, and the figures. The same for whatever is not known."""
        if isinstance(answer, Accepted):
            sync = answer.requested
            _COUNTS[sync.state].inc()
            self._calls.add(TriggerCall(hook_id, clock.now(), caller, 200, None, sync.sync_id, sync.state == "merged", answer.mapped))
        else:
            _COUNTS["unknown" if answer is UNKNOWN else "limited" if answer.status == 429 else "refused"].inc()
            self._calls.add(TriggerCall(hook_id, clock.now(), caller, answer.status, answer.reason), stranger=answer.stranger)

    async def _outcome(self, answer: Accepted, ended: Signal, wait: float) -> bytes | None:
        """The plain body of the sync's end; None if it does not come in time."""
        until = time.monotonic() + wait
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            while (left := until - time.monotonic()) > 0 and not stopping.done():
                told = await self._db.read(outcome_of, answer.workspace_id, answer.requested.sync_id)
                if told is not None:
                    return to_json(told).encode()
                woken = asyncio.create_task(ended.wait(min(left, POLL_SECONDS)))
                await asyncio.wait({woken, stopping}, return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
        except Unavailable:  # the call was taken: that is what it is told
            return None
        finally:
            stopping.cancel()
        return None


def _named(path: bytes) -> tuple[str, str]:
    """(hook id, secret) in a decoded path; what nobody has where it names none."""
    hook_id, _, secret = path[len(TRIGGER_PATH) :].decode("latin-1").partition("/")
    # Lengths first, so that what has to be looked at character by character is always about as long.
    hook_id = hook_id if len(hook_id) == len(_NOBODY) else _NOBODY
    secret = secret if 16 <= len(secret) <= 128 else _NO_SECRET
    return (hook_id.lower() if is_id(hook_id) else _NOBODY), (secret if _SECRET.fullmatch(secret) else _NO_SECRET)


def _caller(scope: Scope) -> Caller:
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), None)
    client = scope.get("client")
    return Caller(scope["method"][:16], client[0][:64] if client else None, None if agent is None else _shown(agent[:LONGEST_AGENT]))


@lru_cache(maxsize=256)  # most callers call again
def _shown(agent: bytes) -> str:
    """What a caller says of itself, as it may be shown: some tell the URL that they call."""
    return mask_secrets(agent.decode("latin-1").replace("\0", ""))[:LONGEST_AGENT]


async def _refused_unseen(scope: Scope, receive: Receive, body: Body) -> Refused | None:
    """Why a call is refused whatever its URL. What stands first here wins."""
    if scope["method"] not in {"GET", "POST"}:
        return _METHOD
    length, ahead = _told_by_headers(scope["headers"])
    if ahead:
        return _PREFETCH
    return await _read_body(length, receive, body) if length != 0 else None


def _told_by_headers(headers: list[tuple[bytes, bytes]]) -> tuple[int, bool]:
    """(bytes of the body, -1 where they are not known before; whether this is no call but a look ahead)."""
    length, ahead = 0, False
    for name, value in headers:
        if name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            length = -1
        elif name == b"user-agent":
            ahead = ahead or _PREVIEWS.search(value) is not None
        elif name in {b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"}:
            ahead = ahead or b"prefetch" in value.lower() or b"preview" in value.lower()
    return length, ahead


async def _read_body(length: int, receive: Receive, body: Body) -> Refused | None:
    """Reads the body; the refusal of one that does not come whole, or is too large, as soon as that is known."""
    more = True
    while more and max(length, body.size) <= LARGEST_BODY:
        message = await receive()
        if message["type"] != "http.request":
            return _CUT_OFF
        body.add(message.get("body", b""))
        more = message.get("more_body", False)
    return _TOO_LARGE if max(length, body.size) > LARGEST_BODY else None


async def _drain(receive: Receive) -> None:
    """Reads on behind an answer, for as long as the caller goes on sending."""
    size, more = 0, True
    with contextlib.suppress(TimeoutError):
        while more and size <= DRAINED_BODY:
            async with asyncio.timeout(LINGER_SECONDS):
                message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)


def _seconds(text: str) -> float:
    """How long to wait: clamped to what is allowed, 0 where the text is no number."""
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return 0.0 if math.isnan(seconds) else min(max(seconds, 1.0), LONGEST_WAIT)


async def _accept(send: Send, sync: Requested, told: bytes | None) -> None:
    headers = _SUCCESS_HEADERS if told is None else [*_ALWAYS, (b"content-length", str(len(told)).encode())]
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [*headers, (b"tidings-sync-id", sync.sync_id.encode()), _STATE[sync.state]],
        }
    )
    await send({"type": "http.response.body", "body": _SUCCESS if told is None else told})


async def _refuse(send: Send, refused: Refused, receive: Receive) -> None:
    body = json.dumps({"success": False, "reason": refused.reason}).encode()
    headers = [*_ALWAYS, (b"content-length", str(len(body)).encode())]
    if refused.allow is not None:
        headers.append((b"allow", refused.allow.encode()))
    if refused.retry_after is not None:
        headers.append((b"retry-after", str(refused.retry_after).encode()))
    too_large = refused is _TOO_LARGE
    if too_large:
        headers.append((b"connection", b"close"))  # what is still on its way is no next request
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": too_large})
    if too_large:
        await _drain(receive)
        await send({"type": "http.response.body", "body": b""})
