"""Kinds are found by name, and the protocol is small: a whole connector over HTTP, with conditional requests, in under 40 lines."""

import asyncio
import contextlib
import inspect
import json
import random
import re
import secrets
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.local_files import context_for
from tidings.connectors.base import (
    UNCHANGED,
    Config,
    Connector,
    Fetched,
    Listed,
    Outcome,
    Source,
    SourceContext,
    Wanted,
    in_batches,
    one_by_one,
    source_context,
)
from tidings.connectors.registry import BUILT_IN, connector, kinds
from tidings.errors import Invalid, RowNotFetched, SourceUnreachable
from tidings.outbound import Outbound
from tidings.settings import load_settings


class ShelfConfig(Config):
    url: str
    token: str | None = None


class Shelf(Source):
    """A server that lists its pages as JSON at `/` and answers conditional requests for each."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def list_rows(self) -> AsyncIterator[Sequence[Listed]]:
        status, _, body = await asyncio.to_thread(get, f"{self._url}/", None)
        if status != 200:
            raise SourceUnreachable(f"The shelf answered {status}. Try again later.")
        yield [Listed(key, None, url=f"{self._url}/{key}") for key in json.loads(body)]
        self.complete = True

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        return await one_by_one(self._fetch, wanted)

    async def _fetch(self, one: Wanted) -> Outcome:
        status, tag, body = await asyncio.to_thread(get, f"{self._url}/{one.row.key}", one.known)
        if status == 304:
            return UNCHANGED
        if status != 200:
            raise RowNotFetched(f"The page answered {status}. Try again later.")
        return Fetched(body, tag, media_type="text/plain")


class ShelfConnector(Connector[ShelfConfig]):
    kind: ClassVar[str] = "shelf"
    config_type: ClassVar[type[Config]] = ShelfConfig
    secret_fields: ClassVar[frozenset[str]] = frozenset({"token"})

    async def open(self, config: ShelfConfig, context: SourceContext) -> Shelf:  # noqa: ARG002 - it needs none
        return Shelf(config.url)


def get(url: str, tag: str | None) -> tuple[int, str | None, bytes]:
    request = urllib.request.Request(url, headers={"If-None-Match": tag} if tag else {})  # noqa: S310 - the test's own server
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.headers["ETag"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None, b""


@contextlib.contextmanager
def serving(pages: dict[str, tuple[str, bytes]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            tag, body = ('"list"', json.dumps(list(pages)).encode()) if self.path == "/" else pages[self.path[1:]]
            status = 500 if body == b"broken" else 304 if self.headers["If-None-Match"] == tag else 200
            self.send_response(status)
            self.send_header("ETag", tag)
            self.end_headers()
            if status == 200:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


async def test_a_connector_over_http_takes_under_40_lines() -> None:
    assert sum(len(inspect.getsource(one).splitlines()) for one in (ShelfConfig, Shelf, ShelfConnector)) < 40
    pages = {secrets.token_hex(4): (f'"{secrets.token_hex(4)}"', secrets.token_bytes(100)) for _ in range(10)}
    broken, *good = pages
    pages[broken] = ('"x"', b"broken")
    shelf = ShelfConnector()
    with serving(pages) as url:
        async with await shelf.open(shelf.parse({"url": url}), context_for()) as source:
            assert not source.complete
            rows = [row async for batch in source.list_rows() for row in batch]
            assert source.complete
            assert source.cursor is None
            assert all(isinstance(row, Listed) and row.validator is None for row in rows)
            first = dict(zip(pages, await source.fetch([Wanted(row) for row in rows if isinstance(row, Listed)]), strict=True))
            assert isinstance(first.pop(broken), RowNotFetched)
            known = {key: outcome.validator for key, outcome in first.items() if isinstance(outcome, Fetched)}
            assert {key: outcome.content for key, outcome in first.items() if isinstance(outcome, Fetched)} == {key: pages[key][1] for key in good}
            changed = random.choice(good)
            pages[changed] = ('"new"', b"new")
            second = await source.fetch([Wanted(Listed(key, None), known[key]) for key in good])
    assert [outcome is UNCHANGED for outcome in second] == [key != changed for key in good]
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(get, url, None)


def test_every_kind_says_what_it_is_and_what_it_takes() -> None:
    assert kinds() == BUILT_IN
    assert len({one.kind for one in kinds()}) == len(kinds())
    for one in kinds():
        assert connector(one.kind) is one
        assert one.title
        assert all(text.endswith(".") for text in (one.description, one.sees_changes, one.looks_up, one.cannot, one.tried))
        assert {name.partition(".")[0] for name in one.secret_fields} <= set(one.config_type.model_fields)
        schema = one.config_schema
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert all(member.get("description") for member in schema.get("properties", {}).values())
        json.dumps(schema)


@pytest.mark.parametrize("kind", ["", "Folder", "ftp", "x" * 1000, "__class__"])
def test_an_unknown_kind_names_the_known_ones(kind: str) -> None:
    with pytest.raises(Invalid) as caught:
        connector(kind)
    (error,) = caught.value.errors
    assert error.field == "type"
    assert "files, folder" in error.message
    assert len(error.message) < 300


async def test_the_context_comes_from_the_settings(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, local_roots=(tmp_path / "a",), max_file_mb=1.5)
    outbound = Outbound()
    assert source_context(settings, outbound, "some id") == SourceContext("some id", tmp_path, (tmp_path / "a",), 3 << 19, outbound)
    assert source_context(settings, outbound, "some id", "cursor").cursor == "cursor"


@given(sizes=st.lists(st.one_of(st.none(), st.integers(0, 10_000_000)), max_size=300), rows=st.integers(1, 70), limit=st.integers(1, 5_000_000))
def test_batches_are_bounded_and_lose_nothing(sizes: list[int | None], rows: int, limit: int) -> None:
    wanted = [Wanted(Listed(str(number), None, size=size)) for number, size in enumerate(sizes)]
    batches = list(in_batches(wanted, rows, limit))
    assert [one for batch in batches for one in batch] == wanted
    for batch in batches:
        assert 1 <= len(batch) <= rows
        assert len(batch) == 1 or sum(one.row.size or 0 for one in batch) <= limit


@pytest.mark.parametrize("kind", [each.kind for each in kinds()])
def test_what_is_wrong_with_a_config_is_said_to_people(kind: str) -> None:
    """In whole sentences of ours, not in the words of the library that checks types."""
    one = connector(kind)
    odd = [None, 5, 1.5, True, "", "a\0b", "x" * 100_000, "NaN", float("inf"), -1, 10**20, [], [5], ["x"] * 100_000, {}, {"nope": 1}]
    for name in one.config_schema["properties"]:
        for value in odd:
            try:
                one.parse({name: value})
            except Invalid as error:
                for problem in error.errors:
                    assert problem.message.endswith((".", ". ")), (name, problem)
                    assert not re.search(r"(Input|String|List|Value|Dictionary|Tuple|Field) (should|required|error)", problem.message), (name, problem)


@pytest.mark.parametrize(
    ("kind", "config", "how"),
    [
        ("notion", {"token": "a b"}, "no spaces"),
        ("notion", {"token": "secret\n"}, "no spaces"),
        ("folder", {"url": "az://a/b", "options": {"account": "My_Account"}}, "3 to 24 small letters"),
        ("folder", {"url": "s3://a/b", "options": {"region": "eu central"}}, "such as eu-central-1"),
        ("youtube", {"videos": ["dQw4w9WgXcQ"], "languages": ["German"]}, "such as de or pt-BR"),
    ],
)
def test_how_something_has_to_be_written_is_said_in_words(kind: str, config: dict[str, object], how: str) -> None:
    with pytest.raises(Invalid, match=how) as refused:
        connector(kind).parse(config)
    assert not re.search(r"[\^\[{]", str(refused.value))
