"""What was charged in a month, for what, and how far the plan reaches."""

import calendar
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tidings import clock
from tidings.model.workspaces import forecast_use, judge_use
from tidings.store import usage
from tidings.store.transactions import Tx
from tidings.store.usage import Usage
from tidings.web.pages import charts
from tidings.web.pages.calling import House, Member
from tidings.web.pages.render import render
from tidings.workspaces import plans

router = APIRouter()

SHOWN = 20  # bots, and data sources: the largest ones


@router.get("/app/usage")
async def show(
    request: Request, visitor: Member, house: House, month: Annotated[str | None, Query(pattern=r"^[1-9][0-9]{3}-(0[1-9]|1[0-2])$")] = None
) -> Response:
    """The storage tokens of a month: against the plan, by day, by bot, by data source."""
    at = clock.now()
    present = clock.month(at)
    month = present if month is None or month > present else month

    def read(tx: Tx) -> tuple[Usage, str]:
        return usage.shares(tx, visitor.workspace_id, month), usage.first_month(tx, visitor.workspace_id) or present

    found, first = await house.db.read(read)
    view = await plans.view(house.db, house.settings, visitor.workspace_id)
    limit, now = view.allowance, month == present
    return render(
        request,
        "usage.html",
        found=found,
        limit=limit,
        plan=view.workspace.plan,
        named=named(month),
        now=now,
        before=(shifted(month, -1), named(shifted(month, -1))) if month > first else None,
        after=(shifted(month, 1), named(shifted(month, 1))) if not now else None,
        told=judge_use(view.workspace.plan, limit, found.tokens, at) if now and limit else None,
        forecast=forecast_use(found.tokens, at) if now else None,
        by_day=charts.usage_by_day(dict(found.by_day), month, limit, at),
        most=SHOWN,
    )


def shifted(month: str, months: int) -> str:
    """The month so many months later: `2026-11`."""
    year, number = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 + months, 12)
    return f"{year:04}-{number + 1:02}"


def named(month: str) -> str:
    """`November 2026`."""
    return f"{calendar.month_name[int(month[5:])]} {int(month[:4])}"
