"""What a site lets robots do (RFC 9309), asked once for each host of a sync."""

import asyncio

from protego import Protego

from tidings.connectors.web import Web, refused_root
from tidings.errors import SourceUnreachable, Unanswered
from tidings.outbound import check_url

AGENT = "Tidings"
READ = 512 * 1024  # bytes of it that count, as the RFC asks for at least
LARGEST = 8 << 20  # bytes
LONGEST_PAUSE = 30.0  # seconds between two requests, however many a site wishes for
FORBIDDEN = "The site's robots.txt does not let Tidings read this page. Allow the agent Tidings there, or leave the page out."


class Robots:
    """The rules of each host that a sync comes to."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._rules: dict[str, asyncio.Task[Protego]] = {}
        self.cut: list[str] = []  # a sentence for each robots.txt of which not all counted

    async def allow(self, url: str) -> bool:
        """Whether a page may be read. SourceUnreachable where the host does not say, which forbids everything for the time being."""
        return bool((await self._of(url)).can_fetch(url, AGENT))

    async def sitemaps(self, url: str) -> list[str]:
        """The sitemaps that the host of this URL names."""
        return list((await self._of(url)).sitemaps)

    async def _of(self, url: str) -> Protego:
        endpoint = check_url(url).endpoint
        task = self._rules.get(endpoint)
        if task is None:
            task = self._rules[endpoint] = asyncio.create_task(self._read(url))
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Gives up what is being asked."""
        for task in self._rules.values():
            task.cancel()
        await asyncio.gather(*self._rules.values(), return_exceptions=True)

    async def _read(self, url: str) -> Protego:
        target = check_url(url)
        where = f"{target.endpoint}/robots.txt"
        try:
            page = await self._web.ask(where, limit=LARGEST)
        except Unanswered as error:
            if error.code == "too_large":
                raise SourceUnreachable(
                    f"{where} is larger than {LARGEST >> 20} MB, so what the site allows is not known. Make it smaller, then sync again."
                ) from error
            raise SourceUnreachable(f"The site can't be reached: {error} Nothing was read, as its robots.txt is not known. Sync again later.") from error
        if page.status == 429 or page.status >= 500:
            raise refused_root(page) or AssertionError
        counted = page.body if len(page.body) <= READ else page.body[:READ].rpartition(b"\n")[0]
        if page.status == 200 and len(page.body) > READ:
            self.cut.append(f"Of {where} only the first {READ >> 10} KB were read: rules and sitemaps that stand behind them do not count. Make it smaller.")
        rules = await asyncio.to_thread(Protego.parse, counted.decode("utf-8", "replace") if page.status == 200 else "")
        pause = rules.crawl_delay(AGENT)
        if pause:
            self._web.pauses[target.host] = min(float(pause), LONGEST_PAUSE)
        return rules
