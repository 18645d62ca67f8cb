"""``relay serve`` as a process that is killed, stopped, frozen and started again on the same directory and port."""

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
from typing import Any, BinaryIO, Final

import httpx

from tests.faults.nursery import Nursery
from tests.faults.polling import until
from tests.loopback import free_port
from tests.postgres import keeper

START_S: Final = 30.0
END_S: Final = 30.0


class GatewayProcess:
    """One gateway at a time on ``directory``; each ``start`` is a new process; ``close`` ends all. Needs Linux."""

    def __init__(self, nursery: Nursery, directory: Path, **settings: str) -> None:
        """``settings`` by their names in defaults.toml."""
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = directory / "relay.db"
        self.lines: list[bytes] = []
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")} | {
            "RELAY_ENV": "development",
            "RELAY_HOST": "127.0.0.1",
            "RELAY_PORT": str(self.port),
            "RELAY_DATA_DIR": str(directory),
            "RELAY_SANDBOX": "off",
            "RELAY_DRAIN_ANNOUNCE_S": "0",
            **{f"RELAY_{name.upper()}": value for name, value in settings.items()},
        }
        self._nursery = nursery
        self._pid: int | None = None
        self._reader: threading.Thread | None = None

    async def start(self) -> None:
        """A new process has begun to start; ``ready`` tells when it serves."""
        assert self._pid is None, "one gateway at a time"
        self._pid, said = await asyncio.to_thread(self._nursery.start, self.environ)
        self._reader = threading.Thread(target=self._read_log, args=[said], daemon=True)
        self._reader.start()

    async def ready(self) -> None:
        """Serves requests now."""

        async def is_ready() -> bool:
            assert not self._has_ended(), f"the gateway ended by itself:\n{self.tail()}"
            return await self.is_ready()

        await until(is_ready, START_S, "the gateway is ready", self.tail)

    async def is_ready(self) -> bool:
        """As a load balancer asks."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=5) as anybody:
            try:
                return (await anybody.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

    async def kill(self) -> None:
        """SIGKILL: nothing of it runs any more."""
        await self._end(signal.SIGKILL)

    async def freeze(self) -> None:
        """SIGSTOP: it stands still. The system still takes connections for it."""
        self.send_signal(signal.SIGSTOP)
        await until(lambda: keeper.state(self.pid) in "TZ", END_S, "the gateway stands still")

    def thaw(self) -> None:
        """After ``freeze``: it goes on as if nothing had been."""
        self.send_signal(signal.SIGCONT)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, and go on."""
        os.kill(self.pid, number)

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
        environ = {**self.environ, "RELAY_PORT": str(free_port())}

        def run() -> tuple[int, str]:
            command = [sys.executable, "-m", "relay", "serve"]
            ended = subprocess.run(command, env=environ, capture_output=True, timeout=START_S)  # noqa: S603 - ours
            return ended.returncode, ended.stderr.decode()

        return await asyncio.to_thread(run)

    def limit_file_size(self, file_bytes: int | None) -> None:
        """Files of the running gateway grow to ``file_bytes`` and no further, as on a full disk; None: freely again."""
        soft = resource.RLIM_INFINITY if file_bytes is None else file_bytes
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    @property
    def pid(self) -> int:
        """Of the gateway that runs."""
        assert self._pid is not None, "no gateway runs"
        return self._pid

    @property
    def runs(self) -> bool:
        """Whether one was started, and not killed or terminated since."""
        return self._pid is not None

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over what matches the labels."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as anybody:
            text = (await anybody.get("/metrics")).text
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith((name + "{", name + " ")) and all(label in line for label in wanted)
        )

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
            self._buried()

    def _has_ended(self) -> bool:
        return keeper.state(self.pid) == "Z"

    async def _end(self, number: signal.Signals) -> int:
        self.send_signal(number)
        return await self._wait_for_end(number.name)

    async def _wait_for_end(self, after: str) -> int:
        pid = self.pid
        try:
            await until(self._has_ended, END_S, f"the gateway ends after {after}", self.tail)
        finally:
            os.kill(pid, signal.SIGKILL)
            code = self._buried()
        return code

    def _buried(self) -> int:
        """The exit code of what has ended; all that it said has been read."""
        pid, self._pid = self.pid, None
        code = self._nursery.wait(pid)
        assert self._reader is not None
        self._reader.join(END_S)
        return code

    def _read_log(self, said: BinaryIO) -> None:
        with said:
            self.lines.extend(said)
