"""From a claimed sync to the opened connector of its data source."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tidings.connectors.base import Connector, Remembered, source_context
from tidings.connectors.registry import connector
from tidings.errors import Invalid, LeaseLost, NotFound, SourceRejected
from tidings.model.credentials import opened, unopenable
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import Settings
from tidings.store import data_sources, known
from tidings.store.database import Database
from tidings.store.leases import Held
from tidings.syncs.plan_changes import fingerprint_of
from tidings.syncs.run import SourceToSync
from tidings.text.version import PIPELINE_VERSION


async def open_source(
    db: Database, settings: Settings, box: SecretBox, outbound: Outbound, held: Held, *, find: Callable[[str], Connector[Any]] = connector
) -> SourceToSync:
    """Reads the settings of the data source and opens it; `find` knows the connector of each kind. SourceError where it can't be had."""
    try:
        data_source = await db.read(data_sources.get, held.workspace_id, held.data_source_id)
    except NotFound as error:
        raise LeaseLost("The data source of this sync was deleted, and the sync with it.") from error
    try:
        kind = find(data_source.type)
        lacking = unopenable(box, data_source.id, data_source.config, kind.secret_fields)
        if lacking:
            names = " and ".join(name.rpartition(".")[2] for name in lacking)
            raise SourceRejected(f"The {names} of this data source can't be opened: sealed with another secret key, or damaged. Enter it anew in its settings.")
        config = kind.parse(opened(box, data_source.id, data_source.config, kind.secret_fields))
    except Invalid as error:  # its package has gone since, or takes other settings now
        said = " ".join(one.message for one in error.errors)
        raise SourceRejected(f"This data source can't be opened as it was set up. {said}") from error
    fingerprint = fingerprint_of(PIPELINE_VERSION, data_source.type, *kind.text_settings(config))
    mark = fingerprint_of(fingerprint, json.dumps(data_source.config, sort_keys=True))
    cursor = None if held.force else await db.read(data_sources.cursor, data_source.id, mark)

    async def remembered(keys: Sequence[str]) -> Mapping[str, Remembered]:
        stored = await db.read(known.validators, held, keys, None if held.force else fingerprint)
        return {key: Remembered(validator, settled) for key, (validator, settled) in stored.items()}

    source = await kind.open(config, replace(source_context(settings, outbound, data_source.id, cursor), remembered=remembered))
    return SourceToSync(source, fingerprint, mark)
