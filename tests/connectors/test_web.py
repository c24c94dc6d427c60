"""What connectors that read over HTTP share, against servers on loopback: patience, politeness, conditions, and sentences."""

import asyncio
import time
from collections.abc import AsyncIterator
from ipaddress import ip_network
from itertools import chain, pairwise, repeat
from pathlib import Path

import pytest

from tests.connectors.site import Resource, Site, serving
from tidings.connectors.base import SourceContext
from tidings.connectors.hosts import Hosts
from tidings.connectors.web import SILENT, Web
from tidings.errors import RequestFailed, RowNotFetched, RowNotRead, SourceRejected, SourceUnreachable
from tidings.outbound import Outbound

BODY = b"<p>Hello</p>"
LIMIT = 100_000


@pytest.fixture
async def context() -> AsyncIterator[SourceContext]:
    outbound = Outbound([ip_network("127.0.0.0/8")])
    yield SourceContext("some id", Path("/nonexistent"), (), LIMIT, outbound)
    await outbound.aclose()


async def test_a_page_comes_once_and_then_by_its_validator(context: SourceContext) -> None:
    long_ago = time.time() - 100
    pages = {"/tag": Resource(BODY), "/time": Resource(BODY, tagged=False, modified=long_ago), "/both": Resource(BODY, modified=long_ago)}
    async with serving(Site(pages={**pages, "/neither": Resource(BODY, tagged=False)})) as site:
        web = Web(context)
        for path in pages:
            page = await web.get(site.url + path)
            assert (page.body, page.unchanged, page.url) == (BODY, False, site.url + path)
            assert page.validator is not None
            again = await web.get(site.url + path, page.validator)
            assert (again.body, again.unchanged) == (b"", True)
        assert (await web.get(f"{site.url}/neither")).validator is None
        assert (await web.get(f"{site.url}/neither", "no validator of ours")).body == BODY
        assert site.sent == 5 * len(BODY)
        assert site.asked[0].headers["user-agent"].startswith("Tidings/")


async def test_a_page_that_was_modified_just_now_is_looked_at_again(context: SourceContext) -> None:
    async with serving(Site(pages={"/": Resource(BODY, tagged=False, modified=time.time())})) as site:
        assert (await Web(context).get(site.url)).validator is None


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_trouble_that_passes_is_sat_out(context: SourceContext, status: int) -> None:
    async with serving(Site(pages={"/": chain([Resource(status=status)] * 2, repeat(Resource(BODY)))})) as site:
        assert (await Web(context).get(site.url)).body == BODY
        assert [one.status for one in site.asked] == [status, status, 200]


async def test_a_host_that_asks_for_patience_gets_it_from_everybody(context: SourceContext) -> None:
    busy = Resource(status=429, headers=(("Retry-After", "1"),))
    async with serving(Site(pages={"/a": chain([busy], repeat(Resource(BODY))), "/b": Resource(BODY)})) as site:
        began = time.monotonic()
        first = asyncio.create_task(Web(context).get(f"{site.url}/a"))
        while not site.asked:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        await Web(context).get(f"{site.url}/b")
        assert time.monotonic() - began >= 1
        assert (await first).body == BODY
        assert sorted(site.paths()) == ["/a", "/a", "/b"]


async def test_a_host_that_asks_for_long_patience_is_not_asked_again(context: SourceContext) -> None:
    async with serving(Site(pages={"/": Resource(status=503, headers=(("Retry-After", "3600"),))})) as site:
        with pytest.raises(RowNotFetched, match="asks to be left alone for another 60 minutes"):
            await Web(context).get(site.url)
        with pytest.raises(SourceUnreachable, match="left alone"):
            await Web(context).get_root(site.url)
        assert len(site.asked) == 1


async def test_two_requests_at_a_time_whoever_asks(context: SourceContext) -> None:
    async with serving(Site(otherwise=lambda path: Resource(path.encode()))) as site:
        site.open.clear()
        asking = [asyncio.create_task(web.get(f"{site.url}/{n}")) for web in (Web(context), Web(context)) for n in range(5)]
        while site.at_once < 2:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        site.open.set()
        assert len({page.body for page in await asyncio.gather(*asking)}) == 5
        assert site.most_at_once == 2


async def test_a_pause_that_a_host_wants_lies_between_two_requests() -> None:
    hosts, at = Hosts(), []
    for _ in range(3):
        async with hosts.turn("host", pause=0.2):
            at.append(time.monotonic())
    assert all(later - earlier >= 0.2 for earlier, later in pairwise(at))


async def test_redirects_are_followed_and_lose_what_is_secret(context: SourceContext) -> None:
    async with serving(Site()) as other, serving(Site()) as site:
        other.pages["/end"] = Resource(BODY)
        site.pages["/a"] = Resource(status=301, headers=(("Location", "b c"),))
        site.pages["/b%20c"] = Resource(status=302, headers=(("Location", f"{other.url}/end"),))
        page = await Web(context, {"Authorization": "Bearer sesame"}).get(f"{site.url}/a")
        assert (page.body, page.url) == (BODY, f"{other.url}/end")
        assert [one.headers.get("authorization") for one in site.asked] == ["Bearer sesame"] * 2
        assert "authorization" not in other.asked[0].headers
        site.pages["/inward"] = Resource(status=302, headers=(("Location", "http://10.0.0.1/"),))
        with pytest.raises(RowNotRead, match="private address"):
            await Web(context).get(f"{site.url}/inward")
        site.pages["/round"] = Resource(status=302, headers=(("Location", "/round"),))
        with pytest.raises(RowNotFetched, match="redirects more than 10 times"):
            await Web(context).get(f"{site.url}/round")


@pytest.mark.parametrize(
    ("resource", "row", "root"),
    [
        (Resource(status=404), RowNotRead, SourceUnreachable),
        (Resource(status=410), RowNotRead, SourceUnreachable),
        (Resource(status=401), RowNotRead, SourceRejected),
        (Resource(status=403), RowNotRead, SourceRejected),
        (Resource(status=418), RowNotRead, SourceUnreachable),
        (Resource(status=502), RowNotFetched, SourceUnreachable),
        (Resource(b"x" * (LIMIT + 1)), RowNotRead, SourceRejected),
    ],
)
async def test_refusals_are_sentences(context: SourceContext, resource: Resource, row: type[Exception], root: type[Exception]) -> None:
    async with serving(Site(pages={"/": resource})) as site:
        for raised, ask in ((row, Web(context).get), (root, Web(context).get_root)):
            with pytest.raises(raised) as caught:
                await ask(site.url)
            assert str(caught.value).endswith(".")


async def test_a_source_that_has_gone_is_told_from_rows_that_failed(context: SourceContext) -> None:
    async with serving(Site(pages={"/": Resource(BODY)})) as site:
        web = Web(context)
        assert (await web.get(site.url)).body == BODY
    kinds = [type(error) for error in await asyncio.gather(*(web.get(site.url) for _ in range(SILENT)), return_exceptions=True)]
    assert kinds.count(RowNotFetched) == SILENT - 1
    assert kinds.count(SourceUnreachable) == 1
    with pytest.raises(RequestFailed, match="refused the connection"):
        await context.outbound.get(site.url, {}, limit=LIMIT, timeout=10)
