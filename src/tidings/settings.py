"""What an operator can set: `TIDINGS_*` variables of the environment, or `tidings.toml` in the home folder. The environment wins.

The fields of `Settings` are the table of all settings; each carries its own description. A variable that is set but empty means the default.
"""

import difflib
import json
import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from tidings.errors import FieldError, Invalid

PREFIX = "TIDINGS_"
FILE_NAME = "tidings.toml"
MASK = "********"
UNLIMITED = "unlimited"
MONTH_SECONDS = 30 * 86_400
MOST_DAYS = 36_500

Network = IPv4Network | IPv6Network


def _parts(value: object) -> object:
    """The items of a comma-separated text; anything else as it came."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _network(value: object) -> object:
    """A network out of `10.0.0.0/8`, or of one address."""
    if not isinstance(value, str):
        return value
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        right = ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is not a network; write it like 10.0.0.0/8 or fd00::/8") from None
    raise ValueError(f"{value!r} has bits set behind its prefix; write {right}")


def _folder(value: object) -> object:
    """An absolute path, `~` expanded, taken from the working folder where it is relative."""
    if not isinstance(value, str | Path):
        return value
    if not str(value).strip():
        raise ValueError("an empty path names no folder")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"{str(value)!r} begins with the home folder of somebody who has none here; write the whole path") from None


def _host(value: object) -> object:
    """A host or domain, with a port where it has one, in lower case."""
    if isinstance(value, str) and not re.fullmatch(r"[^\s/@,]{1,255}", value):
        raise ValueError(f"{value!r} is not a host; write it like db.example.com")
    return value.lower() if isinstance(value, str) else value


def _readable(url: str) -> SplitResult | None:
    """The parts of a URL; None where it has brackets that do not match, or a port that is no number."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _has_user(url: str) -> bool:
    """Whether a user name or password stands in a URL, also in one that can't be read."""
    return "@" in re.split(r"[/\\?#]", url.partition("://")[2])[0]


