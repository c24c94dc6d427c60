"""What a trigger hook makes of the body of a call: JSONPath expressions (RFC 9535) lead to keys and URLs of rows. Pure.

Whoever knows the URL writes the body, so what an expression may cost is bounded: by steps from value to value, and without regular expressions.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jsonpath import JSONPath, JSONPathEnvironment, JSONPathError, JSONPathMatch
from jsonpath.filter import BaseExpression, FilterQuery
from jsonpath.match import FilterContextVars
from jsonpath.selectors import Filter

from tidings.errors import FieldError, Invalid
from tidings.model.targets import Targets, can_be
from tidings.model.webhooks import RowMapping

MOST_EXPRESSIONS = 10
LONGEST_EXPRESSION = 300  # characters
MOST_STEPS = 10_000  # for one body, about 50 ms
SHOWN = 3  # rows that a sentence names
LONGEST_SHOWN = 100  # characters of each

NO_JSON = "The whole source: the body is not JSON."
TOO_MUCH = "The whole source: looking through the body takes too long, or it is nested too deeply. Name the members on the way instead of `..` and filters."
NO_ROW = "The whole source: the mapping finds nothing in the body."
NO_NAME = "The whole source: the mapping finds something in the body that is no key or URL, such as null, an object or an overlong text."
TOO_MANY = "The whole source: the mapping finds more rows in the body than one sync is asked for by name."


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a body was mapped to: rows, or None for the whole source; and a sentence that says so."""

    targets: Targets | None
    sentence: str


NO_ROOM = Mapped(None, "The whole source: too many large bodies came at once for this one to be looked at.")


class _TooManyStepsError(JSONPathError):
    """The evaluation was given up."""


class _Step(JSONPathMatch):
    """A value on the way. It counts, and does not remember where it was found: paths through a hostile body would fill the memory."""

    def filter_context(self) -> FilterContextVars:
        """Asked once for each child that is come to or filtered."""
        context = super().filter_context()
        context["left"][0] -= 1
        if context["left"][0] < 0:
            raise _TooManyStepsError
        return context

    def new_child(self, obj: object, _key: int | str) -> "_Step":
        return _Step(filter_context=self.filter_context(), obj=obj, parent=None, parts=(), path="", root=self.root)


class _Environment(JSONPathEnvironment):
    def setup_function_extensions(self) -> None:
        super().setup_function_extensions()
        for name in ("match", "search"):  # a pattern, which may come from the body, can take for ever
            del self.function_extensions[name]


_ENVIRONMENT = _Environment(strict=True)


def check_mapping(mapping: RowMapping) -> None:
    """Invalid where there are too many expressions, none, or one that is none."""
    if not 0 < len(mapping.keys) + len(mapping.urls) <= MOST_EXPRESSIONS:
        raise Invalid(FieldError("mapping", f"It has to have 1 to {MOST_EXPRESSIONS} JSONPath expressions in `keys` and `urls`. To have none, send null."))
    problems = [
        FieldError(f"mapping.{name}.{place}", problem)
        for name, expressions in (("keys", mapping.keys), ("urls", mapping.urls))
        for place, expression in enumerate(expressions)
        if (problem := _problem(expression)) is not None
    ]
    if problems:
        raise Invalid(*problems)


def map_body(mapping: RowMapping, body: bytes) -> Mapped:
    """Which rows a body names. The whole source where it names none, or something that can't be a row's name: then somebody means more than we see."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return Mapped(None, NO_JSON)
    left = [MOST_STEPS]
    try:
        keys, urls = (list(_found(expressions, document, left)) for expressions in (mapping.keys, mapping.urls))
    except (JSONPathError, RecursionError):
        return Mapped(None, TOO_MUCH)
    if not keys and not urls:
        return Mapped(None, NO_ROW)
    if None in keys or None in urls:
        return Mapped(None, NO_NAME)
    targets = Targets(tuple(dict.fromkeys(filter(None, keys))), tuple(dict.fromkeys(filter(None, urls))))
    return Mapped(targets, _sentence(targets)) if targets.fit() else Mapped(None, TOO_MANY)


def _found(expressions: Sequence[str], document: Any, left: list[int]) -> Iterator[str | None]:
    """What the expressions find: texts, whole numbers as texts, None for what can't be the name of a row."""
    for expression in expressions:
        steps: Iterable[JSONPathMatch] = [_Step(filter_context={"left": left}, obj=document, parent=None, parts=(), path="", root=document)]
        for segment in _compiled(expression).segments:
            steps = segment.resolve(steps)
        for step in steps:
            name = str(step.obj) if isinstance(step.obj, str | int) and not isinstance(step.obj, bool) else ""
            yield name if can_be(name) else None


@lru_cache(maxsize=256)
def _compiled(expression: str) -> JSONPath:
    path = _ENVIRONMENT.compile(expression)
    assert isinstance(path, JSONPath)  # the strict grammar has no unions of paths
    return path


def _problem(expression: str) -> str | None:
    if len(expression) > LONGEST_EXPRESSION:
        return f"An expression has at most {LONGEST_EXPRESSION} characters."
    if not expression.startswith("$"):
        return "An expression begins with $, which is the whole body: $.entry.path, for example."
    try:
        path = _compiled(expression)
    except (JSONPathError, RecursionError) as error:
        why = (str(error).splitlines() or ["nested too deeply"])[0]
        return f"This is no JSONPath expression that works here: {why}. An example is $.entry.path; functions match and search are left out."
    if not all(query.path.singular_query() for query in _queries(path)):
        return "What a filter looks at is one value, such as ?@.type == 'page'. Leave out `..`, `*` and functions that count."
    return None


def _queries(path: JSONPath) -> Iterator[FilterQuery]:
    """The queries within the filters of a path: what they cost is not counted step by step."""
    waiting: list[BaseExpression] = [selector.expression for segment in path.segments for selector in segment.selectors if isinstance(selector, Filter)]
    while waiting:
        expression = waiting.pop()
        if isinstance(expression, FilterQuery):
            yield expression
        else:
            waiting.extend(expression.children())


def _sentence(targets: Targets) -> str:
    names = [name[:LONGEST_SHOWN] for name in (*targets.keys, *targets.urls)]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} {'row' if len(names) == 1 else 'rows'}: {', '.join(names[:SHOWN])}{more}."
