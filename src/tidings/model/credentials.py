"""The secret members of a data source's config: sealed at rest, masked when shown, opened for a sync. A member of a member is named `options.secret`."""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from tidings.errors import TidingsError
from tidings.secretbox import SecretBox
from tidings.settings import MASK


def sealed(secretbox: SecretBox, data_source_id: str, config: Mapping[str, Any], secret_fields: Collection[str]) -> dict[str, Any]:
    """`config` as it is stored: secret members that are given as sealed texts."""
    return _changed(config, secret_fields, lambda name, value: secretbox.seal(json.dumps(value), "data_sources", data_source_id, f"config.{name}"))


def opened(secretbox: SecretBox, data_source_id: str, stored: Mapping[str, Any], secret_fields: Collection[str]) -> dict[str, Any]:
    """A stored config as its owner wrote it."""
    return _changed(stored, secret_fields, lambda name, value: json.loads(secretbox.open(value, "data_sources", data_source_id, f"config.{name}")))


def as_far_as_opened(secretbox: SecretBox, data_source_id: str, stored: Mapping[str, Any], secret_fields: Collection[str]) -> dict[str, Any]:
    """The same, None for secret members that this key can't open: others can be given in their place."""

    def tried(name: str, value: Any) -> Any:
        try:
            return json.loads(secretbox.open(value, "data_sources", data_source_id, f"config.{name}"))
        except TidingsError:
            return None

    return _changed(stored, secret_fields, tried)


def unopenable(secretbox: SecretBox, data_source_id: str, stored: Mapping[str, Any], secret_fields: Collection[str]) -> tuple[str, ...]:
    """The names of the secret members that this key can't open."""
    found: list[str] = []

    def tried(name: str, value: Any) -> Any:
        try:
            secretbox.open(value, "data_sources", data_source_id, f"config.{name}")
        except TidingsError:
            found.append(name)
        return value

    _changed(stored, secret_fields, tried)
    return tuple(found)


def masked(config: Mapping[str, Any], secret_fields: Collection[str]) -> dict[str, Any]:
    """A config as anybody may see it."""
    return _changed(config, secret_fields, lambda _name, _value: MASK)


def unmasked(given: Mapping[str, Any], former: Mapping[str, Any], secret_fields: Collection[str]) -> dict[str, Any]:
    """A config that was sent: a secret member that came back masked is what it was."""

    def kept(name: str, value: Any) -> Any:
        if value != MASK:
            return value
        at: Any = former
        for part in name.split("."):
            at = at.get(part) if isinstance(at, Mapping) else None
        return value if at is None else at

    return _changed(given, secret_fields, kept)


def _changed(config: Mapping[str, Any], secret_fields: Collection[str], change: Callable[[str, Any], Any], above: str = "") -> dict[str, Any]:
    """A copy in which `change` has been asked for each secret member that is given."""
    result: dict[str, Any] = {}
    for name, value in config.items():
        here = f"{above}{name}"
        if here in secret_fields and value is not None:
            result[name] = change(here, value)
        else:
            result[name] = _changed(value, secret_fields, change, f"{here}.") if isinstance(value, Mapping) else value
    return result
