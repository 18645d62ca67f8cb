"""Who may have a test key, and what it reaches."""

from typing import Any

from relay.domain.teams import TEAM_SCOPES
from tests.api.conftest import Gateway
from tests.store import builders
from tests.store.builders import entry


async def test_a_platform_key_is_no_test_key(gateway: Any) -> None:
    answer = await gateway.admin.post("/v1/admin/keys", json={"scopes": ["admin"], "mode": "test"})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/mode")


async def _with_accounts(gateway: Gateway, *, sandbox: bool) -> tuple[str, str, Any]:
    """A real account, the sandbox when there is one, and a test key of a team that names both."""
    real = builders.account(name="real")
    made = [real]
    if sandbox:
        made.append(builders.account(name="playground", sandbox=True, account="sandbox"))
    for account in made:
        await gateway.store.create_account(account, callback_token=account.id, entry=entry(), idempotency=None)
    await gateway.accounts.refresh()
    team = builders.team(accounts=tuple(account.id for account in made), signature=None)
    await gateway.store.create_team(team, entry=entry(), idempotency=None)
    client = gateway.with_key(await gateway.key(team.id, TEAM_SCOPES, "test"))
    return real.id, made[-1].id, client


async def test_a_test_key_sends_through_the_sandbox_alone_whatever_accounts_its_team_has(gateway: Any) -> None:
    _, sandbox, client = await _with_accounts(gateway, sandbox=True)

    for number in range(3):
        sent = await client.post("/v1/messages", json={"to": f"1380013000{number}", "text": "hello"})
        assert sent.status_code == 202, sent.text

    assert [work.account_id for work in gateway.submissions.started] == [sandbox] * 3
    balance = (await client.get("/v1/balance")).json()["data"]
    assert [row["account_id"] for row in balance] == [sandbox]


async def test_without_a_sandbox_a_test_key_is_refused_and_never_sent_elsewhere(gateway: Any) -> None:
    _, _, client = await _with_accounts(gateway, sandbox=False)

    sent = await client.post("/v1/messages", json={"to": "13800130001", "text": "hello"})

    assert (sent.status_code, sent.json()["code"]) == (409, "no_account")
    assert gateway.submissions.started == []
    assert (await client.get("/v1/balance")).json()["data"] == []
