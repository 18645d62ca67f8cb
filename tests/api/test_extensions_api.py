"""Extensions as the platform team leases, finds and releases them."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.api.test_teams_api import account, add, patch, wrong


async def lease(gateway: Any, team_id: str, *, key: str | None = None, **more: object) -> httpx.Response:
    """Lease an extension."""
    headers = {} if key is None else {"idempotency-key": key}
    body = {"team_id": team_id} | more
    answer: httpx.Response = await gateway.admin.post("/v1/admin/extensions", json=body, headers=headers)
    return answer


async def release(gateway: Any, team_id: str, extension: str, **query: str) -> int:
    """Release it; the status."""
    answer = await gateway.admin.delete(f"/v1/admin/teams/{team_id}/extensions/{extension}", params=query)
    return int(answer.status_code)


async def listed(gateway: Any, **query: object) -> list[tuple[str, str, list[str]]]:
    """Extension, team and accounts, page by page."""
    rows: list[tuple[str, str, list[str]]] = []
    cursor: str | None = None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        page = (await gateway.admin.get("/v1/admin/extensions", params={"limit": 2} | query | more)).json()
        rows += [(row["extension"], row["team_id"], row["account_ids"]) for row in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows


async def test_the_lowest_free_extension_is_leased_as_wide_as_the_account_says(gateway: Any) -> None:
    wide = await account(gateway, "wide", extension_digits=6)
    shop = await add(gateway, accounts=[wide], extensions=["100001"])
    other = await add(gateway, name="other", accounts=[wide])

    made = await lease(gateway, other["id"])
    answers = [made, await lease(gateway, shop["id"]), await lease(gateway, other["id"])]

    assert made.json() == {"extension": "100000", "team_id": other["id"], "account_ids": [wide]}
    assert [answer.json()["extension"] for answer in answers] == ["100000", "100002", "100003"]
    assert await release(gateway, shop["id"], "100002") == 204
    assert (await lease(gateway, other["id"])).json()["extension"] == "100002"


async def test_four_digits_are_usual_and_a_key_gets_the_same_extension_again(gateway: Any) -> None:
    first = await lease(gateway, gateway.team_id, key="k1")
    again = await lease(gateway, gateway.team_id, key="k1")

    assert first.json() == {"extension": "1000", "team_id": gateway.team_id, "account_ids": []}
    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (201, first.content, "true")
    assert len(await listed(gateway)) == 1


async def test_two_teams_that_lease_at_once_get_different_extensions(gateway: Any) -> None:
    other = await add(gateway)

    answers = await asyncio.gather(*(lease(gateway, team) for team in [gateway.team_id, other["id"]] * 5))

    assert sorted(answer.json()["extension"] for answer in answers) == [str(1000 + number) for number in range(10)]


async def test_all_of_a_width_may_be_leased_and_then_none_is_free(gateway: Any) -> None:
    narrow = await account(gateway, "narrow", extension_digits=1)
    team = await add(gateway, accounts=[narrow], extensions=[str(digit) for digit in range(1, 9)])

    last, none = await lease(gateway, team["id"]), await lease(gateway, team["id"])

    assert (last.json()["extension"], wrong(none)) == ("9", (409, "in_use", []))


async def test_one_extension_is_one_teams_on_each_account(gateway: Any) -> None:
    a, b = await account(gateway, "a"), await account(gateway, "b")
    on_a = await add(gateway, name="on a", accounts=[a], extensions=["88"])
    on_b = await add(gateway, name="on b", accounts=[b], extensions=["88"])
    on_all = await add(gateway, name="on all")

    assert wrong(await lease(gateway, on_all["id"], extension="88")) == (409, "already_exists", [])
    assert wrong(await patch(gateway, on_b["id"], {"accounts": [b, a]})) == (409, "already_exists", [])
    assert wrong(await patch(gateway, on_b["id"], {"accounts": []})) == (409, "already_exists", [])
    assert (await patch(gateway, on_a["id"], {"extensions": []})).status_code == 200
    assert (await patch(gateway, on_b["id"], {"accounts": [b, a]})).status_code == 200
    assert await listed(gateway) == [("88", on_b["id"], sorted([a, b]))]
    assert wrong(await patch(gateway, on_a["id"], {"extensions": ["88"]})) == (409, "already_exists", [])
    assert wrong(await lease(gateway, on_b["id"], extension="88")) == (409, "already_exists", [])


async def test_a_lease_on_one_account_stays_there_and_goes_along_when_its_team_leaves(gateway: Any) -> None:
    a, b = await account(gateway, "a"), await account(gateway, "b")
    team = (await add(gateway))["id"]
    assert (await lease(gateway, team, account_id=a, extension="7")).json()["account_ids"] == [a]
    assert (await lease(gateway, team, account_id=b, extension="7")).status_code == 201
    await lease(gateway, team, extension="8")

    assert await listed(gateway) == [("7", team, sorted([a, b])), ("8", team, [])]
    await patch(gateway, team, {"accounts": [a]})
    assert await listed(gateway) == [("7", team, [a]), ("8", team, [a])]
    await patch(gateway, team, {"accounts": [b]})
    assert await listed(gateway) == [("7", team, [b]), ("8", team, [b])]
    await patch(gateway, team, {"accounts": []})
    assert await listed(gateway) == [("7", team, []), ("8", team, [])]


async def test_extensions_are_found_by_team_account_and_digits(gateway: Any) -> None:
    a, b = await account(gateway, "a"), await account(gateway, "b")
    one = (await add(gateway, name="one", accounts=[a], extensions=["88", "9", "10"]))["id"]
    two = (await add(gateway, name="two", accounts=[b], extensions=["88"]))["id"]
    both = (await add(gateway, name="both", extensions=["77"]))["id"]

    assert [row[:2] for row in await listed(gateway)] == [
        ("10", one),
        ("77", both),
        *sorted([("88", one), ("88", two)]),
        ("9", one),
    ]
    assert [row[0] for row in await listed(gateway, team_id=one)] == ["10", "88", "9"]
    assert await listed(gateway, account_id=b) == [("77", both, []), ("88", two, [b])]
    assert await listed(gateway, extension="88", team_id=two) == [("88", two, [b])]


async def test_an_extension_is_released_on_one_account_or_wherever_it_is_leased(gateway: Any) -> None:
    a, b = await account(gateway, "a"), await account(gateway, "b")
    team = (await add(gateway, accounts=[a, b], extensions=["88"]))["id"]

    assert await release(gateway, gateway.team_id, "88") == 404
    assert await release(gateway, team, "89") == 404
    assert await release(gateway, team, "8x") == 404
    assert await release(gateway, team, "88", account_id=a) == 204
    assert await release(gateway, team, "88", account_id=a) == 404
    assert await listed(gateway) == [("88", team, [b])]
    assert await release(gateway, team, "88") == 204
    assert await listed(gateway) == []
    actions = [entry["action"] for entry in (await gateway.admin.get("/v1/admin/audit?limit=2")).json()["data"]]
    assert actions == ["extension.released"] * 2


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"team_id": "team_" + "0" * 32}, "/team_id"),
        ({"extension": "0123"}, "/extension"),
        ({"extension": "1" * 21}, "/extension"),
        ({"extension": "123"}, "/extension"),
        ({"account_id": "acct_" + "0" * 32}, "/account_id"),
        ({"account_id": "other"}, "/account_id"),
    ],
)
async def test_a_lease_that_cannot_be_is_pointed_at(gateway: Any, body: dict[str, str], pointer: str) -> None:
    wide = await account(gateway, "wide", extension_digits=4)
    team = (await add(gateway, accounts=[wide]))["id"]
    if body.get("account_id") == "other":
        body = {"account_id": await account(gateway, "other")}

    assert wrong(await lease(gateway, **({"team_id": team} | body))) == (422, "body_invalid", [pointer])


async def test_the_extensions_of_a_team_are_as_wide_as_all_its_accounts_say(gateway: Any) -> None:
    three, four = [await account(gateway, f"{digits}", extension_digits=digits) for digits in (3, 4)]
    team = await add(gateway, accounts=[three], extensions=["123"])

    assert wrong(await patch(gateway, team["id"], {"extensions": ["123", "1234"]})) == (
        422,
        "body_invalid",
        ["/extensions/1"],
    )
    assert wrong(await patch(gateway, team["id"], {"accounts": [three, four]}))[2] == ["/accounts"]
    both = await add(gateway, name="both", accounts=[three, four])
    assert wrong(await lease(gateway, both["id"]))[2] == ["/account_id"]
    assert (await lease(gateway, both["id"], account_id=four)).json()["extension"] == "1000"
