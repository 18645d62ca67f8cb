"""Everything at once at several: whatever happens, counts, lists, events and quotas agree."""

import functools
from collections.abc import Awaitable, Callable
from typing import Final

from relay.domain.messages import MessageDraft, SubmissionWork
from relay.domain.provider import Accepted, SendOutcome
from relay.domain.teams import Team
from relay.ports import NewEndpoint, Quota
from tests.store import builders
from tests.store.builders import (
    ACCEPTED,
    LEASE_MS,
    NOT_SENT,
    NOW_MS,
    REFUSED,
    UNCONFIRMED,
    entry,
    mobiles,
    report,
    work_of,
)
from tests.store.conformance.world import World
from tests.store.postgres.several import Several

THINGS: Final = 500
LATE_MS: Final = NOW_MS + LEASE_MS
QUOTA: Final = Quota(day="2026-11-18", units=100_000, ends_in_s=60)
WEIGHTS: Final = {"accept": 10, "finish": 13, "report": 20, "claim": 3, "sweep": 1, "deliver": 3}
_UNITS: Final = """
SELECT q.units, sum(s.n_total - CASE WHEN s.status = 'failed' AND s.reason <> 'unconfirmed' THEN s.n_open ELSE 0 END)
FROM quota_use q JOIN messages m ON m.team = q.team JOIN submissions s ON s.message = m.id GROUP BY q.team, q.units
"""


class _Storm:
    """Chance does all that the store can do, to messages of four teams, each of two submissions."""

    def __init__(self, three: Several, teams: list[Team], endpoints: list[NewEndpoint]) -> None:
        self.messages: list[MessageDraft] = []
        self._chance = three.chance
        self._teams = teams
        self._endpoints = endpoints

    async def do(self, world: World, number: int) -> None:
        """One thing; ``number`` is its own."""
        (kind,) = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        match kind:
            case "finish" if self.messages:
                await self._finish(world, work_of(self._message(), self._chance.randrange(2)))
            case "report" if self.messages:
                await self._report(world)
            case "claim":
                for work in await world.claim(4, now_ms=LATE_MS, claim=b"claim %d" % number):
                    await self._finish(world, work)
            case "sweep":
                await world.sweep(LATE_MS + self._chance.choice((0, LEASE_MS)))
            case "deliver":
                await self._deliver(world, b"claim %d" % number)
            case _:
                await self._accept(world, number)

    def _message(self) -> MessageDraft:
        return self._chance.choice(self.messages[-40:])

    async def _accept(self, world: World, number: int) -> None:
        message = world.draft(
            mobiles(2),
            mobiles(2, 2),
            team_id=self._chance.choice(self._teams).id,
            status=self._chance.choice(("submitting", "queued")),
            on_unconfirmed=self._chance.choice(("hold", "resend", "fail")),
        )
        await world.try_accept(message, quota=QUOTA, idempotency=builders.idempotency("storm", str(number)))
        self.messages.append(message)

    async def _finish(self, world: World, work: SubmissionWork) -> None:
        theirs = Accepted(task_id=f"theirs {work.id}", code="00", message=None)
        outcomes: tuple[SendOutcome, ...] = (ACCEPTED, theirs, REFUSED, UNCONFIRMED, NOT_SENT)
        await world.finish(work, self._chance.choice(outcomes), now_ms=LATE_MS, retry_due_ms=LATE_MS)

    async def _report(self, world: World) -> None:
        rows = []
        for _ in range(self._chance.randrange(1, 8)):
            message, place = self._message(), self._chance.randrange(4)
            submission = message.submissions[place // 2].id
            task = self._chance.choice((submission.removeprefix("sub_"), f"theirs {submission}"))
            word = self._chance.choice(("DELIVRD", "UNDELIV", "ENROUTE"))
            rows.append(report(task, mobiles(4)[place], word, masked=self._chance.random() < 0.3))
        await world.report(*rows, source=self._chance.choice(("push", "pull")), now_ms=LATE_MS)

    async def _deliver(self, world: World, claim: bytes) -> None:
        rooms = [(endpoint, self._chance.randrange(1, 9)) for endpoint in self._chance.sample(self._endpoints, 3)]
        for work in await world.lease(*rooms, now_ms=LATE_MS + 1000, claim=claim):
            record = builders.attempt_record(work, self._chance.choice((200, 500)), at_ms=LATE_MS + 1000)
            await world.store.finish_delivery(work, record)


async def test_whatever_happens_at_once_the_books_agree(three: Several) -> None:
    world = three.worlds[0]
    teams = [builders.team() for _ in range(4)]
    for team in teams:
        await world.store.create_team(team, entry=entry(), idempotency=None)
    storm = _Storm(three, teams, [await world.endpoint(team_id=team.id) for team in teams])
    things: list[Callable[[World], Awaitable[None]]] = [
        functools.partial(storm.do, number=number) for number in range(THINGS)
    ]
    await three.all_well(things)
    for message in storm.messages:
        await world.check_books(message)
    assert [units for units, counted in three.execute(_UNITS) if units != counted] == []
    # A claim and a report of what waits to be sent again lock in opposite orders: not often, and then one is run again.
    assert three.deadlocks() <= 2
