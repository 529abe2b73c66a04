"""Which blocks of equal cells are numbered in time."""

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.blocks import (
    are_blocks,
    as_numbers,
    depends_on_blocks,
    is_block_number,
    is_event_count,
)

N = 1800
SEEDS = range(20)


def numbers_of(texts):
    return as_numbers(*pd.factorize(np.array(texts, dtype=object)))


def test_groups_whose_rows_stand_together_are_blocks():
    assert are_blocks(np.array([0, 0, 1, -1, 1, 2]))
    assert not are_blocks(np.array([0, 1, 0]))


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["LOT-9", "LOT-10"], [9, 10]),
        (["1.9.0", "1.10.0"], [9, 10]),
        (["1.9.8", "1.9.10", "1.10.0"], [0, 1, 2]),
        (["v1-2", "v1-3", "v2-1"], [0, 1, 2]),
        (["2024/7", "2024/8"], [7, 8]),
    ],
)
def test_texts_count_by_the_digits_in_which_they_differ(texts, numbers):
    np.testing.assert_array_equal(numbers_of(np.repeat(texts, 5)), np.repeat(numbers, 5))


@pytest.mark.parametrize(
    "texts",
    [["A1", "B2"] * 5, ["A1"] * 5 + ["B2"] * 5, ["red"] * 5 + ["blue"] * 5, ["A1", "A2", "A3"]],
    ids=["mixed", "other letters", "no digits", "names of rows"],
)
def test_other_texts_do_not_count(texts):
    assert numbers_of(texts) is None


def test_missing_texts_have_no_number():
    found = numbers_of(["LOT-1"] * 3 + [None] + ["LOT-2"] * 3)

    np.testing.assert_array_equal(found, [1, 1, 1, np.nan, 2, 2, 2])


@pytest.mark.parametrize("size", [12, 20, 45])
@pytest.mark.parametrize("sign", [1, -1])
def test_many_blocks_of_one_size_are_counted(size, sign):
    assert is_block_number(1000 + sign * (np.arange(N) // size).astype(float))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_values_of_a_sorted_file_count_neither_blocks_nor_events(seed):
    rng = np.random.default_rng(seed)
    columns = [
        rng.integers(18, 90, N),
        rng.normal(45, 12, N).round(),
        rng.poisson(3, N),
        rng.poisson(100, N),
        rng.geometric(0.1, N),
        np.arange(N) // 60,
        rng.choice(10_000, 60)[rng.integers(0, 60, N)],
    ]

    found = [
        is_block_number(cells) or is_event_count(cells)
        for cells in (np.sort(column).astype(float) for column in columns)
    ]

    assert found == [False] * len(columns)


@pytest.mark.parametrize("share", [0.01, 0.02, 0.05])
def test_most_counters_of_rare_events_are_found(share):
    counters = [(np.random.default_rng(s).random(2 * N) < share).cumsum() for s in SEEDS]

    found = sum(is_event_count(cells.astype(float)) for cells in counters)

    assert found >= 0.8 * len(counters)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["number", "category"])
def test_columns_that_differ_between_blocks_depend_on_them_and_others_do_not(seed, kind):
    rng = np.random.default_rng(seed)
    block = np.sort(rng.integers(0, 20, N))
    level = rng.normal(size=20)[block] + rng.normal(size=N)
    alone = rng.normal(size=N)
    if kind == "category":
        level, alone = np.digitize(level, [-1, 1]), np.digitize(alone, [-1, 1])

    assert depends_on_blocks(block.astype(float), {"a": alone, "b": level})
    assert not depends_on_blocks(block.astype(float), {"a": alone})
