"""The kind `git`: the files of a branch of a repository."""

import asyncio
import re
from importlib import import_module
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from tidings.connectors.base import Config, Connector, Source, SourceContext
from tidings.connectors.globs import Globs
from tidings.errors import FieldError, Invalid, RefusedAddress, SourceRejected
from tidings.outbound import check_url

_BRANCH = re.compile(r"(?!/|.*(?:\.\.|//|@\{|/\.|\.lock(?:/|$)))[^\x00-\x20~^:?*\[\\\x7f]+(?<![/.])")  # as git has it


def _https(url: str) -> str:
    try:
        target = check_url(url)
    except RefusedAddress as error:
        raise ValueError(f"{error} A token goes into token." if "@" in url else str(error)) from None
    if target.scheme != "https":
        raise ValueError("Repositories are read by HTTPS only, with an address such as https://github.com/organisation/repository")
    if urlsplit(url).query or urlsplit(url).fragment:
        raise ValueError("The address of a repository has no ? and no #")
    return url


def _branch(name: str) -> str:
    if not _BRANCH.fullmatch(name):
        raise ValueError("This can't be the name of a branch; it is written without refs/heads/, as in main")
    return name


def _token(token: str) -> str:
    if not token.isascii() or not token.isprintable():
        raise ValueError("A token has printable ASCII characters only")
    return token


class GitConfig(Config):
    """The settings of a `git` data source."""

    url: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_https)] = Field(
        description="HTTPS address of the repository, such as `https://github.com/organisation/repository`."
    )
    branch: Annotated[str, Field(min_length=1, max_length=250), AfterValidator(_branch)] | None = Field(
        default=None, description="The branch whose files are taken; none means the one that the repository calls its default."
    )
    token: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_token)] | None = Field(
        default=None, description="Access token, for a repository that is not public. `user:token` where the server wants a certain user name."
    )
    include: Globs = Field(
        default=(),
        description="Patterns of the files to take, such as `*.md` (in every folder) or `docs/**` (all below docs); none means all that text can be made of, "
        "which leaves out images, sound, video, fonts, archives and programs. Names that begin with a dot are left out unless a pattern names them.",
    )
    exclude: Globs = Field(default=(), description="Patterns of files and folders to leave out; they win over `include`.")


class GitConnector(Connector[GitConfig]):
    """The files of a branch."""

    kind: ClassVar[str] = "git"
    title: ClassVar[str] = "Git repository"
    description: ClassVar[str] = "The files of a branch of a Git repository, by HTTPS."
    sees_changes: ClassVar[str] = (
        "By the ids of the files' contents in the newest commit; only what is new comes over the network, and where the branch has not moved, nothing."
    )
    looks_up: ClassVar[str] = "By path, or on GitHub and GitLab by URL, in the newest commit."
    cannot: ClassVar[str] = "Read SSH addresses, submodules, Git LFS, the history, or servers that hand out plain files only (dumb HTTP)."
    tried: ClassVar[str] = "dulwich's server and `git http-backend`, with real commits; never live."
    config_type: ClassVar[type[Config]] = GitConfig
    secret_fields: ClassVar[frozenset[str]] = frozenset({"token"})

    async def check(self, config: GitConfig, context: SourceContext) -> None:
        """The guard has to let the address pass; the repository itself is first asked by a sync."""
        explanation = await context.outbound.explain(config.url)
        if explanation.refused:
            raise Invalid(FieldError("config.url", explanation.reason or ""))

    async def open(self, config: GitConfig, context: SourceContext) -> Source:
        """The repository is fetched when it is listed."""
        explanation = await context.outbound.explain(config.url)
        if explanation.refused:
            raise SourceRejected(f"The repository {config.url} can't be reached. {explanation.reason}")
        repository: Any = await asyncio.to_thread(import_module, "tidings.connectors.repository")  # it takes a while to load
        source: Source = await repository.open_repository(config, context)
        return source
