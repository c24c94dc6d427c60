"""A folder of a GitHub repository, by GitHub's REST interface: one request lists it, one reads a file."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from tidings.connectors.base import SourceContext
from tidings.connectors.lfs import refuse_lfs
from tidings.connectors.stores.base import PAGE, Content, Entry
from tidings.connectors.stores.over_http import LISTING_BYTES, HttpStore, quoted
from tidings.connectors.stores.places import Place

SITE = "https://github.com"
TOO_MANY = "It has more files than GitHub names at once. Use a data source of type git."
NO_LISTING = "What it answers is no listing of a repository."
LINK = "120000"  # mode of a symbolic link


class GithubStore(HttpStore):
    """The files of one commit, the newest of a branch; a file's version is the id of its content."""

    async def list_folder(self, path: str) -> AsyncIterator[Sequence[Entry]]:  # noqa: ARG002 - GitHub names all files at once
        """All files. Symbolic links are left out: what they lead to is a file of its own. So are submodules."""
        page = await self.ask(f"{self.place.endpoint}/git/trees/{self.place.ref or 'HEAD'}?recursive=1", LISTING_BYTES)
        prefix = f"{self.place.path}/" if self.place.path else ""
        web = "" if self.place.options.endpoint else f"{SITE}/{self.place.user}/{self.place.host}/blob/{self.place.ref or 'HEAD'}/{quoted(prefix)}"
        try:
            entries = listed(json.loads(page.body), prefix, web)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise OSError(NO_LISTING) from error
        if prefix and not entries:
            raise FileNotFoundError
        for start in range(0, len(entries), PAGE):
            yield entries[start : start + PAGE]

    async def find(self, paths: Sequence[str]) -> Mapping[str, Entry]:
        """By the listing, which is one request, and requests are what GitHub counts."""
        wanted = set(paths)
        return {entry.path: entry async for entries in self.list_folder("") for entry in entries if entry.path in wanted}

    async def read(self, path: str, version: str | None, limit: int) -> Content:  # noqa: ARG002 - its version says all
        """The content with this id."""
        page = await self.ask(f"{self.place.endpoint}/git/blobs/{version}", limit)
        refuse_lfs(page.body)
        return Content(page.body, version)


async def open_store(place: Place, context: SourceContext) -> GithubStore:
    """Without a token GitHub allows 60 requests an hour."""
    headers = {"Accept": "application/vnd.github.raw+json", "X-GitHub-Api-Version": "2022-11-28"}
    if place.options.token is not None:
        headers["Authorization"] = f"Bearer {place.options.token}"
    return GithubStore(place, context, headers)


def listed(tree: Any, prefix: str, web: str) -> list[Entry]:
    """The files of a tree below a prefix; `web` is where the prefix is shown to people, or "". OSError where GitHub did not name all."""
    if tree.get("truncated"):
        raise OSError(TOO_MANY)
    return [
        Entry(below, one["sha"], one.get("size"), url=f"{web}{quoted(below)}" if web else None)
        for one in tree["tree"]
        if one["type"] == "blob" and one["mode"] != LINK and one["path"].startswith(prefix) and (below := one["path"].removeprefix(prefix))
    ]
