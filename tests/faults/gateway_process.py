"""``relay serve`` as a process that is killed, stopped, squeezed and started again on the same directory and port."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import httpx

from tests.faults.polling import until
from tests.loopback import free_port

START_S: Final = 30.0
END_S: Final = 30.0

# Importing takes seconds, everything else a tenth of one. So one process imports, and each gateway is a fork of it that
# then runs `relay serve`: 30 restarts become affordable. A gateway stays a child until it is waited for, so its id is
# nobody else's.
_NURSERY: Final = """
import os, sys
import relay.app
from relay.__main__ import main

child = 0
for order in sys.stdin:
    if order == "start\\n":
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(2, 1)
            sys.argv = ["relay", "serve"]
            main()
        print(child, flush=True)
    else:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        child = 0
if child:
    os.kill(child, 9)  # whoever gave the orders is gone
"""


class GatewayProcess:
    """One gateway at a time on ``directory``; each ``start`` is a new process; ``close`` ends all. Needs Linux."""

    def __init__(self, directory: Path, **settings: str) -> None:
        """``settings`` by their names in defaults.toml."""
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = directory / "relay.db"
        self.lines: list[bytes] = []
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")} | {
            "RELAY_ENV": "development",
            "RELAY_HOST": "127.0.0.1",
            "RELAY_PORT": str(self.port),
            "RELAY_DATA_DIR": str(directory),
            "RELAY_SANDBOX": "off",
            "RELAY_DRAIN_ANNOUNCE_S": "0",
            **{f"RELAY_{name.upper()}": value for name, value in settings.items()},
        }
        self._pid: int | None = None
        self._nursery = subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-c", _NURSERY],
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        # By a pipe, not into a file: a limit on the size of files must not hit the log.
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    async def start(self) -> None:
        """A new process has begun to start; ``ready`` tells when it serves."""
        assert self._pid is None, "one gateway at a time"
        self._pid = await asyncio.to_thread(self._order, "start")

    async def ready(self) -> None:
        """Serves requests now."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=5) as client:

            async def is_ready() -> bool:
                assert not self._has_ended(), f"the gateway ended by itself:\n{self.tail()}"
                try:
                    return (await client.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(is_ready, START_S, "the gateway is ready")

    async def kill(self) -> None:
        """SIGKILL: nothing of it runs any more."""
        await self._end(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, and go on."""
        os.kill(self._running, number)

    async def ended(self) -> int:
        """Wait for the end that it was told to come to; the exit code. Fails, and kills it, when it does not end."""
        return await self._wait_for_end("a signal")

    async def terminate(self) -> tuple[int, float]:
        """SIGTERM, and wait for the end: exit code and seconds. Fails, and kills it, when it does not end."""
        started_s = time.monotonic()
        code = await self._end(signal.SIGTERM)
        return code, time.monotonic() - started_s

    async def run_a_second_one(self) -> tuple[int, str]:
        """Another gateway on the same database, on another port: its exit code and what it says."""
        environ = {**self._environ, "RELAY_PORT": str(free_port())}

        def run() -> tuple[int, str]:
            command = [sys.executable, "-m", "relay", "serve"]
            ended = subprocess.run(command, env=environ, capture_output=True, timeout=START_S)  # noqa: S603 - ours
            return ended.returncode, ended.stderr.decode()

        return await asyncio.to_thread(run)

    def limit_file_size(self, file_bytes: int | None) -> None:
        """Files of the running gateway grow to ``file_bytes`` and no further, as on a full disk; None: freely again."""
        soft = resource.RLIM_INFINITY if file_bytes is None else file_bytes
        resource.prlimit(self._running, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    @property
    def runs(self) -> bool:
        """Whether one was started, and not killed or terminated since."""
        return self._pid is not None

    def log(self) -> list[dict[str, Any]]:
        """The lines that were logged so far, by all processes; a line that a SIGKILL cut off is left out."""
        entries: list[dict[str, Any]] = []
        for line in self.lines:
            try:
                entries.append(json.loads(line))
            except ValueError:
                assert line.startswith(b"{"), f"not a line of the log:\n{self.tail()}"
        return entries

    def tail(self) -> str:
        """The end of the log, for whoever looks into a failure."""
        return b"".join(self.lines[-40:]).decode(errors="replace")

    def close(self) -> None:
        """No process of ours is left."""
        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)
            self._order("wait")
            self._pid = None
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.close()
        self._nursery.wait(END_S)
        self._nursery.stdout.close()
        self._reader.join(END_S)

    @property
    def _running(self) -> int:
        assert self._pid is not None, "no gateway runs"
        return self._pid

    def _has_ended(self) -> bool:
        # Linux: the state behind the name, which is in brackets.
        return Path(f"/proc/{self._running}/stat").read_text().rpartition(")")[2].split()[0] == "Z"

    async def _end(self, number: signal.Signals) -> int:
        self.send_signal(number)
        return await self._wait_for_end(number.name)

    async def _wait_for_end(self, after: str) -> int:
        pid = self._running
        try:
            await until(self._has_ended, END_S, f"the gateway ends after {after}", self.tail)
        finally:
            os.kill(pid, signal.SIGKILL)
            self._pid = None
            code = self._order("wait")
        return code

    def _order(self, order: str) -> int:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(f"{order}\n".encode())
        self._nursery.stdin.flush()
        return int(self._nursery.stdout.readline())

    def _read_log(self) -> None:
        stream = self._nursery.stderr
        assert stream is not None
        with stream:
            self.lines.extend(stream)
