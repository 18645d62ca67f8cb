"""Where the servers of one test run have their files: in memory where there is room, and nothing stays."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

PREFIX: Final = "relay-postgres-"
ROOM_BYTES: Final = 4 * 2**30
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the folder in it has a name of its own
LOCK: Final = "lock"


class Scratch:
    """A folder that everybody may enter, until ``close``; what a killed run left is swept by the next one.

    Not below pytest's: those are closed to every account but ours, and their paths too long for a socket.
    """

    def __init__(self, parent: Path | None = None) -> None:
        """In memory if there is room, else in the usual folder; or in ``parent``: who measures wants a real disk."""
        sweep(parent or MEMORY)
        sweep(parent or Path(tempfile.gettempdir()))
        self.path: Final = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent or (MEMORY if _has_room() else None)))
        self.path.chmod(0o755)
        # Held until the end, however that comes. Named once it is held, or another run would sweep in between.
        unnamed = self.path / "unnamed"
        self._lock = unnamed.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unnamed.rename(self.path / LOCK)

    def close(self) -> None:
        """It is gone."""
        shutil.rmtree(self.path)
        self._lock.close()


def sweep(parent: Path) -> None:
    """What runs that have ended left in ``parent`` is gone."""
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        try:
            with lock.open() as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
        except OSError:
            continue  # it runs, is another account's, or is gone already


def _has_room() -> bool:
    try:
        found = os.statvfs(MEMORY)
    except OSError:
        return False
    # A copy of the programs must run there.
    return found.f_bavail * found.f_frsize >= ROOM_BYTES and not found.f_flag & os.ST_NOEXEC
