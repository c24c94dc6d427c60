"""Where a store is: its URL and options, taken apart and checked before anything is asked of the network."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated
from urllib.parse import quote, unquote

from pydantic import AfterValidator, AliasChoices, Field

from tidings.connectors.base import Config, Written
from tidings.errors import FieldError, Invalid, RefusedAddress
from tidings.outbound import check_url

SSH_PORT = 22


def _plain(text: str) -> str:
    if any(character < " " or character == "\x7f" for character in text):
        raise ValueError("It has no control characters")
    return text


def _http(text: str) -> str:
    try:
        return check_url(text).url.rstrip("/")
    except RefusedAddress as error:
        raise ValueError(str(error)) from None


def _host_key(text: str) -> str:
    """`ssh-keyscan` puts the host's name before its key; comments may follow."""
    found = re.search(r"(?:^|\s)((?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+)", text)
    if found is None:
        raise ValueError("It has to be a public key such as `ssh-ed25519 AAAA...`, as `ssh-keyscan HOST` prints it")
    return found[1]


_Text = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_plain)]


class StoreOptions(Config):
    """How to get into a store. Which members a URL takes depends on its scheme."""

    endpoint: Annotated[str, Field(max_length=1024), AfterValidator(_http)] | None = Field(
        default=None,
        validation_alias=AliasChoices("endpoint", "endpoint_url"),
        description="http(s) address of a service that speaks the same protocol: MinIO, R2, Azurite, GitHub Enterprise (s3, gs, az, github).",
    )
    region: Annotated[str, Written(r"[A-Za-z0-9-]{1,64}", "A region has letters, digits and hyphens, such as eu-central-1.")] | None = Field(
        default=None, description="The bucket's region (s3); us-east-1 if none is given."
    )
    account: Annotated[str, Written(r"[a-z0-9]{3,24}", "A storage account has 3 to 24 small letters and digits.")] | None = Field(
        default=None, description="The storage account (az), unless the URL names it."
    )
    key: _Text | None = Field(default=None, description="Access key id (s3), or that of an HMAC key (gs). Without one, only what is public can be read.")
    secret: _Text | None = Field(default=None, description="The secret of `key` (s3, gs).")
    token: _Text | None = Field(default=None, description="Session token (s3), shared access signature (az), or personal access token (github).")
    username: _Text | None = Field(default=None, description="User name (sftp, webdav).")
    password: _Text | None = Field(default=None, description="Password (sftp, webdav).")
    privateKey: Annotated[str, Field(max_length=16_384)] | None = Field(default=None, description="Private key in PEM or OpenSSH form (sftp).")  # noqa: N815 - JSON
    passphrase: _Text | None = Field(default=None, description="What the private key is locked with (sftp).")
    hostKey: Annotated[str, Field(max_length=4096), AfterValidator(_host_key)] | None = Field(  # noqa: N815 - JSON
        default=None, description="The server's public key, as `ssh-keyscan HOST` prints it (sftp; required): nobody else can pose as the server."
    )


SECRET_OPTIONS = frozenset(f"options.{name}" for name in ("secret", "token", "password", "privateKey", "passphrase"))


@dataclass(frozen=True, slots=True)
class Protocol:
    """What a scheme stands for."""

    module: str  # of this package
    takes: frozenset[str]  # options
    example: str
    library: str | None = None  # what it needs that Tidings does not bring along; the extra is named as the module


