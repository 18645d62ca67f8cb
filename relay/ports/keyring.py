"""The key ring, as the store and its file keep it; a part of ``relay.ports.Store``."""

from typing import Protocol

from relay.domain.audit import AuditEntry
from relay.domain.keyring import KeyRingStanding
from relay.ports.values import SealedBatch, SealedPosition


class KeyRingStore(Protocol):
    """The key ring that seals the secrets in the store."""

    async def admit_key_ring(self) -> None:
        """This process's ring is the one of the database, and each of its keys is known there from now on. Raises
        KeyRingError when it lacks a key that sealed something, or has another one under the same id."""

    async def follow_key_ring(self) -> bool:
        """Take the ring that the file holds now, once it was found to be the one of the database; whether it changed.
        Raises KeyRingError, and what was used before is used on."""

    async def key_ring(self) -> KeyRingStanding:
        """This process's keys, those that the database knows, and those of the running gateways."""

    async def tell_key_ring(self, holder: bytes, name: str) -> None:
        """This process (8 bytes) lives, and has its keys; to be told again within 30 seconds."""

    async def leave_key_ring(self, holder: bytes) -> None:
        """It ends."""

    async def activate_key(self, key_id: str, entry: AuditEntry) -> bool:
        """Remember that this key seals; False, and no entry, when that was known."""

    async def forget_key(self, key_id: str, entry: AuditEntry | None) -> None:
        """The database does not need this key any more."""

    async def count_sealed(self, position: SealedPosition | None, limit: int) -> SealedBatch:
        """Look at the next ``limit`` sealed values."""

    async def reseal(self, position: SealedPosition | None, limit: int) -> SealedBatch:
        """The same, and seal with the active key what another one had sealed. Two transactions: one looks beside the
        writer, one changes only what is still as it was."""


class RingFile(Protocol):
    """The file of the key ring. Every change is whole and on disk when it returns, or raises KeyRingError when the file
    cannot be written here."""

    def add(self) -> str:
        """A new key, which opens and does not seal; its id."""

    def activate(self, key_id: str) -> None:
        """This key seals."""

    def remove(self, key_id: str) -> None:
        """The key is not there any more."""
