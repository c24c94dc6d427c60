"""The kind `youtube` against a YouTube of ours, through its real client library and the guarded proxy."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.connectors.behaviours import Behaviours, Lack, Place
from tests.connectors.youtube_server import BLOCKED, CHANNEL, PLAYLIST, YouTube, id_of, youtube_server
from tidings import clock
from tidings.connectors.base import Fetched, Listed, Outcome, SourceContext, Wanted
from tidings.connectors.youtube import REREAD, YouTubeConnector, YouTubeSource
from tidings.errors import Invalid, RowNotFetched, RowNotRead, SourceRejected, SourceUnreachable
from tidings.model.targets import Targets
from tidings.outbound import Outbound

HERE = (ip_network("127.0.0.0/8"),)
AT_ONCE = 0.0  # seconds between two requests
VIDEO = "https://www.youtube.com/watch?v="


class YouTubePlace(Place):
    """A channel, whose feed names the latest 15 videos. Transcripts are looked up each time, as otherwise once a week."""

    lacks: ClassVar[dict[Lack, str]] = {
        "knows unchanged rows": "YouTube does not tell versions of transcripts apart",
        "looks rows up": "that a channel has a video, and no more, is said by its feed",
        "sees removals": "the feed of a channel names the latest videos only",
    }
    many: ClassVar[int] = 15
    part: ClassVar[int] = 14

    at_once: ClassVar[int] = 1

    def __init__(self, youtube: YouTube) -> None:
        super().__init__()
        self.youtube = youtube
        self.connector = YouTubeConnector(youtube.open_session, 0, AT_ONCE)
        self.config = {"channel": CHANNEL}

    @property
    def reads(self) -> list[str]:
        return self.youtube.given

    async def put(self, name: str, text: str) -> str:
        self.youtube.states.pop(id_of(name), None)
        return self.youtube.put(name, en=[(0.0, text)])

    async def remove(self, name: str) -> None:
        self.youtube.feeds[CHANNEL].remove(id_of(name))

    async def spoil(self, name: str) -> None:
        self.youtube.states[id_of(name)] = {"status": "LOGIN_REQUIRED", "reason": "This is a private video."}

    async def take_down(self) -> None:
        self.youtube.down = True

    async def bring_back(self) -> None:
        self.youtube.down = False

    async def refuse(self) -> None:
        self.youtube.blocked = True

    async def hold(self, after: int = 0) -> None:
        self.youtube.released.clear()
        self.youtube.let_through = after

    async def release(self) -> None:
        self.youtube.let_through = None
        self.youtube.released.set()

    @property
    def waiting(self) -> int:
        return self.youtube.waiting


class TestYouTube(Behaviours):
    @pytest.fixture
    async def place(self) -> AsyncIterator[Place]:
        async with youtube_server() as youtube:
            yield YouTubePlace(youtube)


@pytest.fixture
async def youtube() -> AsyncIterator[YouTube]:
    async with youtube_server() as youtube:
        yield youtube


@asynccontextmanager
async def source_of(
    youtube: YouTube, config: dict[str, Any], outbound: Outbound | None = None, reread: int = REREAD, limit: int = 1 << 20
) -> AsyncIterator[YouTubeSource]:
    outbound = outbound or Outbound(HERE)
    connector = YouTubeConnector(youtube.open_session, reread, AT_ONCE)
    try:
        async with await connector.open(connector.parse(config), SourceContext("0" * 26, Path("/nowhere"), (), limit, outbound)) as source:
            assert isinstance(source, YouTubeSource)
            yield source
    finally:
        await outbound.aclose()


async def listed(source: YouTubeSource) -> list[Listed]:
    return [row async for batch in source.list_rows() for row in batch]


async def fetched(source: YouTubeSource, video_id: str, title: str | None = None) -> Outcome:
    return (await source.fetch([Wanted(Listed(video_id, None, title))]))[0]


async def test_a_transcript_has_marks_of_time(youtube: YouTube) -> None:
    late = [(3590.0, "before the hour"), (3655.5, "after the hour")]
    video = youtube.put(
        "A talk", en=[(0.4, "Hey, this is\na test"), (30.0, ""), (59.9, "still <i>the</i> first & more"), (61.0, "minute two"), (70.0, "goes on"), *late]
    )
    async with source_of(youtube, {"videos": [video]}) as source:
        got = await fetched(source, video)
        assert isinstance(got, Fetched)
        assert (got.title, got.url, got.media_type) == ("A talk", f"{VIDEO}{video}", "text/markdown")
        assert got.content.decode().split("\n\n") == [
            *("## 0:00", "Hey, this is a test still the first & more", f"[Watch from 0:00]({VIDEO}{video}&t=0s)"),
            *("## 1:01", "minute two goes on", f"[Watch from 1:01]({VIDEO}{video}&t=61s)"),
            *("## 59:50", "before the hour", f"[Watch from 59:50]({VIDEO}{video}&t=3590s)"),
            *("## 1:00:55", "after the hour", f"[Watch from 1:00:55]({VIDEO}{video}&t=3655s)"),
        ]


@pytest.mark.parametrize(
    ("there", "wished", "chosen"),
    [
        (["ar", "de", "a.de"], [], "de"),  # spoken, and written down by people
        (["ar", "a.en"], [], "a.en"),
        (["fr"], [], "fr"),
        (["en", "de"], ["de", "en"], "de"),
        (["en"], ["de", "en"], "en"),
        (["a.en", "en"], ["en"], "en"),
        (["en-GB", "a.en-US"], ["en"], "en-GB"),
        (["pt-BR"], ["pt-br"], "pt-BR"),
    ],
)
async def test_languages_in_the_order_of_the_wish(youtube: YouTube, there: list[str], wished: list[str], chosen: str) -> None:
    video = youtube.put("Babel", None, **{code: [(0.0, f"said in {code}")] for code in there})
    async with source_of(youtube, {"videos": [video], "languages": wished}) as source:
        got = await fetched(source, video)
        assert isinstance(got, Fetched)
        assert f"said in {chosen}\n" in got.content.decode()


async def test_videos_playlists_and_channels(youtube: YouTube) -> None:
    for n in range(20):
        youtube.put(f"of the channel {n}", en=[(0.0, "words")])
    for name in ("of both", "of the playlist"):
        youtube.put(name, PLAYLIST, en=[(0.0, "words")])
    youtube.feeds[CHANNEL].insert(0, id_of("of both"))
    urls = [f"https://youtu.be/{id_of('alone')}?t=3", f"{VIDEO}{id_of('of both')}&list=x", f"https://m.youtube.com/shorts/{id_of('short')}", id_of("alone")]
    config = {"videos": urls, "playlist": f"https://www.youtube.com/playlist?list={PLAYLIST}", "channel": f"https://www.youtube.com/channel/{CHANNEL}/videos"}
    async with source_of(youtube, config) as source:
        rows = await listed(source)
        names = ["of the playlist", "of both", *(f"of the channel {n}" for n in range(19, 5, -1)), "alone", "short"]
        assert [row.key for row in rows] == [id_of(name) for name in names]
        assert [row.title for row in rows][:2] == ["of the playlist", "of both"]
        assert not source.complete, "feeds name the latest only"
    async with source_of(youtube, {"videos": urls}) as source:
        assert len(await listed(source)) == 3
        assert source.complete


async def test_a_transcript_is_looked_up_again_once_a_week(youtube: YouTube) -> None:
    ids = [id_of(f"video {n}") for n in range(50)]
    async with source_of(youtube, {"videos": ids}) as source:
        first = {row.key: row.validator for row in await listed(source)}
        got = await fetched(source, youtube.put("video 0", en=[(0.0, "words")]))
        assert isinstance(got, Fetched)
        assert got.validator == first[ids[0]]
    async with source_of(youtube, {"videos": ids}, reread=REREAD // 10**6) as source:
        assert all(row.validator != first[row.key] for row in await listed(source))
    async with source_of(youtube, {"videos": ids}, reread=0) as source:
        assert {row.validator for row in await listed(source)} == {None}
    spans = {(clock.now() // REREAD) + extra for extra in (0, 1)}
    assert {f"span {span}" for span in spans} == set(first.values()), "not all on the same day"


async def test_named_videos_are_looked_up_again_where_somebody_says_so(youtube: YouTube) -> None:
    video = id_of("one")
    async with source_of(youtube, {"videos": [video]}) as source:
        assert await source.find_rows(Targets((video,), (f"{VIDEO}{video}",))) == [Listed(video, None, None, f"{VIDEO}{video}")]
        assert await source.find_rows(Targets((id_of("two"),))) is None
        assert await source.find_rows(Targets((), ("https://example.com/",))) is None


@pytest.mark.parametrize(
    ("state", "kind", "said"),
    [
        ({"status": "LOGIN_REQUIRED", "reason": "This is a private video."}, RowNotRead, "YouTube does not show the video: This is a private video. Make it"),
        ({"status": "LOGIN_REQUIRED", "reason": "This video may be inappropriate for some users."}, RowNotRead, "signed in and old enough"),
        ({"status": "ERROR", "reason": "This video is unavailable"}, RowNotRead, "There is no such video"),
        (BLOCKED, RowNotFetched, "YouTube blocks requests from this machine's address"),
    ],
)
async def test_videos_that_are_not_to_be_had(youtube: YouTube, state: dict[str, Any], kind: type[Exception], said: str) -> None:
    video = youtube.put("hidden", en=[(0.0, "words")])
    youtube.states[video] = state
    async with source_of(youtube, {"videos": [video]}) as source:
        got = await fetched(source, video)
        assert type(got) is kind
        assert said in str(got)
        assert "github" not in str(got)


async def test_videos_without_a_fitting_transcript(youtube: YouTube) -> None:
    silent, french = youtube.put("silent"), youtube.put("french", fr=[(0.0, "mots")], a_x=[])
    youtube.videos[french] = ("french", {"fr": [(0.0, "mots")], "a.es": [(0.0, "palabras")]})
    async with source_of(youtube, {"videos": [silent, french], "languages": ["de", "en"]}) as source:
        assert "The video has no transcript. Add captions" in str(await fetched(source, silent))
        assert str(await fetched(source, french)) == "The video has no transcript in de, en; it has: es, fr. Add one of these to languages."
    async with source_of(youtube, {"videos": [french]}, limit=10) as source:
        assert "TIDINGS_MAX_FILE_MB" in str(await fetched(source, french))


async def test_times_that_are_none_cost_one_row(youtube: YouTube) -> None:
    videos = [youtube.put(f"video {start}", en=[(start, "words")]) for start in (float("nan"), float("inf"), 1.0)]
    async with source_of(youtube, {"videos": videos}) as source:
        outcomes = await source.fetch([Wanted(Listed(video, None, "Title")) for video in videos])
    assert [type(outcome) for outcome in outcomes] == [RowNotRead, RowNotRead, Fetched]


async def test_a_machine_that_is_blocked_stops_asking(youtube: YouTube) -> None:
    youtube.blocked = True
    ids = [youtube.put(f"video {n}", en=[(0.0, "words")]) for n in range(10)]
    async with source_of(youtube, {"videos": ids}) as source:
        with pytest.raises(SourceRejected, match=r"YouTube blocks requests .* for 3 videos in a row"):
            await source.fetch([Wanted(Listed(video, None)) for video in ids])
        assert sum(path.startswith("/youtubei") for path in youtube.asked) == 3


async def test_youtube_says_when_to_come_again(youtube: YouTube) -> None:
    """Then the same is asked again, and nothing before; who is to stay away for long stops at once."""
    video = youtube.put("one", en=[(0.0, "words")])
    for path in ("/watch", "/api/timedtext"):
        youtube.retry_after[path] = ["1"]
    async with source_of(youtube, {"videos": [video]}) as source:
        before = time.monotonic()
        assert isinstance(await fetched(source, video), Fetched)
        assert time.monotonic() - before >= 2
        youtube.retry_after["/watch"] = ["0"] * 3
        failed = await fetched(source, video)
        assert isinstance(failed, RowNotFetched)
        assert "asked too often (it answers 429), also after each rest that it had asked for. Sync again later." in str(failed)
    youtube.retry_after["/feeds/videos.xml"] = ["3600"]
    asked = len(youtube.asked)
    async with source_of(youtube, {"channel": CHANNEL}) as source:
        with pytest.raises(SourceUnreachable, match=r"left alone for another 60 minutes. Sync again after that. No rows"):
            await listed(source)
    assert len(youtube.asked) == asked + 1


async def test_a_machine_that_asks_too_often_is_told_what_to_do(youtube: YouTube) -> None:
    """YouTube does not say until when."""
    video = youtube.put("one", en=[(0.0, "words")])
    youtube.refused["/api/timedtext"] = 1
    async with source_of(youtube, {"videos": [video]}) as source:
        failed = await fetched(source, video)
        assert isinstance(failed, RowNotFetched)
        assert "Sync less often" in str(failed)
        assert isinstance(await fetched(source, video), Fetched)


async def test_consent_is_given_once(youtube: YouTube) -> None:
    youtube.consent = True
    videos = [youtube.put(name, en=[(0.0, "words")]) for name in ("one", "two")]
    async with source_of(youtube, {"videos": videos}) as source:
        assert [type(await fetched(source, video, "Title")) for video in videos] == [Fetched, Fetched]
        assert sum(path.startswith("/watch") for path in youtube.asked) == 3


async def test_failures_of_youtube(youtube: YouTube) -> None:
    video = youtube.put("one", en=[(0.0, "words")])
    youtube.failures["/oembed"] = 1
    youtube.failures["/api/timedtext"] = 1
    async with source_of(youtube, {"videos": [video]}) as source:
        failed = await fetched(source, video)
        assert isinstance(failed, RowNotFetched)
        assert "500" in str(failed)
        got = await fetched(source, video)
        assert isinstance(got, Fetched)
        assert got.title is None
    youtube.failures["/feeds/videos.xml"] = 1
    async with source_of(youtube, {"channel": CHANNEL}) as source:
        with pytest.raises(SourceUnreachable, match=r"it answers 500"):
            await listed(source)
    async with source_of(youtube, {"channel": "UC" + "x" * 22}) as source:
        with pytest.raises(SourceRejected, match=r"YouTube has no public channel UCxxx"):
            await listed(source)
    youtube.consent = True
    async with source_of(youtube, {"channel": CHANNEL}) as source:
        with pytest.raises(SourceUnreachable, match=r"is no feed of videos"):
            await listed(source)


async def test_the_guard_stands_before_youtube_too(youtube: YouTube) -> None:
    async with source_of(youtube, {"channel": CHANNEL}, Outbound()) as source:
        with pytest.raises(SourceRejected, match=r"127\.0\.0\.1 is a loopback address\. Ask the operator"):
            await listed(source)
        with pytest.raises(SourceRejected, match=r"127\.0\.0\.1 is a loopback address\. Ask the operator"):
            await fetched(source, id_of("any"))
    assert youtube.asked == []


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "config"),
        ({"videos": []}, "config"),
        ({"videos": ["https://example.com/watch?v=dQw4w9WgXcQ"]}, "config.videos.0"),
        ({"videos": ["too short"]}, "config.videos.0"),
        ({"videos": ["dQw4w9WgXcQ"] * 1001}, "config.videos"),
        ({"playlist": "https://www.youtube.com/watch?v=dQw4w9WgXcQ"}, "config.playlist"),
        ({"channel": "https://www.youtube.com/@somebody"}, "config.channel"),
        ({"videos": ["dQw4w9WgXcQ"], "languages": ["../en"]}, "config.languages.0"),
        ({"videos": ["dQw4w9WgXcQ"], "site": "http://127.0.0.1"}, "config.site"),
    ],
)
def test_a_config_that_can_not_be(config: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        YouTubeConnector().parse(config)
    assert [error.field for error in caught.value.errors] == [field]
