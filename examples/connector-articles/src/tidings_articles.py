"""Articles of a help centre: `GET URL` answers `[{"id", "title", "url", "updatedAt"}, ...]`, and `GET URL/ID` an article as HTML."""

import json
from urllib.parse import quote

from pydantic import Field

from tidings.connectors.base import Config, Connector, Fetched, Listed, Source, one_by_one
from tidings.connectors.web import Web
from tidings.errors import SourceRejected


class ArticlesConfig(Config):
    url: str = Field(max_length=2000, description="Address of the list of articles.")
    token: str | None = Field(None, max_length=1000, description="Sent as `Authorization: Bearer`.")


class Articles(Source):
    def __init__(self, config, context):
        self.url = config.url
        self.web = Web(context, {"Authorization": f"Bearer {config.token}"} if config.token else None)

    async def list_rows(self):
        page = await self.web.get_root(self.url)
        try:
            rows = [Listed(str(one["id"]), str(one["updatedAt"]), title=one["title"], url=one["url"]) for one in json.loads(page.body)]
        except (ValueError, TypeError, KeyError) as error:
            raise SourceRejected(f"{self.url} does not answer with a list of articles. Correct the address.") from error
        yield rows
        self.complete = True

    async def fetch(self, wanted):
        return await one_by_one(self.fetch_article, wanted)

    async def fetch_article(self, one):
        page = await self.web.get(f"{self.url}/{quote(one.row.key, safe='')}")
        return Fetched(page.body, one.row.validator, media_type=page.media_type, title=one.row.title, url=one.row.url)


class ArticlesConnector(Connector):
    kind = "articles"
    title = "Articles"
    description = "The articles of a help centre that lists them as JSON."
    config_type = ArticlesConfig
    secret_fields = frozenset({"token"})

    async def open(self, config, context):
        return Articles(config, context)
