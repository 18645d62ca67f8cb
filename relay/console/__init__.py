"""The web console: one page that calls the REST API with the key that is typed into it.

It has no rights and no state of its own: the key stays in the tab's memory, and whatever the page shows, the key could
have read with curl. Plain files, no build step, no internet.
"""

import hashlib
from importlib import resources
from typing import Any, Final, cast

from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

_TYPES: Final = {
    "index.html": "text/html; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "console.css": "text/css; charset=utf-8",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class _File:
    """One file, read once, with what its answer needs."""

    def __init__(self, name: str) -> None:
        self.body = (resources.files("relay.console") / "static" / name).read_bytes()
        tag = f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'
        self.tag = tag.encode()
        self.headers: list[tuple[bytes, bytes]] = [
            (b"content-type", _TYPES[name].encode()),
            (b"content-security-policy", _POLICY.encode()),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cache-control", b"no-cache"),
            (b"etag", self.tag),
        ]


def create_console() -> ASGIApp:
    """The ASGI app to mount at ``/console``."""
    files = {name: _File(name) for name in _TYPES}

    async def console(scope: Scope, receive: Receive, send: Send) -> None:
        # Only HTTP comes here: the server speaks no WebSocket, and a mounted app gets no lifespan events.
        method: str = cast(HTTPScope, scope)["method"]
        name = scope["path"].rstrip("/").rpartition("/")[2]
        file = files.get(name) or (files["index.html"] if name in ("", "console") else None)
        if file is None:
            await _answer(send, 404, [(b"content-type", b"text/plain; charset=utf-8")], b"There is no such page.\n")
            return
        if method not in ("GET", "HEAD"):
            await _answer(send, 405, [(b"allow", b"GET, HEAD")], b"")
            return
        if dict(scope["headers"]).get(b"if-none-match") == file.tag:
            await _answer(send, 304, file.headers, b"")
            return
        length = (b"content-length", str(len(file.body)).encode())
        await _answer(send, 200, [*file.headers, length], b"" if method == "HEAD" else file.body)

    return console


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    start: Any = {"type": "http.response.start", "status": status, "headers": headers}
    rest: Any = {"type": "http.response.body", "body": body, "more_body": False}
    await send(start)
    await send(rest)
