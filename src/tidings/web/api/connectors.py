"""The kinds of connectors."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from tidings.connectors import registry
from tidings.connectors.base import Connector
from tidings.model.pages import Page
from tidings.web.api.calling import Reader
from tidings.web.api.shapes import Listed, Paging, Shape, listed

router = APIRouter(prefix="/api/v1", tags=["Connectors"])


class ConnectorShape(Shape):
    """A kind of connector."""

    type: str
    title: str
    description: str
    config: dict[str, Any] = Field(description="The JSON Schema of `config` of a data source of this type.")
    secret_fields: list[str] = Field(description='Members of `config` that are shown as "********".')


@router.get("/connectors", summary="List the kinds of connectors")
async def list_connectors(paging: Annotated[Paging, Query()], _caller: Reader) -> Listed[ConnectorShape]:
    """What a data source can be of, by name."""
    left = [connector for connector in sorted(registry.kinds(), key=lambda each: each.kind) if paging.cursor is None or connector.kind > paging.cursor]
    more = left[paging.limit - 1].kind if len(left) > paging.limit else None
    return listed(Page(tuple(left[: paging.limit]), more), _shape)


def _shape(connector: Connector[Any]) -> ConnectorShape:
    return ConnectorShape(
        type=connector.kind,
        title=connector.title,
        description=connector.description,
        config=connector.config_schema,
        secret_fields=sorted(connector.secret_fields),
    )