def _seconds(value: object) -> object:
    """Whole seconds as an int, so that they are shown as they were written."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not 0 <= number <= MONTH_SECONDS:
        raise ValueError(f"{value!r} is not a number of seconds from 0 to {MONTH_SECONDS}")
    return int(number) if number.is_integer() else number


Networks = Annotated[tuple[Annotated[Network, BeforeValidator(_network)], ...], BeforeValidator(_parts)]
Folder = Annotated[Path, BeforeValidator(_folder)]
Folders = Annotated[tuple[Folder, ...], BeforeValidator(_parts)]
Hosts = Annotated[tuple[Annotated[str, BeforeValidator(_host)], ...], BeforeValidator(_parts)]
Schedule = Annotated[tuple[Annotated[int | float, BeforeValidator(_seconds)], ...], BeforeValidator(_parts)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseModel):
    """Every setting, checked; it does not change while the process lives."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)

    home: Folder = Field(Path("tidings-data"), description="Folder for the database, uploads and the generated secret key.")
    database_url: str | None = Field(None, repr=False, description="`postgresql://...` for more than one machine; without it, SQLite in the home folder.")
    base_url: str | None = Field(None, description="How others reach Tidings; used in every URL it shows. Without it, `http://HOST:PORT` of `serve`.")
    secret_key: SecretStr | None = Field(
        None,
        description="Encrypts secrets at rest: 32 random bytes in base64 or hex. "
        "Several, separated by commas, during a change of keys: the first one seals, all of them open. "
        "Without it, one is made at the first start and kept in the home folder, mode 0600.",
    )
    allowed_networks: Networks = Field(
        (),
        description="CIDRs of special-purpose networks that outgoing requests may reach, e.g. `127.0.0.0/8,10.0.0.0/8`. Cloud metadata addresses stay refused.",
    )
    local_roots: Folders = Field((), description="Folders that the `folder` connector may read.")
    sql_hosts: Hosts = Field(
        (),
        description="Hosts (`db.example.com` or `db.example.com:5432`) of the databases that the `sql` connector may read. "
        "Database drivers dial by themselves, past the guard of outgoing requests, so each needs to be named.",
    )
    plans: dict[str, int | None] = Field(
        {UNLIMITED: None},
        description='Plan name -> storage tokens per month, as JSON, e.g. `{"free": 500000, "pro": null}`. '
        '`null` is without limit; so is `"unlimited"`, as TOML has no null.',
    )
    default_plan: str = Field(UNLIMITED, description="Plan of a new workspace. The plan `unlimited` exists for as long as it is this one.")
    retry_schedule: Schedule = Field((5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400), description="Seconds between the attempts of a delivery.")
    delivery_timeout: Positive = Field(15.0, le=600, description="Seconds, for one whole attempt: DNS, connect, TLS, sending, headers and body.")
    http_client: Literal["own", "aiohttp"] = Field("own", description="What posts deliveries: Tidings' own client, or `aiohttp`, which is slower.")
    trigger_rate: int = Field(60, ge=0, le=1_000_000, description="Calls a minute that a trigger hook accepts before it answers 429; `0` is no limit.")
    metrics_token: SecretStr | None = Field(None, description="Bearer token for `GET /metrics`. Without it, `/metrics` answers 404.")
    trusted_proxies: Networks = Field((), description="Addresses or CIDRs of the proxies whose `X-Forwarded-*` headers count.")
    max_file_mb: Positive = Field(50.0, le=1_000_000, description="Files larger than this many megabytes are not read; they become failed rows.")
    sync_hours: Positive = Field(6.0, le=8760, description="A sync that runs longer than this many hours fails.")
    keep_snapshots: int = Field(10, ge=1, le=1_000_000, description="Published snapshots kept of each data source, to go back to.")
    removal_guard: float = Field(0.3, ge=0, le=1, description="A sync that would remove more than this share of the rows (and more than 10 rows) is stopped.")
    disable_after_days: Positive = Field(5.0, le=MOST_DAYS, description="A hook that has failed for this many days without one success is disabled.")
    lease_seconds: Positive = Field(
        30.0, ge=0.1, le=86_400, description="Work whose worker has not been heard of for this many seconds is taken over by another one."
    )
    oidc_client_id: str | None = Field(None, max_length=500, description="What the provider of `TIDINGS_OIDC_ISSUER` knows Tidings by.")
    oidc_client_secret: SecretStr | None = Field(None, description="The secret that the provider gave to this client.")
    oidc_issuer: str | None = Field(
        None,
        description="Issuer of an OpenID Connect provider, exactly as it calls itself, e.g. `https://sso.example.com/realms/team`: people can sign in there, "
        "beside passwords. Needs the client's id and secret.",
    )
    oidc_name: str = Field("single sign-on", min_length=1, max_length=60, description="What the provider is called on pages: `Sign in with NAME`.")
    oidc_domains: Hosts = Field(
        (),
        description="Domains (`example.com`): whoever the provider vouches for with an e-mail address there joins the first workspace as a member. "
        "Without it, only members and those who are invited can sign in.",
    )
    retention_days: Positive = Field(90.0, le=MOST_DAYS, description="Attempts and delivered payloads older than this many days are pruned.")
    requests_url: str | None = Field(
        None, description="Where people ask for a webhook that is missing: a page, or `mailto:` and an address. Without it, nothing is offered."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_booleans(cls, value: object) -> object:
        """A boolean is never a number."""
        if isinstance(value, bool):
            raise ValueError(f"{str(value).lower()} will not do here")  # noqa: TRY004 - pydantic wants a ValueError
        return value

    @field_validator("database_url", mode="after")
    @classmethod
    def _only_postgresql(cls, value: str | None) -> str | None:
        """`postgres://` and `postgresql://` are the same thing."""
        if value is None:
            return None
        scheme, separator, rest = value.partition("://")
        if scheme not in {"postgresql", "postgres"} or not separator:
            raise ValueError("it has to begin with postgresql:// (leave it out for SQLite in the home folder)")
        url = f"postgresql://{rest}"
        parts = _readable(url)
        odd = (
            parts is None
            or parts.fragment
            or "@" in parts.path
            or parts.netloc.count("@") > 1
            or ("@" in parts.query and "@" not in parts.netloc and not parts.path)
            or not all("=" in part for part in parts.query.split("&") if part)
        )
        if odd:  # its readers (SQLAlchemy, libpq, pg_dump, our mask) do not agree on where the password ends
            raise ValueError("it can't be read: in a name or password, write : as %3A, / as %2F, ? as %3F, # as %23 and @ as %40; a port is a number")
        return url

    @field_validator("base_url", mode="after")
    @classmethod
    def _only_http(cls, value: str | None) -> str | None:
        """An http(s) URL without query, the trailing slash cut off."""
        if value is None:
            return None
        parts = _readable(value)
        if _has_user(value):
            raise ValueError("it stands in every URL that is shown, so it can't hold a user name or password; leave them out")
        if not parts or parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or re.search(r"[\s\\\"'<>]", value):
            raise ValueError(f"{value!r} will not do: it has to be a URL like https://tidings.example.com")
        return value.rstrip("/")

    @field_validator("requests_url", mode="after")
    @classmethod
    def _page_or_address(cls, value: str | None) -> str | None:
        """What a link may lead to: no script, and nothing of ours."""
        if value is not None and not re.fullmatch(r"https?://[^\s\\/]\S*|mailto:[^\s@]+@[^\s@]+", value):
            raise ValueError(f"{value!r} will not do: it has to be a URL like https://example.com/requests, or mailto:support@example.com")
        return value

    @field_validator("oidc_issuer", mode="after")
    @classmethod
    def _whole_client(cls, value: str | None, info: ValidationInfo) -> str | None:
        """An https URL without a query, with the client's id and secret beside it."""
        if value is None:
            return None
        parts = _readable(value)
        if _has_user(value):
            raise ValueError("it is shown to people, so it can't hold a user name or password; leave them out")
        safe = parts is not None and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}))
        if parts is None or not safe or not parts.hostname or parts.query or parts.fragment or re.search(r"[\s\\]", value):
            raise ValueError(f"{value!r} will not do: it has to be a URL like https://sso.example.com")
        if not info.data.get("oidc_client_id") or not info.data.get("oidc_client_secret"):
            raise ValueError(f"it needs {PREFIX}OIDC_CLIENT_ID and {PREFIX}OIDC_CLIENT_SECRET beside it")
        return value

    @field_validator("plans", mode="before")
    @classmethod
    def _plans_from_text(cls, value: object) -> dict[str, int | None]:
        """JSON in the environment, a table in the file; `"unlimited"` means `null`."""
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise ValueError(f'it is not JSON ({error}); write it like {{"free": 500000, "pro": null}}') from None
        if not isinstance(value, Mapping) or not value:
            raise ValueError('it has to be an object with at least one plan, like {"free": 500000, "pro": null}')
        for name, tokens in value.items():
            if not (tokens is None or tokens == UNLIMITED or (type(tokens) is int and 0 <= tokens < 2**63)):
                raise ValueError(f"plan {name!r} has to be a whole number of storage tokens per month, or null for no limit, not {tokens!r}")
            if not str(name).strip():
                raise ValueError("a plan has to have a name")
        return {name: None if tokens == UNLIMITED else tokens for name, tokens in value.items()}

    @field_validator("retry_schedule", mode="after")
    @classmethod
    def _some_schedule(cls, value: tuple[int | float, ...]) -> tuple[int | float, ...]:
        if len(value) > 100:
            raise ValueError("100 waits are the most")
        return value

    @model_validator(mode="before")
    @classmethod
    def _keep_unlimited(cls, values: Any) -> Any:
        """Whoever defines plans but names no default has the plan `unlimited` besides: new workspaces are on it."""
        if isinstance(values, dict) and values.get("default_plan", UNLIMITED) == UNLIMITED:
            with suppress(ValueError, KeyError):  # what is wrong with the plans is said where they are checked
                values = {**values, "plans": {UNLIMITED: None, **cls._plans_from_text(values["plans"])}}
        return values

    @field_validator("default_plan", mode="after")
    @classmethod
    def _default_is_a_plan(cls, value: str, info: ValidationInfo) -> str:
        plans = info.data.get("plans")
        if plans is not None and value not in plans:
            raise ValueError(f"{value!r} is not a plan; the plans of {PREFIX}PLANS are {', '.join(plans)}")
        return value

    @field_serializer("secret_key", "metrics_token", "oidc_client_secret", when_used="json")
    def _mask(self, value: SecretStr | None) -> str | None:
        return MASK if value else None

    @field_serializer("database_url", when_used="json")
    def _mask_password(self, value: str | None) -> str | None:
        return None if value is None else mask_password(value)

    def shown(self) -> dict[str, Any]:
        """Variable -> value, ready for JSON, in the order of the table; secrets are masked."""
        return {variable(name): value for name, value in self.model_dump(mode="json").items()}


