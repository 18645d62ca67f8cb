"""``make bench-growth``: what a row costs when there are 50,000 recipients, and when there are 5,000,000.

Through the store alone, with group commit and 64 callers, on a real disk in a temporary directory. Each step is taken
at one size and at once at the other, so that whatever else the machine does falls on both, and the ratio is the median
of those of the rounds.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

from relay.domain.endpoints import DeliveryWork
from relay.domain.messages import MessageDraft, SubmissionWork
from relay.domain.times import DAY_MS
from relay.ports import Store
from tests.bench.grown import Engine, PostgreSQL, Sqlite
from tests.postgres.found import found
from tests.postgres.servers import PostgresServers
from tests.store import builders
from tests.store.builders import ACCEPTED, CLAIM, LEASE_MS, NOW_MS, entry
from tests.store.growth.fill import Size, mobile_of

SMALL: Final = 50_000
LARGE: Final = 5_000_000
MOST_RATIO: Final = 1.5
CALLERS: Final = 64
MESSAGES: Final = 1_280
CHUNK: Final = 3_000
CHUNKS: Final = 4
CLAIMED: Final = 100
ROUNDS: Final = 5

Costs = dict[str, list[float]]
"""Microseconds a row, round by round."""


class Load:
    """What happens to one database, in the order of life: each step works on what the one before it left."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._team = builders.team()
        self._account = builders.account()
        self._endpoint = builders.endpoint(self._team.id)
        self._number = 0
        self._drafts: list[MessageDraft] = []
        self.costs: Costs = {}
        self.steps: Final = (self._accept_small, self._accept_large, self._send, self._receive, self._deliver)

    async def start(self) -> None:
        """Its own team, account and endpoint: of what was there before nothing is due for them."""
        await self._store.create_team(self._team, entry=entry(), idempotency=None)
        await self._store.create_account(self._account, callback_token="token", entry=entry(), idempotency=None)
        await self._store.create_endpoint(self._endpoint, None)

    async def _accept_small(self) -> None:
        self._drafts = [self._draft(1, "queued") for _ in range(MESSAGES)]
        await self._measure("accept 1 recipient", MESSAGES, self._each(self._drafts, self._accept))

    async def _accept_large(self) -> None:
        drafts = [self._draft(CHUNK, "scheduled") for _ in range(CHUNKS)]
        await self._measure(f"accept {CHUNK} recipients", CHUNKS, self._each(drafts, self._accept), CHUNK)

    async def _send(self) -> None:
        await self._measure("claim + finish submission", MESSAGES, self._send_all())

    async def _receive(self) -> None:
        await self._measure("receive report", MESSAGES, self._each(self._drafts, self._report))

    async def _deliver(self) -> None:
        # One event of each message was "submitted", one "delivered".
        await self._measure("claim + finish delivery", 2 * MESSAGES, self._deliver_all())

    async def _measure(self, name: str, count: int, work: Awaitable[int], rows: int = 1) -> None:
        began = time.perf_counter()
        done = await work
        seconds = time.perf_counter() - began
        if done != count:
            raise SystemExit(f"bench: {name} did {done} of {count}")
        self.costs.setdefault(name, []).append(seconds / (count * rows) * 1e6)

    async def _each(self, items: Iterable[Any], act: Callable[[Any], Awaitable[None]]) -> int:
        """``CALLERS`` at a time."""
        source = iter(items)
        done = 0

        async def caller() -> None:
            nonlocal done
            for item in source:
                await act(item)
                done += 1

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return done

    async def _accept(self, draft: MessageDraft) -> None:
        await self._store.accept(
            draft, claim=CLAIM, lease_until_ms=NOW_MS + LEASE_MS, quota=None, limit=None, idempotency=None
        )

    async def _send_all(self) -> int:
        done = 0
        while works := await self._store.claim_submissions(
            self._account.id, CLAIMED, claim=CLAIM, now_ms=NOW_MS, lease_until_ms=NOW_MS + LEASE_MS
        ):
            done += await self._each(works, self._finish)
        return done

    async def _finish(self, work: SubmissionWork) -> None:
        await self._store.finish_submission(work, ACCEPTED, now_ms=NOW_MS, retry_due_ms=NOW_MS, resend=False)

    async def _report(self, draft: MessageDraft) -> None:
        row = builders.report(builders.task_of(draft), draft.submissions[0].mobiles[0])
        raw = builders.raw_body(received_ms=NOW_MS)
        await self._store.receive_reports(self._account.id, builders.raw_id(), raw, builders.reading([row]))

    async def _deliver_all(self) -> int:
        done = 0
        while works := await self._store.claim_deliveries(
            [(self._endpoint.view.id, CLAIMED)], claim=CLAIM, now_ms=NOW_MS, lease_until_ms=NOW_MS + LEASE_MS
        ):
            done += await self._each(works, self._delivered)
        return done

    async def _delivered(self, work: DeliveryWork) -> None:
        await self._store.finish_delivery(work, builders.attempt_record(work, 200))

    def _draft(self, count: int, status: Any) -> MessageDraft:
        numbers = [mobile_of(self._number + number) for number in range(count)]
        self._number += count
        due_ms = NOW_MS if status == "queued" else NOW_MS + DAY_MS
        part = builders.submission(numbers, self._account.id, status=status, due_ms=due_ms)
        return builders.draft(self._team.id, [part], reference=f"order {self._number}")


