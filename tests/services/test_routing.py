"""Which account takes what."""

import asyncio
from collections import Counter

import msgspec
import pytest

from relay.domain.accounts import Account
from relay.domain.errors import NoAccount
from relay.domain.extensions import Lease
from relay.domain.ids import MessageId, TeamId
from relay.domain.provider import Accepted
from relay.domain.teams import Mode
from relay.services.routing import KEPT_S, Onward
from relay.system import SystemEntropy
from tests.services.routed import FIRST, OFF, SANDBOX, SECOND, THIRD, routed
from tests.services.stillness import principal_of

# -- a new message ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accounts", "mode", "wanted", "development", "usable", "waits_at"),
    [
        ([FIRST, SECOND, SANDBOX], "live", [], False, [FIRST, SECOND], None),
        ([FIRST, SECOND, SANDBOX], "test", [], False, [SANDBOX], None),
        ([FIRST, SECOND, SANDBOX], "test", [FIRST], False, [SANDBOX], None),
        ([FIRST, SECOND, SANDBOX], "live", [SECOND, FIRST], False, [SECOND, FIRST], None),
        ([FIRST, SECOND, SANDBOX], "live", [SECOND], False, [SECOND], None),
        ([FIRST, OFF], "live", [OFF], False, [], OFF),
        ([FIRST, OFF], "live", [OFF, FIRST], False, [FIRST], None),
        ([OFF], "live", [], False, [], OFF),
        ([SANDBOX], "live", [], False, [], None),
        ([SANDBOX], "live", [], True, [SANDBOX], None),
        ([OFF, SANDBOX], "live", [], True, [SANDBOX], None),
        ([FIRST, SANDBOX], "live", [], True, [FIRST], None),
        ([FIRST, SANDBOX], "live", [SANDBOX], False, [], None),
        ([FIRST, SANDBOX], "live", [SANDBOX], True, [SANDBOX], None),
        ([FIRST], "test", [], True, [], None),
        ([], "live", [], True, [], None),
    ],
)
async def test_a_key_uses_these_accounts_in_this_order(
    accounts: list[Account],
    mode: Mode,
    wanted: list[Account],
    development: bool,
    usable: list[Account],
    waits_at: Account | None,
) -> None:
    world = await routed(*accounts, development=development)
    world.use("order", *wanted)

    assert world.routing.usable_by(principal_of(world.team, mode)) == usable
    if usable or waits_at:
        assert await world.choose(mode=mode) == (waits_at or usable[0])
    else:
        with pytest.raises(NoAccount):
            await world.choose(mode=mode)


async def test_an_account_that_another_replica_has_just_made_takes_messages() -> None:
    world = await routed()
    world.store.rows = [FIRST]

    assert await world.choose() == FIRST
    assert world.store.asked == 2


async def test_all_who_miss_an_account_at_once_wait_for_one_answer() -> None:
    world = await routed()
    world.store.rows = [FIRST]

    chosen = await asyncio.gather(*(world.choose() for _ in range(20)))

    assert chosen == [FIRST] * 20
    assert world.store.asked == 2


async def test_what_changes_in_the_book_changes_the_choice() -> None:
    world = await routed(FIRST, SECOND)
    assert await world.choose() == FIRST

    world.store.rows = [msgspec.structs.replace(FIRST, disabled=True), SECOND]
    await world.book.refresh()

    assert await world.choose() == SECOND


async def test_a_message_goes_past_an_account_that_takes_nothing_and_waits_at_the_first_when_none_does() -> None:
    world = await routed(OFF, FIRST, SECOND)

    world.break_(FIRST)
    assert await world.choose() == SECOND
    world.break_(SECOND)
    assert await world.choose() == FIRST


