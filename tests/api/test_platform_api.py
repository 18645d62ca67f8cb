"""Accounts, teams and keys; webhook endpoints."""

from typing import Any

import pytest

from relay.api.app import create_app
from relay.api.services import ApiSettings

ACCOUNT = {"name": "main", "base_url": "https://sms.example.com", "account": "main", "password": "top-secret-9"}
PASSWORD_MD5 = "d8578edf8458ce06fbc5bb76a58c5ca4"


async def test_an_account_shows_its_callback_urls_once_and_its_password_never(gateway: Any) -> None:
    made = await gateway.admin.post("/v1/admin/accounts", json=ACCOUNT)
    got = await gateway.admin.get(made.headers["location"])
    listed = await gateway.admin.get("/v1/admin/accounts")

    urls = made.json()["callback_urls"]
    assert made.status_code == 201
    assert urls["report"].startswith("http://relay.test/callbacks/")
    assert urls["mo"] == urls["report"].removesuffix("report") + "mo"
    assert got.json() == {key: value for key, value in made.json().items() if key != "callback_urls"}
    assert got.json() in listed.json()["data"]
    for answer in (made, got, listed):
        assert {"password", "password_md5", "fallback"} & set(answer.json()) == set()
        assert ACCOUNT["password"] not in answer.text


async def test_callback_urls_are_public_ones_where_they_are_known(gateway: Any) -> None:
    settings = ApiSettings(public_url="https://sms.corp.example")
    app = create_app(gateway.services, metrics=gateway.metrics, settings=settings)
    secret = gateway.admin.headers["authorization"].removeprefix("Bearer ")

    made = await gateway.with_key(secret, app).post("/v1/admin/accounts", json=ACCOUNT)

    assert made.json()["callback_urls"]["mo"].startswith("https://sms.corp.example/callbacks/")


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"password": None}, "/password"),
        ({"password_md5": PASSWORD_MD5}, "/password"),
        ({"password": None, "password_md5": "xyz"}, "/password_md5"),
        ({"base_url": "ftp://sms.example.com"}, "/base_url"),
        ({"base_url": "http://user:word@sms.example.com"}, "/base_url"),
        ({"base_url": "http://sms.example.com:99999"}, "/base_url"),
        ({"base_url": "http://[::1"}, "/base_url"),
        ({"codes": {"00": {"class": "throttled"}}}, "/codes/00"),
        ({"max_mobiles": 3001}, "/max_mobiles"),
        ({"requests_per_s": 0}, "/requests_per_s"),
        ({"connections": 1001}, "/connections"),
        ({"timeout_s": 0.5}, "/timeout_s"),
        ({"pull_interval_s": 0.1}, "/pull_interval_s"),
        ({"callback_allow": ["10.0.0.0/8", "here"]}, "/callback_allow/1"),
        ({"codes": {"01": {"class": "nope"}}}, "/codes/01/class"),
        ({"codes": {"01": {"clas": "auth"}}}, "/codes/01/clas"),
        ({"name": " "}, "/name"),
        ({"pull_reports": "yes"}, "/pull_reports"),
    ],
)
async def test_an_account_out_of_range_is_pointed_at(gateway: Any, more: dict[str, object], pointer: str) -> None:
    answer = await gateway.admin.post("/v1/admin/accounts", json=ACCOUNT | more)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert PASSWORD_MD5 not in answer.text


async def test_an_account_with_everything_said_is_taken(gateway: Any) -> None:
    body = ACCOUNT | {
        "name": "full",
        "password": None,
        "password_md5": PASSWORD_MD5,
        "pwd_case": "upper",
        "pull_interval_s": 1,
        "callback_allow": ["203.0.113.7", "2001:db8::/32"],
        "codes": {"01": {"class": "auth", "scope": "account"}},
    }

    made = await gateway.admin.post("/v1/admin/accounts", json=body)

    assert made.status_code == 201
    assert made.json()["codes"] == {"01": {"class": "auth", "retryable": False, "scope": "account"}}


async def test_a_taken_name_is_409(gateway: Any) -> None:
    await gateway.admin.post("/v1/admin/teams", json={"name": "twice"})

    answer = await gateway.admin.post("/v1/admin/teams", json={"name": "twice"})

    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")