async def measure(engine: Engine, sizes: tuple[Size, Size], rounds: int) -> tuple[Costs, Costs]:
    """The costs at both sizes."""
    for size in sizes:
        filled = await engine.fill(size)
        print(
            f"{engine.name}: {size.recipients:,} recipients in {filled.seconds:.0f} s, {filled.megabytes:,.0f} MB",
            flush=True,
        )
    async with contextlib.AsyncExitStack() as stack:
        loads = [Load(await stack.enter_async_context(engine.open(size))) for size in sizes]
        for load in loads:
            await load.start()
        # The first round warms both: what is measured is a gateway that runs, not one that starts.
        for round_number in range(rounds + 1):
            for steps in zip(*(load.steps for load in loads), strict=True):
                for step in steps if round_number % 2 else reversed(steps):
                    await step()
            if not round_number:
                for load in loads:
                    load.costs.clear()
    return loads[0].costs, loads[1].costs


def _print(name: str, small: Costs, large: Costs) -> bool:
    """The table; False when a cost has grown too much."""
    print(f"\n{name:<28}{'us a row, small':>16}{'min..max':>16}{'large':>10}{'min..max':>16}{'ratio':>8}")
    holds = True
    for step, costs in small.items():
        before, after = statistics.median(costs), statistics.median(large[step])
        ratio = statistics.median(two / one for one, two in zip(costs, large[step], strict=True))
        verdict = "" if ratio <= MOST_RATIO else f"  above {MOST_RATIO}"
        holds &= ratio <= MOST_RATIO
        print(
            f"{step:<28}{before:>16.1f}{_span(costs):>16}{after:>10.1f}{_span(large[step]):>16}{ratio:>8.2f}{verdict}"
        )
    return holds


def _span(costs: list[float]) -> str:
    return f"{min(costs):.0f}..{max(costs):.0f}"


def main() -> int:
    """Fills, measures and prints, engine by engine; 1 when a cost grows by more than ``MOST_RATIO``."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--small", type=int, default=SMALL, help="recipients of the small database")
    parser.add_argument("--large", type=int, default=LARGE, help="recipients of the large one")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--engine", choices=("sqlite", "postgres"), help="one alone")
    options = parser.parse_args()
    sizes = (Size(recipients=options.small), Size(recipients=options.large))
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {CALLERS} callers, {options.rounds} rounds")
    holds = True
    with tempfile.TemporaryDirectory(prefix="relay-growth-") as directory, contextlib.ExitStack() as stack:
        Path(directory).chmod(0o755)
        servers = PostgresServers(Path(directory))
        stack.callback(servers.close)
        for kind in ("sqlite", "postgres"):
            if options.engine in (None, kind):
                engine: Engine = Sqlite(Path(directory)) if kind == "sqlite" else PostgreSQL(servers, found()[0])
                holds &= _print(engine.name, *asyncio.run(measure(engine, sizes, options.rounds)))
    print(f"\nEvery row costs at most {MOST_RATIO} times as much." if holds else "\nA cost grows with the database.")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
