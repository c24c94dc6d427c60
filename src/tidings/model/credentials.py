"""The secret members of a data source's config: sealed at rest, masked when shown, opened for a sync."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from tidings.secretbox import SecretBox
from tidings.settings import MASK


def sealed(secretbox: SecretBox, data_source_id: str, config: Mapping[str, Any], secret_fields: Collection[str]) -> dict[str, Any]:
    """`config` as it is stored: secret members that are given as sealed texts."""
    return {
        name: secretbox.seal(json.dumps(value), "data_sources", data_source_id, f"config.{name}") if name in secret_fields and value is not None else value
        for name, value in config.items()
    }


def opened(secretbox: SecretBox, data_source_id: str, stored: Mapping[str, Any], secret_fields: Collection[str]) -> dict[str, Any]:
    """A stored config as its owner wrote it."""
    return {
        name: json.loads(secretbox.open(value, "data_sources", data_source_id, f"config.{name}")) if name in secret_fields and value is not None else value
        for name, value in stored.items()
    }


def masked(config: Mapping[str, Any], secret_fields: Collection[str]) -> dict[str, Any]:
    """A config as anybody may see it."""
    return {name: MASK if name in secret_fields and value is not None else value for name, value in config.items()}


def unmasked(given: Mapping[str, Any], former: Mapping[str, Any], secret_fields: Collection[str]) -> dict[str, Any]:
    """A config that was sent: a secret member that came back masked is what it was."""
    return {name: former[name] if name in secret_fields and value == MASK and name in former else value for name, value in given.items()}
