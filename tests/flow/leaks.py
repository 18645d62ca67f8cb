"""What a secret may look like where it must not be, and everything that leaves the process, to be searched for it."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx

from relay.api.operations import Operation
from relay.api.table import OPERATIONS
from relay.domain.ids import PREFIXES
from tests.flow.world import PASSWORD, World

SHOWN_ONCE: Final = ("secret", "callback_urls", "callback_url", "token")
"""Fields that hold a secret in the one answer that shows it."""
PLANTED_HEADER: Final = 'hook-credential-9911/+?&="é'
MD5: Final = hashlib.md5(PASSWORD.encode(), usedforsecurity=False).hexdigest()
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


def forms_of(secret: str) -> set[bytes]:
    """How a secret may be written: as it is, and what can be turned back into it."""
    raws = {secret.encode()}
    if secret.startswith("whsec_"):
        key = secret.removeprefix("whsec_")
        raws |= {key.encode(), base64.b64decode(key)}
    if len(secret) % 2 == 0 and all(digit in "0123456789abcdefABCDEF" for digit in secret):
        raws.add(bytes.fromhex(secret))
    if secret.endswith("=") and len(secret) == 44:  # a key of the key ring
        raws.add(base64.b64decode(secret))
    return {form for raw in raws for form in _written(raw)}


def _written(raw: bytes) -> Iterable[bytes]:
    yield from (raw, raw[::-1], raw.hex().encode(), raw.hex().upper().encode(), quote(raw, safe="").encode())
    yield "".join(f"%{byte:02X}" for byte in raw).encode()
    yield repr(raw)[2:-1].encode()
    text = raw.decode("utf-8", "surrogateescape")
    yield json.dumps(text)[1:-1].encode()
    yield "".join(f"\\u{ord(char):04x}" for char in text).encode()
    # In the middle of something longer, which begins at any of three places in a group of base64.
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(bytes(shift) + raw)
            yield whole[(0, 2, 3)[shift] : len(whole) - 4 * (len(raw) + shift > 3)]


class Told:
    """All that left, piece by piece: where, and what; with the secrets that the piece is there to show."""

    def __init__(self) -> None:
        self._pieces: list[tuple[str, bytes, frozenset[str]]] = []
        self.secrets: dict[str, str] = {}
        """By what they are."""

    def add(self, where: str, content: bytes, shows: Iterable[str] = ()) -> None:
        """``content`` left."""
        self._pieces.append((where, content, frozenset(shows)))

    def answer(self, where: str, answer: httpx.Response, *, may_show: bool = False) -> None:
        """An answer and its headers. What it shows for once is a secret from now on."""
        shown = dict(_shown(_json_of(answer))) if may_show and answer.status_code < 300 else {}
        self.secrets |= {f"{name} of {where}, {len(self._pieces)}": secret for name, secret in shown.items()}
        head = b"\n".join(name + b": " + value for name, value in answer.headers.raw)
        self.add(f"{where} {answer.status_code}", head + b"\n\n" + answer.content, shown.values())

    def leaks(self) -> list[tuple[str, str]]:
        """Which secret is where it must not be."""
        forms = {name: (secret, forms_of(secret)) for name, secret in self.secrets.items()}
        return [
            (where, name)
            for name, (secret, written) in forms.items()
            for where, content, shows in self._pieces
            if secret not in shows and any(form in content for form in written)
        ]

    def private(self, texts: Iterable[str], *wheres: str) -> list[tuple[str, str]]:
        """Which of these texts is in the pieces whose names begin so."""
        forms = [(text, {text.encode(), text.encode("unicode_escape"), quote(text).encode()}) for text in texts]
        return [
            (where, text)
            for text, written in forms
            for where, content, _ in self._pieces
            if where.startswith(wheres) and any(form in content for form in written)
        ]


def files_in(directory: Path) -> dict[str, bytes]:
    """Every byte that was written, by file; but the key ring, which is where its keys are."""
    paths = (path for path in directory.rglob("*") if path.is_file() and path.parent / "keyring" != path)
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


async def call_everything(world: World, told: Told) -> set[str]:
    """Every operation with every example of its body, again with the same key, and in all the ways that go wrong. The
    ids of those whose handler was never reached."""
    ids: dict[str, str] = {}
    unreached: set[str] = set()
    number = 0
    for operation in sorted(OPERATIONS, key=lambda op: (_METHODS.index(op.method), "{" in op.path)):
        client = world.admin if operation.scope == "admin" else world.api
        bodies = list(operation.body_examples.values()) or [None if operation.body is None else {}]
        statuses = set()
        for body in bodies:
            number += 1
            more: dict[str, Any] = {} if body is None else {"json": _planted(body, world, ids, number)}
            headers = {"idempotency-key": f"leak-{number}"} if operation.creates else {}
            for _ in range(1 + operation.creates):
                path = _path(operation, world, ids)
                answer = await client.request(operation.method, path, headers=headers, **more)
                told.answer(f"answer to {operation.id}", answer, may_show=operation.method != "GET")
                statuses.add(answer.status_code)
            _glean(_json_of(answer), ids)
        if statuses <= {400, 401, 403, 415, 422}:
            unreached.add(operation.id)
        for answer in await _failures(world, operation, client):
            told.answer(f"{_kind(answer)} of {operation.id}", answer)
    return unreached


async def _failures(world: World, operation: Operation, client: httpx.AsyncClient) -> list[httpx.Response]:
    path = _path(operation, world, {})
    token = world.secrets["callback token of provider"]
    wrong = {
        "password": PASSWORD,
        "headers": {"x": PLANTED_HEADER},
        "text": MD5,
        "cursor": token,
        "secret": world.secrets["admin key"],
    }
    unknown = f"Bearer {world.secrets['admin key']}x"
    answers = [
        await client.request(operation.method, path, headers={"authorization": unknown}),
        await client.request(operation.method, path + "x"),
        await client.request(operation.method, path, headers={"authorization": f"Basic {PASSWORD}"}),
    ]
    if not operation.path.startswith("/callbacks/"):  # whatever comes there is kept as it is
        secrets = {"password": PASSWORD, "cursor": token, "limit": MD5}
        answers.append(await client.request(operation.method, path, params=secrets))
    if operation.body is not None:
        answers += [
            await client.request(operation.method, path, json=wrong),
            await client.request(operation.method, path, content=json.dumps(wrong)[:-1].encode()),
            await client.request(operation.method, path, json=list(wrong.values())),
        ]
    if operation.creates:
        own = {b"idempotency-key": f"{PASSWORD} ü".encode()}
        answers.append(await client.request(operation.method, path, json=wrong, headers=own))
    return answers


def _kind(answer: httpx.Response) -> str:
    return "problem" if answer.status_code >= 400 else "answer"


def _path(operation: Operation, world: World, ids: Mapping[str, str]) -> str:
    path = operation.path
    for kind, prefix in PREFIXES.items():
        path = path.replace(f"{{{kind}_id}}", ids.get(prefix, prefix + "0" * 32))
    return path.replace("{token}", world.secrets["callback token of provider"]).replace("{asset}", "swagger-ui.css")


def _planted(value: Any, world: World, ids: Mapping[str, str], number: int, name: str = "") -> Any:
    """An example, with what makes it work in this world, and our secrets where it has one."""
    known = {
        "password": PASSWORD,
        "password_md5": MD5,
        "base_url": world.provider.url,
        "account": "sandbox",
        "url": world.hooks.url("/planted"),
        "extensions": [f"7{number}"],
        "name": f"planted {number}",
        "team_id": world.team["id"],
        "account_id": world.account["id"],
    }
    if name == "headers":
        return {"x-credential": "hook-credential-9911"}
    if name in known:
        return known[name]
    if isinstance(value, dict):
        return {key: _planted(item, world, ids, number, key) for key, item in value.items()}
    if isinstance(value, str):
        prefix = next((prefix for prefix in PREFIXES.values() if value.startswith(prefix)), None)
        return ids.get(prefix, value) if prefix and len(value) == len(prefix) + 32 else value
    return value


def _json_of(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _shown(value: Any) -> Iterable[tuple[str, str]]:
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        if name in SHOWN_ONCE:
            for part in item.values() if isinstance(item, dict) else [item]:
                if isinstance(part, str):
                    yield name, urlsplit(part).path.split("/")[2] if part.startswith("http") else part
        yield from _shown(item)


def _glean(value: Any, ids: dict[str, str]) -> None:
    """The last id of each kind that an answer named."""
    if isinstance(value, dict):
        for item in value.values():
            _glean(item, ids)
    elif isinstance(value, list):
        for item in value:
            _glean(item, ids)
    elif isinstance(value, str):
        prefix = value[: len(value) - 32]
        if prefix in PREFIXES.values():
            ids[prefix] = value
