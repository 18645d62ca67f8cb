import pytest

from relay.domain.extensions import (
    EVERYWHERE,
    Held,
    Lease,
    accounts_of,
    ends_of,
    follow,
    leads_to,
    lowest_free,
    overlap,
)
from relay.domain.ids import AccountId, TeamId

A, B, C = (AccountId(f"acct_{name}") for name in "abc")


def held(*accounts: AccountId) -> Held:
    return frozenset(accounts)


@pytest.mark.parametrize(
    ("lease", "before", "after", "now"),
    [
        (EVERYWHERE, EVERYWHERE, held(A), held(A)),
        (held(A, B), held(A, B), held(B, C), held(B, C)),
        (held(A, B), held(A, B), EVERYWHERE, EVERYWHERE),
        (held(A), EVERYWHERE, held(A, B), held(A)),
        (held(A), held(A, B), EVERYWHERE, held(A)),
        (held(A), held(A, B), held(B, C), held(B, C)),
    ],
)
def test_a_lease_follows_the_accounts_of_its_team(lease: Held, before: Held, after: Held, now: Held) -> None:
    assert follow(lease, before, after) == now


def test_leases_overlap_where_both_hold() -> None:
    pairs = [(EVERYWHERE, held(A)), (held(A), EVERYWHERE), (held(A, B), held(B, C)), (held(A), held(B))]
    assert [overlap(one, other) for one, other in pairs] == [True, True, True, False]
    assert (accounts_of([]), accounts_of([B, A])) == (EVERYWHERE, held(A, B))


def test_an_answer_goes_to_the_longest_lease_that_holds_on_its_account() -> None:
    def lease(extension: str, account_id: AccountId | None) -> Lease:
        return Lease(extension=extension, account_id=account_id, team_id=TeamId(f"{extension} {account_id}"))

    leases = [lease("1", None), lease("8801", A), lease("801", B), lease("68801", C)]
    found = [leads_to(leases, account_id) for account_id in (A, B, C, AccountId("acct_d"))]

    assert [None if one is None else one.extension for one in found] == ["8801", "801", "68801", "1"]
    assert leads_to(leases[1:], AccountId("acct_d")) is None


def test_the_ends_of_a_port_are_the_whole_and_all_that_could_be_leased() -> None:
    assert ends_of("8801") == ["8801", "801", "01", "1"]
    assert (len(ends_of("1" * 25)), ends_of(""), ends_of("8801\0"), ends_of("+86-12")) == (20, [], [], ["12", "2"])


def test_the_lowest_free_extension_has_no_leading_zero() -> None:
    assert lowest_free(1, set()) == "1"
    assert lowest_free(4, {"1000", "1002"}) == "1001"
    assert lowest_free(1, {str(digit) for digit in range(1, 10)}) is None