_WEBDAV = Protocol("webdav", frozenset({"username", "password"}), "webdavs://cloud.example.com/remote.php/dav/files/me/docs")
_GCS = Protocol("s3", frozenset({"endpoint", "key", "secret"}), "gs://bucket/docs", "aiobotocore")
_AZURE = Protocol("azure", frozenset({"endpoint", "account", "token"}), "abfs://container@account.dfs.core.windows.net/docs")
PROTOCOLS: Mapping[str, Protocol] = {
    "s3": Protocol("s3", frozenset({"endpoint", "region", "key", "secret", "token"}), "s3://bucket/docs", "aiobotocore"),
    "gs": _GCS,
    "gcs": _GCS,
    "az": _AZURE,
    "abfs": _AZURE,
    "sftp": Protocol("sftp", frozenset({"username", "password", "privateKey", "passphrase", "hostKey"}), "sftp://me@files.example.com/srv/docs", "asyncssh"),
    "webdav": _WEBDAV,
    "webdavs": _WEBDAV,
    "github": Protocol("github", frozenset({"endpoint", "token"}), "github://organisation:repository@main/docs"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of a store. `endpoint` is the http(s) address that is asked, or for SFTP one that names the host."""

    url: str
    scheme: str
    endpoint: str
    path: str  # of the folder, without slashes around; "" for all that there is
    options: StoreOptions
    user: str = ""  # SFTP's user; GitHub's organisation
    host: str = ""  # SFTP's host; the bucket, container or repository
    port: int = 0
    ref: str = ""  # GitHub's branch, tag or commit


def place_of(url: str, options: StoreOptions) -> Place:
    """The place that a URL names; `Invalid` on `config.url` or `config.options.*`."""
    try:
        return _place(url, options)
    except (ValueError, RefusedAddress) as error:
        raise Invalid(FieldError("config.url", str(error))) from None


def missing_library(scheme: str) -> str | None:
    """What has to be installed before a place of this scheme can be read; None where all is there."""
    protocol = PROTOCOLS[scheme]
    if protocol.library is None or find_spec(protocol.library) is not None:
        return None
    return f"Reading {scheme}:// needs a library that is not installed. Ask the operator to run: pip install 'tidings[{protocol.module}]'."


def _place(url: str, options: StoreOptions) -> Place:
    scheme, _, rest = url.partition("://")
    if scheme not in PROTOCOLS or re.search("::[a-z0-9+]*://", url):
        raise ValueError(f"It has to begin with one of {', '.join(f'{known}://' for known in PROTOCOLS)}, and to name one place.")
    protocol = PROTOCOLS[scheme]
    if strange := [name for name in options.model_fields_set if name not in protocol.takes]:
        takes = ", ".join(sorted(protocol.takes))
        raise Invalid(*(FieldError(f"config.options.{name}", f"{scheme}:// does not know this; it takes: {takes}.") for name in strange))
    authority, _, path = rest.partition("/")
    path = path.strip("/")
    if any(part in {".", ".."} for part in path.split("/")):
        raise ValueError("The path has . or .. parts in it. Write the one that they lead to.")
    place = _BY_MODULE[protocol.module](url, scheme, authority, path, options)
    if place is None:
        raise ValueError(f"It has to look like {protocol.example}.")
    check_url(place.endpoint)
    return place


def _bucket(url: str, scheme: str, authority: str, path: str, options: StoreOptions) -> Place | None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]", authority):
        return None
    if (options.key is None) != (options.secret is None):
        field = "key" if options.key is None else "secret"
        raise Invalid(FieldError(f"config.options.{field}", "key and secret belong together; name both, or neither for what is public."))
    service = "https://storage.googleapis.com" if scheme != "s3" else f"https://s3.{options.region or 'us-east-1'}.amazonaws.com"
    return Place(url, scheme, options.endpoint or service, path, options, host=authority)


def _container(url: str, scheme: str, authority: str, path: str, options: StoreOptions) -> Place | None:
    found = re.fullmatch(r"([a-z0-9$-]{1,63})(?:@([a-z0-9]{3,24})\.(?:dfs|blob)\.core\.windows\.net)?", authority)
    if found is None:
        return None
    account = found[2] or options.account
    if account is None and options.endpoint is None:
        raise Invalid(FieldError("config.options.account", "Name the storage account that the container is in."))
    return Place(url, scheme, options.endpoint or f"https://{account}.blob.core.windows.net", path, options, host=found[1])


def _host(url: str, scheme: str, authority: str, path: str, options: StoreOptions) -> Place | None:
    user, _, server = authority.rpartition("@")
    host, _, port = server.rpartition(":") if re.search(r":[0-9]*$", server) else (server, "", "")
    if not host or ":" in user or (user and scheme != "sftp"):
        raise ValueError("The URL names no password and, but for sftp://, no user. Put them into options.")
    if scheme != "sftp":
        secure = "https" if scheme == "webdavs" else "http"
        decoded = unquote(path, errors="surrogateescape")
        endpoint = f"{secure}://{server}/{quote(decoded, errors='surrogateescape')}".rstrip("/")
        return None if "?" in path or "#" in path else Place(url, scheme, endpoint, decoded, options)
    if options.hostKey is None:
        told = f"ssh-keyscan {host.strip('[]')}"
        raise Invalid(FieldError("config.options.hostKey", f"Name the server's key, for nobody else to pose as it: what `{told}` prints."))
    if not (user or options.username):
        raise Invalid(FieldError("config.options.username", "Name the user that logs in."))
    if options.password is None and options.privateKey is None:
        raise Invalid(FieldError("config.options.password", "Name a password or a privateKey to log in with."))
    number = int(port or SSH_PORT)
    endpoint = f"https://{host}" if number == SSH_PORT else f"https://{host}:{number}"
    return Place(url, scheme, endpoint, path, options, user=user or options.username or "", host=host.strip("[]"), port=number)


def _repository(url: str, scheme: str, authority: str, path: str, options: StoreOptions) -> Place | None:
    found = re.fullmatch(r"([A-Za-z0-9-]{1,64}):([A-Za-z0-9._-]{1,100})(?:@([A-Za-z0-9._-]{1,200}))?", authority)
    if found is None:
        return None
    endpoint = f"{options.endpoint or 'https://api.github.com'}/repos/{found[1]}/{found[2]}"
    return Place(url, scheme, endpoint, path, options, user=found[1], host=found[2], ref=found[3] or "")


_BY_MODULE = {"s3": _bucket, "azure": _container, "sftp": _host, "webdav": _host, "github": _repository}
