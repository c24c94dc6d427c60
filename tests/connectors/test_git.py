"""The `git` connector on a real git server on loopback: what becomes a row, what comes over the network, and what is said when nothing does."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import trusting_context
from tests.connectors.git_hosts import GIT, GitHost
from tests.connectors.local_files import fetch, rows_of
from tidings.connectors.base import Fetched, Gone, Listed, Source, SourceContext, Unlistable, Wanted
from tidings.connectors.git import GitConnector
from tidings.connectors.home import drop_all, owners
from tidings.errors import Invalid, SourceRejected, SourceUnreachable
from tidings.model.ids import new_id
from tidings.model.targets import Targets
from tidings.outbound import Outbound

LINK, SUBMODULE = 0o120000, 0o160000


@pytest.fixture(params=["dulwich", "git"])
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GitHost]:
    if request.param == "git" and GIT is None:
        pytest.skip("git is not installed here; dulwich's server has answered the same")
    made = GitHost(tmp_path, by_git=request.param == "git").start()
    yield made
    await asyncio.to_thread(made.stop)
    made.repo.close()


class Reader:
    """One data source over a host, synced again and again."""

    def __init__(self, host: GitHost, home: Path) -> None:
        self.host = host
        self.home = home
        self.id = new_id()

    @asynccontextmanager
    async def opened(self, *, limit: int = 1 << 20, trusting: bool = True, **config: Any) -> AsyncIterator[Source]:
        outbound = Outbound([ip_network("127.0.0.0/8")], tls=trusting_context() if trusting else None)
        connector = GitConnector()
        try:
            context = SourceContext(self.id, self.home, (), limit, outbound)
            async with await connector.open(connector.parse({"url": self.host.url, **config}), context) as source:
                yield source
        finally:
            await outbound.aclose()

    async def rows(self, **config: Any) -> dict[str, Listed | Unlistable]:
        async with self.opened(**config) as source:
            rows = await rows_of(source)
            assert source.complete
            return rows

    async def contents(self, **config: Any) -> dict[str, bytes | str]:
        async with self.opened(**config) as source:
            outcomes = {key: await fetch(source, row) for key, row in (await rows_of(source)).items()}
        return {key: outcome.content if isinstance(outcome, Fetched) else str(outcome) for key, outcome in outcomes.items()}


@pytest.fixture
def reader(host: GitHost, tmp_path: Path) -> Reader:
    return Reader(host, tmp_path / "home")


async def test_files_are_rows_and_patterns_choose_them(host: GitHost, reader: Reader) -> None:
    files = {"README.md": b"# R", "docs/a b.md": b"A", "docs/deep/ä.txt": b"D", "src/main.py": b"M", "drafts/x.md": b"X"}
    for name, content in {**files, ".github/y.md": b"Y", "docs/logo.PNG": b"L", "font.woff2": b"F"}.items():
        host.put(name, content)
    assert await reader.contents() == files
    assert await reader.contents(include=["docs/**", ".github/**"], exclude=["deep"]) == {"docs/a b.md": b"A", ".github/y.md": b"Y", "docs/logo.PNG": b"L"}
    row = (await reader.rows())["docs/a b.md"]
    assert isinstance(row, Listed)
    assert (row.title, row.url) == ("a b.md", None)


async def test_a_file_that_is_looked_up_is_the_one_listed(host: GitHost, reader: Reader) -> None:
    for name in ("README.md", "docs/a b.md", "docs/deep/ä.txt", "drafts/x.md", "docs/logo.png"):
        host.put(name, name.encode())
    host.put("link.md", b"README.md", LINK)
    host.put("module", b"", SUBMODULE)
    listed = await reader.rows(exclude=["drafts"])
    host.put("docs/a b.md", b"Another")
    host.remove("README.md")
    keys = ("docs/deep/ä.txt", "docs/a b.md", "README.md", "never.md", "docs/a b.md/x.md", "drafts/x.md", "docs/logo.png", "link.md", "module/x.md")
    async with reader.opened(exclude=["drafts"]) as source:
        found = await source.find_rows(Targets(keys))
        changed = await fetch(source, found[1]) if found and isinstance(found[1], Listed) else None
        module = await source.find_rows(Targets(("module",)))
        assert await source.find_rows(Targets(("docs/a b.md", "docs"))) is None  # a folder: a listing tells what is in it
        assert await source.find_rows(Targets(("/README.md",))) is None
        assert await source.find_rows(Targets((), (host.url,))) is None
        packs = len(host.packs)
        later = await rows_of(source)
        assert len(host.packs) == packs  # the copy was brought up to date once
    assert found == [listed["docs/deep/ä.txt"], later["docs/a b.md"], *map(Gone, keys[2:])]
    assert isinstance(changed, Fetched)
    assert changed.content == b"Another"
    assert module is not None
    assert isinstance(module[0], Unlistable)


async def test_an_emptied_repository_takes_no_single_rows_with_it(host: GitHost, reader: Reader) -> None:
    async with reader.opened() as source:
        assert await source.find_rows(Targets(("a.md",))) is None


async def test_only_what_is_new_comes_over_the_network(host: GitHost, reader: Reader) -> None:
    for n in range(50):
        host.put(f"{n}.md", os.urandom(2000))
    first = await reader.rows()
    assert len(host.packs) == 1
    host.asked.clear()
    assert await reader.rows() == first
    assert len(host.packs) == 1
    assert len(host.asked) <= 2
    host.put("7.md", b"Changed")
    host.files["moved.md"] = host.files.pop("8.md")
    host.modes["moved.md"] = host.modes.pop("8.md")
    later = await reader.rows()
    assert {key for key in first if later.get(key) != first[key]} == {"7.md", "8.md"}
    assert later.keys() - first.keys() == {"moved.md"}
    folder = next((reader.home / "git" / reader.id).iterdir())
    sizes = sorted(path.stat().st_size for path in (folder / "objects" / "pack").glob("*.pack"))
    assert len(sizes) == 2
    assert sizes[-1] > 100_000
    assert sizes[0] < 10_000 or not host.by_git  # dulwich's server sends all of a commit to who has no history
    assert (await reader.contents())["7.md"] == b"Changed"


async def test_the_copy_is_private_and_goes_with_its_data_source(host: GitHost, reader: Reader) -> None:
    host.put("a.md", b"A")
    await reader.rows()
    assert await owners(reader.home) == [reader.id]
    for folder in (reader.home / "git", reader.home / "git" / reader.id):
        assert folder.stat().st_mode & 0o077 == 0
    await drop_all(reader.home, reader.id)
    assert await owners(reader.home) == []
    assert await reader.contents() == {"a.md": b"A"}


async def test_a_force_push_a_branch_and_one_that_is_gone(host: GitHost, reader: Reader) -> None:
    host.put("a.md", b"A")
    host.commit()
    host.put("b.md", b"B")
    assert await reader.contents() == {"a.md": b"A", "b.md": b"B"}
    host.files = {"c.md": b"C"}
    host.modes = {"c.md": 0o100755}
    host.commit(orphan=True)
    assert await reader.contents() == {"c.md": b"C"}
    host.branch = "release/1.0"
    host.put("d.md", b"D")
    host.commit()
    assert await reader.contents(branch="release/1.0") == {"c.md": b"C", "d.md": b"D"}
    assert await reader.contents() == {"c.md": b"C"}
    with pytest.raises(SourceRejected, match="no branch called release/1"):
        await reader.rows(branch="release/1")


async def test_an_empty_repository_has_no_rows(host: GitHost, reader: Reader) -> None:
    assert await reader.rows() == {}
    with pytest.raises(SourceRejected, match="no branch called main"):
        await reader.rows(branch="main")


async def test_what_is_no_file_of_the_repository_is_named(host: GitHost, reader: Reader) -> None:
    host.put("a.md", b"A")
    host.put("link.md", b"a.md", LINK)
    host.put("module", b"", SUBMODULE)
    host.put("large.md", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n")
    host.put("caf\udce9.md", b"Latin")
    found = await reader.contents()
    assert (found.pop("a.md"), found.pop("caf\\xe9.md")) == (b"A", b"Latin")
    assert "submodule" in str(found.pop("module"))
    assert "LFS" in str(found.pop("large.md"))
    assert found == {}


async def test_files_over_the_limit_are_not_read(host: GitHost, reader: Reader) -> None:
    host.put("small.md", b"S" * 100)
    host.put("large.md", os.urandom(200_000))
    found = await reader.contents(limit=1000)
    assert found.pop("small.md") == b"S" * 100
    assert "larger than" in str(found.pop("large.md"))
    assert len(await reader.contents(limit=1 << 20)) == 2
    assert (await reader.contents(limit=1 << 20))["large.md"] == host.files["large.md"]


async def test_a_few_bytes_that_stand_for_a_file_without_measure_are_not_taken_in(host: GitHost, reader: Reader) -> None:
    host.put("a.md", b"A")
    host.commit()
    host.repo.get_config().set(b"uploadpack", b"allowFilter", b"false")
    host.repo.get_config().write_to_path()
    host.put("large.md", bytes((256 << 20) + 1))
    with pytest.raises(SourceRejected, match="holds a file of more than 256 MB"):
        await reader.rows()
    host.remove("large.md")
    host.commit(orphan=True)
    assert await reader.contents() == {"a.md": b"A"}


async def test_what_a_crash_left_is_mended(host: GitHost, reader: Reader) -> None:
    host.put("a.md", b"A")
    await reader.rows()
    folder = next((reader.home / "git" / reader.id).iterdir())
    left = folder / "objects" / "pack" / "tmpabc.pack"
    left.write_bytes(b"PACK")
    assert await reader.contents() == {"a.md": b"A"}
    assert not left.exists()
    for pack in (folder / "objects" / "pack").glob("pack-*"):
        pack.chmod(0o600)
        pack.write_bytes(b"not a pack")
    with pytest.raises(SourceUnreachable):
        await reader.contents()
    assert await reader.contents() == {"a.md": b"A"}


async def test_a_copy_of_many_packs_is_made_anew(host: GitHost, reader: Reader) -> None:
    for n in range(25):
        host.put("a.md", b"%d" % n)
        assert await reader.contents() == {"a.md": b"%d" % n}
    folder = next((reader.home / "git" / reader.id).iterdir())
    assert len(list((folder / "objects" / "pack").glob("*.pack"))) < 22


async def test_a_token_lets_in(host: GitHost, reader: Reader) -> None:
    host.put("a.md", b"A")
    host.token = "a-token"
    assert await reader.contents(token="a-token") == {"a.md": b"A"}
    assert await reader.contents(token="x-access-token:a-token") == {"a.md": b"A"}
    for wrong in ({}, {"token": "other-token"}):
        with pytest.raises(SourceRejected, match="token") as caught:
            await reader.rows(**wrong)
        assert "other-token" not in str(caught.value)


async def test_a_token_is_not_told_to_another_host(host: GitHost, reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = GitHost(tmp_path / "other").start()
    other.token = "a-token"
    host.redirect = f"{other.url}/info/refs?service=git-upload-pack"
    with pytest.raises(SourceRejected, match="token"):
        await reader.rows(token="a-token")
    host.redirect = "http://127.0.0.1:1/book.git/info/refs?service=git-upload-pack"
    with pytest.raises(SourceUnreachable):
        await reader.rows()
    await asyncio.to_thread(other.stop)
    other.repo.close()


async def test_what_is_no_repository_fails_the_sync(host: GitHost, reader: Reader) -> None:
    with pytest.raises(SourceUnreachable, match="no repository"):
        await reader.rows(url=f"{host.url}/nowhere")
    with pytest.raises(SourceRejected, match="certificate"):
        await reader.rows(trusting=False)
    await asyncio.to_thread(host.stop)
    try:
        with pytest.raises(SourceUnreachable, match="nothing listens"):
            await reader.rows()
    finally:
        host.start()


async def test_a_host_that_is_not_allowed_is_not_asked(host: GitHost, reader: Reader) -> None:
    connector = GitConnector()
    outbound = Outbound(tls=trusting_context())
    context = SourceContext(reader.id, reader.home, (), 1, outbound)
    config = connector.parse({"url": host.url})
    with pytest.raises(Invalid, match="loopback"):
        await connector.check(config, context)
    with pytest.raises(SourceRejected, match="loopback"):
        await connector.open(config, context)
    await outbound.aclose()
    assert host.asked == []


async def test_a_sync_that_is_left_ends_its_fetch(host: GitHost, reader: Reader) -> None:
    host.put("a.md", os.urandom(1 << 20))
    host.gate.close(0)
    async with reader.opened() as source:
        listing = asyncio.ensure_future(rows_of(source))
        async with asyncio.timeout(60):
            while not host.gate.waiting:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.02)
        listing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listing
        host.gate.open()
    assert await reader.contents() == host.files


async def test_what_is_closed_reads_nothing_more(host: GitHost, reader: Reader) -> None:
    """As a thread would that is in the midst of a fetch when the sync is left."""
    host.put("a.md", b"A")
    async with reader.opened() as source:
        (row,) = (await rows_of(source)).values()
        assert isinstance(row, Listed)
    for asking in (source.fetch([Wanted(row)]), source.find_rows(Targets(("a.md",))), rows_of(source)):
        with pytest.raises(Exception, match="closed"):
            await asking


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"url": "http://example.com/a"}, "url"),
        ({"url": "ssh://git@example.com/a"}, "url"),
        ({"url": "git@example.com:a"}, "url"),
        ({"url": "file:///srv/a"}, "url"),
        ({"url": "https://me:sesame@example.com/a"}, "url"),
        ({"url": "https://example.com/a?b"}, "url"),
        ({"url": "https://example.com/a", "branch": "a..b"}, "branch"),
        ({"url": "https://example.com/a", "branch": "-a b"}, "branch"),
        ({"url": "https://example.com/a", "branch": "a.lock"}, "branch"),
        ({"url": "https://example.com/a", "token": "a\nb"}, "token"),
        ({"url": "https://example.com/a", "depth": 1}, "depth"),
    ],
)
def test_configs_that_can_not_work_are_refused(config: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        GitConnector().parse(config)
    (error,) = caught.value.errors
    assert error.field == f"config.{field}"
    assert "sesame" not in error.message