async def test_a_team_is_made_looked_up_and_listed(gateway: Any) -> None:
    body = {
        "name": "shop",
        "signature": "【示例】",
        "extensions": ["101"],
        "quota_units_per_day": 1000,
        "requests_per_s": 2.5,
        "recipient_limits": {"otp": {"per_minute": 1}},
    }

    made = await gateway.admin.post("/v1/admin/teams", json=body)
    got = await gateway.admin.get(made.headers["location"])

    assert made.status_code == 201
    assert got.json() == made.json()
    assert {name: got.json()[name] for name in body} == body | {
        "recipient_limits": {"otp": {"per_minute": 1, "per_hour": None, "per_day": None}}
    }
    assert [team["name"] for team in (await gateway.admin.get("/v1/admin/teams?limit=1")).json()["data"]] == ["shop"]


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"signature": "示例"}, "/signature"),
        ({"extensions": ["101", "101"]}, "/extensions/1"),
        ({"accounts": ["acct_1"]}, "/accounts/0"),
        ({"recipient_limits": {"otp": {"per_day": 0}}}, "/recipient_limits/otp/per_day"),
        ({"recipient_limits": {"spam": {}}}, "/recipient_limits/spam"),
        ({"requests_per_s": 10001}, "/requests_per_s"),
        ({"quota_units_per_day": -1}, "/quota_units_per_day"),
    ],
)
async def test_a_team_out_of_range_is_pointed_at(gateway: Any, more: dict[str, object], pointer: str) -> None:
    answer = await gateway.admin.post("/v1/admin/teams", json={"name": "shop"} | more)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_key_shows_its_secret_once_and_works(gateway: Any) -> None:
    made = await gateway.admin.post(
        "/v1/admin/keys", json={"team_id": gateway.team_id, "scopes": ["messages:read"], "mode": "test"}
    )
    got = await gateway.admin.get(made.headers["location"])
    listed = await gateway.admin.get("/v1/admin/keys", params={"team_id": gateway.team_id})

    secret = made.json()["secret"]
    assert (made.status_code, secret[:8]) == (201, "rk_test_")
    assert secret not in got.text + listed.text
    assert got.json() in listed.json()["data"]
    assert (await gateway.with_key(secret).get("/v1/messages")).status_code == 200


async def test_a_replayed_key_shows_the_same_secret(gateway: Any) -> None:
    body = {"team_id": gateway.team_id, "scopes": ["messages:read"]}
    headers = {"idempotency-key": "first key"[:5]}

    first = await gateway.admin.post("/v1/admin/keys", json=body, headers=headers)
    again = await gateway.admin.post("/v1/admin/keys", json=body, headers=headers)

    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (201, first.content, "true")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"scopes": ["messages:read"]}, "/team_id"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["messages:write"]}, "/scopes/0"),
        ({"scopes": ["admin", "messages:read"]}, "/scopes"),
        ({"scopes": ["admin"], "team_id": "team_" + "0" * 32}, "/team_id"),
        ({"scopes": ["messages:read"], "team_id": "team_" + "0" * 32}, "/team_id"),
        ({"scopes": ["admin"], "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
    ],
)
async def test_a_key_that_cannot_be_is_pointed_at(gateway: Any, body: dict[str, object], pointer: str) -> None:
    answer = await gateway.admin.post("/v1/admin/keys", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_an_endpoint_shows_its_secret_once_and_can_be_deleted(gateway: Any) -> None:
    body = {"url": "https://hooks.example.com/sms", "event_types": ["message.*"], "max_in_flight": 4}

    made = await gateway.client.post("/v1/webhook-endpoints", json=body)
    got = await gateway.client.get(made.headers["location"])
    listed = await gateway.client.get("/v1/webhook-endpoints")
    deleted = await gateway.client.delete(made.headers["location"])
    gone = await gateway.client.get(made.headers["location"])

    assert (made.status_code, made.json()["secret"][:6]) == (201, "whsec_")
    assert got.json() == {key: value for key, value in made.json().items() if key != "secret"}
    assert listed.json()["data"] == [got.json()]
    assert (deleted.status_code, deleted.content, gone.status_code) == (204, b"", 404)
    assert "content-length" not in deleted.headers


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"url": "http://127.0.0.1/"}, 422, "endpoint_refused"),
        ({"url": "hooks.example.com"}, 422, "body_invalid"),
        ({"url": "https://hooks.example.com/" + "x" * 2048}, 422, "body_invalid"),
        ({"event_types": ["message.read"]}, 422, "body_invalid"),
        ({"max_in_flight": 257}, 422, "body_invalid"),
        ({"headers": {"webhook-id": "x"}}, 422, "body_invalid"),
        ({"headers": {"X-Key": "a\nb"}}, 422, "body_invalid"),
        ({"batch": {"max_events": 5}}, 422, "body_invalid"),
    ],
)
async def test_an_endpoint_that_cannot_be_is_refused(
    gateway: Any, more: dict[str, object], status: int, code: str
) -> None:
    answer = await gateway.client.post("/v1/webhook-endpoints", json={"url": "https://hooks.example.com/"} | more)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_the_balance_is_a_list_of_the_accounts_of_the_team(gateway: Any) -> None:
    answer = await gateway.client.get("/v1/balance")

    assert [(row["account_name"], row["balance"]) for row in answer.json()["data"]] == [("sandbox", None)]


async def test_deliveries_and_inbound_messages_start_empty(gateway: Any) -> None:
    for path in ("/v1/deliveries?status=pending", "/v1/inbound"):
        assert (await gateway.client.get(path)).json() == {"data": [], "next_cursor": None, "has_more": False}
