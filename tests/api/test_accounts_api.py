"""The life of a provider account, from its first change to its end."""

from typing import Any

import pytest

from relay.domain.ids import AccountId
from tests.api.accounts import audited, made

# -- change ----------------------------------------------------------------------------------------------------------


async def test_a_change_merges_counts_the_version_up_and_is_audited(gateway: Any) -> None:
    codes = {"01": {"class": "auth"}, "08": {"class": "busy"}}
    path, body = await made(gateway, codes=codes, low_balance=100)

    wanted = {
        "weight": 3,
        "low_balance": None,
        "codes": {"01": None, "08": {"retryable": True}, "09": {"class": "content"}},
    }
    changed = await gateway.admin.patch(path, json=wanted, headers={"if-match": '"1"'})

    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    after = {
        "08": {"class": "busy", "retryable": True, "scope": "task"},
        "09": {"class": "content", "retryable": False, "scope": "task"},
    }
    del body["callback_urls"]
    assert changed.json() == body | {"weight": 3, "low_balance": None, "codes": after}
    got = await gateway.admin.get(path)
    assert (got.json(), got.headers["etag"]) == (changed.json(), '"2"')
    assert gateway.accounts.get(AccountId(body["id"])).weight == 3
    (detail,) = await audited(gateway, "account.updated")
    assert detail["before"] == {"weight": 1, "low_balance": 100, "codes": body["codes"]}


async def test_a_change_of_an_older_version_is_refused_and_one_that_changes_nothing_is_none(gateway: Any) -> None:
    path, _ = await made(gateway)
    await gateway.admin.patch(path, json={"weight": 3})

    stale = await gateway.admin.patch(path, json={"weight": 4}, headers={"if-match": '"1"'})
    same = await gateway.admin.patch(path, json={"weight": 3}, headers={"if-match": '"2"'})

    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert (same.status_code, same.headers["etag"]) == (200, '"2"')
    assert len(await audited(gateway, "account.updated")) == 1


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"weight": None}, "/weight"),
        ({"name": None}, "/name"),
        ({"password": "x"}, "/password"),
        ({"account": "x"}, "/account"),
        ({"base_url": "http://[::1"}, "/base_url"),
        ({"callback_allow": ["nowhere"]}, "/callback_allow/0"),
        ({"codes": {"77": {"retryable": True}}}, "/codes/77/class"),
        ({"codes": {"00": None}}, "/codes/00"),
    ],
)
async def test_a_wrong_change_is_pointed_at_and_changes_nothing(
    gateway: Any, wanted: dict[str, Any], pointer: str
) -> None:
    path, _ = await made(gateway)

    answer = await gateway.admin.patch(path, json=wanted)

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert (await gateway.admin.get(path)).headers["etag"] == '"1"'


async def test_a_name_is_taken_once(gateway: Any) -> None:
    await made(gateway)
    path, _ = await made(gateway, name="other")

    assert (await gateway.admin.patch(path, json={"name": "main"})).json()["code"] == "already_exists"
    assert (await gateway.admin.patch(path, json={"name": "other", "weight": 2})).status_code == 200


async def test_disable_and_enable_are_changes(gateway: Any) -> None:
    path, _ = await made(gateway)

    off = await gateway.admin.post(f"{path}/disable", headers={"if-match": '"1"'})
    stale = await gateway.admin.post(f"{path}/enable", headers={"if-match": '"1"'})
    on = await gateway.admin.post(f"{path}/enable")

    assert (off.json()["disabled"], stale.status_code, on.json()["disabled"]) == (True, 412, False)


# -- the end ---------------------------------------------------------------------------------------------------------


async def test_a_deleted_account_is_gone_and_its_name_and_callbacks_with_it(gateway: Any) -> None:
    path, body = await made(gateway)
    report = body["callback_urls"]["report"].removeprefix("http://relay.test")
    assert (await gateway.client.post(report, content=b"{}")).status_code == 200

    stale = await gateway.admin.delete(path, headers={"if-match": '"7"'})
    gone = await gateway.admin.delete(path, headers={"if-match": '"1"'})

    assert (stale.status_code, gone.status_code, gone.content) == (412, 204, b"")
    for answer in (
        await gateway.admin.get(path),
        await gateway.admin.delete(path),
        await gateway.admin.patch(path, json={"weight": 2}),
        await gateway.admin.post(f"{path}/rotate-credentials", json={"password": "x"}),
        await gateway.admin.post(f"{path}/rotate-callback-token"),
        await gateway.admin.get(f"{path}/callback-tokens"),
        await gateway.admin.post(f"{path}/probe"),
        await gateway.client.post(report, content=b"{}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    listed = (await gateway.admin.get("/v1/admin/accounts")).json()["data"]
    assert body["id"] not in [account["id"] for account in listed]
    await made(gateway)


async def test_an_account_that_a_team_names_or_that_has_sent_is_in_use(gateway: Any) -> None:
    path, body = await made(gateway)
    await gateway.admin.post("/v1/admin/teams", json={"name": "shop", "accounts": [body["id"]]})
    sandbox = f"/v1/admin/accounts/{gateway.account_id}"

    named = await gateway.admin.delete(path)
    sent = await gateway.client.post("/v1/messages", json={"to": "13800130001", "text": "x"})
    sending = await gateway.admin.delete(f"/v1/admin/accounts/{sent.json()['submissions'][0]['account_id']}")

    assert (named.status_code, named.json()["code"], named.json()["detail"]) == (
        409,
        "in_use",
        "The team 'shop' names this account.",
    )
    assert (sending.status_code, sending.json()["code"]) == (409, "in_use")
    assert (await gateway.admin.get(sandbox)).status_code == 200
