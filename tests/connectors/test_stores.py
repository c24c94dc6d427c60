"""Object stores and remote file systems, each on a server on loopback: what they list, what they read, and what is said when they do not."""

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from tests.connectors.behaviours import until
from tests.connectors.http_stores import HttpStores
from tests.connectors.local_files import fetch, rows_of
from tests.connectors.stores import Bucket, SftpHost
from tidings.connectors.base import Fetched, Gone, Listed, Source, SourceContext, Unlistable
from tidings.connectors.folder import FolderConnector
from tidings.connectors.stores.base import Entry
from tidings.connectors.stores.webdav import listed
from tidings.errors import RowNotFetched, RowNotRead, SourceRejected, SourceUnreachable
from tidings.model.targets import Targets
from tidings.outbound import Outbound

FILES = {"a.md": b"# A", "sub/b.md": b"# B", "sub/deep/c d.txt": b"C", ".hidden/d.md": b"D", "drafts/e.md": b"E", "ä/f&g.md": b"F"}
SHOWN = {key: content for key, content in FILES.items() if not key.startswith(".")}
PUBLIC = b'{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}]}'
KINDS = ["s3", "webdav", "azure", "github", "sftp"]


class Stores:
    """The same files in each kind of store, below `docs`, with others beside."""

    def __init__(self, folder: Path) -> None:
        self.bucket = Bucket().start()
        self.http = HttpStores().start()
        self.host = SftpHost(folder)
        self.bucket.send("PUT", "/docs")

    async def fill(self, files: Mapping[str, bytes]) -> None:
        self.http.files = dict(files)
        for key, content in files.items():
            path = self.host.folder / "docs" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.utime(path, (1e9, 1e9))
            await asyncio.to_thread(self.bucket.put, f"handbook/{key}", content)
        await asyncio.to_thread(self.bucket.put, "handbook/empty/", b"")
        await asyncio.to_thread(self.bucket.put, "handbook-old/z.md", b"Z")

    def config(self, kind: str) -> dict[str, Any]:
        if kind == "s3":
            return {"url": "s3://docs/handbook", "options": {"endpoint": self.bucket.url, "key": "me", "secret": "sesame"}}
        if kind == "sftp":
            return {"url": f"sftp://me@127.0.0.1:{self.host.port}/docs", "options": {"password": "sesame", "hostKey": self.host.public_key}}
        return self.http.configs()[kind]


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    made = Stores(tmp_path)
    await made.host.start()
    await made.fill(FILES)
    yield made
    await made.host.stop()
    await asyncio.to_thread(made.bucket.send, "POST", "/moto-api/reset", b"")
    await asyncio.to_thread(made.bucket.stop)
    await asyncio.to_thread(made.http.stop)


@asynccontextmanager
async def opened(config: dict[str, Any], limit: int = 1 << 20) -> AsyncIterator[Source]:
    outbound = Outbound([ip_network("127.0.0.0/8")])
    connector = FolderConnector()
    try:
        context = SourceContext("00000000-0000-7000-8000-000000000000", Path("/nonexistent"), (), limit, outbound)
        parsed = connector.parse(config)
        await connector.check(parsed, context)
        async with await connector.open(parsed, context) as source:
            yield source
    finally:
        await outbound.aclose()


async def contents(config: dict[str, Any], **more: Any) -> dict[str, bytes | str]:
    async with opened({**config, **more}) as source:
        outcomes = {key: await fetch(source, row) for key, row in (await rows_of(source)).items()}
        assert source.complete
    return {key: outcome.content if isinstance(outcome, Fetched) else str(outcome) for key, outcome in outcomes.items()}


@pytest.mark.parametrize("kind", KINDS)
async def test_files_are_rows_and_patterns_choose_them(stores: Stores, kind: str) -> None:
    config = stores.config(kind)
    assert await contents(config) == SHOWN
    assert await contents(config, include=["*.md", ".hidden/**"], exclude=["drafts"]) == {
        key: content for key, content in FILES.items() if key.endswith(".md") and not key.startswith("drafts")
    }


