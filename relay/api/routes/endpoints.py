"""Webhook endpoints of a team."""

from typing import Final

import msgspec

from relay.api.call import Call, created, found
from relay.api.exchange import Answer
from relay.api.inputs import EndpointCreated, EndpointInput, endpoint_request
from relay.api.lists import ListOf, page_answer, page_of
from relay.api.operations import Operation, Respond
from relay.api.queries import PageQuery
from relay.domain.endpoints import EndpointView
from relay.domain.errors import EndpointRefused, NotFound

_ENCODER: Final = msgspec.json.Encoder()


def _render(view: EndpointView, secret: str) -> bytes:
    return _ENCODER.encode(EndpointCreated(**msgspec.structs.asdict(view), secret=secret))


async def create_endpoint(call: Call) -> Answer:
    """Subscribe an address to events."""
    wanted, body = await call.json(EndpointInput)
    request = endpoint_request(wanted)
    use = call.key_use(body)
    with call.services.in_flight.enter(use):
        return created(call, await call.services.subscribe.create(call.team.id, request, use, _render))


async def list_endpoints(call: Call) -> Answer:
    """Endpoints of the team, newest first."""
    position, limit = page_of("endpoints", call.query(PageQuery))
    page = await call.services.store.endpoint_views(call.team.id, position=position, limit=limit)
    return page_answer("endpoints", page.data, page.next_position, path=call.path, query=call.raw_query)


async def get_endpoint(call: Call) -> Answer:
    """One endpoint."""
    return found(await call.services.store.endpoint_view(call.team.id, call.parameter("endpoint_id")), "endpoint")


async def delete_endpoint(call: Call) -> Answer:
    """Nothing is sent there any more."""
    if not await call.services.subscribe.delete(call.team.id, call.parameter("endpoint_id")):
        raise NotFound("There is no such endpoint.")
    return Answer(204, b"")


OPERATIONS: Final = (
    Operation(
        id="createWebhookEndpoint",
        method="POST",
        path="/v1/webhook-endpoints",
        tag="Webhooks",
        summary="Subscribe an address to events",
        description="Webhooks follow Standard Webhooks 1.0.0; `secret` signs them and is shown this once.",
        scope="webhooks:manage",
        run=create_endpoint,
        body=EndpointInput,
        body_examples={
            "all": {"url": "https://orders.example.com/hooks/sms"},
            "some": {"url": "https://orders.example.com/hooks/sms", "event_types": ["message.*", "inbound.received"]},
        },
        creates=True,
        answers=(
            Respond(
                status=201, description="Created.", body=EndpointCreated, headers=("Location", "Idempotent-Replayed")
            ),
        ),
        refusals=(EndpointRefused,),
    ),
    Operation(
        id="listWebhookEndpoints",
        method="GET",
        path="/v1/webhook-endpoints",
        tag="Webhooks",
        summary="List webhook endpoints, newest first",
        scope="webhooks:manage",
        run=list_endpoints,
        query=PageQuery,
        answers=(Respond(status=200, description="One page.", body=ListOf[EndpointView], headers=("Link",)),),
    ),
    Operation(
        id="getWebhookEndpoint",
        method="GET",
        path="/v1/webhook-endpoints/{endpoint_id}",
        tag="Webhooks",
        summary="Look up a webhook endpoint",
        scope="webhooks:manage",
        run=get_endpoint,
        answers=(Respond(status=200, description="The endpoint.", body=EndpointView),),
    ),
    Operation(
        id="deleteWebhookEndpoint",
        method="DELETE",
        path="/v1/webhook-endpoints/{endpoint_id}",
        tag="Webhooks",
        summary="Delete a webhook endpoint",
        description="Its deliveries that are still pending end as `discarded`.",
        scope="webhooks:manage",
        run=delete_endpoint,
        answers=(Respond(status=204, description="Deleted."),),
    ),
)