async def test_an_account_on_probation_takes_what_it_may_and_nothing_waits_in_line_for_it() -> None:
    world = await routed(FIRST, SECOND)
    world.half_open(FIRST)
    gate = world.gates.of(FIRST)

    assert await world.choose() == FIRST
    assert gate.take()
    assert await world.choose() == SECOND
    gate.breaker.learn(gate.begin(), Accepted(task_id=None, code="00", message=None))
    gate.end()
    assert await world.choose() == FIRST
    gate.backlog = True
    assert await world.choose() == SECOND


async def test_with_all_others_open_a_message_waits_for_the_one_on_probation() -> None:
    world = await routed(FIRST, SECOND)
    world.half_open(SECOND)
    world.break_(FIRST)
    assert world.gates.of(SECOND).take()

    assert await world.choose() == SECOND


async def test_by_weight_each_account_gets_its_part_and_weight_0_gets_what_no_other_takes() -> None:
    light, heavy, none = (
        msgspec.structs.replace(account, weight=weight) for account, weight in ((FIRST, 1), (SECOND, 3), (THIRD, 0))
    )
    world = await routed(none, light, heavy)
    world.use("weight", none, light, heavy)
    entropy = SystemEntropy()
    messages = [MessageId(entropy.new_id("msg_")) for _ in range(4000)]

    chosen = Counter([(await world.choose(message)).id for message in messages])

    assert set(chosen) == {light.id, heavy.id}
    # Six standard deviations of a binomial of 4,000 tries at 1/4.
    assert abs(chosen[light.id] - 1000) < 165
    assert [await world.choose(message) for message in messages[:50]] == [
        await world.choose(message) for message in messages[:50]
    ]
    world.break_(light, heavy)
    assert {(await world.choose(message)).id for message in messages[:50]} == {none.id}


# -- what was not sent -----------------------------------------------------------------------------------------------


async def test_what_was_not_sent_goes_round_all_accounts_at_once_and_then_waits_for_the_next_round() -> None:
    world = await routed(FIRST, SECOND, THIRD)

    assert await world.onward(FIRST, 1) == Onward(account_id=SECOND.id, rounds=1, at_once=True)
    assert await world.onward(SECOND, 2) == Onward(account_id=THIRD.id, rounds=1, at_once=True)
    assert await world.onward(THIRD, 3) == Onward(account_id=FIRST.id, rounds=1, at_once=False)
    assert await world.onward(FIRST, 4) == Onward(account_id=SECOND.id, rounds=1, at_once=True)
    assert await world.onward(THIRD, 6) == Onward(account_id=FIRST.id, rounds=2, at_once=False)


async def test_by_weight_too_every_account_has_its_turn() -> None:
    world = await routed(FIRST, SECOND, THIRD)
    world.use("weight", FIRST, SECOND, THIRD)
    here = await world.choose()
    visited = [here.id]

    for attempt in (1, 2):
        onward = await world.onward(here, attempt)
        assert onward.account_id is not None
        visited.append(onward.account_id)
        here = next(account for account in (FIRST, SECOND, THIRD) if account.id == onward.account_id)

    assert sorted(visited) == [FIRST.id, SECOND.id, THIRD.id]


async def test_it_goes_to_nobody_who_cannot_take_it() -> None:
    small = msgspec.structs.replace(THIRD, max_mobiles=10)
    world = await routed(FIRST, SECOND, small, OFF)
    world.break_(SECOND)

    assert (await world.onward(FIRST, 1)).account_id == small.id
    assert (await world.onward(FIRST, 1, numbers=11)).account_id is None


async def test_those_who_cannot_take_it_have_no_turn_so_that_nobody_is_asked_twice_at_once() -> None:
    world = await routed(FIRST, SECOND, THIRD)
    world.break_(SECOND)

    assert await world.onward(FIRST, 1) == Onward(account_id=THIRD.id, rounds=1, at_once=True)
    assert await world.onward(THIRD, 2) == Onward(account_id=FIRST.id, rounds=1, at_once=False)


async def test_a_single_account_tries_again_by_itself() -> None:
    world = await routed(FIRST)

    assert await world.onward(FIRST, 5) == Onward(account_id=None, rounds=5, at_once=False)


