"""Webhook endpoints of a team."""

from collections.abc import Callable

from relay.domain.delivery import header_fault
from relay.domain.endpoints import SECRET_BYTES, EndpointView, write_secret
from relay.domain.errors import BodyInvalid, FieldError
from relay.domain.ids import EndpointId, TeamId
from relay.domain.times import instant
from relay.ports import Clock, EgressPolicy, Entropy, NewEndpoint, Replay, Store
from relay.services.idempotency import KeyUse
from relay.services.requests import EndpointRequest

_CREATED_STATUS = 201


class Subscribe:
    """Creates and deletes endpoints."""

    def __init__(
        self,
        store: Store,
        egress: EgressPolicy,
        clock: Clock,
        entropy: Entropy,
        changed: Callable[[EndpointId], None],
    ) -> None:
        """``changed`` is told of every endpoint that was changed."""
        self._store = store
        self._egress = egress
        self._clock = clock
        self._entropy = entropy
        self._changed = changed

    async def create(
        self,
        team_id: TeamId,
        request: EndpointRequest,
        use: KeyUse | None,
        render: Callable[[EndpointView, str], bytes],
    ) -> bytes | Replay:
        """Store an endpoint; ``render`` gets its view and its secret, which is shown this once. Raises EndpointRefused,
        BodyInvalid, IdempotencyKeyReused."""
        self._egress.check_url(request.url)
        faults = tuple(
            FieldError(pointer=f"/headers/{name.replace('~', '~0').replace('/', '~1')}", detail=fault)
            for name, value in request.headers.items()
            if (fault := header_fault(name, value)) is not None
        )
        if faults:
            raise BodyInvalid("A custom header is not allowed.", errors=faults)
        now_ms = self._clock.now_ms()
        secret = write_secret(self._entropy.token(SECRET_BYTES))
        view = EndpointView(
            id=EndpointId(self._entropy.new_id("ep_")),
            url=request.url,
            event_types=request.event_types,
            extensions=request.extensions,
            description=request.description,
            headers=request.headers,
            max_in_flight=request.max_in_flight,
            status="enabled",
            disabled_reason=None,
            paused_until=None,
            created_at=instant(now_ms),
        )
        answer = render(view, secret)
        stored = await self._store.create_endpoint(
            NewEndpoint(team_id=team_id, view=view, secret=secret),
            None if use is None else use.answered(_CREATED_STATUS, answer, now_ms),
        )
        return stored if isinstance(stored, Replay) else answer

    async def delete(self, team_id: TeamId, endpoint_id: str) -> bool:
        """False when the team has no such endpoint."""
        deleted = await self._store.delete_endpoint(team_id, endpoint_id, self._clock.now_ms())
        if deleted:
            self._changed(EndpointId(endpoint_id))
        return deleted
