"""The loop that replays the spool, and what it tells of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import structlog

from relay.domain.errors import StoreUnavailable
from relay.domain.ids import RawId
from relay.domain.provider import RawBody
from relay.ports import PendingRaw, Store
from relay.services.accounts import AccountBook
from relay.services.apply import AppliedBody, Apply
from relay.services.balance import Balances
from relay.services.membership import Alone
from relay.store.spool import Spool
from relay.telemetry.metrics import Metrics
from relay.workers.upkeep import Upkeep
from tests.services.stillness import FixedEntropy, StillClock, account_of

_POLL_S: Final = 0.001
"""Real seconds between two looks. The spool writes in threads: a loop that never rests would keep the interpreter from
them."""


class RestingClock(StillClock):
    """Its sleep is a short rest, so that threads come to run."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await asyncio.sleep(_POLL_S)


class Loop:
    """The loop on a spool, with a store that does what ``answer`` says."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.clock = RestingClock()
        self.metrics = Metrics()
        self.answer: str = "stored"
        self.applied: list[bytes] = []
        nothing = cast(Any, None)
        self.upkeep = Upkeep(
            cast(Store, nothing),
            cast(AccountBook, nothing),
            cast(Balances, nothing),
            cast(Apply, self),
            spool,
            Alone(FixedEntropy()),
            self.clock,
            self.metrics,
            set_going=nothing,
            settled=nothing,
            sweep_interval_s=1,
            told_after_s=1,
            no_report_after_s=1,
            balance_interval_s=1,
            idempotency_keep_s=1,
        )

    async def apply_in_turn(self, items: list[PendingRaw]) -> list[AppliedBody]:
        """In the place of the use case."""
        if self.answer == "away":
            raise StoreUnavailable("locked")
        self.applied += [item.raw.body for item in items]
        results = ["set_aside" if item.raw.body == b"refused" else "stored" for item in items]
        return [AppliedBody(result=cast(Any, result), rows={"applied": 2}) for result in results]

    async def put(self, *bodies: bytes) -> None:
        """These wait in the spool since ten seconds."""
        for number, body in enumerate(bodies):
            raw = RawBody(
                kind="report",
                source="push",
                content_type="",
                query=b"",
                body=body,
                received_ms=self.clock.now_ms() - 10_000,
            )
            await self.spool.append(PendingRaw(id=RawId(f"raw_{number:032x}"), account_id=account_of().id, raw=raw))

    async def runs(self, until: Callable[[], bool]) -> list[Any]:
        """Run until it is so and the round has ended; what was logged, without repetitions."""
        with structlog.testing.capture_logs() as lines:
            running = asyncio.create_task(self.upkeep.spool())
            async with asyncio.timeout(5):
                while not until():  # noqa: ASYNC110 - what is awaited is several steps of the loop
                    await asyncio.sleep(_POLL_S)
                rounds = len(self.clock.slept)
                while len(self.clock.slept) == rounds:  # noqa: ASYNC110 - the same
                    await asyncio.sleep(_POLL_S)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return list(dict.fromkeys(line["event"] for line in lines))

    def value(self, name: str, **labels: str) -> float:
        """A metric."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def loop_on(directory: Path) -> AsyncIterator[Loop]:
    spool = Spool(directory)
    await spool.start()
    try:
        yield Loop(spool)
    finally:
        await spool.close()


async def test_a_replay_is_counted_with_its_rows(tmp_path: Path) -> None:
    async with loop_on(tmp_path) as loop:
        await loop.put(b"one", b"two", b"three")

        told = await loop.runs(lambda: loop.value("relay_spool_replayed_total") == 3 and not loop.spool.size_bytes)

        assert loop.applied == [b"one", b"two", b"three"]
        assert told == ["spool.replayed"]
        assert loop.value("relay_callback_rows_total", kind="report", result="applied") == 6
        assert loop.value("relay_spool_bodies") == loop.value("relay_spool_oldest_age_seconds") == 0


async def test_while_the_store_is_away_size_and_age_are_told_and_each_replay_that_fails_is_counted(
    tmp_path: Path,
) -> None:
    async with loop_on(tmp_path) as loop:
        await loop.put(b"one", b"two")
        loop.answer = "away"

        told = await loop.runs(lambda: loop.value("relay_spool_replay_failures_total") >= 3)

        assert told == ["spool.waits"]
        assert loop.value("relay_spool_bodies") == 2
        assert loop.value("relay_spool_bytes") == loop.spool.size_bytes > 0
        # Half a second passes between two replays.
        assert 11 <= loop.value("relay_spool_oldest_age_seconds") < 60
        loop.answer = "stored"
        await loop.runs(lambda: loop.value("relay_spool_replayed_total") == 2)
        assert loop.applied == [b"one", b"two"]


async def test_what_the_store_refuses_is_set_aside_counted_and_told_without_its_content(tmp_path: Path) -> None:
    async with loop_on(tmp_path) as loop:
        await loop.put(b"one", b"refused", b"three")

        told = await loop.runs(lambda: loop.value("relay_spool_set_aside_total") == 1)

        assert loop.value("relay_spool_replayed_total") == 2
        assert told == ["spool.body_refused", "spool.replayed", "spool.set_aside"]


async def test_damage_alone_is_set_aside_and_counted(tmp_path: Path) -> None:
    async with loop_on(tmp_path) as loop:
        await loop.put(b"one")
    (path,) = (entry for entry in tmp_path.iterdir() if entry.suffix == ".spool")  # noqa: ASYNC240 - a temporary folder
    data = bytearray(path.read_bytes())
    data[-1] ^= 0xFF
    path.write_bytes(bytes(data))

    async with loop_on(tmp_path) as loop:
        assert loop.spool.depth == 0
        told = await loop.runs(lambda: loop.value("relay_spool_set_aside_total") == 1)

        assert told == ["spool.set_aside"]
        assert loop.applied == []
