"""Provider accounts, for the platform team."""

from typing import Final

import msgspec

from relay.api.account_inputs import AccountCreated, AccountInput, CallbackUrls, account_request
from relay.api.call import Call, created, found
from relay.api.exchange import Answer
from relay.api.lists import ListOf, page_answer, page_of
from relay.api.operations import Operation, Respond
from relay.api.queries import PageQuery
from relay.domain.accounts import AccountView, view_of
from relay.domain.errors import AlreadyExists

_ENCODER: Final = msgspec.json.Encoder()


async def create_account(call: Call) -> Answer:
    """Add an account; its callback addresses are shown this once."""
    wanted, body = await call.json(AccountInput)
    request = account_request(wanted)
    use = call.key_use(body)
    base = call.settings.public_url or _own_address(call)

    def render(view: AccountView, token: str) -> bytes:
        urls = CallbackUrls(report=f"{base}/callbacks/{token}/report", mo=f"{base}/callbacks/{token}/mo")
        return _ENCODER.encode(AccountCreated(**msgspec.structs.asdict(view), callback_urls=urls))

    with call.services.in_flight.enter(use):
        return created(call, await call.services.accounts_admin.create_account(request, call.actor, use, render))


def _own_address(call: Call) -> str:
    return f"{call.scope['scheme']}://{call.header(b'host') or 'localhost'}"


async def list_accounts(call: Call) -> Answer:
    """All accounts, oldest first. They are few: the store gives all, the page is cut here."""
    position, limit = page_of("accounts", call.query(PageQuery))
    rest = [account for account in await call.services.store.accounts() if position is None or account.id > position]
    page = rest[:limit]
    after = page[-1].id if len(rest) > limit else None
    return page_answer("accounts", [view_of(account) for account in page], after, path=call.path, query=call.raw_query)


async def get_account(call: Call) -> Answer:
    """One account."""
    account_id = call.parameter("account_id")
    views = [view_of(account) for account in await call.services.store.accounts() if account.id == account_id]
    return found(views[0] if views else None, "account")


OPERATIONS: Final = (
    Operation(
        id="createAccount",
        method="POST",
        path="/v1/admin/accounts",
        tag="Platform",
        summary="Add a provider account",
        description="`callback_urls` are shown this once; register them with the provider.",
        scope="admin",
        run=create_account,
        body=AccountInput,
        body_examples={
            "sandbox": {
                "name": "sandbox",
                "base_url": "embedded:sandbox",
                "account": "sandbox",
                "password": "sandbox-password",
            }
        },
        creates=True,
        answers=(
            Respond(
                status=201, description="Created.", body=AccountCreated, headers=("Location", "Idempotent-Replayed")
            ),
        ),
        refusals=(AlreadyExists,),
    ),
    Operation(
        id="listAccounts",
        method="GET",
        path="/v1/admin/accounts",
        tag="Platform",
        summary="List provider accounts, oldest first",
        scope="admin",
        run=list_accounts,
        query=PageQuery,
        answers=(Respond(status=200, description="One page.", body=ListOf[AccountView], headers=("Link",)),),
    ),
    Operation(
        id="getAccount",
        method="GET",
        path="/v1/admin/accounts/{account_id}",
        tag="Platform",
        summary="Look up a provider account",
        scope="admin",
        run=get_account,
        answers=(Respond(status=200, description="The account.", body=AccountView),),
    ),
)
