"""How a provider account is, for the platform team."""

from typing import Any

from relay.domain.provider import Refused

NO_MONEY = Refused(code="03", message=None, reason="balance", scope="account")


async def test_an_account_that_works_says_so(gateway: Any) -> None:
    (account,) = gateway.accounts.all()

    answer = await gateway.admin.get(f"/v1/admin/accounts/{account.id}/health")

    assert answer.status_code == 200
    shown = answer.json()
    assert (shown.pop("account_id"), shown.pop("since")) == (account.id, "2026-11-18T11:06:40Z")
    assert shown == {"disabled": False, "state": "closed", "reason": None, "next_probe_at": None, "waiting": 0}


async def test_an_account_that_was_refused_says_why_and_until_when_and_what_waits(gateway: Any) -> None:
    (account,) = gateway.accounts.all()
    breaker = gateway.gates.of(account).breaker
    breaker.learn(breaker.begin(), NO_MONEY)

    sent = await gateway.client.post("/v1/messages", json={"to": "13800130001", "text": "hello"})
    shown = (await gateway.admin.get(f"/v1/admin/accounts/{account.id}/health")).json()

    assert (sent.status_code, sent.json()["submissions"][0]["waiting_for"]) == (202, "account")
    assert gateway.submissions.started == []
    assert (shown["state"], shown["reason"], shown["waiting"]) == ("open", "balance", 1)
    assert shown["since"] < shown["next_probe_at"]


async def test_there_is_no_health_of_an_account_that_is_not_there(gateway: Any) -> None:
    for account_id in ("acct_" + "0" * 32, "acct_1"):
        assert (await gateway.admin.get(f"/v1/admin/accounts/{account_id}/health")).status_code == 404
