"""Errors as problem documents (RFC 9457)."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import BaseModel, Field
from starlette.responses import Response
from starlette.types import Scope

from tidings import errors
from tidings.errors import FieldError, TidingsError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "1"  # seconds, with a 503

_STATUS: tuple[tuple[type[TidingsError], int], ...] = (
    (errors.Invalid, 422),
    (errors.NotFound, 404),
    (errors.Unauthorized, 401),
    (errors.Forbidden, 403),
    (errors.Conflict, 409),
    (errors.Gone, 410),
    (errors.TooLarge, 413),
    (errors.TooMany, 429),
    (errors.Unavailable, 503),
    (errors.RefusedAddress, 422),
    (errors.SourceError, 422),
)


class FieldProblem(BaseModel):
    """One thing wrong with one field."""

    field: str = Field(description="Dotted as in the JSON body (`config.path`); `body` for the body as a whole; the name of a query parameter or header.")
    message: str = Field(description="What is wrong with it and what to do.")


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="Always `about:blank`: the status says what kind of problem it is, `code` which one.")
    title: str = Field(description="The name of the status.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened and what to do about it.")
    code: str = Field(description="Which problem it is, for programs.")
    instance: str = Field(description="The id of this very request; the log has it too.")
    errors: list[FieldProblem] | None = Field(None, description="For invalid input: each thing that is wrong.")


def problem(scope: Scope, status: int, detail: str, code: str, *, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that can't be granted."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "instance": f"urn:uuid:{request_id(scope)}",
    }
    if errors:
        document["errors"] = [{"field": error.field, "message": error.message} for error in errors]
    return Response(orjson.dumps(document), status, headers, MEDIA_TYPE)


def problem_of(scope: Scope, error: TidingsError) -> Response:
    """The answer that an error of ours stands for."""
    status = status_of(error)
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": RETRY_AFTER}}.get(status)
    if isinstance(error, errors.Invalid):
        return problem(scope, status, f"The request can't be taken as it is: {error}", error.code, errors=error.errors)
    return problem(scope, status, str(error), error.code, headers=headers)


def status_of(error: TidingsError) -> int:
    """The HTTP status that an error of ours stands for; 500 where it should not have come this far."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def request_id(scope: Scope) -> str:
    """The id that the edge gave to this request."""
    found: str = scope["state"]["request_id"]
    return found
