"""Ids of replicas whose machines disagree about the time."""

from relay.domain.ids import id_ms, is_id, raw_bytes
from relay.system import SharedEntropy, SystemEntropy


def test_an_id_begins_with_the_databases_time_whatever_the_machine_says() -> None:
    entropy = SharedEntropy(SystemEntropy())
    own_ms = id_ms(raw_bytes(entropy.new_id("msg_")))

    entropy.set_ahead(61_000)
    ahead = entropy.new_id("msg_")
    entropy.set_ahead(-61_000)
    behind = entropy.new_id("msg_")

    assert is_id(ahead, "msg_")
    assert 61_000 <= id_ms(raw_bytes(ahead)) - own_ms < 71_000
    assert -61_000 <= id_ms(raw_bytes(behind)) - own_ms < -51_000


def test_ids_of_one_process_sort_in_the_order_in_which_they_were_made() -> None:
    entropy = SharedEntropy(SystemEntropy())
    entropy.set_ahead(12_345)

    made = [entropy.new_id("msg_") for _ in range(1000)]

    assert made == sorted(made)
    assert len(set(made)) == 1000


def test_a_time_before_1970_is_1970() -> None:
    entropy = SharedEntropy(SystemEntropy())
    entropy.set_ahead(-(10**15))

    assert id_ms(raw_bytes(entropy.new_id("msg_"))) == 0
