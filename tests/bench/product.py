"""The product under measurement: gateway and sandbox as processes, on loopback, in a temporary directory."""

import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

_START_S: Final = 15.0
_STOP_S: Final = 10.0


class Prepared(NamedTuple):
    """What the measurements need."""

    urls: list[str]
    team_key: str
    report_path: str


class Product:
    """Runs while the context is open. Ends the processes that it started, by their ids, and nothing else."""

    def __init__(self, directory: Path, *, database_url: str = "", replicas: int = 1) -> None:
        """On SQLite in ``directory``, or on the PostgreSQL of ``database_url``, which ``replicas`` gateways share."""
        self._ports = [_free_port() for _ in range(replicas)]
        self._sandbox_port = _free_port()
        self._exits = ExitStack()
        self._server = bool(database_url)
        self.urls = [f"http://127.0.0.1:{port}" for port in self._ports]
        own = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
        ring = base64.b64encode(os.urandom(32)).decode()
        self._environs = [
            own
            | {
                "RELAY_ENV": "development",
                "RELAY_HOST": "127.0.0.1",
                "RELAY_PORT": str(port),
                "RELAY_DATA_DIR": str(directory / str(port)),
                "RELAY_DATABASE_URL": database_url,
                "RELAY_KEYRING": f"k1:{ring}",
                "RELAY_LOG_LEVEL": "warning",
            }
            for port in self._ports
        ]

    def __enter__(self) -> Self:
        try:
            first = self._environs[0]
            if self._server:
                self._run("migrate")
            self._start(first, "sandbox", "--port", str(self._sandbox_port), "--report-delay-ms", "600000")
            for environ in self._environs:
                self._start(environ, "serve")
            for url in self.urls:
                _await_ready(url)
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._exits.close()

    def prepare(self) -> Prepared:
        """An account at the sandbox without limits that would be measured, a team, and its key."""
        admin = json.loads(self._run("keys", "create", "--scope", "admin", "--json"))["secret"]
        account = self._post(
            admin,
            "/v1/admin/accounts",
            name="bench",
            base_url=f"http://127.0.0.1:{self._sandbox_port}",
            account="sandbox",
            password="sandbox-password",
            requests_per_s=10_000,
            connections=256,
            pull_reports=False,
            pull_inbound=False,
        )
        team = self._post(admin, "/v1/admin/teams", name="bench", accounts=[account["id"]])
        scopes = ["messages:send", "messages:read"]
        key = self._post(admin, "/v1/admin/keys", team_id=team["id"], scopes=scopes)
        report_path = urlsplit(account["callback_urls"]["report"]).path
        return Prepared(self.urls, key["secret"], report_path)

    def _start(self, environ: dict[str, str], *arguments: str) -> None:
        process = subprocess.Popen([sys.executable, "-m", "relay", *arguments], env=environ, stdout=subprocess.DEVNULL)
        self._exits.callback(_end, process)

    def _run(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "relay", *arguments]
        return subprocess.run(command, env=self._environs[0], check=True, capture_output=True, text=True).stdout

    def _post(self, key: str, path: str, **body: object) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        request = urllib.request.Request(f"{self.urls[0]}{path}", json.dumps(body).encode(), headers)  # noqa: S310 - http, ours
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - http, ours
            decoded: dict[str, Any] = json.load(answer)
        return decoded


def _await_ready(url: str) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            urllib.request.urlopen(f"{url}/readyz", timeout=1).close()  # noqa: S310 - http, ours
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
