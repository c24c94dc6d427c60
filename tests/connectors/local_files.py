"""What the tests of local files share: a folder, a context that allows it, and a whole listing."""

import contextlib
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from tidings.connectors.base import Fetched, Listed, Outcome, Source, SourceContext, Unlistable, Wanted
from tidings.connectors.folder import FolderConnector
from tidings.outbound import Outbound

NOBODY = 65534


def context_for(*roots: Path, home: Path | None = None, limit: int = 50 << 20) -> SourceContext:
    return SourceContext(str(uuid.uuid4()), home or Path("/nonexistent/home"), roots, limit, Outbound())


@contextlib.asynccontextmanager
async def opened(root: Path, context: SourceContext | None = None, **config: object) -> AsyncIterator[Source]:
    connector = FolderConnector()
    async with await connector.open(connector.parse({"path": str(root), **config}), context or context_for(root)) as source:
        yield source


async def rows_of(source: Source) -> dict[str, Listed | Unlistable]:
    rows: dict[str, Listed | Unlistable] = {}
    async for batch in source.list_rows():
        for row in batch:
            assert row.key not in rows, "each row once"
            rows[row.key] = row
    return rows


async def listed(root: Path, context: SourceContext | None = None, **config: object) -> dict[str, Listed | Unlistable]:
    async with opened(root, context, **config) as source:
        rows = await rows_of(source)
        assert source.complete
        return rows


async def fetch(source: Source, row: Listed | Unlistable) -> Outcome:
    if isinstance(row, Unlistable):
        return row.error
    (outcome,) = await source.fetch([Wanted(row)])
    return outcome


async def contents(root: Path, context: SourceContext | None = None, **config: object) -> dict[str, bytes | str]:
    """What each row turned out to be: its bytes, or the sentence of its error."""
    async with opened(root, context, **config) as source:
        outcomes = {key: await fetch(source, row) for key, row in (await rows_of(source)).items()}
    return {key: outcome.content if isinstance(outcome, Fetched) else str(outcome) for key, outcome in outcomes.items()}


def write(path: Path, content: bytes, age: float | None = 10) -> Path:
    """A file, last modified `age` seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if age is not None:
        modified = path.stat().st_mtime - age
        os.utime(path, (modified, modified))
    return path


@contextlib.contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """The process as nobody, where it was root (to root nothing is forbidden), `folder` being nobody's."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextlib.contextmanager
def open_to_all() -> Iterator[Path]:
    """A new folder whose path everybody may go; that of `tmp_path` is closed to others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        yield folder
