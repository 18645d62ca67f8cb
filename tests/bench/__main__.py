"""``make bench``: what one replica does on this machine, in less than a minute, over loopback alone.

Client, gateway and provider share the machine's cores: the figures compare versions on one machine, not machines.
Each figure is the median of three rounds.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.bench.measure import Bench
from tests.bench.product import Product
from tests.bench.table import print_machine, print_rows

MOST_S: Final = 60.0


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
    print_machine(time.monotonic() - began)
    print_rows(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
