"""A YouTube on loopback, as far as feeds, titles and transcripts go: pages and answers in the formats that youtube-transcript-api has recorded."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from typing import Any

import requests
from aiohttp import web

from tests.ports import end
from tidings.outbound import Outbound
from tidings.outbound.clients import GuardedAdapter, requests_session

SITE = "https://www.youtube.com"
FEED_LENGTH = 15
CONSENT = '<form action="https://consent.youtube.com/s"><input name="v" value="cb.1"></form>'
BLOCKED = {"status": "LOGIN_REQUIRED", "reason": "Sign in to confirm you’re not a bot"}
CHANNEL, PLAYLIST = "UC" + "c" * 22, "PL" + "p" * 32

Snippets = list[tuple[float, str]]


def id_of(name: str) -> str:
    """The id of the video that is called so."""
    return sha256(name.encode()).hexdigest()[:11]


@dataclass
class YouTube:
    """What there is. `videos`: by id, its title and its transcripts by language, `a.en` for one that a machine heard."""

    videos: dict[str, tuple[str, dict[str, Snippets]]] = field(default_factory=dict)
    feeds: dict[str, list[str]] = field(default_factory=lambda: {CHANNEL: [], PLAYLIST: []})
    states: dict[str, dict[str, Any]] = field(default_factory=dict)  # of videos that can't be played
    blocked: bool = False
    consent: bool = False  # asks for consent to cookies first
    down: bool = False
    retry_after: dict[str, list[str]] = field(default_factory=dict)  # by path: how long to stay away, each said once, with a 429
    refused: Counter[str] = field(default_factory=Counter)  # how often an answer to this path is a bare 429
    failures: Counter[str] = field(default_factory=Counter)  # how often an answer to this path is 500
    let_through: int | None = None  # transcripts; who asks for another one waits
    waiting: int = 0
    asked: list[str] = field(default_factory=list)
    given: list[str] = field(default_factory=list)  # the videos whose transcripts were given away
    released: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    def put(self, name: str, feed: str | None = CHANNEL, **transcripts: Snippets) -> str:
        """Makes or changes a video, the latest of the feed; its id."""
        video_id = id_of(name)
        self.videos[video_id] = (name, {code.replace("_", "-"): snippets for code, snippets in transcripts.items()})
        if feed is not None and video_id not in self.feeds[feed]:
            self.feeds[feed].insert(0, video_id)
        return video_id

    async def open_session(self, outbound: Outbound) -> requests.Session:
        """A session that comes here wherever it wants to go to YouTube."""
        session = await requests_session(outbound)
        session.mount(f"{SITE}/", Hither(outbound, self.url))
        return session

    # answers ------------------------------------------------------------------------------------------------------------------------------

    @web.middleware
    async def gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        if self.down:
            assert request.transport is not None
            request.transport.abort()
        if rests := self.retry_after.get(request.path):
            raise web.HTTPTooManyRequests(headers={"Retry-After": rests.pop()})
        if self.refused[request.path]:
            self.refused[request.path] -= 1
            raise web.HTTPTooManyRequests
        if self.failures[request.path]:
            self.failures[request.path] -= 1
            raise web.HTTPInternalServerError
        response: web.StreamResponse = await handler(request)
        return response

    async def feed(self, request: web.Request) -> web.Response:
        name = next(iter(request.query.values()))
        if self.consent and "CONSENT" not in request.cookies:
            return web.Response(text=CONSENT, content_type="text/html")
        if name not in self.feeds:
            raise web.HTTPNotFound
        entries = "".join(
            f"<entry><id>yt:video:{video}</id><yt:videoId>{video}</yt:videoId><title>{escape(self.videos[video][0])}</title>"
            f'<link rel="alternate" href="{SITE}/watch?v={video}"/><published>2025-01-01T00:00:00+00:00</published></entry>'
            for video in self.feeds[name][:FEED_LENGTH]
        )
        names = 'xmlns:yt="http://www.youtube.com/xml/schemas/2015" xmlns="http://www.w3.org/2005/Atom"'
        return web.Response(text=f'<?xml version="1.0" encoding="UTF-8"?><feed {names}><title>Feed</title>{entries}</feed>', content_type="text/xml")

    async def oembed(self, request: web.Request) -> web.Response:
        video = request.query["url"].rpartition("=")[2]
        if video not in self.videos:
            raise web.HTTPNotFound
        return web.json_response({"title": self.videos[video][0], "type": "video", "version": "1.0"})

    async def watch(self, request: web.Request) -> web.Response:
        if self.consent and "CONSENT" not in request.cookies:
            return web.Response(text=CONSENT, content_type="text/html")
        return web.Response(text='<html><script>ytcfg.set({"INNERTUBE_API_KEY": "AIza-of_tests"});</script></html>', content_type="text/html")

    async def player(self, request: web.Request) -> web.Response:
        assert request.query["key"] == "AIza-of_tests"
        video = (await request.json())["videoId"]
        if self.blocked:
            return web.json_response({"playabilityStatus": BLOCKED})
        if video in self.states or video not in self.videos:
            gone = {"status": "ERROR", "reason": "This video is unavailable"}
            return web.json_response({"playabilityStatus": self.states.get(video, gone)})
        tracks = [
            {
                "baseUrl": f"{SITE}/api/timedtext?v={video}&lang={code}&fmt=srv3",
                "name": {"runs": [{"text": code}]},
                "languageCode": code.removeprefix("a."),
                "isTranslatable": True,
                **({"kind": "asr"} if code.startswith("a.") else {}),
            }
            for code in self.videos[video][1]
        ]
        captions = {"captions": {"playerCaptionsTracklistRenderer": {"captionTracks": tracks, "translationLanguages": []}}} if tracks else {}
        return web.json_response({"playabilityStatus": {"status": "OK"}, **captions})

    async def timedtext(self, request: web.Request) -> web.Response:
        if self.let_through is not None:
            self.let_through -= 1
            if self.let_through < 0:
                self.waiting += 1
                await self.released.wait()
                self.waiting -= 1
        self.given.append(request.query["v"])
        snippets = self.videos[request.query["v"]][1][request.query["lang"]]
        texts = "".join(f'<text start="{start}" dur="2.5">{escape(escape(words))}</text>' for start, words in snippets)
        return web.Response(text=f'<?xml version="1.0" encoding="utf-8" ?><transcript>{texts}</transcript>', content_type="text/xml")


class Hither(GuardedAdapter):
    """Asks the one on loopback what YouTube is asked, through the same guard."""

    def __init__(self, outbound: Outbound, url: str) -> None:
        self._url = url
        super().__init__(outbound.tls)

    def send(self, request: requests.PreparedRequest, *given: Any, **options: Any) -> requests.Response:
        assert request.url is not None
        asked, request.url = request.url, request.url.replace(SITE, self._url)
        answer = super().send(request, *given, **options)
        answer.url = asked  # as a browser would have it: cookies are YouTube's
        return answer


@asynccontextmanager
async def youtube_server() -> AsyncIterator[YouTube]:
    """An empty one, on a free port."""
    youtube = YouTube()
    app = web.Application(middlewares=[youtube.gate])
    app.router.add_get("/feeds/videos.xml", youtube.feed)
    app.router.add_get("/oembed", youtube.oembed)
    app.router.add_get("/watch", youtube.watch)
    app.router.add_post("/youtubei/v1/player", youtube.player)
    app.router.add_get("/api/timedtext", youtube.timedtext)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    youtube.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield youtube
    finally:
        await end(runner)
