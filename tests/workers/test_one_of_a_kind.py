"""What only the process that leads may do, and that it stops at once when it leads no more."""

import asyncio
from typing import Any, cast

import pytest
import structlog

from relay.domain.accounts import Account
from relay.domain.errors import StoreUnavailable
from relay.domain.ids import AccountId, MessageId, RawId
from relay.domain.provider import Balance, BodyKind, RawBody
from relay.ports import PendingRaw, Store, StoredEffects, Swept
from relay.services.accounts import AccountBook
from relay.services.apply import AppliedBody, Apply
from relay.services.balance import BalanceAsked, Balances
from relay.services.pull import Pull, PullResult
from relay.telemetry.metrics import Metrics
from relay.workers.pull import PullWorker
from relay.workers.upkeep import ReplayableSpool, Upkeep
from tests.services.stillness import Among, StillClock, account_of

EFFECTS = StoredEffects(deliveries=(), recipients_by_status={}, segments_by_status={}, events_by_type={})
LEFT = PendingRaw(
    id=RawId("raw_" + "1" * 32),
    account_id=account_of().id,
    raw=RawBody(kind="report", source="pull", content_type="", query=b"", body=b"[]", received_ms=0),
)


class Work:
    """A store, a puller, a balance and an application of bodies at once; it keeps what was done, and when."""

    def __init__(self, clock: StillClock, among: Among) -> None:
        self._clock = clock
        self._among = among
        self.done: list[tuple[str, float]] = []
        self.left = [LEFT]
        self.loses_it_after: str | None = None

    def _do(self, what: str) -> None:
        self.done.append((what, self._clock.monotonic_s()))
        if what == self.loses_it_after:
            self._among.leading = False

    async def accounts(self) -> list[Account]:
        return [account_of()]

    async def callback_tokens(self) -> dict[bytes, AccountId]:
        return {}

    async def sweep(self, now_ms: int, **rest: Any) -> Swept:
        self._do("sweep")
        await asyncio.sleep(0)
        return Swept(
            expired=0,
            lapsed=0,
            told_unconfirmed=0,
            no_report=0,
            more=True,
            settled=(MessageId("msg_" + "1" * 32),),
            effects=EFFECTS,
        )

    async def pending_raw(self, limit: int) -> list[PendingRaw]:
        self._do("look")
        return self.left

    async def apply(self, item: PendingRaw) -> AppliedBody:
        self._do("apply")
        return AppliedBody(result="stored", rows={})

    async def ask(self, account: Account) -> BalanceAsked:
        self._do("balance")
        return BalanceAsked(answer=Balance(amount="5", prepaid=True), seconds=0.1)

    async def once(self, account: Account, kind: BodyKind) -> PullResult:
        self._do(kind)
        await asyncio.sleep(0)
        return PullResult(outcome="rows" if self.loses_it_after else "empty", rows={}, detail=None, seconds=0.1)

    def names(self) -> set[str]:
        return {name for name, _ in self.done}


class Shop:
    """The loops of one process among others."""

    def __init__(self) -> None:
        self.clock, self.among, self.metrics = StillClock(), Among(), Metrics()
        self.work = Work(self.clock, self.among)
        store = cast(Store, self.work)
        self.book = AccountBook(store, self.clock, sandbox_for_live=False)
        self.upkeep = Upkeep(
            store,
            self.book,
            cast(Balances, self.work),
            cast(Apply, self.work),
            cast(ReplayableSpool, None),
            self.among,
            self.clock,
            self.metrics,
            set_going=lambda effects: None,
            settled=lambda message_id: None,
            sweep_interval_s=5.0,
            told_after_s=900.0,
            no_report_after_s=900.0,
            balance_interval_s=60.0,
            idempotency_keep_s=900.0,
        )
        self.pull = PullWorker(cast(Pull, self.work), self.book, self.among, self.clock, self.metrics)

    async def run(self, loop: str, sleeps: int) -> None:
        """One of them, until somebody has slept so often."""
        await self.book.refresh()
        run = {
            "sweep": self.upkeep.sweep,
            "balances": self.upkeep.balances,
            "left_bodies": self.upkeep.left_bodies,
            "pull": self.pull.run,
        }[loop]
        with structlog.testing.capture_logs():
            task = asyncio.create_task(run())
            async with asyncio.timeout(5):
                until = len(self.clock.slept) + sleeps
                while len(self.clock.slept) < until:  # noqa: ASYNC110 - several steps of another task
                    await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


