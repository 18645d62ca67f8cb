"""``make bench-replicas``: one gateway on SQLite, one on PostgreSQL, two that share it; and what PostgreSQL itself
spends.

Everything shares this machine's cores, so two replicas are no faster here than one. What carries over to another
machine is what stands below each table: how much of a core, and how much write-ahead log, one message costs the server
that all replicas share. It is started with fsync on, in a temporary directory, for about two minutes.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.bench.measure import Bench, Cost, Row
from tests.bench.product import Product
from tests.bench.table import print_machine, print_rows
from tests.postgres.found import found
from tests.postgres.keeper import children
from tests.postgres.server import PostgresServer
from tests.postgres.servers import PostgresServers

MOST_S: Final = 90.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Runs everything, one after the other."""
    began = time.monotonic()
    print_machine(0)
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as directory:
        _measure("SQLite, 1 replica", Product(Path(directory) / "sqlite"), lambda: Cost(0.0, 0))
        servers = PostgresServers(Path(tempfile.gettempdir()))
        try:
            server = servers.new(found()[0], fsync=True)
            server.start()
            for replicas in (1, 2):
                url = server.create_database(f"bench{replicas}")
                product = Product(Path(directory) / f"of{replicas}", database_url=url, replicas=replicas)
                _measure(f"{found()[0].name}, {replicas} replicas", product, lambda: _spent(server))
        finally:
            servers.close()
    print(f"\n{time.monotonic() - began:.0f} s")
    return 0


def _measure(name: str, product: Product, spent: Callable[[], Cost]) -> None:
    with product:
        rows = asyncio.run(asyncio.wait_for(Bench(product.prepare(), spent).rows(), MOST_S))
    print(f"\n{name}")
    print_rows(rows)
    _print_costs(rows)


def _print_costs(rows: list[Row]) -> None:
    for row in rows:
        if row.cost.cpu_s:
            unit = row.unit.removesuffix("s/s")
            cpu_us, wal_bytes = row.cost.cpu_s / row.units * 1e6, row.cost.wal_bytes / row.units
            print(f"  PostgreSQL: {row.name:<26}{cpu_us:>8.1f} us of a core, {wal_bytes:>7,.0f} bytes of log a {unit}")


def _spent(server: PostgresServer) -> Cost:
    ((wal_bytes,),) = server.execute("postgres", "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
    return Cost(sum(_cpu_s(pid) for pid in (server.pid, *children(server.pid))), wal_bytes)


def _cpu_s(pid: int) -> float:
    # Linux: behind the name in brackets, fields 14 and 15 (of all) are user and system time; 16 and 17 those of ended
    # children, which the postmaster alone has.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


if __name__ == "__main__":
    sys.exit(main())
