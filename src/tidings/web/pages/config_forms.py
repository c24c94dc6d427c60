"""A form out of the JSON Schema of a connector's config, and the config out of what somebody typed into it. No connector has a form of its own."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from tidings.connectors.base import Connector
from tidings.errors import FieldError, Invalid
from tidings.settings import MASK
from tidings.web.pages.forms import Form, merged
from tidings.web.pages.words import capital

LONG = 10_000  # characters; what may be as long as this gets more than one line

# `lines`: a list of texts, one a line. `json`: whatever no other kind fits, as JSON.
Kind = Literal["text", "secret", "long", "number", "switch", "choice", "lines", "json", "group"]


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a config as a field of a form. `default` is what counts where the member is left out; `fields` are the members of a group."""

    name: str  # in the form and in errors: `config.options.secret`
    key: str  # in its object: `secret`
    label: str
    kind: Kind
    hint: str
    required: bool
    secret: bool
    default: Any
    choices: tuple[str, ...] = ()
    fields: tuple["Field", ...] = ()


def fields_of(connector: Connector[Any]) -> tuple[Field, ...]:
    """The fields of a connector's config, in the order of its schema."""
    schema = connector.config_schema
    return tuple(_fields(schema, schema.get("$defs", {}), "config", connector.secret_fields))


def flat(fields: Sequence[Field]) -> Iterator[Field]:
    """All fields that hold something: those of groups in place of the group."""
    for field in fields:
        yield from flat(field.fields) if field.kind == "group" else (field,)


def names_of(fields: Sequence[Field]) -> frozenset[str]:
    """The names of all fields, groups among them: where something can be wrong."""
    return frozenset(name for field in fields for name in (field.name, *names_of(field.fields)))


def blank(fields: Sequence[Field]) -> dict[str, str]:
    """What stands in a form that nobody has typed into."""
    return {field.name: "on" if field.default is True else str(field.default) for field in flat(fields) if field.default not in (None, False, [])}


def filled(fields: Sequence[Field], config: Mapping[str, Any]) -> dict[str, str]:
    """What stands in a form about a config whose credentials are masked, so that its page holds none of them."""
    return blank(fields) | {name: text for field in fields if field.key in config for name, text in _texts(field, config[field.key])}


def agreed(form: Form, now: Mapping[str, str]) -> Form:
    """The form with what nobody typed into as it is now, credentials masked: one that was left empty stays, one with a tick at `drop.NAME` goes;
    what stands at `sealed.NAME` now tells whether it was kept anew. Invalid."""
    kept = {name for name, text in now.items() if text == MASK}
    stay = {name: MASK for name in kept if not form[name] and form[f"drop.{name}"] != "on"}
    told = dict.fromkeys(kept, "it may be another one")
    return merged(Form({**form.values, **stay}), now, part=lambda name: name.removeprefix("drop.").removeprefix("sealed."), told=told)


def config_of(fields: Sequence[Field], form: Form) -> dict[str, Any]:
    """The config that was typed, without what was left empty or as it is by default. What makes no sense stays as it was typed, for the connector to refuse."""
    typed = {field.key: config_of(field.fields, form) if field.kind == "group" else _value(field, form[field.name]) for field in fields}
    defaults = {field.key: None if field.kind == "group" else field.default for field in fields}
    return {key: value for key, value in typed.items() if value not in ("", [], {}) and value != defaults[key]}


def at_fields(error: Invalid, names: Collection[str]) -> Invalid:
    """The same errors at the fields that a form has: one of the third line of a list (`config.include.2`) at its list."""
    return Invalid(*(FieldError(_nearest(problem.field, names), problem.message) for problem in error.errors))


def _texts(field: Field, value: Any) -> Iterator[tuple[str, str]]:
    match field.kind:
        case "group":
            for inner in field.fields:
                if isinstance(value, Mapping) and inner.key in value:
                    yield from _texts(inner, value[inner.key])
        case "switch":
            yield field.name, "on" if value is True else ""
        case "lines":
            yield field.name, "\n".join(value or ())
        case "number" | "json":
            yield field.name, "" if value is None else json.dumps(value, ensure_ascii=False)
        case _:
            yield field.name, "" if value is None else str(value)


def _nearest(name: str, names: Collection[str]) -> str:
    shorter = name
    while shorter not in names and "." in shorter:
        shorter = shorter.rpartition(".")[0]
    return shorter if shorter in names else name


def _fields(schema: Mapping[str, Any], defs: Mapping[str, Any], path: str, secrets: Collection[str]) -> Iterator[Field]:
    required = schema.get("required", ())
    for key, described in schema.get("properties", {}).items():
        name, shape = f"{path}.{key}", _shape(described, defs)
        secret = name.removeprefix("config.") in secrets
        kind = _kind(shape, secret=secret)
        yield Field(
            name=name,
            key=key,
            label=_label(key),
            kind=kind,
            hint=_for_people(described.get("description", ""), schema["properties"].keys() - set(shape.get("enum", ()))),
            required=key in required,
            secret=secret,
            default=described.get("default"),
            choices=tuple(map(str, shape.get("enum", ()))),
            fields=tuple(_fields(shape, defs, name, secrets)) if kind == "group" else (),
        )


def _shape(described: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a member is where it is not null."""
    choices = [each for each in described.get("anyOf", ()) if each.get("type") != "null"]
    if len(choices) == 1:
        return _shape(choices[0], defs)
    if "$ref" in described:
        found: Mapping[str, Any] = defs.get(described["$ref"].rpartition("/")[2], {})
        return found
    return described


def _kind(shape: Mapping[str, Any], *, secret: bool) -> Kind:
    kind: Kind = "json"
    match shape.get("type"):
        case "string" if "enum" in shape:
            kind = "choice"
        case "string":
            kind = "long" if shape.get("maxLength", 0) >= LONG else "secret" if secret else "text"
        case "integer" | "number":
            kind = "number"
        case "boolean":
            kind = "switch"
        case "array" if shape.get("items", {}).get("type") == "string":
            kind = "lines"
        case "object" if shape.get("properties"):
            kind = "group"
    return kind


def _for_people(hint: str, keys: Collection[str]) -> str:
    """A hint that names fields beside it as the form does, not as programs do; its own choices stay as they are."""
    return re.sub(r"`(\w+)`", lambda named: f"“{_label(named[1])}”" if named[1] in keys else named[0], hint)


def _label(key: str) -> str:
    """`maxPages` as `Max pages`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", key).replace("_", " ").lower()
    return "URL" if words == "url" else capital(words)


def _value(field: Field, typed: str) -> Any:
    match field.kind:
        case "switch":
            return typed == "on"
        case "lines":
            return [line.strip() for line in typed.split("\n") if line.strip()]
        case "number" | "json":
            with suppress(ValueError, RecursionError):
                value = json.loads(typed)
                if field.kind == "json" or type(value) in {int, float}:
                    return value
            return typed.strip()
        case "long":
            return typed
    return typed.strip()
