"""Deliveries: events on their way to endpoints."""

from typing import Annotated, Final

from msgspec import Meta

from relay.api.call import Call, found
from relay.api.exchange import Answer
from relay.api.inputs import END
from relay.api.lists import ListOf, page_answer, page_of
from relay.api.operations import Operation, Respond
from relay.api.queries import PageQuery
from relay.domain.endpoints import DeliveryDetail, DeliveryStatus, DeliveryView


class DeliveriesQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries."""

    endpoint_id: Annotated[str, Meta(pattern=rf"^ep_[0-9a-f]{{32}}{END}")] | None = None
    event_id: Annotated[str, Meta(pattern=rf"^evt_[0-9a-f]{{32}}{END}")] | None = None
    status: DeliveryStatus | None = None


async def list_deliveries(call: Call) -> Answer:
    """Deliveries of the team, newest first."""
    query = call.query(DeliveriesQuery)
    position, limit = page_of("deliveries", query)
    page = await call.services.store.deliveries(
        call.team.id,
        endpoint_id=query.endpoint_id,
        event_id=query.event_id,
        status=query.status,
        position=position,
        limit=limit,
    )
    return page_answer("deliveries", page.data, page.next_position, path=call.path, query=call.raw_query)


async def get_delivery(call: Call) -> Answer:
    """One delivery with every attempt."""
    return found(await call.services.store.delivery(call.team.id, call.parameter("delivery_id")), "delivery")


OPERATIONS: Final = (
    Operation(
        id="listDeliveries",
        method="GET",
        path="/v1/deliveries",
        tag="Webhooks",
        summary="List deliveries, newest first",
        scope="webhooks:manage",
        run=list_deliveries,
        query=DeliveriesQuery,
        answers=(Respond(status=200, description="One page.", body=ListOf[DeliveryView], headers=("Link",)),),
    ),
    Operation(
        id="getDelivery",
        method="GET",
        path="/v1/deliveries/{delivery_id}",
        tag="Webhooks",
        summary="Look up a delivery with every attempt",
        scope="webhooks:manage",
        run=get_delivery,
        answers=(Respond(status=200, description="The delivery.", body=DeliveryDetail),),
    ),
)
