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


async def list_balances(call: Call) -> Answer:
    """Last known balances of all accounts."""
    balances = await call.services.balances.of_all()
    return page_answer("balances", balances, None, path=call.path, query=b"")


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
    Operation(
        id="listBalances",
        method="GET",
        path="/v1/admin/balances",
        tag="Platform",
        summary="List the last known balance of every provider account",
        description="All in one page; `as_of` says when the provider was asked.",
        scope="admin",
        run=list_balances,
        answers=(Respond(status=200, description="The balances.", body=ListOf[BalanceView]),),
    ),
)
