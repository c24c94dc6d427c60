"""Charts of a data source and of a webhook: pages of their own for who has no script, parts of the thing's own page for all others."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from tidings import clock
from tidings.clock import DAY, Micros
from tidings.errors import NotFound
from tidings.model.bots import DataSource
from tidings.model.syncs import Sync
from tidings.store import data_sources, delivery_figures, syncs, webhooks
from tidings.store.delivery_figures import Fared
from tidings.store.transactions import Tx
from tidings.web.pages import charts
from tidings.web.pages.calling import House, Member, SourceId, id_in_path
from tidings.web.pages.render import render

router = APIRouter()

SYNCS = 50  # the last ones
DELIVERIES = 5_000  # the latest ones, so that a hook with very many answers as quickly
HOUR: Micros = DAY // 24
WINDOWS: dict[str, tuple[str, Micros, Micros]] = {"day": ("24 hours", DAY, HOUR), "month": ("30 days", 30 * DAY, DAY)}  # name, length, of each stretch


@router.get("/app/data-sources/{data_source_id}/charts")
async def of_source(request: Request, data_source_id: SourceId, visitor: Member, house: House) -> Response:
    """Rows changed and tokens charged by the last syncs."""

    def read(tx: Tx) -> tuple[DataSource, tuple[Sync, ...]]:
        return data_sources.get(tx, visitor.workspace_id, data_source_id), syncs.page(tx, data_source_id, limit=SYNCS, cursor=None).items

    source, last = await house.db.read(read)
    back = (f"/app/data-sources/{source.id}", source.name)
    return render(request, "charts/page.html", title=f"Syncs of {source.name}", back=back, shown=charts.of_syncs(last), windows=(), window="")


@router.get("/app/webhooks/{webhook_id}/charts")
async def of_webhook(
    request: Request, webhook_id: Annotated[str, Path()], visitor: Member, house: House, window: Annotated[Literal["day", "month"], Query()] = "day"
) -> Response:
    """Deliveries by what became of them, and how long receivers took to answer, over a window of time."""
    hook_id, at = id_in_path(webhook_id), clock.now()
    name, length, width = WINDOWS[window]

    def read(tx: Tx) -> list[Fared]:
        if webhooks.get(tx, visitor.workspace_id, hook_id).type == "sync_trigger":
            raise NotFound("A trigger URL has no deliveries.")
        return delivery_figures.of_hook(tx, hook_id, at - length, DELIVERIES)

    fared = await house.db.read(read)
    note = f"The latest {DELIVERIES:,} deliveries" if len(fared) == DELIVERIES else f"Last {name}"
    shown = charts.of_deliveries(fared, fared[-1].made_at if len(fared) == DELIVERIES else at - length, at, width, note)
    windows = [(key, title) for key, (title, _, _) in WINDOWS.items()]
    back = (f"/app/webhooks/{hook_id}", "Webhook")
    return render(request, "charts/page.html", title="Deliveries of a webhook", back=back, shown=shown, windows=windows, window=window)
