"""Opt-outs and balances by the API."""

from typing import Any

import pytest

from relay.domain.provider import Balance

ONE, TWO = "13800130001", "13800130002"


async def test_a_team_adds_looks_up_and_removes_its_own(gateway: Any) -> None:
    added = await gateway.client.post("/v1/suppressions", json={"number": "+86 138 0013 0001"})

    shown = added.json()
    assert (added.status_code, added.headers["location"]) == (201, f"/v1/suppressions/{shown['id']}")
    assert shown == {
        "id": shown["id"],
        "team_id": gateway.team_id,
        "number": ONE,
        "source": "api",
        "keyword": None,
        "created_at": "2026-11-18T11:06:40Z",
    }
    gateway.clock.ms += 1000
    again = await gateway.client.post("/v1/suppressions", json={"number": ONE})
    assert (again.status_code, again.json()) == (200, shown)
    assert (await gateway.client.get(added.headers["location"])).json() == shown
    assert (await gateway.client.get("/v1/suppressions", params={"number": ONE})).json()["data"] == [shown]
    assert (await gateway.client.get("/v1/suppressions", params={"number": TWO})).json()["data"] == []
    removed = await gateway.client.delete(added.headers["location"])
    assert (removed.status_code, removed.content) == (204, b"")
    assert (await gateway.client.delete(added.headers["location"])).status_code == 404
    assert (await gateway.client.get("/v1/suppressions")).json()["data"] == []


async def test_the_same_key_gets_the_same_answer_and_a_removed_number_stays_removed(gateway: Any) -> None:
    headers = {"idempotency-key": "unsubscribe-7"}
    for path, body in (
        ("/v1/suppressions", {"number": ONE}),
        ("/v1/suppressions/import", {"numbers": [ONE]}),
    ):
        headers = {"idempotency-key": path.replace("/", "-")}
        first = await gateway.client.post(path, json=body, headers=headers)
        (listed,) = (await gateway.client.get("/v1/suppressions")).json()["data"]
        await gateway.client.delete(f"/v1/suppressions/{listed['id']}")

        again = await gateway.client.post(path, json=body, headers=headers)

        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        assert (await gateway.client.get("/v1/suppressions")).json()["data"] == []


async def test_the_platform_team_administers_those_of_every_team(gateway: Any) -> None:
    other = await gateway.team("other")
    body = {"team_id": other, "number": ONE}

    added = await gateway.admin.post("/v1/admin/suppressions", json=body)
    await gateway.client.post("/v1/suppressions", json={"number": ONE})

    path = f"/v1/admin/suppressions/{added.json()['id']}"
    assert (added.status_code, added.headers["location"]) == (201, path)
    everyone = (await gateway.admin.get("/v1/admin/suppressions")).json()["data"]
    assert [found["team_id"] for found in everyone] == [gateway.team_id, other]
    for query, teams in (
        ({"team_id": other}, [other]),
        ({"number": ONE}, [gateway.team_id, other]),
        ({"team_id": other, "number": ONE}, [other]),
        ({"team_id": other, "number": TWO}, []),
    ):
        found = (await gateway.admin.get("/v1/admin/suppressions", params=query)).json()["data"]
        assert [one["team_id"] for one in found] == teams
    assert (await gateway.admin.get(path)).json() == added.json()
    # To a team those of another do not exist.
    assert (await gateway.client.get(f"/v1/suppressions/{added.json()['id']}")).status_code == 404
    assert (await gateway.client.delete(f"/v1/suppressions/{added.json()['id']}")).status_code == 404
    assert (await gateway.admin.delete(path)).status_code == 204
    assert (await gateway.admin.delete(path)).status_code == 404


