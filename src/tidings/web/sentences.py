"""What pydantic finds wrong with a request: which field, and a sentence."""

from collections.abc import Iterable, Mapping
from typing import Any

from tidings.errors import FieldError, Invalid
from tidings.model.sentences import sentence_of

_LONGEST = 100  # characters of a field's name that are repeated


def invalid(found: Iterable[Mapping[str, Any]]) -> Invalid:
    """One error of ours for all that pydantic found; the first part of each place (`body`, `query`, ...) is left out where more follow."""
    return Invalid(*(FieldError(_field(problem), _message(problem)) for problem in found))


def _field(problem: Mapping[str, Any]) -> str:
    where = [str(part) for part in problem["loc"]]
    tag = problem.get("ctx", {}).get("discriminator")
    if tag is not None:
        where.append(str(tag).strip("'"))
    return ".".join(where[1:])[:_LONGEST] or where[0]


def _message(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "missing" and len(problem["loc"]) == 1:
        return "It is missing. Send a JSON object."
    return sentence_of(problem)
