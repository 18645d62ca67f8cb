"""The worker loops by themselves: what they start, what they leave, and how they end."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, cast

import msgspec
import pytest
import structlog

from relay.domain.accounts import Account
from relay.domain.errors import StoreUnavailable
from relay.domain.ids import AccountId, MessageId, SubmissionId, TeamId
from relay.domain.messages import SubmissionWork
from relay.domain.provider import Accepted, BodyKind, NotSent, Refused, SendOutcome, Unconfirmed
from relay.domain.times import LATEST_MS
from relay.ports import FinishedSubmission, Hints, MaySend, Provider, Store, StoredEffects, always
from relay.services.accounts import AccountBook
from relay.services.balance import Balances
from relay.services.membership import Alone
from relay.services.pull import Pull, PullResult
from relay.services.reroute import Reroute
from relay.services.routing import Routing
from relay.services.slots import Gates
from relay.services.submit import Submit
from relay.telemetry.metrics import Metrics
from relay.workers.breakers import BreakerWatch
from relay.workers.hints import Silent
from relay.workers.leaving import Leaving
from relay.workers.pull import PullWorker
from relay.workers.submit import SubmitWorker, describe
from tests.services.stillness import FixedEntropy, StillClock, account_of

EFFECTS = StoredEffects(deliveries=(), recipients_by_status={}, segments_by_status={}, events_by_type={})


def work_of(number: int) -> SubmissionWork:
    """A submission that is due."""
    return SubmissionWork(
        id=SubmissionId(f"sub_{number:032x}"),
        message_id=MessageId(f"msg_{number:032x}"),
        team_id=TeamId("team_" + "1" * 32),
        account_id=account_of().id,
        text="hello",
        extension=None,
        mobiles=[13800131234],
        attempt=1,
        claim=b"claim",
        lease_until_ms=LATEST_MS,
        category="notice",
        on_unconfirmed="hold",
        accepted_ms=0,
    )


class Queue:
    """The part of a store that the submit worker works from: so many submissions wait."""

    def __init__(self, waiting: int, clock: StillClock) -> None:
        self._clock = clock
        self.waiting = [work_of(number) for number in range(1, waiting + 1)]
        self.finished: list[SubmissionId] = []
        self.claimed = asyncio.Event()
        self.hold_claims = asyncio.Event()
        self.hold_claims.set()

    async def accounts(self) -> list[Account]:
        return [account_of()]

    async def callback_tokens(self) -> dict[bytes, AccountId]:
        return {}

    async def next_submission_due_ms(self, account_id: AccountId) -> int | None:
        return self._clock.now_ms() if self.waiting else None

    async def claim_submissions(self, account_id: AccountId, limit: int, **rest: Any) -> list[SubmissionWork]:
        works, self.waiting = self.waiting[:limit], self.waiting[limit:]
        self.claimed.set()
        await self.hold_claims.wait()
        return works

    async def finish_submission(self, work: SubmissionWork, outcome: SendOutcome, **rest: Any) -> FinishedSubmission:
        self.finished.append(work.id)
        return FinishedSubmission(
            fenced=False, status="submitted", message_id=work.message_id, retry_due_ms=None, effects=EFFECTS
        )


class Provided:
    """A provider that answers when it is let."""

    def __init__(self) -> None:
        self.sent: list[SubmissionId] = []
        self.let = asyncio.Event()

    async def send(self, account: Account, work: SubmissionWork, may_send: MaySend = always) -> SendOutcome:
        self.sent.append(work.id)
        await self.let.wait()
        return Accepted(task_id=None, code="00", message=None)


class Workshop(msgspec.Struct, frozen=True):
    """A submit worker and what it works with."""

    worker: SubmitWorker
    store: Queue
    provider: Provided
    clock: StillClock
    settled: list[MessageId]


async def workshop_of(waiting: int, hints: Hints | None = None) -> Workshop:
    clock, members = StillClock(), Alone(FixedEntropy())
    store, provider, settled = Queue(waiting, clock), Provided(), list[MessageId]()
    book = AccountBook(cast(Store, store), clock, sandbox_for_live=False)
    await book.refresh()
    kept, gates, metrics = cast(Store, store), Gates(clock, members, FixedEntropy()), Metrics()
    routing = Routing(kept, book, gates, clock)
    worker = SubmitWorker(
        kept,
        Submit(kept, cast(Provider, provider), book, gates, routing, members, clock, FixedEntropy()),
        book,
        gates,
        BreakerWatch(gates, Balances(kept, cast(Provider, provider), routing, members, clock), clock, metrics),
        Leaving(kept, Reroute(kept, routing, clock), book, clock, metrics),
        members,
        clock,
        metrics,
        lease_s=60.0,
        set_going=lambda effects: None,
        settled=settled.append,
        hints=hints or Silent(),
    )
    return Workshop(worker, store, provider, clock, settled)


async def ticks(until: Callable[[], bool]) -> None:
    """Let others run until it is so."""
    async with asyncio.timeout(5):
        while not until():  # noqa: ASYNC110 - what is awaited is several steps of other tasks
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What is logged here is nobody's business."""
    with structlog.testing.capture_logs():
        yield