LOOPS = ["sweep", "balances", "left_bodies", "pull"]


@pytest.mark.parametrize("loop", LOOPS)
async def test_who_does_not_lead_does_nothing(loop: str) -> None:
    shop = Shop()
    shop.among.leading = False

    await shop.run(loop, sleeps=100)

    assert shop.work.done == []


@pytest.mark.parametrize(
    ("loop", "last", "done"),
    [
        ("sweep", "sweep", ["sweep"]),
        ("left_bodies", "look", ["look"]),
        ("left_bodies", "apply", ["look", "apply"]),
        ("balances", "balance", ["balance"]),
    ],
)
async def test_who_leads_no_more_stops_in_the_middle(loop: str, last: str, done: list[str]) -> None:
    shop = Shop()
    shop.work.left = [LEFT, LEFT]
    shop.work.loses_it_after = last

    await shop.run(loop, sleeps=100)

    assert [name for name, _ in shop.work.done] == done


async def test_who_leads_no_more_pulls_no_more_although_rows_come() -> None:
    shop = Shop()
    shop.work.loses_it_after = "report"

    await shop.run("pull", sleeps=100)

    assert [name for name, _ in shop.work.done if name == "report"] == ["report"]


async def test_a_pull_that_breaks_does_not_cut_off_another_one_whose_rows_are_on_their_way() -> None:
    shop = Shop()
    answers, ended = asyncio.Event(), list[BodyKind]()

    class Provider:
        async def once(self, account: Account, kind: BodyKind) -> PullResult:
            if kind == "report":
                raise StoreUnavailable("away")
            await answers.wait()
            ended.append(kind)
            return PullResult(outcome="empty", rows={}, detail=None, seconds=0.1)

    await shop.book.refresh()
    worker = PullWorker(cast(Pull, Provider()), shop.book, shop.among, shop.clock, shop.metrics)
    running = asyncio.create_task(worker.run())
    for _ in range(100):
        await asyncio.sleep(0)
    assert (running.done(), ended) == (False, [])

    answers.set()

    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(running, 5)
    assert ended == ["mo"]


async def test_a_pull_under_way_is_cut_off_with_the_loop_also_after_another_one_broke() -> None:
    shop = Shop()
    cut = list[BodyKind]()

    class Provider:
        async def once(self, account: Account, kind: BodyKind) -> PullResult:
            if kind == "report":
                raise StoreUnavailable("away")
            try:
                await asyncio.Event().wait()
            finally:
                cut.append(kind)
            raise AssertionError

    await shop.book.refresh()
    worker = PullWorker(cast(Pull, Provider()), shop.book, shop.among, shop.clock, shop.metrics)
    running = asyncio.create_task(worker.run())
    for _ in range(100):
        await asyncio.sleep(0)
    assert (running.done(), cut) == (False, [])

    running.cancel()

    await asyncio.wait([running], timeout=5)
    assert cut == ["mo"]


async def test_who_takes_over_pulls_once_no_call_of_the_other_can_be_under_way() -> None:
    shop = Shop()
    shop.among.leading = False
    await shop.run("pull", sleeps=20)
    shop.among.leading = True
    led_s = shop.clock.monotonic_s()

    await shop.run("pull", sleeps=200)

    interval_s, timeout_s = account_of().pull_interval_s, account_of().timeout_s
    first = {name: at_s - led_s for name, at_s in reversed(shop.work.done)}
    assert timeout_s - 2 <= first["report"] < timeout_s + 10
    assert 3 * interval_s - 2 <= first["mo"] < 3 * interval_s + 10


async def test_who_takes_over_asks_for_balances_at_once_and_who_lost_it_tells_none() -> None:
    shop = Shop()
    await shop.run("balances", sleeps=2)
    assert shop.metrics.registry.get_sample_value(
        "relay_account_balance_sms", {"account": "account 1", "payment": "prepaid"}
    )

    shop.among.leading = False
    await shop.run("balances", sleeps=2)

    assert not shop.metrics.registry.get_sample_value(
        "relay_account_balance_sms", {"account": "account 1", "payment": "prepaid"}
    )
    shop.among.leading = True
    await shop.run("balances", sleeps=2)
    assert [name for name, _ in shop.work.done] == ["balance", "balance"]
