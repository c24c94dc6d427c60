"""What lies in the home for one data source: `HOME/uploads/ID`, its files, and `HOME/git/ID`, its copy of a repository. Both go with it."""

import asyncio
import os
import shutil
from contextlib import suppress
from pathlib import Path

from tidings.model.ids import is_id

KINDS = ("uploads", "git")


def folder_of(home: Path, kind: str, data_source_id: str) -> Path:
    """Where a data source keeps what is of this kind."""
    if not is_id(data_source_id):
        raise ValueError(f"{data_source_id!r} is not an id")
    return home / kind / data_source_id


def make_private(folder: Path) -> Path:
    """The folder, made with those above it, so that a power cut does not take them back; nobody else may look into what was made."""
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        make_last(folder.parent)
    return folder


def make_last(folder: Path) -> None:
    """Makes the names in a folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def drop(folder: Path) -> None:
    """Deletes a folder and all in it; nothing where it is not there."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
        make_last(folder.parent)


async def drop_all(home: Path, data_source_id: str) -> None:
    """Deletes all that lies here for a data source."""
    for kind in KINDS:
        await asyncio.to_thread(drop, folder_of(home, kind, data_source_id))


async def owners(home: Path) -> list[str]:
    """The ids of the data sources for which something lies here."""
    return await asyncio.to_thread(lambda: sorted({path.name for kind in KINDS for path in (home / kind).glob("*") if is_id(path.name)}))