async def test_no_more_are_claimed_than_there_are_connections_and_the_next_when_one_ends() -> None:
    shop = await workshop_of(waiting=5)
    running = asyncio.create_task(shop.worker.run())
    await ticks(lambda: len(shop.provider.sent) == 2)
    assert len(shop.store.waiting) == 3

    shop.provider.let.set()
    await ticks(lambda: len(shop.store.finished) == 5)

    assert shop.settled == [work_of(number).message_id for number in range(1, 6)]
    assert await shop.worker.drain(1.0) == 0
    await asyncio.wait_for(running, 5)


async def test_what_is_being_claimed_when_a_drain_begins_is_waited_for_and_nothing_more_is_claimed() -> None:
    shop = await workshop_of(waiting=5)
    shop.store.hold_claims.clear()
    running = asyncio.create_task(shop.worker.run())
    await shop.store.claimed.wait()

    draining = asyncio.create_task(shop.worker.drain(5.0))
    await asyncio.sleep(0)
    shop.store.hold_claims.set()
    await ticks(lambda: len(shop.provider.sent) == 2)
    shop.provider.let.set()

    assert await draining == 0
    assert (len(shop.store.finished), len(shop.store.waiting)) == (2, 3)
    await asyncio.wait_for(running, 5)


async def test_a_drain_cuts_off_what_does_not_end_in_time_and_counts_it() -> None:
    shop = await workshop_of(waiting=2)
    running = asyncio.create_task(shop.worker.run())
    await ticks(lambda: len(shop.provider.sent) == 2)

    assert await shop.worker.drain(0.0) == 2
    assert shop.store.finished == []
    await asyncio.wait_for(running, 5)


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Accepted(task_id=None, code="00", message=None), ("accepted", "00", None)),
        (Refused(code="77", message="no", reason="content", scope="task"), ("refused", "77", "content")),
        (NotSent(why="connect"), ("not_sent", None, "connect")),
        (NotSent(why="code", code="08"), ("not_sent", "08", "code")),
        (Unconfirmed(why="read_timeout"), ("unconfirmed", None, "read_timeout")),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, msgspec.Struct) else "",
)
def test_an_outcome_is_told_in_three_words(outcome: SendOutcome, told: tuple[str, str | None, str | None]) -> None:
    assert describe(outcome) == told


class Pulls:
    """Pulls that bring these outcomes in turn, by kind; then nothing."""

    def __init__(self, clock: StillClock, **outcomes: list[str]) -> None:
        self._clock = clock
        self._outcomes = outcomes
        self.made: list[tuple[BodyKind, float]] = []
        self.running: set[BodyKind] = set()
        self.answered = asyncio.Event()
        self.answered.set()

    async def once(self, account: Account, kind: BodyKind) -> PullResult:
        assert kind not in self.running, "two at once"
        self.running.add(kind)
        self.made.append((kind, self._clock.monotonic_s()))
        await asyncio.sleep(0)
        await self.answered.wait()
        self.running.discard(kind)
        outcomes = self._outcomes.get(kind, [])
        outcome: Any = outcomes.pop(0) if outcomes else "empty"
        if outcome == "broken":
            raise StoreUnavailable("neither the store nor the spool")
        return PullResult(outcome=outcome, rows={"applied": 1} if outcome == "rows" else {}, detail=None, seconds=0.1)


