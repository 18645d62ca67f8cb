"""Operations: alive, ready, metrics."""

from typing import Final

from relay.api.call import Call
from relay.api.exchange import Answer
from relay.api.operations import Operation, Respond
from relay.domain.errors import Draining, SchemaMissing, StoreUnavailable

_ALIVE: Final = b'{"status":"ok"}'
_READY: Final = b'{"status":"ready"}'
_NO_CACHE: Final = (b"cache-control", b"no-store")


async def livez(call: Call) -> Answer:
    """The process answers."""
    return Answer(200, _ALIVE, [_NO_CACHE])


async def readyz(call: Call) -> Answer:
    """Traffic is welcome; never asks the provider."""
    await call.services.readiness.check()
    return Answer(200, _READY, [_NO_CACHE])


async def metrics(call: Call) -> Answer:
    """All metrics of this process."""
    body, media_type = call.metrics.render(call.header(b"accept"))
    return Answer(200, body, [_NO_CACHE], media_type.encode())


OPERATIONS: Final = (
    Operation(
        id="livez",
        method="GET",
        path="/livez",
        tag="Operations",
        summary="Is the process alive?",
        scope=None,
        run=livez,
        any_query=True,
        reads_store=False,
        answers=(Respond(status=200, description="Alive.", body=dict[str, str], example={"status": "ok"}),),
    ),
    Operation(
        id="readyz",
        method="GET",
        path="/readyz",
        tag="Operations",
        summary="May traffic come?",
        description="The database is reachable and migrated and the replica is not draining. Never asks the provider.",
        scope=None,
        run=readyz,
        any_query=True,
        answers=(Respond(status=200, description="Ready.", body=dict[str, str], example={"status": "ready"}),),
        refusals=(Draining, StoreUnavailable, SchemaMissing),
    ),
    Operation(
        id="metrics",
        method="GET",
        path="/metrics",
        tag="Operations",
        summary="Metrics for Prometheus",
        description="Prometheus text; OpenMetrics when the Accept header asks for it.",
        scope=None,
        run=metrics,
        any_query=True,
        reads_store=False,
        answers=(
            Respond(status=200, description="The metrics.", media_type="text/plain"),
            Respond(status=200, description="The metrics.", media_type="application/openmetrics-text"),
        ),
    ),
)
