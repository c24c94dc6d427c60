"""The kind `folder`: the files below a folder, of the machine that Tidings runs on or of an object store or remote file system."""

import asyncio
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from tidings.connectors.base import Config, Connector, SourceContext
from tidings.connectors.bounds import Bounds, bounds_of
from tidings.connectors.globs import Globs, Selection
from tidings.connectors.local import LocalSource
from tidings.connectors.remote import RemoteSource
from tidings.connectors.stores.places import PROTOCOLS, SECRET_OPTIONS, Place, StoreOptions, missing_library, place_of
from tidings.errors import FieldError, Invalid, SourceRejected

NO_ROOTS = "No folder may be read yet: the operator sets TIDINGS_LOCAL_ROOTS to the folders that data sources may read, and starts Tidings again."
NAMED = 5  # allowed folders
NOT_ALLOWED = "It does not lie under a folder that TIDINGS_LOCAL_ROOTS names. Choose one that does, or ask the operator to add this one."


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("It has to be an absolute path, such as /srv/docs")
    if "\0" in path:
        raise ValueError("A path has no NUL characters")
    return path


def _printable(url: str) -> str:
    if any(character < " " or character == "\x7f" for character in url):
        raise ValueError("A URL has no control characters")
    return url


class FolderConfig(Config):
    """The settings of a `folder` data source."""

    path: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_absolute)] | None = Field(
        default=None,
        description="Absolute path of a folder of this machine. It has to lie under a folder that TIDINGS_LOCAL_ROOTS names. Either this or `url`.",
    )
    url: Annotated[str, Field(min_length=1, max_length=2048), AfterValidator(_printable)] | None = Field(
        default=None,
        description="A folder of an object store or remote file system: `s3://bucket/docs`, `gs://bucket/docs`, "
        "`abfs://container@account.dfs.core.windows.net/docs`, `sftp://user@host/docs`, `webdavs://host/docs`, `github://organisation:repository@branch/docs`.",
    )
    options: StoreOptions = Field(StoreOptions(), description="How to get into what `url` names. Which of these it takes depends on how the URL begins.")
    include: Globs = Field(
        (),
        description="Patterns of the files to take, such as `*.md` (in every folder) or `docs/**` (all below docs); none means all. "
        "Upper and lower case differ. Names that begin with a dot or `~$` or end with `~` are left out unless a pattern names them, as in `.github/**`.",
    )
    exclude: Globs = Field((), description="Patterns of files and folders to leave out, such as `drafts/**` or `node_modules`; they win over `include`.")


class FolderConnector(Connector[FolderConfig]):
    """Files below a folder, local or remote."""

    kind: ClassVar[str] = "folder"
    title: ClassVar[str] = "Folder"
    description: ClassVar[str] = (
        "Files in a folder and in the folders below it: of the machine that Tidings runs on, or of S3, Google Cloud Storage, Azure, SFTP, WebDAV or GitHub."
    )
    sees_changes: ClassVar[str] = (
        "Local: by time of modification and of change, size and inode, without opening a file; what was touched in the last 2 s is hashed. "
        "Elsewhere: by ETag or content id; by time of change and size on SFTP servers, and WebDAV servers without ETags."
    )
    looks_up: ClassVar[str] = (
        "By path, elsewhere too: a request for each file; GitHub names all in one. Not what lies behind a link to a folder, nor a whole folder."
    )
    cannot: ClassVar[str] = "Watch the folder: it looks when it syncs."
    tried: ClassVar[str] = (
        "Real folders; S3 against moto, SFTP against asyncssh's server, WebDAV, Azure and GitHub against servers of ours; nothing live, Google not at all."
    )
    config_type: ClassVar[type[Config]] = FolderConfig
    secret_fields: ClassVar[frozenset[str]] = SECRET_OPTIONS

    def parse(self, config: object) -> FolderConfig:
        """As every connector does; and exactly one of `path` and `url` has to be named."""
        parsed = super().parse(config)
        if parsed.path is None and parsed.url is None:
            raise Invalid(FieldError("config.path", "Name path, a folder of this machine, or url, one of a store."))
        if parsed.path is not None and parsed.url is not None:
            raise Invalid(FieldError("config.url", "Name either path, a folder of this machine, or url, one of a store; not both."))
        if parsed.url is not None:
            place_of(parsed.url, parsed.options)
        elif "options" in parsed.model_fields_set:
            raise Invalid(FieldError("config.options", "They belong to url; a folder of this machine takes none."))
        return parsed

    async def check(self, config: FolderConfig, context: SourceContext) -> None:
        """A local folder has to be allowed, be there, and let itself be listed. A remote one needs its library and an address that the guard lets pass;
        the store itself is first asked by a sync."""
        if config.url is not None:
            place = place_of(config.url, config.options)
            refused = missing_library(place.scheme) or await _refusal(place, context)
            if refused is not None:
                raise Invalid(FieldError("config.url", refused))
        elif config.path is not None and (message := await asyncio.to_thread(_objection, config.path, context)):
            raise Invalid(FieldError("config.path", message))

    async def open(self, config: FolderConfig, context: SourceContext) -> LocalSource | RemoteSource:
        """Whether the folder is allowed is asked again for each sync: a link may have been put in its place, the roots may have changed."""
        selection = Selection(config.include, config.exclude)
        if config.url is not None:
            place = place_of(config.url, config.options)
            if refused := missing_library(place.scheme) or await _refusal(place, context):
                raise SourceRejected(f"The folder {place.url} can't be read. {refused}")
            module = await asyncio.to_thread(import_module, f"tidings.connectors.stores.{PROTOCOLS[place.scheme].module}")  # some take seconds to load
            return RemoteSource(await module.open_store(place, context), place.url, selection, context.max_file_bytes)
        assert config.path is not None
        bounds = await asyncio.to_thread(_bounds, config.path, context)
        if bounds is None:
            raise SourceRejected(f"The folder {config.path} can't be read. {NOT_ALLOWED}")
        return LocalSource(bounds, selection, context.max_file_bytes)


async def _refusal(place: Place, context: SourceContext) -> str | None:
    """What the guard has against a place. A name that leads nowhere at the moment is no refusal."""
    explanation = await context.outbound.explain(place.endpoint)
    return explanation.reason if explanation.refused else None


def _bounds(path: str, context: SourceContext) -> Bounds | None:
    return bounds_of(path, context.local_roots, context.home)


def _elsewhere(roots: Sequence[Path]) -> str:
    """Where folders may lie, to whoever sets one; what fails later is told to members and receivers too, who are not to know."""
    named = ", ".join(map(str, roots[:NAMED])) + (f" and {len(roots) - NAMED} more" if len(roots) > NAMED else "")
    return f"Only folders below {named} may be read. Choose one there, or ask the operator to add this one to TIDINGS_LOCAL_ROOTS and start Tidings again."


def _objection(path: str, context: SourceContext) -> str | None:
    bounds = _bounds(path, context)
    if bounds is None:  # said before anything about what is there, so that nobody can ask what exists elsewhere
        return _elsewhere(context.local_roots) if context.local_roots else NO_ROOTS
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