async def pulling(clock: StillClock, pulls: Pulls, account: Account) -> PullWorker:
    book = AccountBook(cast(Store, OneAccount(account)), clock, sandbox_for_live=False)
    await book.refresh()
    return PullWorker(cast(Pull, pulls), book, Alone(FixedEntropy()), clock, Metrics())


class OneAccount:
    """A store with this account."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def accounts(self) -> list[Account]:
        return [self._account]

    async def callback_tokens(self) -> dict[bytes, AccountId]:
        return {}


async def test_pulls_follow_each_other_while_rows_come_and_then_wait_for_their_interval() -> None:
    clock = StillClock()
    pulls = Pulls(clock, report=["rows", "rows", "empty", "rows", "failed", "rows", "refused"])
    worker = await pulling(clock, pulls, msgspec.structs.replace(account_of(), pull_inbound=False))

    running = asyncio.create_task(worker.run())
    await ticks(lambda: len(pulls.made) >= 7)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    times = [made_s for _, made_s in pulls.made[:7]]
    waited = [later_s - earlier_s >= 30 for earlier_s, later_s in pairwise(times)]
    assert waited == [False, False, True, False, True, False]


async def test_a_drain_waits_for_the_pull_that_was_asked_for_and_asks_for_no_more() -> None:
    clock = StillClock()
    pulls = Pulls(clock, report=["rows", "rows"])
    worker = await pulling(clock, pulls, msgspec.structs.replace(account_of(), pull_inbound=False))
    pulls.answered.clear()
    running = asyncio.create_task(worker.run())
    await ticks(lambda: len(pulls.made) == 1)

    assert await worker.drain(0.01) == 1
    draining = asyncio.create_task(worker.drain(5.0))
    await asyncio.sleep(0)
    pulls.answered.set()

    assert await draining == 0
    await asyncio.wait_for(running, 5)
    assert (len(pulls.made), pulls.running) == (1, set())


async def test_inbound_messages_are_pulled_every_third_interval() -> None:
    clock = StillClock()
    pulls = Pulls(clock)
    worker = await pulling(clock, pulls, msgspec.structs.replace(account_of(), pull_interval_s=10.0))

    running = asyncio.create_task(worker.run())
    await ticks(lambda: len(pulls.made) >= 12)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    for kind, interval_s in (("report", 10), ("mo", 30)):
        times = [made_s for made, made_s in pulls.made if made == kind]
        assert len(times) >= 3
        # This clock goes on while the tasks of a pull take their turns: some seconds more.
        assert all(interval_s <= later - earlier < interval_s + 10 for earlier, later in pairwise(times)), kind


async def test_a_pull_that_could_not_be_kept_breaks_the_loop_so_that_the_supervisor_tells() -> None:
    clock = StillClock()
    worker = await pulling(clock, Pulls(clock, report=["broken"]), account_of())

    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(worker.run(), 5)


@pytest.mark.parametrize(
    ("account", "kinds"),
    [
        (account_of(), {"report", "mo"}),
        (msgspec.structs.replace(account_of(), pull_reports=False), {"mo"}),
        (msgspec.structs.replace(account_of(), pull_inbound=False), {"report"}),
        (msgspec.structs.replace(account_of(), pull_reports=False, pull_inbound=False), set()),
        (account_of(disabled=True), set()),
    ],
    ids=["both", "no reports", "no inbound", "neither", "disabled"],
)
async def test_only_what_is_wanted_is_pulled(account: Account, kinds: set[str]) -> None:
    clock = StillClock()
    pulls = Pulls(clock)
    running = asyncio.create_task((await pulling(clock, pulls, account)).run())

    await ticks(lambda: len(clock.slept) > 100)

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert {kind for kind, _ in pulls.made} == kinds
