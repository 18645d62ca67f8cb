"""How the figures are shown."""

import os
import platform
import statistics
import time
from pathlib import Path

from tests.bench.measure import CONNECTIONS, Row


def print_machine(seconds: float) -> None:
    """Where and when it was measured."""
    print(f"{platform.node()}: {_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}")
    print(
        f"Python {platform.python_version()}, {CONNECTIONS} connections, {seconds:.0f} s, {time.strftime('%Y-%m-%d')}\n"
    )


def print_rows(rows: list[Row]) -> None:
    """One line each."""
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