@pytest.mark.parametrize("kind", KINDS)
async def test_a_version_proves_the_bytes(stores: Stores, kind: str) -> None:
    async with opened(stores.config(kind)) as source:
        rows = await rows_of(source)
        for row in rows.values():
            outcome = await fetch(source, row)
            assert isinstance(row, Listed)
            assert isinstance(outcome, Fetched)
            assert row.validator == outcome.validator is not None
            assert row.size == len(outcome.content)
    await stores.fill({**FILES, "a.md": b"# Another"})
    async with opened(stores.config(kind)) as source:
        later = await rows_of(source)
    changed = {key for key in rows if rows[key] != later[key]}
    assert changed == {"a.md"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_over_the_limit_is_not_read(stores: Stores, kind: str) -> None:
    async with opened(stores.config(kind), limit=2) as source:
        rows = await rows_of(source)
        assert isinstance(await fetch(source, rows["a.md"]), RowNotRead)
        grown = Listed("a.md", rows["a.md"].validator, size=1)  # type: ignore[union-attr]  # it is listed
        assert "larger than" in str(await fetch(source, grown))


@pytest.mark.parametrize("kind", ["s3", "webdav", "azure", "sftp"])
async def test_a_file_that_vanished_is_named(stores: Stores, kind: str) -> None:
    async with opened(stores.config(kind)) as source:
        assert isinstance(await fetch(source, Listed("gone.md", "1")), RowNotRead)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_folder_that_is_not_there_fails_the_sync(stores: Stores, kind: str) -> None:
    config = stores.config(kind)
    elsewhere = {**config, "url": config["url"].removesuffix("/docs").removesuffix("/handbook") + "/nowhere"}
    with pytest.raises(SourceUnreachable, match="There is nothing at"):
        await contents(elsewhere)


@pytest.mark.parametrize("kind", ["webdav", "azure", "github", "sftp"])
async def test_wrong_credentials_fail_the_sync_and_are_not_told(stores: Stores, kind: str) -> None:
    config = stores.config(kind)
    secret = "token" if "token" in config["options"] else "password"
    wrong = {**config, "options": {**config["options"], secret: "sig=a-secret"}}
    with pytest.raises(SourceRejected) as caught:
        await contents(wrong)
    assert "a-secret" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_that_is_looked_up_is_the_one_listed(stores: Stores, kind: str) -> None:
    config = {**stores.config(kind), "include": ["*.md"], "exclude": ["drafts"]}
    async with opened(config) as source:
        listed = await rows_of(source)
    keys = ("ä/f&g.md", "sub/b.md", "sub/b.m", "a.md", "a.md/below.md", "missing.md", "sub/deep/c d.txt", "drafts/e.md", ".hidden/d.md")
    stores.http.asked.clear()
    async with opened(config) as source:
        assert await source.find_rows(Targets(keys)) == [listed.get(key, Gone(key)) for key in keys]
        assert await source.find_rows(Targets(("missing.md",))) == [Gone("missing.md")]
    if kind == "github":  # which counts requests
        assert len(stores.http.asked) <= 3


@pytest.mark.parametrize("kind", KINDS)
async def test_only_a_listing_can_tell(stores: Stores, kind: str) -> None:
    async with opened(stores.config(kind)) as source:
        for key in ("/a.md", "sub//b.md", "../a.md", "sub/", "sub\\b.md", "x/" * 64 + "y.md"):
            assert await source.find_rows(Targets(("a.md", key))) is None
        assert await source.find_rows(Targets(("a.md",), ("https://a.example/",))) is None
        if kind in {"webdav", "sftp"}:  # the others know no folders
            assert await source.find_rows(Targets(("a.md", "sub"))) is None


@pytest.mark.parametrize("kind", KINDS)
async def test_a_store_that_went_away_takes_no_single_rows_with_it(stores: Stores, kind: str) -> None:
    config = stores.config(kind)
    elsewhere = {**config, "url": config["url"].removesuffix("/docs").removesuffix("/handbook") + "/nowhere"}
    async with opened(elsewhere) as source:
        assert await source.find_rows(Targets(("a.md",))) is None
    stores.http.failing[""] = (503, b"")
    stores.bucket.failing[""] = ("403 Forbidden", b"")
    await stores.host.stop()
    async with opened(config) as source:
        assert await source.find_rows(Targets(("a.md",))) is None
    await stores.host.start()


async def test_what_lies_behind_a_link_of_an_sftp_server_is_not_looked_up(stores: Stores) -> None:
    (stores.host.folder / "docs/link").symlink_to("sub")
    (stores.host.folder / "docs/link.md").symlink_to("a.md")
    (stores.host.folder / "docs/broken.md").symlink_to("nothing.md")
    async with opened(stores.config("sftp")) as source:
        listed = await rows_of(source)
        assert await source.find_rows(Targets(("link/b.md",))) is None
        linked, broken = await source.find_rows(Targets(("link.md", "broken.md"))) or ()
    assert linked == listed["link.md"]
    assert isinstance(broken, Unlistable)
    assert str(broken.error) == str(listed["broken.md"].error)  # type: ignore[union-attr]  # it is no file


async def test_a_store_that_stumbles_is_asked_again(stores: Stores) -> None:
    body = b"<?xml version='1.0'?><Error><Code>SlowDown</Code></Error>"
    stores.bucket.failing[""] = ("503 Slow Down", body)
    listing = asyncio.create_task(contents(stores.config("s3")))
    await until(lambda: len(stores.bucket.requests) >= 2)
    stores.bucket.failing.clear()
    assert await listing == SHOWN


async def test_one_object_that_is_refused_is_one_failed_row(stores: Stores) -> None:
    stores.bucket.failing["/docs/handbook/a.md"] = ("403 Forbidden", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>")
    stores.bucket.failing["/docs/handbook/sub/b.md"] = ("403 Forbidden", b"<?xml version='1.0'?><Error><Code>InvalidObjectState</Code></Error>")
    async with opened(stores.config("s3")) as source:
        rows = await rows_of(source)
        outcomes = {key: await fetch(source, row) for key, row in rows.items()}
    assert isinstance(outcomes["a.md"], RowNotFetched)
    assert "AccessDenied" in str(outcomes["a.md"])
    assert "archive" in str(outcomes["sub/b.md"])
    assert sum(isinstance(outcome, Fetched) for outcome in outcomes.values()) == len(SHOWN) - 2


async def test_what_is_public_needs_no_credentials_and_the_machines_own_are_not_used(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the operator's own")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the operator's own")
    await asyncio.to_thread(stores.bucket.send, "PUT", "/docs?policy", PUBLIC)
    stores.bucket.credentials.clear()
    assert await contents({"url": "s3://docs/handbook", "options": {"endpoint": stores.bucket.url}}) == SHOWN
    assert set(stores.bucket.credentials) == {None}


async def test_a_large_bucket_is_listed_page_by_page_in_flat_memory(stores: Stores) -> None:
    pages = 0

    def page(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        nonlocal pages
        pages += 1
        objects = "".join(
            f"<Contents><Key>handbook/{pages:04}/{n}.md</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{n}&quot;</ETag><Size>1</Size></Contents>"
            for n in range(500)
        )
        more = f"<NextContinuationToken>{pages}</NextContinuationToken>" if pages % 40 else ""
        truncated = "true" if more else "false"
        body = f"<?xml version='1.0'?><ListBucketResult><IsTruncated>{truncated}</IsTruncated>{more}{objects}</ListBucketResult>".encode()
        start_response("200 OK", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]

    stores.bucket.app = page
    peaks = []
    async with opened(stores.config("s3")) as source:
        count = 0
        tracemalloc.start()
        async for batch in source.list_rows():
            count += len(batch)
            if count in {5_000, 20_000}:
                peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert count == 20_000
    assert peaks[1] < 1.3 * peaks[0]


async def test_only_the_host_that_is_named_is_spoken_to(stores: Stores) -> None:
    config = stores.config("sftp")
    impostor = SftpHost(stores.host.folder)
    other = {**config, "options": {**config["options"], "hostKey": impostor.public_key}}
    with pytest.raises(SourceRejected, match="hostKey"):
        await contents(other)
    assert stores.host.passwords == []  # it was not even told the password


async def test_a_private_key_lets_in_and_a_wrong_one_does_not(stores: Stores) -> None:
    config = stores.config("sftp")
    options = {"hostKey": stores.host.public_key, "privateKey": stores.host.user_key.export_private_key().decode()}
    assert await contents({**config, "options": options}) == SHOWN
    locked = stores.host.user_key.export_private_key("pkcs8-pem", passphrase="open")
    assert await contents({**config, "options": {**options, "privateKey": locked.decode(), "passphrase": "open"}}) == SHOWN
    for wrong in ("no key", locked.decode(), stores.host.key.export_private_key().decode()):
        with pytest.raises(SourceRejected):
            await contents({**config, "options": {**options, "privateKey": wrong}})


async def test_links_and_odd_things_of_an_sftp_server(stores: Stores) -> None:
    docs = stores.host.folder / "docs"
    (docs / "link.md").symlink_to("a.md")
    (docs / "linked").symlink_to("sub")
    (docs / "broken.md").symlink_to("nothing")
    os.mkfifo(docs / "pipe")
    (docs / "caf\udce9.md").write_bytes(b"Latin")
    found = await contents(stores.config("sftp"))
    assert found.pop("link.md") == b"# A"
    assert found.pop("caf\\xe9.md") == b"Latin"
    assert "folder" in str(found.pop("linked"))
    assert "nothing" in str(found.pop("broken.md"))
    assert "named pipe" in str(found.pop("pipe"))
    assert found == SHOWN


@pytest.mark.parametrize("kind", ["webdav", "sftp"])
async def test_a_folder_that_can_not_be_listed_removes_nothing(stores: Stores, kind: str) -> None:
    stores.host.forbidden.add("sub")
    stores.http.failing["/dav/docs/sub/"] = (403, b"")
    async with opened(stores.config(kind)) as source:
        rows = await rows_of(source)
        assert not source.complete
    assert isinstance(rows.pop("sub/"), Unlistable)
    assert rows.keys() == {key for key in SHOWN if not key.startswith("sub/")}


async def test_a_connection_that_broke_is_made_anew(stores: Stores) -> None:
    async with opened(stores.config("sftp")) as source:
        rows = await rows_of(source)
        stores.host.hang_up()
        assert isinstance(await fetch(source, rows["a.md"]), Fetched)


async def test_a_server_that_gives_no_files_is_left_alone(stores: Stores) -> None:
    """It lets us in, three times, and refuses SFTP: none of the connections is left open."""
    await stores.host.stop()
    stores.host.serves_files = False
    await stores.host.start()
    async with opened(stores.config("sftp")) as source:
        with pytest.raises(SourceUnreachable):
            await rows_of(source)
    await until(lambda: stores.host.open_connections == 0)
    assert stores.host.passwords == ["sesame"] * 3


async def test_without_etags_times_and_sizes_tell(stores: Stores) -> None:
    stores.http.etags = False
    async with opened(stores.config("webdav")) as source:
        rows = await rows_of(source)
        outcome = await fetch(source, rows["a.md"])
    assert isinstance(outcome, Fetched)
    assert outcome.validator == rows["a.md"].validator == "1000000000000000:3"  # type: ignore[union-attr]  # it is listed


@pytest.mark.parametrize("modified", ["Mon, 01 Jan 0001 00:00:00 -0000", "Fri, 31 Dec 9999 23:59:59 -2300", "yesterday", ""])
async def test_odd_times_and_sizes_are_none(modified: str) -> None:
    told = f"<getlastmodified>{modified}</getlastmodified><getcontentlength>{'9' * 5_000}</getcontentlength>"
    files = f"<response><href>/dav/a</href><propstat><prop><resourcetype/>{told}</prop></propstat></response>"
    folder = "<response><href>/dav</href><propstat><prop><resourcetype><collection/></resourcetype></prop></propstat></response>"
    assert listed(f'<multistatus xmlns="DAV:">{folder}{files}</multistatus>'.encode(), "/dav", "") == [Entry("a")]


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("webdav", b"<html>"),
        ("webdav", b"<a/>"),
        ("webdav", b"<!DOCTYPE a"),
        ("webdav", b"<a>" * 10_000),
        ("azure", b"{}"),
        ("azure", b""),
        ("azure", b"<E><Blobs/><NextMarker>a</NextMarker></E>"),  # and so for ever
        ("azure", b"<E><Blobs><Blob><Name>a</Name><Properties/></Blob></Blobs></E>"),
        ("azure", b"<E><Blobs><Blob><Name>a</Name><Properties><Content-Length>x</Content-Length></Properties></Blob></Blobs></E>"),
        ("github", b"<html>"),
        ("github", b"[]"),
        ("github", b'{"tree": [{"type": "blob"}]}'),
        ("github", b'{"tree": [7]}'),
    ],
)
async def test_what_is_no_listing_is_said_to_be_none(stores: Stores, kind: str, answer: bytes) -> None:
    stores.http.failing[""] = (200, answer)
    with pytest.raises(SourceUnreachable, match="no listing"):
        await contents(stores.config(kind))


async def test_a_listing_that_is_cut_short_is_not_taken_for_all(stores: Stores) -> None:
    stores.http.failing["/repos/we/book/git/trees/main"] = (200, b'{"tree": [], "truncated": true}')
    with pytest.raises(SourceUnreachable, match="more files"):
        await contents(stores.config("github"))


async def test_pointers_to_lfs_are_named(stores: Stores) -> None:
    await stores.fill({"a.md": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n"})
    assert "LFS" in str((await contents(stores.config("github")))["a.md"])


async def test_a_store_at_an_address_that_is_not_allowed_is_not_asked(stores: Stores) -> None:
    connector = FolderConnector()
    for kind in KINDS:
        outbound = Outbound()
        context = SourceContext("00000000-0000-7000-8000-000000000000", Path("/nonexistent"), (), 1, outbound)
        with pytest.raises(SourceRejected, match="loopback"):
            await connector.open(connector.parse(stores.config(kind)), context)
        await outbound.aclose()
    assert (stores.http.asked, stores.bucket.requests, stores.host.passwords) == ([], [], [])
