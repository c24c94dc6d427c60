"""The kind `files`: files that were uploaded to a data source."""

import asyncio
from typing import ClassVar

from tidings.connectors.base import Config, Connector, SourceContext
from tidings.connectors.bounds import Bounds
from tidings.connectors.globs import Selection
from tidings.connectors.local import LocalSource
from tidings.connectors.uploads import make_folder


class FilesConfig(Config):
    """A `files` data source has no settings."""


class FilesConnector(Connector[FilesConfig]):
    """Uploaded files; a row's key is the file's name."""

    kind: ClassVar[str] = "files"
    title: ClassVar[str] = "Files"
    description: ClassVar[str] = "Files that you upload, here or over the API."
    sees_changes: ClassVar[str] = "Like `folder`."
    looks_up: ClassVar[str] = "By name."
    cannot: ClassVar[str] = "Keep folders: a row is named by its file's name alone."
    tried: ClassVar[str] = "Real uploads."
    config_type: ClassVar[type[Config]] = FilesConfig

    async def open(self, config: FilesConfig, context: SourceContext) -> LocalSource:  # noqa: ARG002 - there is nothing in it
        """The folder of this data source's uploads, empty before the first one."""
        folder = await asyncio.to_thread(make_folder, context.home, context.data_source_id)
        return LocalSource(Bounds(str(folder)), Selection(hidden=True), context.max_file_bytes)
