"""YouTube as the connector asks it: its feeds of videos, and transcripts by youtube-transcript-api; one thing at a time, what goes wrong as sentences."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import feedparser
from youtube_transcript_api import (
    AgeRestricted,
    CouldNotRetrieveTranscript,
    FetchedTranscript,
    PoTokenRequired,
    RequestBlocked,
    TranscriptList,
    TranscriptsDisabled,
    VideoUnavailable,
    VideoUnplayable,
    YouTubeRequestFailed,
    YouTubeTranscriptApi,
)

from tidings import clock
from tidings.connectors.hosts import hosts_of
from tidings.errors import RefusedAddress, RequestFailed, RowError, RowNotFetched, RowNotRead, SourceRejected, SourceUnreachable
from tidings.model.retry_after import read_retry_after
from tidings.outbound import Outbound
from tidings.outbound.clients import OpenSession

HOST = "www.youtube.com"
SITE = f"https://{HOST}"
PAUSE = 0.5  # seconds between two transcripts: YouTube soon blocks who asks for many
PAUSES = (0.5, 2.0)  # before the second and the third try
TRIES = len(PAUSES) + 1
BLOCKED = 3  # videos in a row: then it is us, not they
LONGEST_TITLE = 500  # characters

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Video:
    """A video that a feed names."""

    id: str
    title: str | None


class YouTube:
    """One session with YouTube, for one source."""

    def __init__(self, session: Any, outbound: Outbound, pause: float) -> None:
        self._session = session
        self._api = YouTubeTranscriptApi(http_client=session)
        self._hosts = hosts_of(outbound)
        self._pause = pause
        session.hooks["response"].append(self._heed)
        self._alone = asyncio.Lock()  # the session is not for several threads at once
        self._blocked = 0

    async def aclose(self) -> None:
        """Closes its connections."""
        await asyncio.to_thread(self._session.close)

    async def videos_of(self, kind: str, name: str) -> list[Video]:
        """The latest videos (15 at most) of a `channel` or `playlist`. SourceRejected, SourceUnreachable."""
        answer = await self._ask_source(lambda: self._session.get(f"{SITE}/feeds/videos.xml", params={f"{kind}_id": name}))
        if answer.status_code in {400, 404}:
            raise SourceRejected(f"YouTube has no public {kind} {name}. Correct its id, or make it public; no rows were removed.")
        if answer.status_code != 200:
            raise SourceUnreachable(f"YouTube does not give the videos of the {kind} {name} (it answers {answer.status_code}). Sync again later.")
        feed = feedparser.parse(answer.content)
        if not feed.version:  # such as a page that asks for consent
            raise SourceUnreachable(f"What YouTube answers for the {kind} {name} is no feed of videos. Sync again later; no rows were removed.")
        return [Video(str(entry["yt_videoid"]), str(entry.get("title", ""))[:LONGEST_TITLE] or None) for entry in feed.entries if entry.get("yt_videoid")]

    async def title_of(self, video_id: str) -> str | None:
        """The title of a video; None where YouTube does not tell."""
        try:
            answer = await self._ask(lambda: self._session.get(f"{SITE}/oembed", params={"url": f"{SITE}/watch?v={video_id}", "format": "json"}))
            title = answer.json().get("title") if answer.status_code == 200 else None
        except (RequestFailed, ValueError, AttributeError):
            return None
        return title[:LONGEST_TITLE] if isinstance(title, str) and title else None

    async def transcript(self, video_id: str, languages: Sequence[str]) -> FetchedTranscript:
        """The transcript in the first of these languages that there is, else, where none is named, in the one that is spoken. RowNotRead,
        RowNotFetched; SourceRejected where YouTube blocks us, SourceUnreachable."""
        try:
            found = await self._ask_source(lambda: _choose(self._api.list(video_id), languages), of_a_row=True)
        except CouldNotRetrieveTranscript as error:
            self._note_block(isinstance(error, RequestBlocked))
            raise _why(error) from error
        except (ValueError, SyntaxError, LookupError, TypeError, AttributeError) as error:  # it reads pages that YouTube changes as it likes
            raise RowNotFetched("YouTube answers in a way that Tidings does not understand. Sync again later, or ask for a newer version.") from error
        self._note_block(blocked=False)
        return found

    def _heed(self, answer: Any, **_: Any) -> None:
        """Of an answer that says when to come again: nothing is asked before, and then the same once more. In the thread that asked."""
        wait = read_retry_after(answer.headers.get("Retry-After"), clock.now()) if answer.status_code in {429, 503} else None
        if wait is not None:
            answer.close()
            self._hosts.rest(HOST, wait / clock.SECOND)
            raise RequestFailed(f"it was asked too often (it answers {answer.status_code}), also after each rest that it had asked for.", code="broken")

    def _note_block(self, blocked: bool) -> None:  # noqa: FBT001 - said where it is called
        self._blocked = self._blocked + 1 if blocked else 0
        if self._blocked >= BLOCKED:
            raise SourceRejected(f"{BLOCK} It did so for {self._blocked} videos in a row, so the sync was stopped.")

    async def _ask_source(self, ask: Callable[[], T], *, of_a_row: bool = False) -> T:
        """What comes of requests in a thread, up to 3 times; trouble with the network is the source's, unless something was answered to a row's."""
        try:
            return await self._ask(ask)
        except RefusedAddress as error:
            raise SourceRejected(str(error)) from error
        except RequestFailed as error:
            if error.code == "busy":
                raise SourceUnreachable(f"{error} No rows were removed.") from error
            said = f"YouTube gave no whole answer, {TRIES} times: {error}"
            if of_a_row and error.code in {"timeout", "broken"}:
                raise RowNotFetched(f"{said} Sync again later.") from error
            raise SourceUnreachable(f"{said} No rows were removed. Sync again later.") from error

    async def _ask(self, ask: Callable[[], T]) -> T:
        for pause in PAUSES:
            try:
                return await self._ask_once(ask)
            except RequestFailed as error:
                if error.code == "busy":
                    raise
            await asyncio.sleep(pause * random.uniform(1, 1.5))  # noqa: S311 - for all who wait not to come back at once
        return await self._ask_once(ask)

    async def _ask_once(self, ask: Callable[[], T]) -> T:
        async with self._alone, self._hosts.turn(HOST, self._pause):
            return await asyncio.to_thread(ask)


async def open_youtube(outbound: Outbound, open_session: OpenSession, pause: float) -> YouTube:
    """A session; `pause`: seconds between two requests."""
    return YouTube(await open_session(outbound), outbound, pause)


def _choose(transcripts: TranscriptList, languages: Sequence[str]) -> FetchedTranscript:
    """Fetches the one that is wished for. A wish for `en` is met by `en-GB` too; what people wrote goes before what a machine heard."""
    there = list(transcripts)
    if languages:
        codes = [
            one.language_code for wish in languages for one in there if one.language_code.lower() == wish or one.language_code.lower().startswith(f"{wish}-")
        ]
        if not codes:
            raise RowNotRead(
                f"The video has no transcript in {', '.join(languages)}; it has: {', '.join(sorted({one.language_code for one in there}))[:300]}. "
                "Add one of these to languages."
            )
        return transcripts.find_transcript(codes).fetch()
    heard = next((one.language_code for one in there if one.is_generated), there[0].language_code)
    return transcripts.find_transcript([heard]).fetch()


BLOCK = (
    "YouTube blocks requests from this machine's address, as it does with those of many clouds and of who asks too often. "
    "Sync less often, or run Tidings at another address."
)


UNREADABLE: dict[type[CouldNotRetrieveTranscript], str] = {
    TranscriptsDisabled: "The video has no transcript. Add captions to it, or leave it out.",
    VideoUnavailable: "There is no such video, or not any more. Correct its id, or leave it out.",
    AgeRestricted: "YouTube shows the video only to people who are signed in and old enough. Leave it out.",
    PoTokenRequired: "YouTube gives this transcript to its own players only. Leave the video out.",
}


def _why(error: CouldNotRetrieveTranscript) -> RowError:
    if type(error) in UNREADABLE:
        return RowNotRead(UNREADABLE[type(error)])
    match error:
        case RequestBlocked():
            return RowNotFetched(BLOCK)
        case YouTubeRequestFailed():
            return RowNotFetched(f"YouTube did not give the transcript: {_short(error.reason)}. Sync again later.")
        case VideoUnplayable():
            return RowNotRead(f"YouTube does not show the video: {_short(error.reason or '')}. Make it public, or leave it out.")
    return RowNotFetched(f"YouTube answers in a way that Tidings does not understand: {_short(error.cause)}. Sync again later.")


def _short(text: str) -> str:
    return " ".join(text.split())[:300].rstrip(".") or "it gives no reason"
