"""Numbers as people and the provider write them; masks; and packing them so that no mask is ambiguous."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.chunks import pack
from relay.domain.numbers import last_two, mask_of, read_mask, read_mobile

MOBILES = st.integers(13_000_000_000, 19_999_999_999)


@pytest.mark.parametrize(
    "text",
    [
        "13800131234",
        "+8613800131234",
        "8613800131234",
        "008613800131234",
        "138 0013 1234",
        "138-0013-1234",
        "+86 138 0013 1234",
        "(+86)138-0013-1234",
        "１３８００１３１２３４",
        "＋８６１３８００１３１２３４",
        "138\u00a00013\u00a01234",
        " 13800131234 ",
    ],
)
def test_a_number_is_read_however_a_person_wrote_it(text: str) -> None:
    assert read_mobile(text) == 13800131234


@pytest.mark.parametrize(
    "text",
    ["", "1380013123", "138001312345", "12800131234", "+113800131234", "8513800131234", "1380013123x", "138****1234",
     "13800131234\n13800131234", "13800131234,", "١٣٨٠٠١٣١٢٣٤", "1380013.234", "+86+8613800131234"],
)  # fmt: skip
def test_what_is_no_mainland_mobile_is_not_read(text: str) -> None:
    assert read_mobile(text) is None


@given(st.text())
def test_any_text_is_a_number_or_none(text: str) -> None:
    for value in (read_mobile(text), read_mask(text)):
        assert value is None or isinstance(value, int | tuple)


@given(MOBILES, st.sampled_from(["", "+86", "86", "0086"]))
def test_every_mobile_is_read_back_with_every_prefix(mobile: int, prefix: str) -> None:
    assert read_mobile(f"{prefix}{mobile}") == mobile


@given(MOBILES, st.sampled_from(["", "+86", "86", "0086"]), st.integers(1, 6))
def test_a_masked_number_is_read_as_the_mask_of_its_number(mobile: int, prefix: str, stars: int) -> None:
    text = str(mobile)
    assert read_mask(f"{prefix}{text[:3]}{'*' * stars}{text[7:]}") == mask_of(mobile)


@pytest.mark.parametrize("text", ["", "13800131234", "138****123", "13****1234", "128****1234", "138****12345", "****"])
def test_what_is_no_mask_is_not_read(text: str) -> None:
    assert read_mask(text) is None


def test_zeros_at_the_end_of_a_mask_are_kept_apart() -> None:
    assert (mask_of(13800130014), read_mask("138****0014")) == ((138, 14), (138, 14))


def test_a_log_line_may_say_the_last_two_digits() -> None:
    assert (last_two(13800131204), last_two("13800131204")) == ("04", "04")


@given(st.lists(MOBILES, unique=True, max_size=300), st.integers(1, 50))
def test_chunks_keep_every_number_once_within_the_limit_and_without_twins(mobiles: list[int], most: int) -> None:
    chunks = pack(mobiles, most)
    assert sorted(mobile for chunk in chunks for mobile in chunk) == sorted(mobiles)
    assert all(0 < len(chunk) <= most for chunk in chunks)
    assert all(len({mask_of(mobile) for mobile in chunk}) == len(chunk) for chunk in chunks)
    positions = {mobile: index for index, mobile in enumerate(mobiles)}
    assert all(chunk == sorted(chunk, key=positions.__getitem__) for chunk in chunks)


@given(st.lists(st.integers(0, 40), unique=True, max_size=40), st.integers(1, 7))
def test_numbers_that_share_masks_are_packed_by_the_same_rules(ends: list[int], most: int) -> None:
    mobiles = [13_800_000_000 + (end // 4) * 10_000 + end % 4 for end in ends]
    chunks = pack(mobiles, most)
    assert sorted(mobile for chunk in chunks for mobile in chunk) == sorted(mobiles)
    assert all(len({mask_of(mobile) for mobile in chunk}) == len(chunk) <= most for chunk in chunks)


def test_numbers_without_twins_fill_as_few_chunks_as_there_can_be() -> None:
    mobiles = [13_800_130_000 + end for end in range(7000)]
    assert [len(chunk) for chunk in pack(mobiles, 3000)] == [3000, 3000, 1000]


def test_no_number_is_no_chunk() -> None:
    assert pack([], 3000) == []


@pytest.mark.parametrize(
    "mobiles",
    [
        [13_800_001_234 + middle * 10_000 for middle in range(10_000)],
        [13_800_000_000 + (end % 3000) + (end // 3000) * 10_000 for end in range(10_000)],
        [13_800_000_000 + (end % 2) + (end // 2) * 10_000 for end in range(10_000)],
        [13_800_001_234 + middle * 10_000 for middle in range(5_000)] + [13_900_000_000 + end for end in range(5_000)],
    ],
    ids=["one-mask", "each-mask-thrice", "two-masks", "one-mask-then-none"],
)
@pytest.mark.parametrize("most", [1, 3, 3000])
def test_ten_thousand_numbers_are_packed_at_once_whatever_their_masks(mobiles: list[int], most: int) -> None:
    began = time.process_time()
    chunks = pack(mobiles, most)
    assert time.process_time() - began < 0.5
    assert sum(map(len, chunks)) == len(mobiles)
