"""A server as a process of ours: as an account that may run it, and never longer than we do."""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.postgres import keeper

END_S: Final = 30.0
RUN_S: Final = 120.0


class Account(NamedTuple):
    """Of the system."""

    uid: int
    gid: int


def server_account() -> Account:
    """Ours; for root, as whom neither PostgreSQL nor PgBouncer runs, that of Debian's packages, or else nobody's."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    # initdb wants an account that has a name: an id alone will not do.
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    return Account(entry.pw_uid, entry.pw_gid)


def give(path: Path) -> None:
    """``path`` belongs to the server's account."""
    os.chown(path, *server_account())


def run(command: Sequence[str], directory: Path, stdin: str = "") -> None:
    """As the server's account, to its end, which must be good."""
    account = server_account() if os.geteuid() == 0 else None
    ended = subprocess.run(  # noqa: S603 - ours
        command,
        user=account and account.uid,
        group=account and account.gid,
        extra_groups=account and [],
        cwd=directory,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=RUN_S,
    )
    assert ended.returncode == 0, f"{command[0]} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"


class KeptProcess:
    """Runs from the start; signals go to its id, which stays its own until ``wait`` or ``close``."""

    def __init__(self, command: Sequence[str], directory: Path, log: Path) -> None:
        """``log`` gets what it says on standard output and standard error."""
        self._log = log
        self._reaped = False
        arguments = [*map(str, server_account()), *command]
        with log.open("ab") as stream:
            self._keeper = subprocess.Popen(  # noqa: S603 - ours
                # Isolated and without site-packages: it starts in a hundredth of a second.
                [sys.executable, "-I", "-S", keeper.__file__, *arguments],
                cwd=directory,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                # The ^C that ends the tests is not for the server.
                start_new_session=True,
            )
        assert self._keeper.stdout is not None
        self.pid: Final = int(self._keeper.stdout.readline())

    def signal(self, number: signal.Signals) -> None:
        """To the process alone, not to its children."""
        assert not self._reaped, "it has ended"
        os.kill(self.pid, number)

    def pause(self) -> None:
        """Its children stand still as well."""
        assert not self._reaped, "it has ended"
        keeper.stop_tree(self.pid)

    def resume(self) -> None:
        """After ``pause``."""
        assert not self._reaped, "it has ended"
        keeper.continue_tree(self.pid)

    def has_ended(self) -> bool:
        """By itself or by a signal."""
        return self._reaped or keeper.state(self.pid) == "Z"

    def wait(self, within_s: float = END_S) -> int:
        """Its exit code, once it has ended. Fails, and kills it with its children, when it does not."""
        try:
            keeper.wait_until(self.has_ended, within_s, f"process {self.pid} ends\n{self.tail()}")
        finally:
            code = self.close()
        return code

    def close(self) -> int:
        """Nothing of it runs any more; what still did was killed. Its exit code."""
        if not self._reaped:
            self._reaped = True
            # With the end of its input the keeper kills whatever is left, and is done.
            self._code = int(self._keeper.communicate(timeout=END_S)[0])
        return self._code

    def tail(self) -> str:
        """The end of the log, for whoever looks into a failure."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-40:])
