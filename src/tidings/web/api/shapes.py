"""What the shapes of the API's bodies, queries and answers have in common."""

import math
from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tidings import clock
from tidings.clock import Micros
from tidings.errors import NotFound
from tidings.model.ids import is_id
from tidings.model.names import LONGEST_NAME, what_is_wrong
from tidings.model.pages import Page

LONGEST_WAIT = 60.0
T = TypeVar("T")
S = TypeVar("S", bound=BaseModel)


class Shape(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True)


class Input(BaseModel):
    """A body. Fields that it does not have are refused; nothing is turned into what it is not (`"1"` is no number)."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)


class Query(BaseModel):
    """The parameters of a query. Those that it does not have are refused."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


def _name(value: str) -> str:
    wrong = what_is_wrong(value)
    if wrong is not None:
        raise ValueError(wrong)
    return value.strip()


def _id(value: str) -> str:
    if not is_id(value):
        raise NotFound("There is nothing with this id: ids are UUIDs, and this is none.")
    return value.lower()


def _reference(value: str) -> str:
    if not is_id(value):
        raise ValueError("It has to be the id of something: ids are UUIDs.")
    return value.lower()


def _clamped(value: Any) -> Any:
    """Seconds within 0..60; what is no number is left for pydantic to refuse."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    return value if math.isnan(number) else min(max(number, 0.0), LONGEST_WAIT)


def _cursor(value: str) -> str:
    if not (0 < len(value) <= 600 and value.isascii() and value.isprintable()):
        raise ValueError("This is no cursor of ours. Send back the nextCursor of the page before.")
    return value


def _timestamp(value: str) -> str:
    try:
        at = clock.parse_rfc3339(value)
    except (ValueError, OverflowError):
        raise ValueError("It has to be an instant like 2026-11-22T10:55:48Z.") from None
    return clock.rfc3339(max(at, 0))


def text_of_query(value: str) -> str:
    """A text to look for, without NUL characters, which no text of ours holds."""
    return value.replace("\0", " ")


UUID_SCHEMA: dict[str, Any] = {"format": "uuid"}
Name = Annotated[
    str,
    AfterValidator(_name),
    Field(json_schema_extra={"minLength": 1, "maxLength": LONGEST_NAME, "pattern": r"\S"}, description="Trimmed; no control characters."),
]
PathId = Annotated[str, AfterValidator(_id), Field(json_schema_extra=UUID_SCHEMA)]
Reference = Annotated[str, AfterValidator(_reference), Field(json_schema_extra=UUID_SCHEMA)]
Id = Annotated[str, Field(json_schema_extra=UUID_SCHEMA)]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Timestamp = Annotated[str, AfterValidator(_timestamp), Field(max_length=64, json_schema_extra={"format": "date-time"})]
Wait = Annotated[
    float, BeforeValidator(_clamped), Field(allow_inf_nan=False, description="Seconds to hold the answer back for; brought within 0 and 60 where it is not.")
]
Text = Annotated[str, AfterValidator(text_of_query), Field(max_length=1000)]


class Paging(Query):
    """Which part of a list."""

    limit: Annotated[int, Field(ge=1, le=200, description="How many items at most.")] = 50
    cursor: Annotated[
        str | None, AfterValidator(lambda value: None if value is None else _cursor(value)), Field(description="The `nextCursor` of the page before.")
    ] = None


class Listed(Shape, Generic[T]):
    """Some items of a list."""

    items: list[T]
    next_cursor: str | None = Field(description="What to send as `cursor` for the next items; null at the end.")


def listed(page: Page[T], shape: Callable[[T], S]) -> Listed[S]:
    """A page as an answer."""
    return Listed(items=[shape(item) for item in page.items], next_cursor=page.next_cursor)


def time_of(at: Micros) -> str:
    """An instant as it stands in answers."""
    return clock.rfc3339(at)


def maybe_time_of(at: Micros | None) -> str | None:
    """The same for an instant that may not have come."""
    return None if at is None else clock.rfc3339(at)
