"""Balances over time, and who is told when one is low."""

import asyncio
from typing import Any

import msgspec

from relay.domain.accounts import Account
from relay.domain.ids import TeamId
from relay.domain.provider import Balance
from relay.domain.times import DAY_MS, HOUR_MS, MINUTE_MS
from relay.ports import Store
from tests.store import builders
from tests.store.builders import NOW_MS, entry
from tests.store.conformance.engines import Database
from tests.store.conformance.world import World


async def small(store: Store, **changes: Any) -> Account:
    """An account that is low at 100."""
    made = msgspec.structs.replace(builders.account(), low_balance=100, **changes)
    await store.create_account(made, callback_token=made.id, entry=entry(), idempotency=None)
    return made


async def keep(store: Store, account: Account, *amounts: str, prepaid: bool = True, now_ms: int = NOW_MS) -> list[int]:
    """The events that each of the amounts made."""
    made = []
    for amount in amounts:
        effects = await store.keep_balance(account, Balance(amount=amount, prepaid=prepaid), now_ms)
        made.append(effects.events_by_type.get("balance.low", 0))
    return made


def samples(database: Database) -> list[int]:
    """When those that are kept were taken, after NOW_MS."""
    return [at_ms - NOW_MS for (at_ms,) in database.execute("SELECT at_ms FROM balance_samples ORDER BY at_ms")]


async def told(world: World, team_id: TeamId | None = None) -> list[dict[str, Any]]:
    return [event["data"] for event in await world.events(team_id) if event["type"] == "balance.low"]


async def test_a_balance_that_falls_to_its_threshold_is_told_once_until_it_has_recovered(world: World) -> None:
    account = await small(world.store)

    assert await keep(world.store, account, "101", "100", "98", "100.01", "99.99") == [0, 1, 0, 0, 1]

    assert [data["balance"] for data in await told(world)] == ["100", "99.99"]
    assert (await told(world))[0] == {
        "account_id": account.id,
        "account_name": account.name,
        "balance": "100",
        "threshold": "100",
        "days_left": None,
        "as_of": "2026-11-18T11:06:40Z",
    }


async def test_a_postpaid_balance_and_one_without_a_threshold_are_never_low(world: World) -> None:
    postpaid, silent = await small(world.store), await small(world.store)

    assert await keep(world.store, postpaid, "5", "-500", prepaid=False) == [0, 0]
    assert await keep(world.store, msgspec.structs.replace(silent, low_balance=None), "0") == [0]
    # It was not low before it had a threshold.
    assert await keep(world.store, silent, "0") == [1]


async def test_every_team_that_may_use_the_account_is_told_and_no_other(world: World) -> None:
    account = await small(world.store)
    sandbox = await small(world.store, sandbox=True)
    own = builders.team(accounts=(sandbox.id, account.id))
    other = builders.team(accounts=(world.account.id,))
    for team in (own, other):
        await world.store.create_team(team, entry=entry(), idempotency=None)

    assert await keep(world.store, account, "1") == [2]
    assert await keep(world.store, sandbox, "1") == [1]

    assert [data["account_id"] for data in await told(world)] == [account.id]
    assert [data["account_id"] for data in await told(world, own.id)] == [account.id, sandbox.id]
    assert await told(world, other.id) == []


async def test_two_that_learn_of_it_at_once_tell_it_once(world: World) -> None:
    account = await small(world.store)

    await asyncio.gather(*(keep(world.store, account, "1") for _ in range(6)))

    assert len(await told(world)) == 1


async def test_days_left_follow_from_what_was_used_in_the_last_week(world: World) -> None:
    account = await small(world.store)
    # Three times 10 in four hours; once 950 were paid in.
    for hours, amount in enumerate(("1000", "990", "1940", "1930", "1920")):
        await keep(world.store, account, amount, now_ms=NOW_MS + hours * HOUR_MS)

    (view,) = await world.store.balances((account.id,))
    assert view.days_left == 10.7
    assert [found.account_id for found in await world.store.all_balances()] == [world.account.id, account.id]
    await keep(world.store, account, "1920", prepaid=False, now_ms=NOW_MS + 5 * HOUR_MS)
    assert (await world.store.balances((account.id,)))[0].days_left is None


async def test_one_balance_is_kept_in_ten_minutes_and_none_longer_than_eight_days(
    world: World, database: Database
) -> None:
    account = await small(world.store)
    for minutes in (0, 1, 9, 10, 11, 19, 20):
        await keep(world.store, account, "1000", now_ms=NOW_MS + minutes * MINUTE_MS)
    assert samples(database) == [0, 10 * MINUTE_MS, 20 * MINUTE_MS]

    await keep(world.store, account, "1000", now_ms=NOW_MS + 8 * DAY_MS + 10 * MINUTE_MS)
    assert samples(database) == [10 * MINUTE_MS, 20 * MINUTE_MS, 8 * DAY_MS + 10 * MINUTE_MS]
