"""A real PgBouncer, where it is installed."""

import socket
from pathlib import Path
from typing import Final

from tests.loopback import free_port
from tests.postgres.keeper import wait_until
from tests.postgres.kept_process import KeptProcess, give
from tests.postgres.server import OWNER, PASSWORD, PostgresServer

START_S: Final = 30.0


class PgBouncer:
    """Before every database of ``server``, pooling by transaction; on the same port after every ``start``."""

    def __init__(self, program: Path, server: PostgresServer, directory: Path, *, connections: int = 20) -> None:
        """Not started yet. ``directory`` belongs to the server's account; ``connections`` to each database."""
        self.port = free_port()
        self._directory = directory
        self._program = program
        self._configuration = directory / "pgbouncer.ini"
        self._log = directory / "pgbouncer.log"
        self._process: KeptProcess | None = None
        self._configuration.write_text(f"""
[databases]
* = host=127.0.0.1 port={server.port} user={OWNER} password={PASSWORD}
[pgbouncer]
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 1000
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
""")
        give(self._configuration)

    def start(self) -> None:
        """Accepts connections."""
        assert self._process is None, "one bouncer at a time"
        self._process = process = KeptProcess(
            [str(self._program), str(self._configuration)], self._directory, self._log
        )

        def accepts() -> bool:
            assert not process.has_ended(), f"the bouncer ended by itself:\n{process.tail()}"
            with socket.socket() as tried:
                return tried.connect_ex(("127.0.0.1", self.port)) == 0

        try:
            wait_until(accepts, START_S, "the bouncer accepts connections")
        except BaseException:
            self.close()
            raise

    def kill(self) -> None:
        """SIGKILL: nothing of it runs any more."""
        self._running.close()
        self._process = None

    def pause(self) -> None:
        """SIGSTOP: whoever asks gets no answer. The system still takes connections."""
        self._running.pause()

    def resume(self) -> None:
        """After ``pause``."""
        self._running.resume()

    def close(self) -> None:
        """Nothing of it runs any more."""
        if self._process is not None:
            self.kill()

    @property
    def pid(self) -> int:
        """Of the bouncer that runs."""
        return self._running.pid

    def url(self, database: str) -> str:
        """As the owner, through the bouncer."""
        return f"postgresql://{OWNER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    @property
    def _running(self) -> KeptProcess:
        assert self._process is not None, "no bouncer runs"
        return self._process
