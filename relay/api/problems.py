"""The one error table: what is wrong -> status, type, title, retryable; and the RFC 9457 body made of it."""

import math
from typing import Final
from urllib.parse import quote

import msgspec
from litestar.types import Scope

from relay.domain.errors import (
    AddressNotAllowed,
    AlreadyExists,
    AlreadySettled,
    BodyInvalid,
    BodyTooLarge,
    BodyUnreadable,
    CredentialsRefused,
    Draining,
    EndpointRefused,
    FieldError,
    IdempotencyKeyInUse,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    InUse,
    MediaTypeUnsupported,
    MethodNotAllowed,
    NoAccount,
    NoRecipientLeft,
    NotAcceptable,
    NotFound,
    PreconditionFailed,
    ProviderUnreachable,
    QueryInvalid,
    QuotaExceeded,
    QuotaTooSmall,
    RateExceeded,
    RecipientLimitExceeded,
    Refusal,
    RelayError,
    RequestMalformed,
    SchemaMissing,
    ScopeMissing,
    StoreUnavailable,
    Unauthenticated,
)

PROBLEM_JSON: Final = "application/problem+json"
_AGAIN_S: Final = 1.0


class InternalError(RelayError):
    """Something went wrong on our side.

    Stands in the table for every exception that has no row of its own.
    """


class ProblemKind(msgspec.Struct, frozen=True, kw_only=True):
    """One row. ``slug`` never changes: ``type`` is ``/problems/<slug>``. ``retryable``: the same request, sent again
    later, may succeed, and sending it again is safe."""

    status: int
    slug: str
    retryable: bool
    title: str

    @property
    def type(self) -> str:
        """The type URI, relative to this server (RFC 9457, section 3.1.1)."""
        return f"/problems/{self.slug}"

    @property
    def code(self) -> str:
        """The slug as an identifier for programs."""
        return self.slug.replace("-", "_")


def _row(error: type[RelayError], status: int, slug: str, *, retryable: bool = False) -> ProblemKind:
    title = (error.__doc__ or "").partition("\n")[0].rstrip(".")
    return ProblemKind(status=status, slug=slug, retryable=retryable, title=title)


TABLE: Final[dict[type[RelayError], ProblemKind]] = {
    BodyUnreadable: _row(BodyUnreadable, 400, "body-unreadable"),
    RequestMalformed: _row(RequestMalformed, 400, "request-malformed"),
    IdempotencyKeyInvalid: _row(IdempotencyKeyInvalid, 400, "idempotency-key-invalid"),
    Unauthenticated: _row(Unauthenticated, 401, "unauthenticated"),
    ScopeMissing: _row(ScopeMissing, 403, "scope-missing"),
    AddressNotAllowed: _row(AddressNotAllowed, 403, "address-not-allowed"),
    NotFound: _row(NotFound, 404, "not-found"),
    MethodNotAllowed: _row(MethodNotAllowed, 405, "method-not-allowed"),
    NotAcceptable: _row(NotAcceptable, 406, "not-acceptable"),
    AlreadyExists: _row(AlreadyExists, 409, "already-exists"),
    AlreadySettled: _row(AlreadySettled, 409, "already-settled"),
    InUse: _row(InUse, 409, "in-use"),
    IdempotencyKeyInUse: _row(IdempotencyKeyInUse, 409, "idempotency-key-in-use", retryable=True),
    NoAccount: _row(NoAccount, 409, "no-account"),
    PreconditionFailed: _row(PreconditionFailed, 412, "precondition-failed"),
    BodyTooLarge: _row(BodyTooLarge, 413, "body-too-large"),
    MediaTypeUnsupported: _row(MediaTypeUnsupported, 415, "media-type-unsupported"),
    BodyInvalid: _row(BodyInvalid, 422, "body-invalid"),
    QueryInvalid: _row(QueryInvalid, 422, "query-invalid"),
    NoRecipientLeft: _row(NoRecipientLeft, 422, "no-recipient-left"),
    IdempotencyKeyReused: _row(IdempotencyKeyReused, 422, "idempotency-key-reused"),
    EndpointRefused: _row(EndpointRefused, 422, "endpoint-refused"),
    CredentialsRefused: _row(CredentialsRefused, 422, "credentials-refused"),
    QuotaTooSmall: _row(QuotaTooSmall, 422, "quota-too-small"),
    QuotaExceeded: _row(QuotaExceeded, 429, "quota-exceeded", retryable=True),
    RateExceeded: _row(RateExceeded, 429, "rate-exceeded", retryable=True),
    RecipientLimitExceeded: _row(RecipientLimitExceeded, 429, "recipient-limit-exceeded", retryable=True),
    # Not retryable: what the failed request did is unknown, and a second send may cost a second SMS.
    InternalError: _row(InternalError, 500, "internal-error"),
    Draining: _row(Draining, 503, "draining", retryable=True),
    ProviderUnreachable: _row(ProviderUnreachable, 503, "provider-unreachable", retryable=True),
    StoreUnavailable: _row(StoreUnavailable, 503, "store-unavailable", retryable=True),
    SchemaMissing: _row(SchemaMissing, 503, "schema-missing", retryable=True),
}


class ProviderWords(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider said when it refused."""

    code: str
    message: str | None


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request failed (RFC 9457). ``type``, ``title`` and ``code`` are constant per kind of problem; ``detail`` is
    about this one. ``errors`` points at each field that is wrong; ``provider`` is set when the provider refused."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    retryable: bool
    errors: list[FieldError]
    provider: ProviderWords | None


def kind_of(error: BaseException) -> ProblemKind | None:
    """The row of an exception; None when it has none (then it is ours to log, and InternalError's row counts)."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return None


def problem_of(error: RelayError, scope: Scope, request_id: str) -> Problem:
    """The body for an exception that has a row."""
    kind = kind_of(error) or TABLE[InternalError]
    return Problem(
        type=kind.type,
        title=kind.title,
        status=kind.status,
        detail=error.detail if isinstance(error, Refusal) else f"{kind.title}.",
        instance=_instance(scope),
        code=kind.code,
        request_id=request_id,
        retryable=kind.retryable,
        errors=list(error.errors) if isinstance(error, Refusal) else [],
        provider=ProviderWords(code=error.provider_code, message=error.provider_message)
        if isinstance(error, CredentialsRefused)
        else None,
    )


def problem_headers(error: RelayError) -> dict[str, str]:
    """The headers that belong to this problem."""
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = 'Bearer realm="relay"'
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.allow)
    after_s = error.retry_after_s if isinstance(error, Refusal) else None
    if after_s is None and (kind := kind_of(error)) is not None and kind.status == 503:
        after_s = _AGAIN_S
    if after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(after_s)))
    return headers


def _instance(scope: Scope) -> str:
    # The path of a callback holds its token.
    path = scope["path"]
    if path.startswith("/callbacks"):
        return str(scope.get("path_template", "/callbacks"))
    return quote(path, safe="/:@!$&'()*+,;=~-._")
