"""One sync of a site by its connector alone: what it lists, and what it gives away."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.connectors.site import Resource, Site, link, page
from tidings.connectors.base import Fetched, Listed, Outcome, Remembered, SourceContext, Unlistable, Wanted
from tidings.connectors.website import WebsiteConnector

LIMIT = 1 << 20  # bytes of a page


class Sync:
    """What one opening of the site listed and gave away, with what is remembered for the next one."""

    def __init__(self) -> None:
        self.rows: dict[str, Listed | Unlistable] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.complete = False
        self.warnings: list[str] = []
        self.looked_up: list[list[str]] = []  # keys of what may be stored, look-up by look-up

    @property
    def paths(self) -> set[str]:
        return {"/" + key.split("/", 3)[3] for key in self.rows}

    @property
    def remembered(self) -> dict[str, Remembered]:
        given = {key: one.validator for key, one in self.outcomes.items() if isinstance(one, Fetched)}
        return {key: Remembered(validator, settled=False) for key, validator in given.items() if validator is not None}


async def sync(context: SourceContext, config: Mapping[str, Any], known: Mapping[str, Remembered] | None = None) -> Sync:
    """Lists the site as a sync does, and fetches what is not known to be unchanged."""
    stored = known or {}
    connector, found = WebsiteConnector(), Sync()

    async def remembered(keys: Sequence[str]) -> Mapping[str, Remembered]:
        found.looked_up.append([*keys])
        return {key: stored[key] for key in keys if key in stored}

    parsed = connector.parse(config)
    async with await connector.open(parsed, replace(context, remembered=remembered)) as source:
        async for batch in source.list_rows():
            for row in batch:
                assert row.key not in found.rows, "each row once"
                found.rows[row.key] = row
                before = stored.get(row.key)
                if isinstance(row, Listed) and (before is None or row.validator is None or row.validator != before.validator):
                    (found.outcomes[row.key],) = await source.fetch([Wanted(row, before.validator if before else None)])
        found.complete, found.warnings = source.complete, [*source.warnings]
    return found


def put(site: Site, path: str, *links: str, text: str | None = None, head: str = "", **more: Any) -> None:
    """A page with links and a text that no other page has."""
    site.pages[path] = Resource(page(*map(link, links), f"<p>{text or f'The text of {path}.'}</p>", title=path, head=head), **more)
