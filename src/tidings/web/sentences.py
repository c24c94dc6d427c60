"""What pydantic finds wrong, said to people: which field, what is wrong, what to do."""

from collections.abc import Iterable, Mapping
from typing import Any

from tidings.errors import FieldError, Invalid

_LONGEST = 100  # characters of a field's name that are repeated

_SENTENCES = {
    "missing": "It is missing.",
    "extra_forbidden": "There is no such field here. Leave it out, or check how it is spelled.",
    "string_type": "It has to be text.",
    "string_too_short": "It is too short: {min_length} or more characters are needed.",
    "string_too_long": "It is too long: {max_length} characters are the most.",
    "string_pattern_mismatch": "It is not written as it has to be: {pattern}.",
    "int_type": "It has to be a whole number.",
    "int_parsing": "It has to be a whole number.",
    "int_parsing_size": "It has to be a whole number, and a smaller one.",
    "int_from_float": "It has to be a whole number.",
    "float_type": "It has to be a number.",
    "float_parsing": "It has to be a number.",
    "finite_number": "It has to be a finite number.",
    "bool_type": "It has to be true or false.",
    "bool_parsing": "It has to be true or false.",
    "none_required": "It has to be null.",
    "list_type": "It has to be a list.",
    "dict_type": "It has to be a JSON object.",
    "model_type": "It has to be a JSON object.",
    "model_attributes_type": "It has to be a JSON object.",
    "too_long": "It has too many items: {max_length} are the most.",
    "too_short": "It has too few items: {min_length} or more are needed.",
    "greater_than_equal": "It is too small: {ge} is the least.",
    "greater_than": "It has to be more than {gt}.",
    "less_than_equal": "It is too large: {le} is the most.",
    "less_than": "It has to be less than {lt}.",
    "literal_error": "It has to be {expected}.",
    "enum": "It has to be {expected}.",
    "union_tag_invalid": "It has to be one of {expected_tags}.",
    "union_tag_not_found": "It is missing.",
}


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
    context = problem.get("ctx", {})
    if problem["type"] in {"value_error", "assertion_error"}:
        return str(context.get("error") or problem["msg"])
    if problem["type"] == "missing" and len(problem["loc"]) == 1:
        return "It is missing. Send a JSON object."
    sentence = _SENTENCES.get(problem["type"])
    return sentence.format(**context) if sentence is not None else f"{problem['msg']}."
