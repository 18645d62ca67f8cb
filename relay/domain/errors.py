"""Everything that can be wrong, as one tree. The docstring's first line is the public title.

RelayError
├── Refusal                 the caller's request cannot be done; HTTP status in relay/api/problems.py
│   ├── Unauthenticated
│   ├── ScopeMissing
│   ├── AddressNotAllowed
│   ├── NotFound
│   ├── MethodNotAllowed    carries the methods that are allowed
│   ├── NotAcceptable
│   ├── RequestMalformed
│   ├── MediaTypeUnsupported
│   ├── BodyTooLarge
│   ├── BodyUnreadable
│   ├── BodyInvalid         carries one (pointer, detail) per error
│   ├── QueryInvalid        likewise; pointers are /<parameter>
│   ├── NoRecipientLeft
│   ├── AlreadyExists
│   ├── AlreadySettled      revoked, expired, assigned, dismissed: nothing more can become of it
│   ├── InUse               others need it, so it cannot go
│   ├── PreconditionFailed  somebody has changed it since it was read
│   ├── CredentialsRefused  the provider does not take them; carries its words
│   ├── ProviderUnreachable
│   ├── IdempotencyKeyInvalid
│   ├── IdempotencyKeyInUse
│   ├── IdempotencyKeyReused
│   ├── NoAccount
│   ├── QuotaExceeded
│   ├── QuotaTooSmall       the message needs more than a whole day's
│   ├── RateExceeded
│   ├── RecipientLimitExceeded
│   ├── EndpointRefused
│   └── Draining
├── StoreError
│   ├── StoreUnavailable    locked, full, gone: try again later; nothing was stored
│   │   └── SpoolUnavailable    the local spool, where bodies go then, cannot be written or read either
│   ├── StoreInUse          another process has this file
│   └── SchemaMissing       the database is not migrated to this release
├── KeyRingError            no key ring, or not the one that the data was sealed with
├── ConfigError             a setting is wrong; names the key, its unit and range
├── Withheld                some numbers of a message may not get it; stays inside
├── SecretUnreadable        what a reference points at cannot be read, or must not be
├── NothingSent             a request failed and provably not one byte of it was written
└── Exhausted               the retry schedule has no further attempt
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

WithheldWhy = Literal["suppressed", "repeated", "recipient_limit"]
NothingSentWhy = Literal["dns", "refused_address", "connect", "tls", "pool_timeout", "lease"]
"""``lease``: the process had lost the right to send when it came to the first byte."""


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong in a body or a query: where (JSON Pointer, RFC 6901; "" is the whole), and what."""

    pointer: str
    detail: str


class RelayError(Exception):
    """Something went wrong."""


class Refusal(RelayError):
    """The request cannot be done."""

    def __init__(self, detail: str, *, errors: tuple[FieldError, ...] = (), retry_after_s: float | None = None) -> None:
        """``detail`` is shown to the caller: no secret, number or text in it."""
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.retry_after_s = retry_after_s


class Unauthenticated(Refusal):
    """The key is missing, unknown, expired or revoked."""


class ScopeMissing(Refusal):
    """The key does not have the scope that this operation needs."""


class AddressNotAllowed(Refusal):
    """Calls from this address are not allowed."""


class NotFound(Refusal):
    """There is nothing here."""


class MethodNotAllowed(Refusal):
    """This address does not have that method."""

    def __init__(self, detail: str, *, allow: tuple[str, ...]) -> None:
        super().__init__(detail)
        self.allow = allow


class NotAcceptable(Refusal):
    """The answer cannot be had in a media type that was asked for."""


class RequestMalformed(Refusal):
    """The request is not well-formed HTTP."""


class MediaTypeUnsupported(Refusal):
    """The body has a media type that is not read here."""


class BodyTooLarge(Refusal):
    """The body is too large."""


class BodyUnreadable(Refusal):
    """The body is not JSON."""


class BodyInvalid(Refusal):
    """The request breaks its schema."""


class QueryInvalid(Refusal):
    """The query breaks its schema."""


class NoRecipientLeft(Refusal):
    """None of the numbers can be sent to."""


class AlreadyExists(Refusal):
    """There is one already."""


class AlreadySettled(Refusal):
    """It is settled already."""


class InUse(Refusal):
    """It is still in use."""


class PreconditionFailed(Refusal):
    """It was changed since it was read."""


class CredentialsRefused(Refusal):
    """The provider does not take these credentials."""

    def __init__(self, detail: str, *, provider_code: str, provider_message: str | None) -> None:
        super().__init__(detail)
        self.provider_code = provider_code
        self.provider_message = provider_message


class ProviderUnreachable(Refusal):
    """The provider does not answer."""


class IdempotencyKeyInvalid(Refusal):
    """The Idempotency-Key is malformed."""


class IdempotencyKeyInUse(Refusal):
    """A request with this Idempotency-Key is still running."""


class IdempotencyKeyReused(Refusal):
    """This Idempotency-Key was used with another request."""


class NoAccount(Refusal):
    """No provider account can take this message."""


class QuotaExceeded(Refusal):
    """The team's daily quota is used up."""


class QuotaTooSmall(Refusal):
    """The message needs more than the team's whole daily quota."""


class RateExceeded(Refusal):
    """Too many requests."""


class RecipientLimitExceeded(Refusal):
    """Too many messages to one number."""


class EndpointRefused(Refusal):
    """This webhook address is not allowed."""


class Draining(Refusal):
    """This replica is about to stop."""


class StoreError(RelayError):
    """The store failed."""


class StoreUnavailable(StoreError):
    """The store cannot be written now."""


class SpoolUnavailable(StoreUnavailable):
    """The local spool cannot be written now."""


class StoreInUse(StoreError):
    """Another process uses this database file."""


class SchemaMissing(StoreError):
    """The database is not migrated."""


class KeyRingError(RelayError):
    """The key ring is missing or wrong."""


class ConfigError(RelayError):
    """A setting is wrong."""


class Withheld(RelayError):
    """Some numbers may not get this message.

    ``numbers``: which, and why. Nothing was stored: the others may be tried without them. ``retry_after_s``: when the
    first of those that are over a limit is below it again.
    """

    def __init__(self, numbers: Mapping[int, WithheldWhy], *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{len(numbers)} numbers are withheld")
        self.numbers = numbers
        self.retry_after_s = retry_after_s


class SecretUnreadable(RelayError):
    """A secret cannot be read. The words name the reason, and nothing of what stands there."""


class NothingSent(RelayError):
    """A request failed before its first byte was written.

    The one thing that may be read as "not sent": raised by the transport alone, on evidence and never by guessing from
    an exception's name. Every other failure of an exchange may have reached the other side.
    """

    why: NothingSentWhy = "connect"


class Exhausted(RelayError):
    """No attempt is left."""

    def __init__(self, attempt: int) -> None:
        super().__init__(f"attempt {attempt} was the last")
        self.attempt = attempt
