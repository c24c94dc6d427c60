"""What pydantic finds wrong, said to people."""

from collections.abc import Mapping
from typing import Any

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
    "tuple_type": "It has to be a list.",
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


def sentence_of(problem: Mapping[str, Any]) -> str:
    """What is wrong, and what to do, of one of `ValidationError.errors()`."""
    context = problem.get("ctx", {})
    if problem["type"] in {"value_error", "assertion_error"}:
        return str(context.get("error") or problem["msg"])
    sentence = _SENTENCES.get(problem["type"])
    return sentence.format(**context) if sentence is not None else f"{problem['msg']}."
