"""What a handler is given: the request, read on demand, and the services."""

import re
from typing import Final, TypeVar

import msgspec
from litestar.types import HTTPScope, Receive

from relay.api.bodies import check_json_type, read_body, read_json
from relay.api.exchange import Answer, Exchange
from relay.api.queries import read_query
from relay.api.services import ApiServices, ApiSettings
from relay.domain.audit import Actor
from relay.domain.errors import NotFound, PreconditionFailed, ScopeMissing
from relay.domain.ids import is_id
from relay.domain.teams import Principal, Team
from relay.ports import Replay
from relay.services.idempotency import KeyUse, fingerprint, read_key
from relay.telemetry.metrics import Metrics

T = TypeVar("T", bound=msgspec.Struct)
_TAG: Final = re.compile(r'"[0-9]{1,9}"')
ADMIN: Final = "admin"
REPLAYED: Final = (b"idempotent-replayed", b"true")

ID_PREFIXES: Final = {
    "message_id": "msg_",
    "inbound_id": "in_",
    "event_id": "evt_",
    "endpoint_id": "ep_",
    "delivery_id": "dlv_",
    "account_id": "acct_",
    "team_id": "team_",
    "key_id": "key_",
    "orphan_id": "orph_",
    "raw_id": "raw_",
    "suppression_id": "sup_",
}
"""Path parameters that are ids, with the prefix that they have."""


class _Created(msgspec.Struct):
    id: str


_CREATED: Final = msgspec.json.Decoder(_Created)


class Call:
    """One request to one operation."""

    __slots__ = ("_headers", "_receive", "exchange", "metrics", "scope", "services", "settings")

    def __init__(
        self,
        services: ApiServices,
        settings: ApiSettings,
        metrics: Metrics,
        exchange: Exchange,
        scope: HTTPScope,
        receive: Receive,
    ) -> None:
        self.services = services
        self.settings = settings
        self.metrics = metrics
        self.exchange = exchange
        self.scope = scope
        self._receive = receive
        self._headers = dict(scope["headers"])

    # -- who ---------------------------------------------------------------------------------------------------------

    @property
    def principal(self) -> Principal:
        """Who calls; only in operations that ask for a key."""
        principal = self.exchange.principal
        assert principal is not None  # noqa: S101 - the guard has run
        return principal

    @property
    def team(self) -> Team:
        """Whose key it is; only in operations of teams."""
        team = self.principal.team
        if team is None:
            raise ScopeMissing("This is a platform key; the operation belongs to a team and needs one of its keys.")
        return team

    @property
    def actor(self) -> Actor:
        """Who calls, as the audit names it."""
        client = self.scope["client"]
        return Actor(
            name=self.principal.key_id,
            from_address=None if client is None else client[0],
            request_id=self.exchange.request_id,
        )

    # -- what --------------------------------------------------------------------------------------------------------

    def header(self, name: bytes) -> str | None:
        """A request header (lower-case name), the last one when it came twice."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    def header_list(self, name: bytes) -> str | None:
        """All values of a header that is a list (lower-case name), joined as one (RFC 9110, section 5.3)."""
        values = [value for key, value in self.scope["headers"] if key == name]
        return b",".join(values).decode("latin-1") if values else None

    @property
    def path(self) -> str:
        """The path as it was routed."""
        return str(self.scope["path"])

    @property
    def raw_query(self) -> bytes:
        """The query string, undecoded."""
        return self.scope["query_string"]

    def parameter(self, name: str) -> str:
        """A path parameter. Raises NotFound for an id that cannot be one."""
        value = str(self.scope["path_params"][name])
        prefix = ID_PREFIXES.get(name)
        if prefix is not None and not is_id(value, prefix):
            raise NotFound(f"There is no such {name.removesuffix('_id')}.")
        return value

    def query(self, kind: type[T]) -> T:
        """The query. Raises QueryInvalid."""
        return read_query(self.raw_query, kind)

    async def body(self, limit_bytes: int) -> bytes:
        """The whole body, whatever it is. Raises BodyTooLarge."""
        return await read_body(self._receive, self.header(b"content-length"), limit_bytes)

    async def json(self, kind: type[T]) -> tuple[T, bytes]:
        """The body as a ``kind``, and its bytes."""
        check_json_type(self.header(b"content-type"), patch=self.scope["method"] == "PATCH")
        raw = await self.body(self.settings.body_bytes)
        return read_json(raw, kind), raw

    @property
    def if_match(self) -> int | None:
        """The version in If-Match; None when any will do. Raises PreconditionFailed for a tag that is none of ours."""
        header = self.header(b"if-match")
        if header is None or header.strip() == "*":
            return None
        tag = header.strip()
        if not _TAG.fullmatch(tag):
            raise PreconditionFailed("If-Match must be one ETag, as it was answered.")
        return int(tag[1:-1])

    # -- once --------------------------------------------------------------------------------------------------------

    def key_use(self, body: bytes) -> KeyUse | None:
        """The Idempotency-Key of this request; None when it has none. Raises IdempotencyKeyInvalid."""
        header = self.header(b"idempotency-key")
        if header is None:
            return None
        team = self.principal.team
        return KeyUse(
            scope=ADMIN if team is None else team.id,
            key=read_key(header),
            fingerprint=fingerprint(self.scope["method"], self.path, body),
        )


def done(answer: bytes | Replay) -> Answer:
    """200 for what was done; for a replay the original status and bytes."""
    if isinstance(answer, Replay):
        return Answer(answer.status, answer.answer, [REPLAYED])
    return Answer(200, answer)


def created(call: Call, answer: bytes | Replay, *, under: str | None = None) -> Answer:
    """201 for what was created ``under`` a path, mostly the call's; for a replay the original status and bytes."""
    status, body = (answer.status, answer.answer) if isinstance(answer, Replay) else (201, answer)
    headers = [_location(under or call.path, body)]
    if isinstance(answer, Replay):
        headers.append(REPLAYED)
    return Answer(status, body, headers)


def location(call: Call, body: bytes) -> tuple[bytes, bytes]:
    """The Location header of the thing in ``body``, which has an ``id``."""
    return _location(call.path, body)


def _location(under: str, body: bytes) -> tuple[bytes, bytes]:
    return b"location", f"{under}/{_CREATED.decode(body).id}".encode()


def found(thing: object, what: str, version: int | None = None) -> Answer:
    """200 with a thing; ``version`` counts its changes. Raises NotFound when there is none."""
    if thing is None:
        raise NotFound(f"There is no such {what}.")
    return Answer(200, _ENCODER.encode(thing), [] if version is None else [etag(version)])


def etag(version: int) -> tuple[bytes, bytes]:
    """The ETag header of a thing that counts its changes."""
    return b"etag", b'"%d"' % version


_ENCODER: Final = msgspec.json.Encoder()
