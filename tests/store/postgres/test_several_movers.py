"""Several processes that find an account ill at the same time, while others still claim from it."""

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from relay.domain.ids import AccountId, SubmissionId
from relay.domain.messages import MessageDraft
from tests.store import builders
from tests.store.builders import NOT_SENT, NOW_MS, mobiles, report, task_of, work_of
from tests.store.conformance.world import World
from tests.store.postgres.several import POOLED_TOO, Several

Thing = Callable[[World], Awaitable[list[Any]]]
MESSAGES: Final = 60


def _move(here: AccountId, there: AccountId) -> Thing:
    async def move(world: World) -> list[tuple[SubmissionId, AccountId]]:
        found = await world.store.stranded(here, "notice", NOW_MS, skip=0, limit=MESSAGES)
        return await world.store.move_submissions(here, [(one.id, there) for one in found])

    return move


def _claim(account_id: AccountId) -> Thing:
    async def claim(world: World) -> list[SubmissionId]:
        return [work.id for work in await world.claim(7, account_id=account_id)]

    return claim


async def _put_back(message: MessageDraft, world: World) -> None:
    await world.finish(work_of(message), NOT_SENT, retry_due_ms=NOW_MS)


async def _report(message: MessageDraft, world: World) -> list[Any]:
    await world.report(report(task_of(message), mobiles(1)[0]))
    return []


@POOLED_TOO
async def test_what_waits_is_moved_once_or_claimed_once(three: Several) -> None:
    world, other = three.worlds[0], builders.account().id
    here = world.account.id
    messages = [await world.accept(mobiles(1), status="queued") for _ in range(MESSAGES)]

    moves = [_move(here, other) for _ in range(9)]
    claims = [_claim(account_id) for account_id in (here, other) for _ in range(4)]
    results = await three.all_well([*moves, *claims])
    moved = [submission for result in results[: len(moves)] for submission, _ in result]
    claimed = [submission for result in results[len(moves) :] for submission in result]
    while rest := [work.id for account_id in (here, other) for work in await world.claim(account_id=account_id)]:
        claimed += rest

    assert max(Counter(moved).values()) == 1
    assert Counter(claimed) == Counter(message.submissions[0].id for message in messages)
    for message in messages:
        await world.check_books(message)
    assert three.deadlocks() == 0


async def test_what_a_report_has_shown_to_have_arrived_is_not_moved_and_sent_again(three: Several) -> None:
    world, other = three.worlds[0], builders.account().id
    messages = [await world.accept(mobiles(1)) for _ in range(MESSAGES)]
    await three.all_well([partial(_put_back, message) for message in messages])
    reports: list[Thing] = [partial(_report, message) for message in messages]

    await three.all_well([*reports, *[_move(world.account.id, other) for _ in range(9)]])

    for message in messages:
        assert await world.counts(message) == {"delivered": 1}
        await world.check_books(message)
    assert [await world.claim(account_id=account_id) for account_id in (world.account.id, other)] == [[], []]
    assert three.deadlocks() == 0
