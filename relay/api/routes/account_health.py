"""How a provider account is: its circuit breaker, and what waits for it."""

from typing import Final

from relay.api.call import Call, found
from relay.api.exchange import Answer
from relay.api.operations import Operation, Respond
from relay.domain.breakers import AccountHealth


async def get_account_health(call: Call) -> Answer:
    """As this process sees it."""
    return found(await call.services.routing.health(call.parameter("account_id")), "account")


OPERATIONS: Final = (
    Operation(
        id="getAccountHealth",
        method="GET",
        path="/v1/admin/accounts/{account_id}/health",
        tag="Platform",
        summary="Show the circuit breaker of a provider account",
        description="`open`: nothing goes through until `next_probe_at`, because the provider refused the account, or "
        "too many submissions could not be sent; `half_open`: one probe does; `slow_start`: ever more at once. Each "
        "replica has breakers of its own: the answer is that of the replica that was asked.",
        scope="admin",
        run=get_account_health,
        answers=(Respond(status=200, description="The breaker.", body=AccountHealth),),
    ),
)
