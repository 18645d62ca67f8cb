"""Real PostgreSQL servers, started by the tests that need one: nothing is installed or started by hand."""

import asyncio
import shutil
import signal
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import asyncpg

from tests.loopback import free_port
from tests.postgres.found import Postgres
from tests.postgres.keeper import wait_until
from tests.postgres.kept_process import END_S, KeptProcess, give, run

START_S: Final = 60.0
EXECUTE_S: Final = 30.0
OWNER: Final = "relay"  # of every database; may do what an owner may and no more, as in production
ADMIN: Final = "postgres"
PASSWORD: Final = "made-up-password"

Auth: TypeAlias = Literal["trust", "scram-sha-256"]


def initialise(postgres: Postgres, data: Path) -> None:
    """A new data directory with both accounts. ``data`` must not exist; its parent belongs to the server's account."""
    password = data.parent / "password"
    password.write_text(PASSWORD)
    give(password)
    locale = ["--locale=C", "--encoding=UTF8"]
    accounts = ["--username", ADMIN, "--pwfile", str(password), "--auth=trust"]
    new = [postgres.program("initdb"), "-D", str(data), "--no-sync", "--no-instructions"]
    run([*new, *locale, *accounts], data.parent)
    role = f"CREATE ROLE {OWNER} LOGIN PASSWORD '{PASSWORD}'\n"
    run([postgres.program("postgres"), "--single", "-F", "-D", str(data), "postgres"], data.parent, role)


class PostgresServer:
    """One server at a time on ``directory``, on the same port after every ``start``; ``close`` ends all. Needs Linux.

    Every method may be called from a coroutine too, whose loop stands still meanwhile.
    """

    def __init__(
        self,
        postgres: Postgres,
        directory: Path,
        *,
        template: Path | None = None,
        auth: Auth = "trust",
        fsync: bool = False,
        max_connections: int = 100,
        settings: Mapping[str, str] = {},
    ) -> None:
        """Not started yet. ``directory`` is empty, its path short enough for a socket, and root's server account must
        be able to reach it: one of ``pytest`` will not do. ``template`` is a data directory that ``initialise`` made;
        ``auth`` concerns TCP, the socket trusts everybody; ``settings`` by their names in postgresql.conf."""
        self.postgres = postgres
        self.directory = directory
        self.port = free_port()
        self._data = directory / "data"
        self._log = directory / "log"
        self._process: KeptProcess | None = None
        self._settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(directory),
            "max_connections": str(max_connections),
            "fsync": "on" if fsync else "off",
            "full_page_writes": "on" if fsync else "off",
            # In a file of the data directory: what a killed server leaves goes with it.
            "dynamic_shared_memory_type": "mmap",
            **settings,
        }
        give(directory)
        if template is None:
            initialise(postgres, self._data)
        else:
            subprocess.run(["/bin/cp", "-a", "--", template, self._data], check=True)  # noqa: S603 - ours
        hba = f"local all all trust\nhost all all 127.0.0.1/32 {auth}\n"
        (self._data / "pg_hba.conf").write_text(hba)

    def start(self) -> None:
        """Accepts connections. What a ``kill`` left is recovered first."""
        assert self._process is None, "one server at a time"
        flags = [flag for name, value in self._settings.items() for flag in ("-c", f"{name}={value}")]
        command = [self.postgres.program("postgres"), "-D", str(self._data), *flags]
        self._process = process = KeptProcess(command, self.directory, self._log)

        def accepts() -> bool:
            assert not process.has_ended(), f"the server ended by itself:\n{process.tail()}"
            # The file may still be a killed server's: first line the id, eighth the status.
            lines = self._lock_file()
            return lines[:1] == [str(process.pid)] and lines[7:8] == ["ready"]

        try:
            wait_until(accepts, START_S, "the server accepts connections")
        except BaseException:
            self.kill()
            raise

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast", within_s: float = END_S) -> int:
        """Its exit code. ``smart`` waits for the clients, ``fast`` ends them, ``immediate`` does not even tidy up."""
        number = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        process = self._running
        process.signal(number)
        try:
            return process.wait(within_s)
        finally:
            self._process = None

    def kill(self) -> None:
        """SIGKILL to the server and all its children: nothing of it runs any more."""
        self._running.close()
        self._process = None

    def pause(self) -> None:
        """SIGSTOP to the server and all its children: whoever asks gets no answer. The system still takes
        connections."""
        self._running.pause()

    def resume(self) -> None:
        """After ``pause``."""
        self._running.resume()

    def close(self) -> None:
        """Nothing of it runs any more, and its data are gone; the log stays."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._data, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Of the server that runs."""
        return self._running.pid

    @property
    def runs(self) -> bool:
        """Whether one was started, and not stopped or killed since."""
        return self._process is not None

    def tail(self) -> str:
        """The end of the log, for whoever looks into a failure."""
        return self._log.read_text(errors="replace")[-4000:]

    def logged(self, text: str) -> int:
        """How many times it has said so."""
        return self._log.read_text(errors="replace").count(text)

    def url(self, database: str, user: str = OWNER) -> str:
        """By TCP; ``ADMIN`` may do everything."""
        return f"postgresql://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str, user: str = OWNER) -> str:
        """By the socket."""
        return f"postgresql://{user}@/{database}?host={self.directory}&port={self.port}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Its URL. Nobody may be connected to ``template``, whose content it begins with."""
        self.execute("postgres", f'CREATE DATABASE "{name}" OWNER {OWNER} TEMPLATE "{template or "template1"}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """With all connections to it."""
        self.execute("postgres", f'DROP DATABASE "{name}" WITH (FORCE)')

    def execute(self, database: str, sql: str, *params: object, timeout_s: float = EXECUTE_S) -> list[Any]:
        """The rows of one statement, as ``ADMIN``, on a connection of its own. Raises TimeoutError, and what asyncpg
        does."""

        async def run() -> list[Any]:
            async with asyncio.timeout(timeout_s):
                connection = await asyncpg.connect(self.socket_url(database, ADMIN))
                try:
                    rows: list[Any] = await connection.fetch(sql, *params)
                    await connection.close()
                finally:
                    connection.terminate()  # which does not wait for an answer
                return rows

        # In a thread: the caller may be in a loop.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, run()).result()

    @property
    def _running(self) -> KeptProcess:
        assert self._process is not None, "no server runs"
        return self._process

    def _lock_file(self) -> list[str]:
        try:
            return [line.strip() for line in (self._data / "postmaster.pid").read_text().splitlines()]
        except FileNotFoundError:
            return []
