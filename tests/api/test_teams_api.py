"""Teams as they are changed, deleted and looked at by the platform team."""

from typing import Any

import httpx
import pytest

from relay.domain.teams import TEAM_SCOPES

NUMBER = "13800130001"
USUAL = {"otp": {"per_minute": 1, "per_hour": 5, "per_day": 10}}
NO_LIMIT = {"per_minute": None, "per_hour": None, "per_day": None}


async def add(gateway: Any, **team: object) -> dict[str, Any]:
    """A team."""
    made = await gateway.admin.post("/v1/admin/teams", json={"name": "shop"} | team)
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json()
    return answer


async def patch(gateway: Any, team_id: str, change: dict[str, Any], **headers: str) -> httpx.Response:
    """Change it."""
    answer: httpx.Response = await gateway.admin.patch(f"/v1/admin/teams/{team_id}", json=change, headers=headers)
    return answer


def wrong(answer: httpx.Response) -> tuple[int, str, list[str]]:
    """What is wrong, and where."""
    return answer.status_code, answer.json()["code"], [error["pointer"] for error in answer.json()["errors"]]


async def account(gateway: Any, name: str, **settings: object) -> str:
    """Another account; its id."""
    body = {"name": name, "base_url": "https://sms.example.com", "account": name, "password": "x" * 12} | settings
    made = await gateway.admin.post("/v1/admin/accounts", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def test_every_field_of_a_team_can_be_changed_and_what_is_left_out_stays(gateway: Any) -> None:
    team = await add(gateway)
    account_id = await account(gateway, "second")
    changes: dict[str, Any] = {
        "name": "shop two",
        "signature": "【商店】",
        "accounts": [account_id],
        "extensions": ["102", "101"],
        "quota_units_per_day": 0,
        "requests_per_s": 2.5,
        "account_policy": "weight",
        "dedupe_window_s": 60,
    }
    for number, (name, value) in enumerate(changes.items(), start=2):
        answer = await patch(gateway, team["id"], {name: value})
        team[name] = sorted(value) if name == "extensions" else value

        assert (answer.status_code, answer.json(), answer.headers["etag"]) == (200, team, f'"{number}"')
    got = await gateway.admin.get(f"/v1/admin/teams/{team['id']}")
    assert (got.json(), got.headers["etag"]) == (team, '"9"')
    cleared = await patch(
        gateway, team["id"], {"signature": None, "quota_units_per_day": None, "requests_per_s": None, "extensions": []}
    )
    assert cleared.json() == team | {
        "signature": None,
        "quota_units_per_day": None,
        "requests_per_s": None,
        "extensions": [],
    }


async def test_a_change_is_audited_with_what_it_changed(gateway: Any) -> None:
    team = await add(gateway)
    await patch(gateway, team["id"], {"name": "shop two", "quota_units_per_day": 5})
    await patch(gateway, team["id"], {"name": "shop two"})

    entry, before = (await gateway.admin.get("/v1/admin/audit?limit=2")).json()["data"]

    assert (entry["action"], entry["target"], before["action"]) == ("team.updated", team["id"], "team.created")
    assert entry["detail"] == {
        "before": {"name": "shop", "quota_units_per_day": None},
        "after": {"name": "shop two", "quota_units_per_day": 5},
    }


async def test_who_has_not_seen_the_last_change_changes_nothing(gateway: Any) -> None:
    team = await add(gateway)
    await patch(gateway, team["id"], {"requests_per_s": 7}, **{"if-match": '"1"'})

    late = await patch(gateway, team["id"], {"requests_per_s": 8}, **{"if-match": '"1"'})
    deleted = await gateway.admin.delete(f"/v1/admin/teams/{team['id']}", headers={"if-match": '"1"'})

    assert [answer.status_code for answer in (late, deleted)] == [412, 412]
    assert (await gateway.admin.get(f"/v1/admin/teams/{team['id']}")).json()["requests_per_s"] == 7


async def test_a_lease_is_a_change_of_its_team(gateway: Any) -> None:
    team = await add(gateway)
    await gateway.admin.post("/v1/admin/extensions", json={"team_id": team["id"]})

    late = await patch(gateway, team["id"], {"extensions": []}, **{"if-match": '"1"'})

    assert late.status_code == 412


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": None}, "/name"),
        ({"name": ""}, "/name"),
        ({"color": "red"}, "/color"),
        ({"signature": "【】"}, "/signature"),
        ({"signature": "[shop]"}, "/signature"),
        ({"accounts": None}, "/accounts"),
        ({"accounts": ["acct_" + "0" * 32]}, "/accounts/0"),
        ({"extensions": ["012"]}, "/extensions/0"),
        ({"extensions": ["12", "12"]}, "/extensions/1"),
        ({"quota_units_per_day": -1}, "/quota_units_per_day"),
        ({"requests_per_s": 0}, "/requests_per_s"),
        ({"recipient_limits": {"otp": {"per_day": 0}}}, "/recipient_limits/otp/per_day"),
        ({"recipient_limits": {"otp": {"per_week": 1}}}, "/recipient_limits/otp/per_week"),
        ({"account_policy": "cheapest"}, "/account_policy"),
        ({"dedupe_window_s": 86_401}, "/dedupe_window_s"),
    ],
)
async def test_a_change_that_cannot_be_is_pointed_at(gateway: Any, change: dict[str, object], pointer: str) -> None:
    assert wrong(await patch(gateway, gateway.team_id, change)) == (422, "body_invalid", [pointer])


async def test_a_name_that_is_taken_is_not_given_twice(gateway: Any) -> None:
    team = await add(gateway)

    assert wrong(await patch(gateway, team["id"], {"name": "orders"})) == (409, "already_exists", [])
    assert (await patch(gateway, team["id"], {"name": "shop"})).status_code == 200
    assert (await patch(gateway, "team_" + "0" * 32, {"name": "shop"})).status_code == 404


