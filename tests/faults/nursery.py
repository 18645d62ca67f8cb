"""Where gateways come from."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import BinaryIO, Final

END_S: Final = 30.0
_MOST_BYTES: Final = 1 << 20

# Importing takes seconds, everything else a tenth of one. So one process imports, and each gateway is a fork of it that
# then runs `relay serve`: a hundred restarts become affordable. A gateway stays a child until it is waited for, so its
# id is nobody else's.
_PROGRAM: Final = f"""
import json, os, socket, sys
import relay.app
from relay.__main__ import main

orders = socket.socket(fileno=int(sys.argv[1]))
children = set()
while True:
    order, files, _, _ = socket.recv_fds(orders, {_MOST_BYTES}, 1)
    if not order:
        break
    said = json.loads(order)
    if isinstance(said, dict):
        child = os.fork()
        if child == 0:
            orders.close()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(files[0], 1)
            os.dup2(files[0], 2)
            os.close(files[0])
            os.environ.clear()
            os.environ.update(said)
            sys.argv = ["relay", "serve"]
            main()
        os.close(files[0])
        children.add(child)
        answer = child
    else:
        answer = os.waitstatus_to_exitcode(os.waitpid(said, 0)[1])
        children.remove(said)
    orders.send(str(answer).encode())
for child in children:
    os.kill(child, 9)  # whoever gave the orders is gone
"""


class Nursery:
    """A process that starts gateways; ``close`` ends it, and what it started and nobody waited for. Needs Linux."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._turn = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - ours
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def start(self, environ: Mapping[str, str]) -> tuple[int, BinaryIO]:
        """The id of a new gateway, and what it says. Blocks while the nursery imports."""
        # By a pipe, not into a file: a limit on the size of files must not hit the log.
        reading, writing = os.pipe()
        try:
            pid = self._order(dict(environ), writing)
        finally:
            os.close(writing)
        return pid, os.fdopen(reading, "rb")

    def wait(self, pid: int) -> int:
        """The exit code of a gateway, once it has ended."""
        return self._order(pid)

    def close(self) -> None:
        """No process of ours is left."""
        self._orders.close()
        self._process.wait(END_S)

    def _order(self, order: dict[str, str] | int, *files: int) -> int:
        with self._turn:
            socket.send_fds(self._orders, [json.dumps(order).encode()], files)
            answer = self._orders.recv(_MOST_BYTES)
        assert answer, "the nursery has ended by itself"
        return int(answer)
