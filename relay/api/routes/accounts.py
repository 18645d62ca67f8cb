"""Provider accounts, for the platform team."""

from typing import Final

import msgspec

from relay.api.account_inputs import (
    AccountCreated,
    AccountInput,
    AccountPatchInput,
    CallbackUrls,
    account_changes,
    account_request,
)
from relay.api.call import Call, created, etag, found
from relay.api.exchange import Answer
from relay.api.lists import ListOf, page_answer, page_of
from relay.api.operations import Operation, Respond
from relay.api.queries import PageQuery
from relay.domain.accounts import AccountView, view_of
from relay.domain.errors import AlreadyExists, InUse
from relay.domain.ids import AccountId
from relay.services.admin.account_requests import AccountChanges

_ENCODER: Final = msgspec.json.Encoder()


async def create_account(call: Call) -> Answer:
    """Add an account; its callback addresses are shown this once."""
    wanted, body = await call.json(AccountInput)
    request = account_request(wanted)
    use = call.key_use(body)

    def render(view: AccountView, token: str) -> bytes:
        return _ENCODER.encode(AccountCreated(**msgspec.structs.asdict(view), callback_urls=callback_urls(call, token)))

    with call.services.in_flight.enter(use):
        answer = created(call, await call.services.accounts_admin.create_account(request, call.actor, use, render))
    # Its first version, for a replay as well: it has the body of that time.
    answer.headers.append(etag(1))
    return answer


def callback_urls(call: Call, token: str) -> CallbackUrls:
    """Where the provider is to push to."""
    base = call.settings.public_url or _own_address(call)
    return CallbackUrls(report=f"{base}/callbacks/{token}/report", mo=f"{base}/callbacks/{token}/mo")


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
    account = await call.services.store.account(account_id_of(call))
    return found(None if account is None else view_of(account), "account", account.version if account else None)


async def change_account(call: Call) -> Answer:
    """Change its settings."""
    account_id, if_match = account_id_of(call), call.if_match
    wanted, _ = await call.json(AccountPatchInput)
    account = await call.services.accounts_admin.change_account(
        account_id, account_changes(wanted), call.actor, if_match
    )
    return found(view_of(account), "account", account.version)


async def disable_account(call: Call) -> Answer:
    """It sends and pulls nothing more."""
    return await _switch(call, disabled=True)


async def enable_account(call: Call) -> Answer:
    """It sends and pulls again."""
    return await _switch(call, disabled=False)


async def _switch(call: Call, *, disabled: bool) -> Answer:
    account = await call.services.accounts_admin.change_account(
        account_id_of(call), AccountChanges(disabled=disabled), call.actor, call.if_match
    )
    return found(view_of(account), "account", account.version)


async def delete_account(call: Call) -> Answer:
    """Delete it, when nothing needs it."""
    await call.services.accounts_admin.delete_account(account_id_of(call), call.actor, call.if_match)
    return Answer(204, b"")


def account_id_of(call: Call) -> AccountId:
    """The account in the path. Raises NotFound for what cannot be one."""
    return AccountId(call.parameter("account_id"))


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
                status=201,
                description="Created.",
                body=AccountCreated,
                headers=("Location", "ETag", "Idempotent-Replayed"),
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
        answers=(Respond(status=200, description="The account.", body=AccountView, headers=("ETag",)),),
    ),
    Operation(
        id="changeAccount",
        method="PATCH",
        path="/v1/admin/accounts/{account_id}",
        tag="Platform",
        summary="Change a provider account",
        description="A JSON merge patch, in every replica within seconds. `codes` is merged, too. Credentials are "
        "changed by `rotate-credentials`.",
        scope="admin",
        run=change_account,
        body=AccountPatchInput,
        body_examples={
            "slower": {"requests_per_s": 5, "pull_inbound": False},
            "codes": {"codes": {"08": {"class": "throttled", "retryable": True, "scope": "account"}, "99": None}},
            "disable": {"disabled": True},
        },
        versioned=True,
        answers=(Respond(status=200, description="The account.", body=AccountView, headers=("ETag",)),),
        refusals=(AlreadyExists,),
    ),
    *(
        Operation(
            id=f"{verb}Account",
            method="POST",
            path=f"/v1/admin/accounts/{{account_id}}/{verb}",
            tag="Platform",
            summary=f"{verb.capitalize()} a provider account",
            description=description,
            scope="admin",
            run=run,
            versioned=True,
            answers=(Respond(status=200, description="The account.", body=AccountView, headers=("ETag",)),),
        )
        for verb, run, description in (
            (
                "disable",
                disable_account,
                "It sends and pulls nothing more. What waits for it goes to the team's other accounts, or waits on; "
                "callbacks are taken.",
            ),
            ("enable", enable_account, "It sends and pulls again."),
        )
    ),
    Operation(
        id="deleteAccount",
        method="DELETE",
        path="/v1/admin/accounts/{account_id}",
        tag="Platform",
        summary="Delete a provider account",
        description="Refused while a team names it, an extension is leased on it, a message of it is not final, or it "
        "takes traffic (disable it first, and half a minute before). Its credentials and callback tokens are erased; "
        "messages of the past still name it.",
        scope="admin",
        run=delete_account,
        versioned=True,
        answers=(Respond(status=204, description="Deleted."),),
        refusals=(InUse,),
    ),
)
