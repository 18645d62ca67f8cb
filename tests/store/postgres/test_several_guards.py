"""Several processes on one database: equal texts, opt-outs and balances."""

from collections import Counter
from typing import Any, Final

import msgspec

from relay.domain.errors import AlreadyExists, Withheld
from relay.domain.provider import Balance
from relay.ports import Stored
from tests.store import builders
from tests.store.builders import NOW_MS, entry, mobiles
from tests.store.conformance.test_guards import suppression
from tests.store.conformance.world import World
from tests.store.postgres.several import Several

ROUNDS: Final = 6


async def test_of_equal_texts_at_several_at_once_one_is_accepted(three: Several) -> None:
    for number in range(ROUNDS):
        drafts = [three.worlds[0].draft(mobiles(2, 2 * number)) for _ in range(9)]

        def send(message: Any) -> Any:
            return lambda world: world.try_accept(message, repeat_window_ms=60_000)

        results = await three.at_once([send(message) for message in drafts])
        assert Counter(type(result) for result in results) == {Stored: 1, Withheld: 8}
    assert three.deadlocks() == 0


async def test_a_balance_that_several_keep_at_once_is_told_once(three: Several) -> None:
    account = msgspec.structs.replace(builders.account(), low_balance=100)
    await three.worlds[0].store.create_account(account, callback_token=account.id, entry=entry(), idempotency=None)

    async def keep(world: World, amount: str) -> Any:
        return await world.store.keep_balance(account, Balance(amount=amount, prepaid=True), NOW_MS)

    for _ in range(ROUNDS):
        await three.all_well([lambda world: keep(world, "99")] * 9)
        await keep(three.worlds[0], "101")
    assert three.execute("SELECT count(*) FROM events WHERE type = 'balance.low'") == [(ROUNDS,)]


async def test_imports_answers_and_additions_at_several_at_once_leave_one_opt_out_for_each_number(
    three: Several,
) -> None:
    team = three.worlds[0].team.id
    numbers = mobiles(30)
    await three.worlds[0].accept(numbers, category="marketing")

    async def imports(world: World) -> Any:
        new = [suppression(team, mobile, "import") for mobile in numbers]
        return await world.store.add_suppressions(new, entry=entry(), idempotency=None, render=lambda _: b"")

    async def answers(world: World) -> Any:
        rows = [builders.inbound(mobile, opt_out="TD") for mobile in numbers]
        return await world.hear(*rows)

    async def adds(world: World) -> Any:
        try:
            return await world.store.add_suppression(suppression(team, numbers[7]), entry=entry(), idempotency=None)
        except AlreadyExists:
            return None

    await three.all_well([imports, answers, adds] * 4)

    assert three.execute("SELECT count(*), count(DISTINCT mobile) FROM suppressions") == [(30, 30)]
