"""Run as a program: starts a server, prints its id, and ends it with all its children once standard input ends.

So a server never outlives whoever started it, even if that one is killed: the other end of the pipe closes then. The
"parent died" signal of Linux would not do: it comes when the *thread* that started the process ends. Until the very
end the server is an unwaited child, so its id is nobody else's. Needs Linux, and nothing but the standard library.

    keeper.py UID GID COMMAND…      UID and GID are those that the server runs as
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

EVERY_S: Final = 0.002
SIGNAL_S: Final = 20.0


def wait_until(holds: Callable[[], bool], within_s: float, what: str) -> None:
    """Return once ``holds`` does; fails after ``within_s`` seconds, naming ``what`` did not come."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(EVERY_S)


def state(pid: int) -> str:
    """The letter that Linux shows for the process (``T`` stopped, ``Z`` ended and not waited for); "" if it is gone."""
    return next(iter(_stat(pid)), "")


def children(pid: int) -> list[int]:
    """Exact only while ``pid`` is stopped: it cannot start or wait for one then."""
    found = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return [child for child in found if _stat(child)[1:2] == [str(pid)]]


def stop_tree(pid: int) -> list[int]:
    """The process and its children stand still; ``continue_tree`` lets them go on. Returns the children."""
    # The parent first: what it has then stays its child, alive or not, so no id is used again.
    _send([pid], signal.SIGSTOP, "TtZ")
    found = children(pid)
    _send(found, signal.SIGSTOP, "TtZ")
    return found


def continue_tree(pid: int) -> None:
    """After ``stop_tree``."""
    for process in (*children(pid), pid):
        os.kill(process, signal.SIGCONT)


def kill_tree(pid: int) -> None:
    """Nothing of it runs any more. ``pid``, which must be somebody's child, is still to be waited for."""
    _send(stop_tree(pid), signal.SIGKILL, "Z")
    _send([pid], signal.SIGKILL, "Z")


def remove_memory(pid: int) -> None:
    """Shared memory that the process made is gone. A killed PostgreSQL leaves some, and Linux has room for 4,096."""
    segments = Path("/proc/sysvipc/shm")
    lines = segments.read_text().splitlines()[1:] if segments.exists() else []
    for words in map(str.split, lines):
        if int(words[4]) == pid:
            ctypes.CDLL(None).shmctl(int(words[1]), 0, None)  # 0: IPC_RMID


def _stat(pid: int) -> list[str]:
    try:
        # Behind the name, which is in brackets: state, parent, ...
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _send(pids: list[int], number: signal.Signals, states: str) -> None:
    for pid in pids:
        os.kill(pid, number)
    reached = ("", *states)
    wait_until(lambda: all(state(pid) in reached for pid in pids), SIGNAL_S, f"{number.name} has reached {pids}")


def _run(uid: int, gid: int, command: list[str]) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    # Python ignores these, and a process inherits that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


def main(uid: int, gid: int, command: list[str]) -> None:
    """Until standard input ends; then the exit code of the server is printed."""
    pid = os.fork()
    if pid == 0:
        try:
            _run(uid, gid, command)
        except OSError as error:
            os.write(2, f"{command[0]}: {error}\n".encode())
        os._exit(127)
    print(pid, flush=True)  # noqa: T201 - to whoever started us
    sys.stdin.read()
    kill_tree(pid)
    remove_memory(pid)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"{code}\n".encode())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
