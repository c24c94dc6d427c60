"""Notion's API as the connector asks it: in turn, each request tried three times, what goes wrong as sentences."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, cast

from notion_client import AsyncClient
from notion_client.errors import HTTPResponseError

from tidings import clock
from tidings.connectors.hosts import hosts_of
from tidings.errors import RefusedAddress, RequestFailed, RowNotFetched, SourceError, SourceRejected, SourceUnreachable
from tidings.model.retry_after import read_retry_after
from tidings.outbound import Outbound
from tidings.outbound.clients import httpx_client

SITE = "https://api.notion.com"
PAUSE = 1 / 3  # seconds between two requests: Notion's limit is three a second
AT_ONCE = 6  # requests: so many fit into that limit where each takes two seconds
SECONDS = 60.0  # for one answer, as Notion has it too
PAUSES = (0.5, 2.0)  # before the second and the third try
TRIES = len(PAUSES) + 1
BATCH = 100  # items of one answer, the most there are
ODD = "Notion answers in a way that Tidings does not understand. Sync again later, or ask for a newer version."
ANSWERS = 10_000  # of one list, after which Notion goes round in circles

Object = Mapping[str, Any]
Endpoint = Callable[..., Any]  # of the client


class Notion:
    """The API with one token. `client` has its endpoints."""

    def __init__(self, client: AsyncClient, outbound: Outbound, pause: float) -> None:
        self.client = client
        self._hosts = hosts_of(outbound)
        self._pause = pause

    async def aclose(self) -> None:
        """Closes its connections."""
        await self.client.aclose()

    async def ask(self, endpoint: Endpoint, **members: Any) -> Object:
        """One answer. RowNotFetched where there is none for this object; SourceRejected, SourceUnreachable where there would be none for any."""
        for pause in (*PAUSES, None):
            answer = await self._try(endpoint, members)
            if isinstance(answer, dict):
                return answer
            if pause is None:
                raise answer
            await asyncio.sleep(pause * random.uniform(1, 1.5))  # noqa: S311 - for all who wait not to come back at once
        raise AssertionError

    async def _try(self, endpoint: Endpoint, members: Mapping[str, Any]) -> dict[str, Any] | SourceError:
        """The answer, or an error that may be gone at the next try; raises one that will not be."""
        site = self.client.options.base_url
        try:
            async with self._hosts.turn(site, self._pause, AT_ONCE), asyncio.timeout(SECONDS):
                answer = await cast("Awaitable[object]", endpoint(**members))
        except RefusedAddress as error:
            raise SourceRejected(str(error)) from error
        except RequestFailed as error:
            if error.code == "busy":
                raise SourceUnreachable(str(error)) from error
            return _unanswered(error)
        except TimeoutError:
            return RowNotFetched(f"Notion gave no answer within {SECONDS:g} s, {TRIES} times. Sync again later.")
        except ValueError:
            return RowNotFetched("Notion answers with something that is not JSON. Sync again later.")
        except HTTPResponseError as error:
            refusal = _refusal(error)
            refusal.__cause__ = error
            if not _may_pass(error.status):
                raise refusal from error
            wait = read_retry_after(error.headers.get("retry-after"), clock.now())
            if wait is not None and error.status in {429, 503}:
                self._hosts.rest(site, wait / clock.SECOND)
            return refusal
        return answer if isinstance(answer, dict) else RowNotFetched("Notion answers with something that is not an object. Sync again later.")

    async def ask_all(self, endpoint: Endpoint, **members: Any) -> AsyncIterator[list[Object]]:
        """A list, answer by answer. Errors as those of `ask`."""
        cursor: str | None = None
        for _ in range(ANSWERS):
            answer = await self.ask(endpoint, **members, start_cursor=cursor, page_size=BATCH)
            found, more, cursor = answer.get("results"), answer.get("has_more"), answer.get("next_cursor")
            if not isinstance(found, list) or not all(isinstance(each, dict) and isinstance(each.get("id"), str) for each in found) or (more and not cursor):
                raise RowNotFetched(ODD)  # what is left out of a list would look like pages that are gone
            yield found
            if not more:
                return
        raise SourceUnreachable(f"Notion gave a list that had not ended after {ANSWERS} answers. Sync again later.")


async def open_notion(outbound: Outbound, token: str, site: str, pause: float) -> Notion:
    """The API with this token. `pause`: seconds between two requests."""
    quiet = logging.getLogger("notion_client")  # else the library adds a handler of its own for each client
    client = AsyncClient(
        client=await httpx_client(outbound), auth=token, base_url=site, timeout_ms=int(SECONDS * 1000), retry=False, logger=quiet, log_level=logging.ERROR
    )
    return Notion(client, outbound, pause)


def not_shared(error: RowNotFetched) -> bool:
    """Whether Notion says that there is no such object, which is what it says of those that it may not show."""
    return isinstance(error.__cause__, HTTPResponseError) and error.__cause__.status == 404


def _may_pass(status: int) -> bool:
    """Whether the same request may be answered another time; 409 says that it came upon another one."""
    return status >= 500 or status in {409, 429}


def of_the_source(error: RowNotFetched) -> SourceRejected | SourceUnreachable:
    """What an error means where it concerns the whole source."""
    cause = error.__cause__
    rejected = isinstance(cause, HTTPResponseError) and not _may_pass(cause.status)
    return SourceRejected(str(error)) if rejected else SourceUnreachable(f"{error} No rows were removed.")


def _unanswered(error: RequestFailed) -> SourceUnreachable | RowNotFetched:
    said = f"Notion gave no answer, {TRIES} times: {error}"
    return RowNotFetched(said) if error.code in {"timeout", "broken"} else SourceUnreachable(f"{said} No rows were removed. Sync again later.")


def _refusal(error: HTTPResponseError) -> SourceRejected | RowNotFetched:
    match error.status:
        case 401:
            return SourceRejected("Notion does not accept the token. Make a new one at notion.so/my-integrations, and set it here.")
        case 404:
            return RowNotFetched(
                "Notion has no such page for this integration. Share it with the integration (in Notion: ... > Connections), or take it out here."
            )
        case 403:
            return RowNotFetched("The integration may not read this. Give it the capability to read content at notion.so/my-integrations.")
        case 429:
            return RowNotFetched("Notion was asked too often, also by others who use the same token, and still says so after some waiting. Sync again later.")
        case status if status >= 500:
            return RowNotFetched(f"Notion failed (it answers {status}), {TRIES} times. Sync again later.")
    return RowNotFetched(f"Notion refuses the request ({error.status}): {' '.join(str(error).split())[:300].rstrip('.')}.")
