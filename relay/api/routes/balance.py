"""The balance of the accounts that a team uses."""

from typing import Final

from relay.api.call import Call
from relay.api.exchange import Answer
from relay.api.lists import ListOf, page_answer
from relay.api.operations import Operation, Respond
from relay.domain.accounts import BalanceView


async def get_balance(call: Call) -> Answer:
    """Last known balances."""
    balances = await call.services.balances.of_team(call.principal)
    return page_answer("balance", balances, None, path=call.path, query=b"")


OPERATIONS: Final = (
    Operation(
        id="getBalance",
        method="GET",
        path="/v1/balance",
        tag="Balance",
        summary="Show the last known balance of the accounts that the team uses",
        description="One row per account, all in one page; `as_of` says when the provider was asked.",
        scope="balance:read",
        run=get_balance,
        answers=(Respond(status=200, description="The balances.", body=ListOf[BalanceView]),),
    ),
)