async def test_nothing_leaves_the_sandbox_and_nothing_comes_to_it() -> None:
    world = await routed(FIRST, SANDBOX, development=True)
    world.use("order", FIRST, SANDBOX)

    assert (await world.onward(FIRST, 1)).account_id is None
    assert (await world.onward(SANDBOX, 1)).account_id is None
    assert await world.instead(SANDBOX) is None


async def test_what_belongs_to_no_team_any_more_stays() -> None:
    world = await routed(FIRST, SECOND)
    world.store.teams.clear()

    assert (await world.onward(FIRST, 1)).account_id is None


# -- what waits ------------------------------------------------------------------------------------------------------


async def test_what_waits_goes_to_the_first_of_the_order_that_has_room() -> None:
    world = await routed(FIRST, SECOND, THIRD)
    world.break_(SECOND)
    assert await world.instead(SECOND) == FIRST.id

    world.half_open(FIRST)
    assert await world.instead(SECOND) == FIRST.id
    assert await world.instead(SECOND, planned=1) == THIRD.id
    world.break_(FIRST, THIRD)
    assert await world.instead(SECOND) is None


async def test_a_team_is_remembered_for_a_while_and_no_longer() -> None:
    world = await routed(FIRST, SECOND, THIRD)
    assert await world.instead(FIRST) == SECOND.id
    world.use("order", FIRST, THIRD)
    assert await world.instead(FIRST) == SECOND.id
    assert world.store.asked_teams == 1

    world.clock.move(KEPT_S)

    assert await world.instead(FIRST) == THIRD.id


# -- extensions ------------------------------------------------------------------------------------------------------


async def test_a_message_goes_where_its_extension_is_nobody_elses() -> None:
    world = await routed(FIRST, SECOND, THIRD)
    world.extension = "1017"
    own, theirs = world.team.id, TeamId("team_" + "2" * 32)
    world.store.leases = [
        Lease(extension="17", account_id=FIRST.id, team_id=theirs),
        Lease(extension="1017", account_id=SECOND.id, team_id=own),
        Lease(extension="17", account_id=SECOND.id, team_id=theirs),
        Lease(extension="1017", account_id=THIRD.id, team_id=theirs),
    ]

    assert await world.choose() == SECOND
    assert await world.instead(FIRST) == SECOND.id
    assert await world.onward(SECOND, 1) == Onward(account_id=None, rounds=1, at_once=False)
    world.break_(SECOND)
    assert await world.choose() == SECOND
    assert await world.instead(SECOND) is None
    accounts = (FIRST, SECOND, THIRD)
    assert [await world.routing.answers_stay(world.work(account)) for account in accounts] == [False, True, False]


async def test_who_has_an_extension_is_remembered_for_a_while_and_no_longer() -> None:
    world = await routed(FIRST, SECOND)
    world.extension = "7"
    assert await world.choose() == FIRST
    world.store.leases = [Lease(extension="7", account_id=FIRST.id, team_id=TeamId("team_" + "2" * 32))]
    assert await world.choose() == FIRST

    world.clock.move(KEPT_S)

    assert await world.choose() == SECOND
    # Where it is another team's on every account, the store says so.
    world.store.leases[0] = msgspec.structs.replace(world.store.leases[0], account_id=None)
    world.clock.move(KEPT_S)
    assert await world.choose() == FIRST


# -- slots -----------------------------------------------------------------------------------------------------------


async def test_an_account_that_was_changed_is_tried_at_once() -> None:
    world = await routed(FIRST)
    world.break_(FIRST)

    world.gates.of(msgspec.structs.replace(FIRST, version=2))

    assert world.gates.of(msgspec.structs.replace(FIRST, version=2)).breaker.wants_balance()


async def test_a_disabled_account_has_no_slots() -> None:
    world = await routed(OFF)

    assert not world.gates.of(OFF).take()
