"""What waits at an account that takes nothing is brought to others, however much of it nobody takes."""

from collections.abc import Sequence
from typing import cast

from relay.domain.ids import AccountId, MessageId, SubmissionId, TeamId
from relay.domain.states import Category
from relay.ports import Store, Stranded
from relay.services.reroute import BATCH, Reroute, Rerouted
from relay.services.routing import Routing
from tests.services.stillness import StillClock, account_of

HERE, THERE = account_of(1), account_of(2)
BOUND, FREE = TeamId("team_" + "1" * 32), TeamId("team_" + "2" * 32)


def stranded_of(number: int, team_id: TeamId) -> Stranded:
    return Stranded(
        id=SubmissionId(f"sub_{number:032x}"),
        message_id=MessageId(f"msg_{number:032x}"),
        team_id=team_id,
        extension=None,
        numbers=1,
    )


class Waiting:
    """The part of a store that has them, and what others take at the same time."""

    def __init__(self, **by_category: list[Stranded]) -> None:
        self.by_category = by_category
        self.taken: set[SubmissionId] = set()

    async def stranded(
        self, account_id: AccountId, category: Category, now_ms: int, *, skip: int, limit: int
    ) -> list[Stranded]:
        return self.by_category.get(category, [])[skip : skip + limit]

    async def move_submissions(
        self, account_id: AccountId, moves: Sequence[tuple[SubmissionId, AccountId]]
    ) -> list[tuple[SubmissionId, AccountId]]:
        moved = [move for move in moves if move[0] not in self.taken]
        gone = {submission for submission, _ in moves}
        for rows in self.by_category.values():
            rows[:] = [row for row in rows if row.id not in gone]
        return moved


class OneTeamIsFree:
    """Routing that has another account for one team only, which has room for so many."""

    def __init__(self, room: int) -> None:
        self.room = room

    async def instead(
        self,
        waiting: Stranded,
        account_id: AccountId,
        planned: dict[AccountId, int],
    ) -> AccountId | None:
        return THERE.id if waiting.team_id == FREE and planned[THERE.id] < self.room else None


def reroute_of(store: Waiting, room: int = 10_000) -> Reroute:
    return Reroute(cast(Store, store), cast(Routing, OneTeamIsFree(room)), StillClock())


async def test_what_nobody_takes_hides_nothing_that_lies_behind_it() -> None:
    behind = stranded_of(3 * BATCH, FREE)
    store = Waiting(notice=[*[stranded_of(number, BOUND) for number in range(2 * BATCH)], behind])
    reroute = reroute_of(store)

    looks = [await reroute.leave(HERE) for _ in range(3)]

    assert [look.moved for look in looks] == [[], [], [(behind.id, THERE.id)]]
    late = stranded_of(4 * BATCH, FREE)
    store.by_category["notice"].insert(0, late)
    assert (await reroute.leave(HERE)).moved == [(late.id, THERE.id)]


async def test_a_full_batch_that_moved_asks_for_the_next_at_once() -> None:
    store = Waiting(notice=[stranded_of(number, FREE) for number in range(BATCH + 1)])
    reroute = reroute_of(store)

    first, second = await reroute.leave(HERE), await reroute.leave(HERE)

    assert (len(first.moved), first.more, len(second.moved), second.more) == (BATCH, True, 1, False)


async def test_an_account_that_has_little_room_gets_what_is_urgent() -> None:
    store = Waiting(
        marketing=[stranded_of(1, FREE)],
        otp=[stranded_of(2, FREE)],
        notice=[stranded_of(3, FREE), stranded_of(4, FREE)],
    )

    done = await reroute_of(store, room=2).leave(HERE)

    assert done == Rerouted(moved=[(stranded_of(number, FREE).id, THERE.id) for number in (2, 3)], more=False)


async def test_what_somebody_else_took_is_not_told_of() -> None:
    store = Waiting(otp=[stranded_of(1, FREE), stranded_of(2, FREE)])
    store.taken.add(stranded_of(1, FREE).id)

    done = await reroute_of(store).leave(HERE)

    assert done.moved == [(stranded_of(2, FREE).id, THERE.id)]
