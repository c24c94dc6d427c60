"""The kind `youtube`: what is said in videos."""

import hashlib
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field, model_validator
from youtube_transcript_api import FetchedTranscript

from tidings import clock
from tidings.clock import Micros
from tidings.connectors.base import MEGABYTE, Config, Connector, Fetched, Found, Listed, Outcome, Source, SourceContext, Wanted, Written, one_by_one
from tidings.connectors.youtube_api import PAUSE, SITE, Video, YouTube, open_youtube
from tidings.errors import RowNotRead
from tidings.model.targets import Targets
from tidings.outbound.clients import OpenSession, requests_session

SECTION_SECONDS = 60
REREAD = 7 * clock.DAY  # YouTube does not tell whether a transcript was corrected, and blocks who asks often
CONVERSION = "1"  # another one once transcripts give other text than before

_HOSTS = frozenset({"youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "www.youtube-nocookie.com"})
_VIDEO = re.compile(r"[A-Za-z0-9_-]{11}", re.ASCII)
_PLAYLIST = re.compile(r"[A-Za-z0-9_-]{12,64}", re.ASCII)
_CHANNEL = re.compile(r"UC[A-Za-z0-9_-]{22}", re.ASCII)


def _named(text: str, member: str, paths: Sequence[str]) -> str:
    """The id in a URL of YouTube: a member of its query, or what follows one of these paths; else the text itself."""
    parts = urlsplit(text)
    if not parts.scheme:
        return text
    if parts.hostname == "youtu.be" and "/" in paths:
        return parts.path.strip("/")
    if parts.hostname not in _HOSTS:
        return ""
    found = parse_qs(parts.query).get(member)
    if found:
        return found[0]
    return next((parts.path.removeprefix(path).split("/")[0] for path in paths if path != "/" and parts.path.startswith(path)), "")


def _video(text: str) -> str:
    found = _named(text, "v", ("/", "/shorts/", "/live/", "/embed/"))
    if not _VIDEO.fullmatch(found):
        raise ValueError("It has to be the URL of a video on YouTube, or its id of 11 characters")
    return found


def _playlist(text: str) -> str:
    found = _named(text, "list", ())
    if not _PLAYLIST.fullmatch(found):
        raise ValueError("It has to be the URL of a playlist on YouTube, or its id")
    return found


def _channel(text: str) -> str:
    found = _named(text, "channel_id", ("/channel/",))
    if not _CHANNEL.fullmatch(found):
        raise ValueError("It has to be the id of a channel, which begins with UC (on the channel's page: more about it > Share channel > Copy channel ID)")
    return found


class YouTubeConfig(Config):
    """The settings of a `youtube` data source."""

    videos: Annotated[tuple[Annotated[str, Field(max_length=2048), AfterValidator(_video)], ...], Field(max_length=1000)] = Field(
        (), description="URLs or ids of videos."
    )
    playlist: Annotated[str, Field(max_length=2048), AfterValidator(_playlist)] | None = Field(
        None, description="URL or id of a public playlist: the 15 videos that YouTube's feed of it names, and those that it names later."
    )
    channel: Annotated[str, Field(max_length=2048), AfterValidator(_channel)] | None = Field(
        None, description="Id of a channel (UC...), or the URL with it: its latest 15 videos, and those that it publishes later."
    )
    languages: Annotated[
        tuple[
            Annotated[str, Written(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}", "Write the code of a language, such as de or pt-BR."), AfterValidator(str.lower)],
            ...,
        ],
        Field(max_length=20),
    ] = Field((), description="Codes of languages, the best first, such as `de` or `pt-BR`; none means the one that is spoken.")

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not (self.videos or self.playlist or self.channel):
            raise ValueError("It has to name videos, a playlist or a channel")
        return self


class YouTubeConnector(Connector[YouTubeConfig]):
    """Transcripts of videos; a row's key is the video's id. `open_session`: makes what YouTube is asked by; `reread`: after how many microseconds a
    transcript is looked up again, 0 for each time; `pause`: seconds between two requests."""

    kind: ClassVar[str] = "youtube"
    title: ClassVar[str] = "YouTube"
    description: ClassVar[str] = "Transcripts of videos on YouTube, with timestamps: single ones, and those of a playlist or channel."
    sees_changes: ClassVar[str] = "New videos by the feed; a transcript is looked up again once a week, since YouTube tells no versions."
    looks_up: ClassVar[str] = "Videos that are named one by one, by id or URL."
    cannot: ClassVar[str] = (
        "Reach further back than the latest 15 videos of a playlist or channel, or see what left those; get past YouTube's blocks of addresses."
    )
    tried: ClassVar[str] = "A YouTube of ours that answers as the client library has recorded; never live."
    config_type: ClassVar[type[Config]] = YouTubeConfig

    def __init__(self, open_session: OpenSession = requests_session, reread: Micros = REREAD, pause: float = PAUSE) -> None:
        self._open_session = open_session
        self._reread = reread
        self._pause = pause

    def text_settings(self, config: YouTubeConfig) -> tuple[str, ...]:
        """The languages, and which way of making text of a transcript it is."""
        return (CONVERSION, *config.languages)

    async def open(self, config: YouTubeConfig, context: SourceContext) -> "YouTubeSource":
        """A session with YouTube; nothing is asked yet."""
        return YouTubeSource(await open_youtube(context.outbound, self._open_session, self._pause), config, context.max_file_bytes, self._reread)


class YouTubeSource(Source):
    """The videos that are named, and those that the feeds of a playlist and a channel name at the time: what is no longer in a feed stays."""

    def __init__(self, youtube: YouTube, config: YouTubeConfig, limit: int, reread: Micros) -> None:
        self._youtube = youtube
        self._config = config
        self._limit = limit
        self._reread = reread

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._youtube.aclose()

    async def list_rows(self) -> AsyncIterator[Sequence[Listed]]:
        """Each video once."""
        listed: set[str] = set()
        feeds = [(kind, name) for kind, name in (("playlist", self._config.playlist), ("channel", self._config.channel)) if name]
        for kind, name in feeds:
            videos = {video.id: video for video in await self._youtube.videos_of(kind, name) if video.id not in listed}
            listed.update(videos)
            yield [self._row(video) for video in videos.values()]
        yield [self._row(Video(video_id, None)) for video_id in dict.fromkeys(self._config.videos) if video_id not in listed]
        self.complete = not feeds

    async def find_rows(self, targets: Targets) -> Sequence[Found] | None:
        """Named videos by id or URL, to be looked up again: somebody says that they have changed. None where one is not named."""
        try:
            ids = dict.fromkeys(map(_video, (*targets.keys, *targets.urls)))
        except ValueError:
            return None
        return [replace(self._row(Video(each, None)), validator=None) for each in ids] if ids.keys() <= set(self._config.videos) else None

    def _row(self, video: Video) -> Listed:
        return Listed(video.id, self._validator(video.id), video.title, f"{SITE}/watch?v={video.id}")

    def _validator(self, video_id: str) -> str | None:
        """The span of time in which the transcript counts as the same; the spans of videos end at different times."""
        if not self._reread:
            return None
        start = int.from_bytes(hashlib.sha256(video_id.encode()).digest()[:8]) % self._reread
        return f"span {(clock.now() + start) // self._reread}"

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        """Video by video."""
        return await one_by_one(self._fetch, wanted)

    async def _fetch(self, wanted: Wanted) -> Fetched:
        row = wanted.row
        transcript = await self._youtube.transcript(row.key, self._config.languages)
        try:
            content = to_markdown(transcript).encode(errors="replace")
        except (ValueError, OverflowError) as error:
            raise RowNotRead("The transcript has times that make no sense. Correct its captions, or leave the video out.") from error
        if len(content) > self._limit:
            raise RowNotRead(f"The transcript is larger than {self._limit / MEGABYTE:g} MB. Ask the operator to raise TIDINGS_MAX_FILE_MB.")
        title = row.title or await self._youtube.title_of(row.key)
        return Fetched(content, self._validator(row.key), "transcript.md", "text/markdown", title, f"{SITE}/watch?v={row.key}")


def to_markdown(transcript: FetchedTranscript) -> str:
    """A transcript, each minute or so under a heading that tells its time, with a link to that moment of the video."""
    return "\n\n".join(
        f"## {_time(start)}\n\n{words}\n\n[Watch from {_time(start)}]({SITE}/watch?v={transcript.video_id}&t={start}s)"
        for start, words in _sections(transcript)
    )


def _sections(transcript: FetchedTranscript) -> Iterator[tuple[int, str]]:
    """Words and the second at which they begin, a minute or so of them."""
    start, words = 0, list[str]()
    for snippet in transcript:
        said = " ".join(snippet.text.split())
        if not said:
            continue
        if words and snippet.start >= start + SECTION_SECONDS:
            yield start, " ".join(words)
            words.clear()
        if not words:
            start = int(snippet.start)
        words.append(said)
    if words:
        yield start, " ".join(words)


def _time(seconds: int) -> str:
    """`1:05`, or `1:01:05`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
