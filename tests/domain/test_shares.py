from hypothesis import given
from hypothesis import strategies as st

from relay.domain.shares import place, share

replica_sets = st.sets(st.binary(min_size=8, max_size=8), min_size=1, max_size=7)
limits = st.integers(1, 40)


def share_of(limit: int, replicas: set[bytes], own: bytes, key: str, most: int = 1000) -> int:
    return share(limit, place(sorted(replicas), own, key), min(len(replicas), limit, most))


@given(replicas=replica_sets, limit=limits, key=st.text(max_size=9), most=limits)
def test_the_shares_of_all_are_the_limit_and_differ_by_one_among_those_who_have_any(
    replicas: set[bytes], limit: int, key: str, most: int
) -> None:
    shares = [share_of(limit, replicas, own, key, most) for own in replicas]

    assert sum(shares) == limit
    had = [found for found in shares if found]
    assert (len(had), max(had) - min(had) <= 1) == (min(len(replicas), limit, most), True)


@given(replicas=replica_sets, limit=limits, key=st.text(max_size=9), most=limits, data=st.data())
def test_a_share_never_shrinks_when_others_go(
    replicas: set[bytes], limit: int, key: str, most: int, data: st.DataObject
) -> None:
    own = data.draw(st.sampled_from(sorted(replicas)))
    left = data.draw(st.sets(st.sampled_from(sorted(replicas)))) | {own}

    assert share_of(limit, left, own, key, most) >= share_of(limit, replicas, own, key, most)


@given(replicas=replica_sets, key=st.text(max_size=9))
def test_everybody_agrees_on_the_places(replicas: set[bytes], key: str) -> None:
    assert sorted(place(sorted(replicas), own, key) for own in replicas) == list(range(len(replicas)))


def test_another_key_gives_the_remainder_to_another_replica() -> None:
    replicas = {b"replica1", b"replica2", b"replica3"}

    first = [own for key in range(300) for own in replicas if share_of(1, replicas, own, str(key))]

    assert {own: round(first.count(own), -2) for own in replicas} == dict.fromkeys(replicas, 100)


def test_the_places_are_the_same_in_every_process_and_release() -> None:
    replicas = [b"replica1", b"replica2", b"replica3"]

    assert [place(replicas, own, "acct_3") for own in replicas] == [0, 2, 1]
