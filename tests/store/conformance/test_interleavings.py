"""Whatever order things happen in: counts, lists and events of a message agree at every end."""

from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.domain.ids import AccountId
from relay.domain.messages import MessageDraft, SubmissionWork
from relay.domain.provider import Accepted, NotSent, Refused, ReportRow, SendOutcome, Unconfirmed
from relay.domain.states import OnUnconfirmed
from relay.domain.times import HOUR_MS, MINUTE_MS
from tests.store import builders
from tests.store.builders import (
    ACCEPTED,
    NOT_SENT,
    NOW_MS,
    REFUSED,
    UNCONFIRMED,
    mobiles,
    report,
    task_of,
    work_of,
)
from tests.store.conformance.engines import Engine
from tests.store.conformance.world import World

CHUNKS: Final = (mobiles(3), mobiles(2, 3))
TASK: Final = "their task"
OUTCOMES: Final[tuple[SendOutcome, ...]] = (
    ACCEPTED,
    Accepted(task_id=TASK, code="00", message=None),
    REFUSED,
    NOT_SENT,
    UNCONFIRMED,
)
WORDS: Final = ("DELIVRD", "UNDELIV", "EXPIRED", "MBBLACK", "ENROUTE")

_ROW = st.tuples(st.integers(0, 4), st.sampled_from(WORDS), st.sampled_from(("ours", "theirs", "masked")))
_STEP = st.one_of(
    st.tuples(st.just("finish"), st.integers(0, 1), st.sampled_from(OUTCOMES)),
    st.tuples(st.just("report"), st.lists(_ROW, min_size=1, max_size=6), st.sampled_from(("push", "pull"))),
    st.tuples(st.just("claim"), st.integers(1, 2), st.none()),
    st.tuples(st.just("move"), st.integers(0, 1), st.booleans()),
    st.tuples(st.just("sweep"), st.sampled_from((0, MINUTE_MS, 20 * MINUTE_MS, 25 * HOUR_MS, 73 * HOUR_MS)), st.none()),
    st.tuples(st.just("recover"), st.none(), st.none()),
)


class _Play:
    """One message of two submissions, and what is done to it."""

    def __init__(self, world: World, message: MessageDraft) -> None:
        self.world = world
        self.message = message
        self.now_ms = NOW_MS
        self.reported: set[int] = set()
        self.accounts: list[AccountId] = [world.account.id, builders.account().id]
        self.maybe_sent: dict[int, AccountId] = {}
        self.works: list[SubmissionWork] = [work_of(message, index) for index in range(2)]

    async def step(self, kind: str, what: object, more: object) -> None:
        self.now_ms += 1
        match kind, what, more:
            case "finish", int(index), outcome:
                await self._finish(index, outcome)
            case "report", list(rows), ("push" | "pull") as source:
                await self.world.report(*(self._row(*row) for row in rows), source=source, now_ms=self.now_ms)
            case "claim", int(limit), None:
                for account_id in self.accounts:
                    await self._claim(account_id, limit)
            case "move", int(index), bool(back):
                here, there = self.accounts[::-1] if back else self.accounts
                await self.world.store.move_submissions(here, [(self.message.submissions[index].id, there)])
            case "sweep", int(passed_ms), None:
                self.now_ms += passed_ms
                await self.world.sweep(self.now_ms, limit=1 if passed_ms == MINUTE_MS else 100)
            case "recover", None, None:
                await self.world.store.recover(self.now_ms)
            case _:
                raise AssertionError(kind)

    async def _claim(self, account_id: AccountId, limit: int) -> None:
        works = await self.world.claim(
            limit, now_ms=self.now_ms + MINUTE_MS, claim=b"%d" % self.now_ms, account_id=account_id
        )
        for work in works:
            index = self._index(work)
            # Nothing goes out again once a report has proved that it arrived; and what may have arrived at one account
            # goes out over no other.
            assert index not in self.reported
            assert self.maybe_sent.get(index, account_id) == account_id
            self.works[index] = work

    async def _finish(self, index: int, outcome: object) -> None:
        assert isinstance(outcome, Accepted | Refused | NotSent | Unconfirmed)
        work = self.works[index]
        other = next(account_id for account_id in self.accounts if account_id != work.account_id)
        finished = await self.world.finish(
            work, outcome, now_ms=self.now_ms, retry_due_ms=self.now_ms, move_to=other if self.now_ms % 2 else None
        )
        if isinstance(outcome, Unconfirmed) and not finished.fenced:
            self.maybe_sent[index] = work.account_id

    def _index(self, work: SubmissionWork) -> int:
        return [part.id for part in self.message.submissions].index(work.id)

    def _row(self, number: int, word: str, how: str) -> ReportRow:
        index = 0 if number < 3 else 1
        if how != "theirs":
            self.reported.add(index)
        task = TASK if how == "theirs" else task_of(self.message, index)
        return report(task, mobiles(5)[number], word, masked=how == "masked")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_STEP, max_size=14), on_unconfirmed=st.sampled_from(("hold", "resend", "fail")))
async def test_counts_lists_and_events_agree_whatever_happens(
    engine: Engine, steps: list[tuple[str, object, object]], on_unconfirmed: OnUnconfirmed
) -> None:
    async with engine.new().open() as store:
        world = World(store)
        message = await world.accept(*CHUNKS, on_unconfirmed=on_unconfirmed)
        play = _Play(world, message)
        for step in steps:
            await play.step(*step)
        await world.check_books(message)
