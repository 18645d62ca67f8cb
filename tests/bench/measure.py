"""What is measured, through the public API alone."""

import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from tests.bench.client import Load, Request, load, repeat
from tests.bench.product import Prepared

CONNECTIONS: Final = 64
ROUNDS: Final = 3
ROUND_S: Final = 2.5
LARGE: Final = 3_000
LARGE_SENDS: Final = 6


class Cost(NamedTuple):
    """What a database server has spent so far."""

    cpu_s: float
    wal_bytes: int


class Row(NamedTuple):
    """One line of the table. ``weight``: what one request counts for. ``cost``: of the database server, over all
    rounds."""

    name: str
    unit: str
    weight: int
    rounds: list[Load]
    cost: Cost

    @property
    def units(self) -> int:
        """Messages, reports or recipients in all rounds."""
        return sum(len(one.samples) for one in self.rounds) * self.weight


class Bench:
    """The measurements, in the order in which each feeds the next."""

    def __init__(self, prepared: Prepared, spent: Callable[[], Cost] = lambda: Cost(0.0, 0)) -> None:
        """``spent`` tells what the database server has spent so far."""
        self._to = prepared
        self._spent = spent
        self._headers = {"authorization": f"Bearer {prepared.team_key}", "content-type": "application/json"}
        self._task_ids: list[tuple[str, str]] = []

    async def rows(self) -> list[Row]:
        """Every line of the table."""
        return [
            await self._row("accept only (scheduled)", "messages/s", 1, self._accept),
            await self._row("relay (Prefer: wait)", "messages/s", 1, self._relay),
            await self._row("callback ingest", "reports/s", 1, self._report),
            await self._row(f"accept {LARGE} recipients", "recipients/s", LARGE, self._accept_large),
            await self._row(f"relay {LARGE} recipients", "recipients/s", LARGE, self._relay_large),
        ]

    async def _row(self, name: str, unit: str, weight: int, one: Callable[[], Awaitable[Load]]) -> Row:
        before = self._spent()
        rounds = [_whole(await one()) for _ in range(ROUNDS)]
        after = self._spent()
        cost = Cost(after.cpu_s - before.cpu_s, after.wal_bytes - before.wal_bytes)
        return Row(name, unit, weight, rounds, cost)

    async def _accept(self) -> Load:
        later = (datetime.now(UTC) + timedelta(hours=6)).isoformat().replace("+00:00", "Z")
        return await self._load(repeat(lambda n: self._message([_mobile(n)], {"send_at": later})))

    async def _relay(self) -> Load:
        wait = {"prefer": "wait=10"}
        done = await self._load(repeat(lambda n: self._message([_mobile(n)], {}, wait)))
        for number, sample in enumerate(done.samples):
            # Numbers do not matter here: a report is matched by its task, and all tasks of this round have one number.
            message = json.loads(sample.body)
            self._task_ids.append((message["submissions"][0]["task_id"], message["metadata"].get("to", str(number))))
        return done

    async def _report(self) -> Load:
        share = len(self._task_ids) // ROUNDS
        mine = [self._task_ids.pop() for _ in range(min(share or 1, len(self._task_ids)))]
        return await self._load(iter([self._callback(task_id, mobile) for task_id, mobile in mine]))

    async def _accept_large(self) -> Load:
        later = (datetime.now(UTC) + timedelta(hours=6)).isoformat().replace("+00:00", "Z")
        return await self._load_large({"send_at": later}, {})

    async def _relay_large(self) -> Load:
        return await self._load_large({}, {"prefer": "wait=10"})

    async def _load_large(self, extra: dict[str, object], headers: dict[str, str]) -> Load:
        numbers = [_mobile(n) for n in range(LARGE)]
        requests = [self._message(numbers, extra, headers) for _ in range(LARGE_SENDS)]
        return await load(self._to.urls, requests, connections=1, seconds=ROUND_S)

    async def _load(self, requests: Iterator[Request]) -> Load:
        return await load(self._to.urls, requests, connections=CONNECTIONS, seconds=ROUND_S)

    def _message(self, to: list[str], extra: dict[str, object], headers: dict[str, str] | None = None) -> Request:
        body: dict[str, object] = {"to": to, "text": "Your code is 246810", **extra}
        if len(to) == 1:
            body["metadata"] = {"to": to[0]}
        return Request("POST", "/v1/messages", self._headers | (headers or {}), json.dumps(body).encode())

    def _callback(self, task_id: str, mobile: str) -> Request:
        body = {"sendId": task_id, "mobile": mobile, "times": "2026-01-02 03:04:05", "status": "DELIVRD"}
        return Request("POST", self._to.report_path, {"content-type": "application/json"}, json.dumps(body).encode())


def _mobile(number: int) -> str:
    """Made-up numbers whose last four digits mean nothing to the sandbox: 1380013xxxx with 1000..9999."""
    return f"1380013{1000 + number % 9000}"


def _whole(one: Load) -> Load:
    """The load, when every answer was a success: a rate of refusals is no rate."""
    wrong = next((sample for sample in one.samples if not 200 <= sample.status < 300), None)
    if wrong is not None:
        raise SystemExit(f"bench: a request was answered {wrong.status}: {wrong.body[:500].decode(errors='replace')}")
    if not one.samples:
        raise SystemExit("bench: a round had nothing to send")
    return one