async def test_limits_per_number_are_merged_with_those_that_hold(gateway: Any) -> None:
    team = await add(gateway)
    assert team["recipient_limits"] == USUAL
    steps: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"otp": {"per_hour": 3}}, {"otp": {"per_minute": 1, "per_hour": 3, "per_day": 10}}),
        ({"otp": {}}, {"otp": {"per_minute": 1, "per_hour": 3, "per_day": 10}}),
        (
            {"marketing": {"per_day": 2}},
            {"otp": {"per_minute": 1, "per_hour": 3, "per_day": 10}, "marketing": NO_LIMIT | {"per_day": 2}},
        ),
        ({"otp": NO_LIMIT, "marketing": None}, {"otp": NO_LIMIT}),
        ({"otp": None}, USUAL),
    ]
    for change, shown in steps:
        answer = await patch(gateway, team["id"], {"recipient_limits": change})
        assert answer.json()["recipient_limits"] == shown
    assert (await add(gateway, name="free", recipient_limits={"otp": {}}))["recipient_limits"] == {"otp": NO_LIMIT}


# -- deleting --------------------------------------------------------------------------------------------------------


async def test_a_deleted_team_is_gone_with_its_keys_leases_and_endpoints(gateway: Any) -> None:
    team = await add(gateway, extensions=["101"])
    secret = await gateway.key(team["id"], TEAM_SCOPES)
    client = gateway.with_key(secret)
    endpoint = (await client.post("/v1/webhook-endpoints", json={"url": "https://hooks.example.com/"})).json()

    deleted = await gateway.admin.delete(f"/v1/admin/teams/{team['id']}")

    assert (deleted.status_code, deleted.content, gateway.gone) == (204, b"", [endpoint["id"]])
    for method, path in (("GET", ""), ("DELETE", ""), ("PATCH", ""), ("GET", "/usage"), ("DELETE", "/extensions/101")):
        body: dict[str, str] | None = {} if method == "PATCH" else None
        answer = await gateway.admin.request(method, f"/v1/admin/teams/{team['id']}{path}", json=body)
        assert answer.status_code == 404, (method, path)
    listed = (await gateway.admin.get("/v1/admin/teams")).json()["data"]
    assert [one["name"] for one in listed] == ["orders"]
    assert await gateway.store.load_endpoint(endpoint["id"]) is None
    gateway.clock.ms += 5_001
    assert (await client.get("/v1/messages")).status_code == 401
    assert (await add(gateway, extensions=["101"]))["name"] == "shop"


async def test_a_team_is_not_deleted_while_its_messages_are_under_way(gateway: Any) -> None:
    gateway.submissions.started.clear()
    sent = await gateway.client.post("/v1/messages", json={"to": NUMBER, "text": "hello"})
    assert sent.status_code == 202
    key = f"/v1/admin/teams/{gateway.team_id}"

    refused = await gateway.admin.delete(key)

    assert wrong(refused) == (409, "in_use", [])
    assert (await gateway.client.get(sent.headers["location"])).status_code == 200
    assert (await gateway.admin.get(key)).headers["etag"] == '"1"'


async def test_a_key_for_a_team_that_was_deleted_is_refused(gateway: Any) -> None:
    team = await add(gateway)
    await gateway.admin.delete(f"/v1/admin/teams/{team['id']}")

    refused = await gateway.admin.post("/v1/admin/keys", json={"team_id": team["id"], "scopes": ["messages:read"]})
    # It was made in the very moment.
    late = gateway.with_key(await gateway.key(team["id"], TEAM_SCOPES))

    assert wrong(refused) == (422, "body_invalid", ["/team_id"])
    assert (await late.get("/v1/messages")).status_code == 401


# -- quota -----------------------------------------------------------------------------------------------------------


async def usage(gateway: Any) -> tuple[int, int | None, int | None]:
    """Used, quota, left."""
    answer = (await gateway.admin.get(f"/v1/admin/teams/{gateway.team_id}/usage")).json()
    assert (answer["day"], answer["resets_at"]) == ("2026-11-18", "2026-11-18T16:00:00Z")
    return answer["units_used"], answer["quota_units_per_day"], answer["units_left"]


async def test_a_quota_may_be_set_lowered_and_lifted_during_the_day(gateway: Any) -> None:
    async def send(numbers: int) -> str:
        to = [str(13800130000 + number) for number in range(numbers)]
        answer = await gateway.client.post("/v1/messages", json={"to": to, "text": "hello"})
        return "accepted" if answer.status_code == 202 else str(answer.json()["code"])

    async def allow(units: int | None) -> None:
        assert (await patch(gateway, gateway.team_id, {"quota_units_per_day": units})).status_code == 200
        gateway.clock.ms += 5_001

    assert (await send(4), await usage(gateway)) == ("accepted", (4, None, None))
    await allow(10)
    assert await usage(gateway) == (4, 10, 6)
    assert [await send(6), await send(1)] == ["accepted", "quota_exceeded"]
    await allow(8)
    assert ([await send(1), await send(9)], await usage(gateway)) == (
        ["quota_exceeded", "quota_too_small"],
        (10, 8, 0),
    )
    await allow(None)
    assert (await send(3), await usage(gateway)) == ("accepted", (13, None, None))
    await allow(14)
    assert ([await send(1), await send(1)], await usage(gateway)) == (["accepted", "quota_exceeded"], (14, 14, 0))
    await allow(0)
    assert (await send(1), await usage(gateway)) == ("quota_too_small", (14, 0, 0))
