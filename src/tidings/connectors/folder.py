"""The kind `folder`: the files below a folder of the machine that Tidings runs on."""

import asyncio
import os
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from tidings.connectors.base import Config, Connector, SourceContext
from tidings.connectors.bounds import Bounds, bounds_of
from tidings.connectors.globs import Globs, Selection
from tidings.connectors.local import LocalSource
from tidings.errors import FieldError, Invalid, SourceRejected

NO_ROOTS = "No folder may be read yet: the operator sets TIDINGS_LOCAL_ROOTS to the folders that data sources may read, and starts Tidings again."
NOT_ALLOWED = "It does not lie under a folder that TIDINGS_LOCAL_ROOTS names. Choose one that does, or ask the operator to add this one."


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("It has to be an absolute path, such as /srv/docs")
    if "\0" in path:
        raise ValueError("A path has no NUL characters")
    return path


class FolderConfig(Config):
    """The settings of a `folder` data source."""

    path: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_absolute)] = Field(
        description="Absolute path of the folder. It has to lie under a folder that TIDINGS_LOCAL_ROOTS names."
    )
    include: Globs = Field(
        (),
        description="Patterns of the files to take, such as `*.md` (in every folder) or `docs/**` (all below docs); none means all. "
        "Upper and lower case differ. Names that begin with a dot or `~$` or end with `~` are left out unless a pattern names them, as in `.github/**`.",
    )
    exclude: Globs = Field((), description="Patterns of files and folders to leave out, such as `drafts/**` or `node_modules`; they win over `include`.")


class FolderConnector(Connector[FolderConfig]):
    """Files below a local folder."""

    kind: ClassVar[str] = "folder"
    title: ClassVar[str] = "Folder"
    description: ClassVar[str] = "Files in a folder of the machine that Tidings runs on, and in the folders below it."
    sees_changes: ClassVar[str] = "By time of modification and of change, size and inode, without opening a file; what was touched in the last 2 s is hashed."
    cannot: ClassVar[str] = "Watch the folder: it looks when it syncs."
    tried: ClassVar[str] = "Real folders."
    config_type: ClassVar[type[Config]] = FolderConfig

    async def check(self, config: FolderConfig, context: SourceContext) -> None:
        """The folder has to be allowed, be there, and let itself be listed."""
        if message := await asyncio.to_thread(_objection, config.path, context):
            raise Invalid(FieldError("config.path", message))

    async def open(self, config: FolderConfig, context: SourceContext) -> LocalSource:
        """Whether the folder is allowed is asked again for each sync: a link may have been put in its place, the roots may have changed."""
        bounds = await asyncio.to_thread(_bounds, config.path, context)
        if bounds is None:
            raise SourceRejected(f"The folder {config.path} can't be read. {NOT_ALLOWED}")
        return LocalSource(bounds, Selection(config.include, config.exclude), context.max_file_bytes)


def _bounds(path: str, context: SourceContext) -> Bounds | None:
    return bounds_of(path, context.local_roots, context.home)


def _objection(path: str, context: SourceContext) -> str | None:
    bounds = _bounds(path, context)
    if bounds is None:  # said before anything about what is there, so that nobody can ask what exists elsewhere
        return NOT_ALLOWED if context.local_roots else NO_ROOTS
    try:
        os.scandir(bounds.root).close()
    except FileNotFoundError:
        return "There is no such folder. Make it first, or correct the path."
    except NotADirectoryError:
        return "This is not a folder. Name the folder that the file lies in."
    except PermissionError:
        return "Tidings has no permission to list this folder. Give the account that runs it the right to."
    except OSError as error:
        return f"This folder can't be listed: {error.strerror}."
    return None