async def test_an_import_says_what_became_of_each_number_and_the_audit_shows_none(gateway: Any) -> None:
    await gateway.client.post("/v1/suppressions", json={"number": ONE})
    numbers = [ONE, "138 0013 0002", TWO, "nobody", "138****0003"]

    done = await gateway.admin.post(
        "/v1/admin/suppressions/import", json={"team_id": gateway.team_id, "numbers": numbers}
    )

    refused = [{"to": "nobody", "reason": "malformed"}, {"to": "138****0003", "reason": "malformed"}]
    assert (done.status_code, done.json()) == (200, {"added": 1, "already": 2, "refused": refused})
    own = await gateway.client.post("/v1/suppressions/import", json={"numbers": numbers})
    assert own.json() == {"added": 0, "already": 3, "refused": refused}
    for found in (await gateway.client.get("/v1/suppressions")).json()["data"]:
        await gateway.client.delete(f"/v1/suppressions/{found['id']}")
    audit = await gateway.admin.get("/v1/admin/audit")
    entries = [
        (entry["action"], entry["detail"])
        for entry in audit.json()["data"]
        if entry["action"].startswith("suppression.")
    ]
    assert entries == [
        ("suppression.removed", {"team_id": gateway.team_id, "number_ends_in": "01", "source": "api"}),
        ("suppression.removed", {"team_id": gateway.team_id, "number_ends_in": "02", "source": "import"}),
        ("suppression.imported", {"added": 0, "numbers": 5, "refused": 2}),
        ("suppression.imported", {"added": 1, "numbers": 5, "refused": 2}),
        ("suppression.added", {"team_id": gateway.team_id, "number_ends_in": "01", "source": "api"}),
    ]
    assert ONE not in audit.text
    assert TWO not in audit.text


async def test_opt_outs_come_in_pages(gateway: Any) -> None:
    await gateway.client.post("/v1/suppressions/import", json={"numbers": [str(13800130000 + n) for n in range(5)]})

    first = (await gateway.client.get("/v1/suppressions", params={"limit": 3})).json()
    rest = (await gateway.client.get("/v1/suppressions", params={"limit": 3, "cursor": first["next_cursor"]})).json()

    numbers = [found["number"] for found in first["data"] + rest["data"]]
    assert (len(first["data"]), first["has_more"], rest["has_more"]) == (3, True, False)
    assert sorted(numbers) == [str(13800130000 + n) for n in range(5)]


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("", {"number": "12"}, "/number"),
        ("", {"number": "138****0001"}, "/number"),
        ("", {}, "/number"),
        ("", {"number": ONE, "keyword": "TD"}, "/keyword"),
        ("/import", {"numbers": []}, "/numbers"),
        ("/import", {"numbers": [ONE] * 10_001}, "/numbers"),
    ],
)
async def test_what_is_wrong_is_pointed_at(gateway: Any, path: str, body: Any, pointer: str) -> None:
    own = await gateway.client.post("/v1/suppressions" + path, json=body)
    admin = await gateway.admin.post("/v1/admin/suppressions" + path, json=body | {"team_id": gateway.team_id})

    for answer in (own, admin):
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_a_team_that_does_not_exist_and_a_number_that_is_none_are_refused(gateway: Any) -> None:
    nobody = "team_" + "0" * 32
    for path, body in (("", {"number": ONE}), ("/import", {"numbers": [ONE]})):
        answer = await gateway.admin.post("/v1/admin/suppressions" + path, json={"team_id": nobody, **body})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/team_id")
    for client, path in ((gateway.client, "/v1/suppressions"), (gateway.admin, "/v1/admin/suppressions")):
        answer = await client.get(path, params={"number": "12"})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/number")


async def test_an_erased_number_stays_opted_out_and_stands_nowhere_else(gateway: Any) -> None:
    await gateway.client.post("/v1/suppressions", json={"number": ONE})

    erased = await gateway.admin.post("/v1/admin/erasures", json={"number": ONE})

    assert (erased.status_code, erased.json()["complete"]) == (200, True)
    (left,) = (await gateway.client.get("/v1/suppressions")).json()["data"]
    assert left["number"] == ONE
    answer = await gateway.client.post("/v1/messages", json={"to": ONE, "text": "hello", "category": "marketing"})
    assert answer.json()["errors"] == [{"pointer": "/to/0", "detail": "suppressed"}]


async def test_balances_are_shown_with_how_long_they_last(gateway: Any) -> None:
    await gateway.accounts.refresh()
    (account,) = gateway.accounts.all()
    now_ms = gateway.clock.now_ms()
    for hours, amount in enumerate(("100", "97.5", "95", "92.5", "90")):
        await gateway.store.keep_balance(account, Balance(amount=amount, prepaid=True), now_ms + hours * 3_600_000)

    everyone = (await gateway.admin.get("/v1/admin/balances")).json()
    own = (await gateway.client.get("/v1/balance")).json()

    assert everyone == own
    assert everyone["data"] == [
        {
            "account_id": account.id,
            "account_name": "sandbox",
            "balance": "90",
            "prepaid": True,
            "days_left": 1.5,
            "as_of": "2026-11-18T15:06:40Z",
        }
    ]
    assert (await gateway.client.get("/v1/admin/balances")).status_code == 403
