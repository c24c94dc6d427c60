"""The kind `website`: the pages of a site, found by crawling, by its sitemap, or named one by one."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from selectolax.lexbor import LexborHTMLParser, SelectolaxError

from tidings.connectors.base import Config, Connector, Source, SourceContext
from tidings.connectors.crawl import USUAL_DEPTH, Crawl
from tidings.connectors.globs import Globs, Selection
from tidings.connectors.pages import Pages, Site
from tidings.connectors.robots import Robots
from tidings.connectors.urls import joined, normal
from tidings.connectors.web import Web
from tidings.errors import FieldError, Invalid

MOST_PAGES = 50_000


def _url(text: str) -> str:
    if normal(text) is None:
        raise ValueError("It has to be a whole URL of a page, such as https://example.com/docs/, of at most 1000 characters")
    return text


def _selector(text: str) -> str:
    try:
        LexborHTMLParser("<p></p>").css(text)
    except SelectolaxError:
        raise ValueError(f"{text[:100]!r} is not a CSS selector") from None
    return text


def _paths(patterns: Any) -> Any:
    """Patterns written as whole URLs count by their paths."""
    if not isinstance(patterns, list | tuple):
        return patterns
    return [_path(one) if isinstance(one, str) else one for one in patterns]


def _path(pattern: str) -> str:
    if not pattern.startswith(("http://", "https://")):
        return pattern
    return "/" + pattern.partition("://")[2].partition("/")[2]


def _several(selectors: Any) -> Any:
    """One selector may be written as a text: with commas that is a list of them anyway."""
    return [selectors] if isinstance(selectors, str) else selectors


PathGlobs = Annotated[Globs, BeforeValidator(_paths)]
Selectors = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_selector)], ...], Field(max_length=50), BeforeValidator(_several)
]
Text = Annotated[str, Field(min_length=1, max_length=1_000)]


class WebsiteConfig(Config):
    """The settings of a `website` data source."""

    url: Annotated[Text, AfterValidator(_url)] = Field(
        description="Where the site begins: the page that a crawl starts from, or the sitemap (else the sitemaps that robots.txt names, else `/sitemap.xml`)."
    )
    mode: Literal["crawl", "sitemap", "pages"] = Field(
        "crawl", description="`crawl` follows links on the same host; `sitemap` takes what the sitemap lists; `pages` takes those that are named one by one."
    )
    pages: Annotated[tuple[Text, ...], Field(max_length=10_000)] = Field((), description="For the mode `pages`: URLs, or paths that count from `url`.")
    maxPages: int = Field(  # noqa: N815 - as it is written in JSON
        500, ge=1, le=MOST_PAGES, description="A listing stops after so many pages. One that was stopped removes no rows, as it does not know."
    )
    maxDepth: int = Field(USUAL_DEPTH, ge=0, le=50, description="How many links away from `url` a crawl goes.")  # noqa: N815 - the same
    include: PathGlobs = Field(
        (),
        description="Patterns of the paths to take, such as `/docs/**`; none means all. A crawl reads its first page for links even where no pattern takes it.",
    )
    exclude: PathGlobs = Field((), description="Patterns of paths to leave out, such as `/blog/**` or `print`; they win over `include`.")
    select: Selectors = Field((), description="CSS selectors of what to take of a page; without them it is the main content, without menus and footers.")
    remove: Selectors = Field((), description="CSS selectors of what to take away before, such as `.cookie-banner`.")


class WebsiteConnector(Connector[WebsiteConfig]):
    """Pages of a website."""

    kind: ClassVar[str] = "website"
    title: ClassVar[str] = "Website"
    description: ClassVar[str] = "Pages of a website: by following its links, by its sitemap, or named one by one."
    sees_changes: ClassVar[str] = "By ETag or Last-Modified: an unchanged page comes without its body; where a server has neither, by a hash of the bytes."
    looks_up: ClassVar[str] = "By URL or path: of a crawl, pages that it found before; else those that the sitemap or `pages` names."
    cannot: ClassVar[str] = "Run JavaScript, or read pages behind a login."
    tried: ClassVar[str] = "A site of ours with every trap."
    config_type: ClassVar[type[Config]] = WebsiteConfig

    async def check(self, config: WebsiteConfig, context: SourceContext) -> None:
        """The site has to be one that the guard lets us reach."""
        explanation = await context.outbound.explain(config.url)
        if not explanation.allowed:
            raise Invalid(FieldError("config.url", explanation.reason or ""))
        if bool(config.pages) != (config.mode == "pages"):
            raise Invalid(FieldError("config.pages", "The mode `pages` takes a list of pages, and no other mode does."))
        wrong = next((page for page in config.pages if joined(config.url, page) is None), None)
        if wrong is not None:
            raise Invalid(FieldError("config.pages", f"{wrong[:200]!r} is not the address of a page."))

    def text_settings(self, config: WebsiteConfig) -> tuple[str, ...]:
        """What is cut out of a page."""
        return ("select", *config.select, "remove", *config.remove) if config.select or config.remove else ()

    async def open(self, config: WebsiteConfig, context: SourceContext) -> Source:
        """The site, not asked yet."""
        web = Web(context)
        start = normal(config.url) or config.url
        selection = Selection(config.include, config.exclude, hidden=True)
        site = Site(web, Robots(web), selection, config.maxPages, config.select, config.remove)
        if config.mode == "crawl":
            return Crawl(site, start, config.maxDepth, context.remembered)
        return Pages(site, start, tuple(filter(None, (joined(start, page) for page in config.pages))) if config.mode == "pages" else None)
