"""Several replicas on one database: who lives, who leads, what is owned, and that shares never exceed a limit."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.domain.errors import StoreUnavailable
from relay.ports import Held
from relay.services.membership import Alone, Slots
from relay.store.migrate import migrate_sqlite
from tests.services.neighbours import ARRIVAL_S, BEAT_S, TTL_S, Neighbours, Replica, open_neighbours
from tests.services.stillness import FixedEntropy

NOTHING: Final = Slots(0, 0)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database."""
    path = tmp_path_factory.mktemp("membership") / "template.db"
    migrate_sqlite(path)
    return path


@pytest.fixture
async def street(template: Path, tmp_path: Path) -> AsyncIterator[Neighbours]:
    async with open_neighbours(Path(shutil.copy(template, tmp_path / "relay.db"))) as opened:
        yield opened


async def settled(street: Neighbours, number: int) -> list[Replica]:
    """So many replicas that have settled and arrived."""
    replicas: list[Replica] = []
    for _ in range(number):
        replicas.append(street.replica())
        await replicas[-1].beat()
    await street.pass_s(ARRIVAL_S + 3 * BEAT_S, *replicas)
    return replicas


def leaders(*replicas: Replica) -> list[bool]:
    return [replica.membership.leads() for replica in replicas]


async def test_the_first_replica_has_everything_at_once(street: Neighbours) -> None:
    one = street.replica()
    assert (one.slots(), leaders(one), one.membership.replicas) == (NOTHING, [False], 0)

    beat = await one.membership.beat()

    assert (beat.replicas, beat.lost) == (1, False)
    assert (one.slots(connections=7, starts=3), leaders(one)) == (Slots(7, 3), [True])
    assert one.membership.owns(one.membership.claim())
    assert one.membership.steady_since_s() == float("-inf")


async def test_two_replicas_divide_a_limit_once_the_second_has_settled(street: Neighbours) -> None:
    one, two = street.replica(), street.replica()
    await one.beat()
    await two.beat()
    assert (one.slots(connections=10).connections, two.slots()) == (10, NOTHING)

    await street.pass_s(2 * BEAT_S, one, two)
    assert (one.slots(connections=10).connections, two.slots()) == (5, NOTHING)

    await street.pass_s(BEAT_S, one, two)
    assert [replica.slots(connections=10, starts=6) for replica in (one, two)] == [Slots(5, 3)] * 2


async def test_who_gets_the_only_connection_gets_the_starts_too(street: Neighbours) -> None:
    replicas = await settled(street, 3)

    slots = [replica.slots(connections=1, starts=10) for replica in replicas]

    assert sorted(slots, key=lambda found: found.starts) == [NOTHING, NOTHING, Slots(1, 10)]


async def test_a_joiner_waits_while_another_still_runs_more_than_its_share(street: Neighbours) -> None:
    one, two = street.replica(), street.replica()
    await one.beat()
    await two.beat()
    replica = one.membership.claim()[:8]
    held = [Held(key=one_key, replica=replica, number=6) for one_key in ("acct", "other")]  # type: ignore[arg-type] # short

    async def answer() -> list[Held]:
        return held

    two.store.held = answer  # type: ignore[method-assign] # the part of the store that this is about
    await street.pass_s(3 * BEAT_S, one, two)

    assert two.slots("acct", connections=10, starts=10) == NOTHING
    assert two.slots("other", connections=12, starts=10) == Slots(6, 5)
    held.clear()
    await street.pass_s(BEAT_S, one, two)
    assert two.slots("acct", connections=10, starts=10) == Slots(5, 5)


async def test_a_joiner_does_not_wait_for_ever(street: Neighbours) -> None:
    one, two = street.replica(), street.replica()
    await one.beat()
    await two.beat()
    replica = one.membership.claim()[:8]

    async def answer() -> list[Held]:
        return [Held(key="acct", replica=replica, number=6)]  # type: ignore[arg-type] # short

    two.store.held = answer  # type: ignore[method-assign] # the part of the store that this is about
    await street.pass_s(ARRIVAL_S - BEAT_S, one, two)
    assert two.slots(connections=10) == NOTHING

    await street.pass_s(2 * BEAT_S, one, two)
    assert two.slots(connections=10).connections == 5


