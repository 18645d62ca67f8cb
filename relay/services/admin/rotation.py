"""One rotation of the key ring, step by step, where its file can be written."""

from collections.abc import Callable
from typing import Final

import msgspec

from relay.domain.audit import Actor
from relay.domain.errors import InUse, NotFound
from relay.domain.keyring import KeyHolder
from relay.ports import RingFile, Store
from relay.services.admin.keyring import KeyRingAdmin, Progress, stale_values

_COPIES: Final = "where a machine has its own copy of the key ring, bring the new one there"
_PASSES: Final = 5
"""The second finds nothing, unless something was sealed with the old key while the first one ran."""


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended. ``removable``: keys that nothing needs any more."""

    active: str
    resealed: int
    unreadable: int
    removable: list[str]


class Rotation:
    """``run`` does what is left to do, so that after a break-off it is simply run again. ``tell`` hears what happens,
    in a sentence; ``wait_s``: how long running gateways are waited for, each time."""

    def __init__(
        self,
        store: Store,
        admin: KeyRingAdmin,
        file: RingFile,
        actor: Actor,
        *,
        wait_s: float,
        tell: Callable[[str], None],
        watch: Callable[[Progress], None],
    ) -> None:
        self._store = store
        self._admin = admin
        self._file = file
        self._actor = actor
        self._wait_s = wait_s
        self._tell = tell
        self._watch = watch

    async def run(self) -> Rotated:
        """A new key, in use everywhere. Raises InUse when a gateway does not follow, KeyRingError when the file cannot
        be written."""
        await self._admin.note_active(self._actor)
        standing = await self._store.key_ring()
        if standing.pending is None and await self.is_unfinished():
            self._tell(f"Goes on with the rotation to {standing.active}, which was broken off.")
            done = await self.finish(standing.active)
            # What does not open was not left by a rotation, and is no reason to never rotate again.
            if done.resealed or not done.unreadable:
                return done
        key_id = await self.add()
        await self.hand_out(key_id)
        await self.activate(key_id)
        return await self.finish(key_id)

    async def is_unfinished(self) -> bool:
        """Whether a rotation was broken off: something, or somebody, still seals with another key than this one."""
        standing = await self._store.key_ring()
        lag = any(holder.active != standing.active for holder in standing.holders)
        return lag or stale_values(await self._admin.count(), standing.active) > 0

    async def add(self) -> str:
        """A key that seals nothing yet: the one that was added and never activated, or else a new one."""
        pending = (await self._store.key_ring()).pending
        if pending is not None:
            self._tell(f"Takes the key {pending}, which was added before.")
            return pending
        key_id = self._file.add()
        await self._store.follow_key_ring()
        await self._admin.note_added(key_id, self._actor)
        self._tell(f"Added the key {key_id}.")
        return key_id

    async def check_known(self, key_id: str) -> None:
        """Raises NotFound when this process has no such key."""
        if key_id not in (await self._store.key_ring()).key_ids:
            raise NotFound("The key ring has no key of this id: `relay keyring status` shows them.")

    async def hand_out(self, key_id: str) -> None:
        """Every running gateway has it."""
        await self._wait(
            lambda holder: key_id in holder.key_ids,
            f"have not got the key {key_id}: {_COPIES}, and run this command again",
        )

    async def activate(self, key_id: str) -> None:
        """It seals, here."""
        self._file.activate(key_id)
        await self._store.follow_key_ring()
        await self._admin.note_active(self._actor)
        self._tell(f"The key {key_id} seals from now on.")

    async def finish(self, key_id: str) -> Rotated:
        """It seals everywhere, and nothing is sealed by another one."""
        await self._wait(
            lambda holder: holder.active == key_id,
            f"do not seal with {key_id} yet: {_COPIES}, and run `relay keyring reencrypt`",
        )
        resealed = unreadable = 0
        for _ in range(_PASSES):
            done = await self._admin.reencrypt(self._actor, watch=self._watch)
            resealed, unreadable = resealed + done.resealed, done.unreadable
            if done.stale == done.unreadable:
                break
        view = await self._admin.view()
        removable = [key.id for key in view.keys if not key.active and key.activated_at and not key.values]
        return Rotated(active=key_id, resealed=resealed, unreadable=unreadable, removable=removable)

    async def remove(self, key_id: str) -> None:
        """A key that nothing needs is gone. Raises NotFound, InUse."""
        await self._admin.check_unused(key_id)
        # The database first: a ring that lacks a key which the database asks for would not start. Twice, because a
        # gateway that started in between has made the mark again.
        await self._admin.forget(key_id, self._actor)
        self._file.remove(key_id)
        await self._store.follow_key_ring()
        await self._admin.forget(key_id, None)

    async def _wait(self, does: Callable[[KeyHolder], bool], wrong: str) -> None:
        late = await self._admin.wait_for_gateways(
            does,
            within_s=self._wait_s,
            watch=lambda names: self._tell(f"Waits for {', '.join(names)}.") if names else None,
        )
        if late:
            raise InUse(f"These gateways {wrong}: {', '.join(late)}.")
