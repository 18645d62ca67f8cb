"""``make bench``: what one replica does on this machine, in less than a minute, over loopback alone.

Client, gateway and provider share the machine's cores: the figures compare versions on one machine, not machines.
Each figure is the median of three rounds.
"""

import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench.client import Load, Request, load, repeat
from tests.bench.product import Prepared, Product

CONNECTIONS: Final = 64
ROUNDS: Final = 3
ROUND_S: Final = 2.5
LARGE: Final = 3_000
LARGE_SENDS: Final = 6
MOST_S: Final = 60.0


class Row(NamedTuple):
    """One line of the table. ``weight``: what one request counts for."""

    name: str
    unit: str
    weight: int
    rounds: list[Load]


class Bench:
    """The measurements, in the order in which each feeds the next."""

    def __init__(self, prepared: Prepared) -> None:
        self._to = prepared
        self._headers = {"authorization": f"Bearer {prepared.team_key}", "content-type": "application/json"}
        self._task_ids: list[tuple[str, str]] = []

    async def rows(self) -> list[Row]:
        """Every line of the table."""
        return [
            Row("accept only (scheduled)", "messages/s", 1, await self._rounds(self._accept)),
            Row("relay (Prefer: wait)", "messages/s", 1, await self._rounds(self._relay)),
            Row("callback ingest", "reports/s", 1, await self._rounds(self._report)),
            Row(f"accept {LARGE} recipients", "recipients/s", LARGE, await self._rounds(self._accept_large)),
            Row(f"relay {LARGE} recipients", "recipients/s", LARGE, await self._rounds(self._relay_large)),
        ]

    async def _rounds(self, one: Callable[[], Awaitable[Load]]) -> list[Load]:
        return [_whole(await one()) for _ in range(ROUNDS)]

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
        return await load(self._to.url, requests, connections=1, seconds=ROUND_S)

    async def _load(self, requests: Iterator[Request]) -> Load:
        return await load(self._to.url, requests, connections=CONNECTIONS, seconds=ROUND_S)

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


def _print(rows: list[Row], seconds: float) -> None:
    print(f"{platform.node()}: {_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}")
    print(
        f"Python {platform.python_version()}, {CONNECTIONS} connections, {seconds:.0f} s, {time.strftime('%Y-%m-%d')}\n"
    )
    print(f"{'':<26}{'median of 3':>14} {'':<13}{'min..max':>18}{'p50 ms':>9}{'p99 ms':>9}")
    for row in rows:
        rates = sorted(one.rate * row.weight for one in row.rounds)
        span = f"{rates[0]:,.0f}..{rates[-1]:,.0f}"
        p50 = statistics.median(one.quantile_ms(0.5) for one in row.rounds)
        p99 = statistics.median(one.quantile_ms(0.99) for one in row.rounds)
        print(f"{row.name:<26}{statistics.median(rates):>14,.0f} {row.unit:<13}{span:>18}{p50:>9.1f}{p99:>9.1f}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> int:
    """Runs everything; 1 when it takes longer than a minute."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as directory, Product(Path(directory)) as product:
        bench = Bench(product.prepare())
        try:
            rows = asyncio.run(asyncio.wait_for(bench.rows(), MOST_S))
        except TimeoutError:
            print(f"bench: not done in {MOST_S:.0f} s", file=sys.stderr)
            return 1
    _print(rows, time.monotonic() - began)
    return 0


if __name__ == "__main__":
    sys.exit(main())