async def test_half_a_beat_changes_nothing(street: Neighbours) -> None:
    one, two = street.replica(), street.replica()
    await one.beat()
    await two.beat()

    async def fail() -> list[Held]:
        raise StoreUnavailable("away")

    two.store.held = fail  # type: ignore[method-assign] # the part of the store that this is about
    await street.pass_s(4 * BEAT_S, one, two)

    assert two.slots() == NOTHING


async def test_what_a_dead_replica_had_goes_to_the_others_once_it_is_buried(street: Neighbours) -> None:
    one, two = await settled(street, 2)
    assert leaders(one, two) == [True, False]

    await street.pass_s(TTL_S - BEAT_S, two)
    assert (leaders(one, two), two.slots(connections=10).connections) == ([False, False], 5)

    await street.pass_s(BEAT_S, two)
    assert (leaders(one, two), two.slots(connections=10).connections) == ([False, True], 10)
    assert two.membership.steady_since_s() == street.clock.monotonic_s()


async def test_who_leaves_has_nothing_from_then_on_and_the_others_have_it_with_their_next_beat(
    street: Neighbours,
) -> None:
    one, two = await settled(street, 2)
    claim = one.membership.claim()

    await one.membership.leave()

    assert (one.slots(), leaders(one), one.membership.owns(claim)) == (NOTHING, [False], False)
    await two.beat()
    assert (leaders(two), two.slots(connections=10).connections) == ([True], 10)


async def test_who_cannot_leave_has_nothing_all_the_same(street: Neighbours) -> None:
    (one,) = await settled(street, 1)

    async def fail(replica: bytes) -> None:
        raise StoreUnavailable("away")

    one.store.leave = fail  # type: ignore[method-assign] # the part of the store that this is about
    with pytest.raises(StoreUnavailable):
        await one.membership.leave()

    assert (one.slots(), leaders(one)) == (NOTHING, [False])


async def test_while_the_database_is_away_shares_end_first_then_leases_and_leadership(street: Neighbours) -> None:
    (one,) = await settled(street, 1)
    claim = one.membership.claim()
    one.store.away = True

    def has() -> tuple[bool, bool, bool, int]:
        owns, leads = one.membership.owns(claim), one.membership.leads()
        return one.slots() != NOTHING, owns, leads, one.membership.replicas

    seen = [has()]
    for _ in range(5):
        await street.pass_s(BEAT_S, one)
        seen.append(has())

    shares = (True, True, True, 1)
    keeps = (False, True, True, 1)
    nothing = (False, False, False, 0)
    assert seen == [shares, shares, keeps, keeps, nothing, nothing]
    one.store.away = False
    assert await one.beat()
    assert has() == shares


async def test_a_database_that_was_away_for_all_kills_nobody(street: Neighbours) -> None:
    one, two = await settled(street, 2)
    claims = [replica.membership.claim() for replica in (one, two)]
    street.clock.move(3 * TTL_S)

    beats = [await two.membership.beat(), await one.membership.beat()]

    assert [(beat.replicas, beat.lost) for beat in beats] == [(2, False)] * 2
    assert [one.membership.owns(claims[0]), two.membership.owns(claims[1])] == [True, True]


async def test_a_process_that_was_paused_and_buried_comes_back_as_a_new_one_and_owns_nothing_old(
    street: Neighbours,
) -> None:
    one, two = await settled(street, 2)
    claim = one.membership.claim()
    await street.pass_s(TTL_S + BEAT_S, two)
    assert not one.membership.owns(claim)

    beat = await one.membership.beat()

    assert (beat.replicas, beat.lost) == (2, True)
    assert (one.membership.owns(claim), one.membership.owns(one.membership.claim())) == (False, True)
    assert one.slots() == NOTHING
    assert not (await one.membership.beat()).lost


async def test_a_return_that_fails_half_way_is_told_when_it_succeeds(street: Neighbours) -> None:
    one, two = await settled(street, 2)
    claim = one.membership.claim()
    await street.pass_s(TTL_S + BEAT_S, two)
    real = one.store.beat

    async def fail_to_join(*args: object, join: bool, **more: object) -> None:
        if join:
            raise StoreUnavailable("away")

    one.store.beat = fail_to_join  # type: ignore[method-assign] # the part of the store that this is about
    assert not await one.beat()
    assert not one.membership.owns(claim)
    one.store.beat = real  # type: ignore[method-assign] # as it was
    assert (await one.membership.beat()).lost


