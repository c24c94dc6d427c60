"""The settings of a data source: its name, what its connector reads, when it syncs, and the end of it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from tidings import clock
from tidings.bots import data_sources
from tidings.bots.data_sources import DataSourceChange, shown_config
from tidings.bots.trying import Trial
from tidings.clock import Micros
from tidings.connectors import registry
from tidings.errors import Invalid
from tidings.model.bots import Bot, DataSource
from tidings.model.planning import next_runs, share_of
from tidings.model.schedules import Schedule
from tidings.settings import MASK
from tidings.store import bots as bots_stored
from tidings.store import data_sources as stored
from tidings.store.transactions import Tx
from tidings.web.pages import schedule_forms
from tidings.web.pages.calling import House, Owner, SourceId
from tidings.web.pages.config_forms import Field, agreed, at_fields, config_of, fields_of, filled, names_of
from tidings.web.pages.forms import Form, merged, sent
from tidings.web.pages.render import fragment, go, render
from tidings.web.pages.schedule_forms import form_of, in_words, part_of, schedule_in, told
from tidings.web.pages.trials import by_script, is_trial, tried
from tidings.web.services import Services

router = APIRouter()

RUNS = 3


@router.get("/app/data-sources/{data_source_id}/settings")
async def show(request: Request, data_source_id: SourceId, visitor: Owner, house: House) -> Response:
    """All settings."""
    return await _page(request, 200, visitor, house, data_source_id)


@router.post("/app/data-sources/{data_source_id}/settings/name")
async def rename(request: Request, data_source_id: SourceId, visitor: Owner, house: House) -> Response:
    """Gives it another name."""
    source = await house.db.read(stored.get, visitor.workspace_id, data_source_id)
    form = merged(sent(request), {"name": source.name})
    try:
        form.check()
        await _change(house, visitor, data_source_id, DataSourceChange(name=form["name"]))
    except Invalid as error:
        return await _page(request, 422, visitor, house, data_source_id, name=form.refused(error))
    return go(request, f"/app/data-sources/{data_source_id}/settings", said="The name was changed. What goes out from now on has the new one.")


@router.post("/app/data-sources/{data_source_id}/settings/config")
async def configure(request: Request, data_source_id: SourceId, visitor: Owner, house: House) -> Response:
    """Gives its connector other settings, and queues a sync; or tries them out, and changes nothing."""
    source = await house.db.read(stored.get, visitor.workspace_id, data_source_id)
    connector = registry.connector(source.type)
    fields = fields_of(connector)
    form = agreed(sent(request), _filled(source, fields))
    if is_trial(form) and not form.errors:
        form, trial = await tried(request, house=house, visitor=visitor, connector=connector, fields=fields, form=form, data_source_id=data_source_id)
        return await _page(request, 200, visitor, house, data_source_id, config=form, trial=trial)
    try:
        form.check()
        await _change(house, visitor, data_source_id, DataSourceChange(config=config_of(fields, form)))
    except Invalid as error:
        refused = form.refused(at_fields(error, names_of(fields)))
        return await _page(request, 200 if is_trial(form) else 422, visitor, house, data_source_id, config=refused)
    return go(request, f"/app/data-sources/{data_source_id}", said="The settings were kept. If they are other ones than before, a sync is queued.")


@router.post("/app/data-sources/{data_source_id}/settings/schedule")
async def schedule(request: Request, data_source_id: SourceId, visitor: Owner, house: House) -> Response:
    """Has it sync by itself at other times."""
    source = await house.db.read(stored.get, visitor.workspace_id, data_source_id)
    form = merged(sent(request), form_of(_schedule(source)).values, part=part_of, told=told(_schedule(source)))
    try:
        form.check()
        wanted = schedule_in(form)
        await _change(house, visitor, data_source_id, DataSourceChange(schedule=wanted))
    except Invalid as error:
        return await _page(request, 422, visitor, house, data_source_id, times=form.refused(error))
    return go(request, f"/app/data-sources/{data_source_id}/settings#schedule", said=f"It was kept. {in_words(wanted)}.")


@router.post("/app/data-sources/{data_source_id}/settings/schedule/next")
async def preview(request: Request, data_source_id: SourceId, visitor: Owner, house: House) -> Response:
    """When the next syncs of a schedule would begin, as it is typed."""
    source = await house.db.read(stored.get, visitor.workspace_id, data_source_id)
    times, wrong = None, None
    try:
        times = _times(source, schedule_in(sent(request)))
    except Invalid as error:
        wrong = " ".join(one.message for one in error.errors)
    return HTMLResponse(fragment(request, "data_sources/next_runs.html", times=times, wrong=wrong))


async def _change(house: Services, visitor: Owner, data_source_id: str, wanted: DataSourceChange) -> None:
    place = {"workspace_id": visitor.workspace_id, "data_source_id": data_source_id}
    await data_sources.change(house.db, house.settings, house.secretbox, house.outbound, **place, wanted=wanted)


async def _page(
    request: Request,
    status: int,
    visitor: Owner,
    house: Services,
    data_source_id: str,
    *,
    name: Form | None = None,
    config: Form | None = None,
    times: Form | None = None,
    trial: Trial | None = None,
) -> Response:
    """The page with those forms that somebody typed into; the others are as what is kept."""

    def read(tx: Tx) -> tuple[DataSource, Bot]:
        source = stored.get(tx, visitor.workspace_id, data_source_id)
        return source, bots_stored.get(tx, visitor.workspace_id, source.bot_id)

    source, bot = await house.db.read(read)
    fields = _fields(source)
    plan = _schedule(source)
    former = _filled(source, fields)
    shown: dict[str, Any] = {
        "source": source,
        "bot": bot,
        "name": name or Form({"name": source.name}),
        "fields": fields,
        "form": config or Form(former),
        "former": former,
        "shown": tuple(names_of(fields)),
        "trial": trial,
        "scripted": by_script(request),
        "times_form": times or form_of(plan),
        "times_former": form_of(plan).values,
        "zones": schedule_forms.zones(),
        "units": tuple(schedule_forms.UNITS),
        "times": None if times and times.errors else _times(source, plan),
        "wrong": None,
    }
    return render(request, "data_sources/settings.html", status, **shown)


def _fields(source: DataSource) -> Sequence[Field]:
    there = registry.found().kinds.get(source.type)
    return () if there is None else fields_of(there)  # its package has gone: nobody can tell what it takes


def _filled(source: DataSource, fields: Sequence[Field]) -> dict[str, str]:
    """What stands in the form about its connector; with what its credentials are sealed as, which tells whether they were kept anew."""
    shown, sealed = filled(fields, shown_config(source)), filled(fields, source.config)
    return shown | {f"sealed.{name}": sealed[name] for name, text in shown.items() if text == MASK}


def _schedule(source: DataSource) -> Schedule | None:
    return None if source.plan is None else source.plan.schedule


@dataclass(frozen=True, slots=True)
class _Times:
    """What a schedule comes to."""

    words: str
    zone: str
    runs: Sequence[Micros] = ()


def _times(source: DataSource, wanted: Schedule | None) -> _Times:
    """Of a schedule that counts already, or of one that would count from now."""
    if wanted is None:
        return _Times(in_words(None), "UTC")
    now = clock.now()
    since = source.plan.since if source.plan is not None and source.plan.schedule == wanted else now
    return _Times(in_words(wanted), wanted.time_zone, tuple(itertools.islice(next_runs(wanted, since, share_of(source.id), now), RUNS)))
