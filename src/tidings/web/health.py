"""Whether we live, whether we are ready, figures; for machines that watch over us."""

import asyncio
import hmac

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.responses import Response

from tidings import metrics as figures
from tidings.errors import NotFound, Unavailable
from tidings.store.queues import queues
from tidings.store.room import lack_of_room
from tidings.web.services import Services

router = APIRouter(tags=["Running"])


@router.head("/healthz", include_in_schema=False)  # many who watch ask so
@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> JSONResponse:
    """200 while the process lives."""
    return JSONResponse({"status": "ok"})


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses={503: {"description": "Not yet; `reason` says why."}}, summary="Whether requests can be served")
async def readyz(request: Request) -> JSONResponse:
    """200 once the database answers and is migrated, else 503 with the reason. With `warning` while it keeps nothing more: its disk is full."""
    services: Services = request.state.services
    try:
        pending = await asyncio.to_thread(services.db.pending_migrations)
    except Unavailable as error:
        return JSONResponse({"status": "unavailable", "reason": str(error)}, 503)
    if pending:
        return JSONResponse({"status": "unavailable", "reason": f"The database's schema is not up to date: run `tidings migrate` ({', '.join(pending)})."}, 503)
    lacking = await lack_of_room(services.db)
    return JSONResponse({"status": "ok"} if lacking is None else {"status": "ok", "warning": lacking})


@router.get("/metrics", response_class=PlainTextResponse, responses={404: {"description": "Without the token."}}, summary="Figures for Prometheus")
async def metrics(request: Request) -> Response:
    """Prometheus text, with the bearer token of `TIDINGS_METRICS_TOKEN`; 404 without it."""
    services: Services = request.state.services
    token = services.settings.metrics_token
    given = request.headers.get("authorization", "").encode("latin-1")
    if token is None or not hmac.compare_digest(given, f"Bearer {token.get_secret_value()}".encode()):
        raise NotFound("There is nothing at this address without the token of TIDINGS_METRICS_TOKEN.")
    for name, queue in (await services.db.read(queues)).items():
        figures.queued.labels(name).set(queue.length)
        figures.oldest.labels(name).set(queue.oldest)
    return Response(await asyncio.to_thread(figures.exposition), media_type=figures.CONTENT_TYPE)