async def test_a_machine_that_slept_owns_nothing_although_its_monotonic_clock_stood_still(street: Neighbours) -> None:
    (one,) = await settled(street, 1)
    claim = one.membership.claim()

    one.own.skew_s += TTL_S

    assert (one.membership.owns(claim), one.slots(), leaders(one)) == (False, NOTHING, [False])


@pytest.mark.parametrize("skew_s", [-3600.0, 0.0, 0.25, 86_400.0])
async def test_every_replica_speaks_of_the_databases_time_whatever_its_own_clock_says(
    street: Neighbours, skew_s: float
) -> None:
    one = street.replica(skew_s)
    assert one.clock.now_ms() == street.clock.now_ms() + int(skew_s * 1000)

    await one.beat()

    assert one.clock.now_ms() == street.clock.now_ms()
    assert one.membership.owns(one.membership.claim())


def test_a_process_that_is_alone_has_everything_and_asks_nobody() -> None:
    alone = Alone(FixedEntropy())
    one, two = alone.claim(), alone.claim()

    assert (alone.leads(), alone.owns(one), alone.slots("acct", 7, 3), alone.share("ep", 5)) == (
        True,
        True,
        Slots(7, 3),
        5,
    )
    assert (one[:8], one == two, len(one)) == (two[:8], False, 16)


# -- at every moment -------------------------------------------------------------------------------------------------

LIMITS: Final = (1, 2, 3, 5, 10)

_WHO = st.lists(st.booleans(), min_size=5, max_size=5)
_TICK = st.tuples(st.just("tick"), st.sampled_from((0.0, 1.0, BEAT_S, 2 * BEAT_S - 0.1, TTL_S)), _WHO)
_STEP = st.one_of(
    _TICK,
    _TICK,
    st.tuples(st.just("join"), st.just(0.0), _WHO),
    st.tuples(st.sampled_from(("leave", "die")), st.just(0.0), _WHO),
)


class _Play:
    """Replicas that join, leave, die, pause and miss beats in any order."""

    def __init__(self, street: Neighbours, living: list[Replica]) -> None:
        self.street = street
        self.living = living

    async def step(self, what: str, seconds: float, who: list[bool]) -> None:
        """``who``: those that beat, or, the first of them, the one that goes."""
        chosen = [replica for replica, is_one in zip(self.living, who, strict=False) if is_one]
        self.street.clock.move(seconds)
        self.check()
        match what:
            case "join":
                self.living.append(self.street.replica())
                await self.living[-1].beat()
            case "leave" if chosen:
                self.living.remove(chosen[0])
                await chosen[0].membership.leave()
            case "die" if chosen:
                self.living.remove(chosen[0])
            case "tick":
                for replica in chosen:
                    await replica.beat()
                    self.check()
        self.check()

    def check(self) -> None:
        assert sum(leaders(*self.living)) <= 1
        for limit in LIMITS:
            for key in ("acct_1", "acct_2"):
                slots = [replica.slots(key, limit, 4) for replica in self.living]
                assert sum(found.connections for found in slots) <= limit
                assert sum(found.starts for found in slots) <= 4


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0, 4), steps=st.lists(_STEP, max_size=25))
async def test_whatever_happens_one_leads_at_most_and_no_limit_is_exceeded(
    template: Path, tmp_path_factory: pytest.TempPathFactory, number: int, steps: list[tuple[str, float, list[bool]]]
) -> None:
    path = Path(shutil.copy(template, tmp_path_factory.mktemp("play") / "relay.db"))
    async with open_neighbours(path) as street:
        play = _Play(street, await settled(street, number))
        for step in steps:
            await play.step(*step)


async def test_after_a_quiet_time_the_whole_limit_is_used(street: Neighbours) -> None:
    replicas = await settled(street, 4)
    await replicas.pop().membership.leave()
    await street.pass_s(2 * TTL_S, *replicas)

    for limit in LIMITS:
        assert sum(replica.slots("acct_1", limit, 7).connections for replica in replicas) == limit
        assert sum(replica.slots("acct_1", limit, 7).starts for replica in replicas) == 7
    assert sum(leaders(*replicas)) == 1