def variable(field: str) -> str:
    """The variable of the environment that sets a field: `home` -> `TIDINGS_HOME`."""
    return PREFIX + field.upper()


def mask_password(url: str) -> str:
    """A database URL as it may be shown: passwords in it replaced."""
    parts = urlsplit(url)
    netloc = re.sub(r":[^@]*@", f":{MASK}@", parts.netloc, count=1)
    query = [(name, MASK if "password" in name.lower() else value) for name, value in parse_qsl(parts.query, keep_blank_values=True)]
    return parts._replace(netloc=netloc, query=urlencode(query, safe="*/:")).geturl()


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process: `overrides`, then the environment, then `tidings.toml` in the home folder, then the defaults.

    Raises Invalid, one sentence for each thing wrong, named as the operator wrote it.
    """
    environment = {name: os.environ[variable(name)] for name in Settings.model_fields if variable(name) in os.environ}
    try:
        home = Path(str(_folder(overrides.get("home") or environment.get("home") or Settings.model_fields["home"].default)))
    except ValueError as error:
        raise Invalid(FieldError(variable("home"), f"{error}.")) from None
    values = {name: value for name, value in _read_file(home / FILE_NAME).items() if name not in environment}
    origins = {name: f"{name} in {home / FILE_NAME}" for name in values}
    values |= {name: value for name, value in environment.items() if value.strip()} | overrides
    try:
        return Settings(**values)
    except ValidationError as error:
        raise Invalid(*(_sentence(problem, values, origins) for problem in error.errors())) from None


def unknown_variables(environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """A sentence for each `TIDINGS_*` variable that sets nothing. A warning, not an error: clusters put variables of their own there."""
    known = [variable(name) for name in Settings.model_fields]
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            yield f"{name} is not a setting and is ignored{_nearest(name, known)}"


def _read_file(path: Path) -> dict[str, Any]:
    """The members of `tidings.toml`, {} where there is none. Unknown ones are refused."""
    try:
        with path.open("rb") as file:
            read = tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):  # whether there can be a home folder is said where it is made
        return {}
    except OSError as error:
        told = f"it can't be read: {error.strerror}. Give the account that runs Tidings the right to, or set {variable('home')} to another folder."
        raise Invalid(FieldError(str(path), told)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(FieldError(str(path), f"it can't be read: {error}. Correct it, or delete it.")) from None
    values = {name.removeprefix(PREFIX).lower() if name.startswith(PREFIX) else name: value for name, value in read.items()}
    known = [name for name in Settings.model_fields if name != "home"]
    problems = [FieldError(f"{name} in {path}", "this is not a setting" + _nearest(name, known)) for name in values if name not in known and name != "home"]
    if "home" in values:
        problems.append(FieldError(f"home in {path}", f"the file lies in the home folder, so it can't name it; set {variable('home')} instead."))
    if problems:
        raise Invalid(*problems)
    return values


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else "."


def _sentence(problem: Mapping[str, Any], values: Mapping[str, Any], origins: Mapping[str, str]) -> FieldError:
    """One problem that pydantic found, as the operator should read it."""
    name = str(problem["loc"][0]) if problem["loc"] else ""
    where = origins.get(name, variable(name))
    kind = problem["type"]
    if kind == "extra_forbidden":
        return FieldError(where, "this is not a setting" + _nearest(name, list(Settings.model_fields)))
    said = str(problem["msg"])
    if kind == "value_error":
        return FieldError(where, said.removeprefix("Value error, ") + ".")
    wanted = said.partition(",")[0].replace("Input should be", "it has to be").replace("String should have", "it has to have").replace("valid tuple", "list")
    shown = "" if name in {"secret_key", "metrics_token", "database_url", "oidc_client_secret"} else f"{values.get(name)!r} will not do: "
    return FieldError(where, f"{shown}{wanted}.")
