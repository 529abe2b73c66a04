"""Numbers that repeat far outside all others."""

import numpy as np
import pytest

from anomdiff.encoding.sentinels import likely_sentinels

SENTINELS = [
    [-200],
    [-999, -9999],
    [-999, 9999],
    [32767],
    [65535],
    [8888],
    [999.9],
    [99.9],
    [-99.99],
    [1e20],
    [-1e31, 1e31],
]


def columns():
    """Columns of numbers without a sentinel."""
    rng = np.random.default_rng(0)
    temperature = rng.normal(18, 9, 900)
    amounts = rng.lognormal(3, 1, 900)
    return {
        "temperature": temperature.round(1),
        "humidity": rng.uniform(1, 30, 900),
        "counts": rng.poisson(9, 900).astype(float),
        "capped": np.minimum(amounts, 150),
        "rounded": amounts.round(-1),
        "rain": np.maximum(0, temperature - 20),
        "flag": rng.integers(0, 2, 900).astype(float),
        "grade": rng.choice([1.0, 2.0, 3.0, 4.0, 5.0], 900),
        "levels": rng.choice([1.0, 10.0, 100.0, 1000.0], 900),
        "sizes": 2.0 ** rng.integers(0, 8, 900),
    }


COLUMNS = columns()


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_without_a_sentinel_has_none(name):
    assert likely_sentinels(COLUMNS[name]) == []


@pytest.mark.parametrize("name", ["temperature", "humidity", "counts"])
@pytest.mark.parametrize("sentinels", SENTINELS, ids=str)
@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_all_numbers_that_repeat_far_outside_are_found(name, sentinels, scale):
    cells = scale * COLUMNS[name]
    for first, value in enumerate(sentinels):
        cells[first::30] = value

    assert likely_sentinels(cells) == sorted(sentinels)


@pytest.mark.parametrize("sentinels", SENTINELS, ids=str)
def test_what_comes_twice_or_near_the_others_is_none(sentinels):
    cells = COLUMNS["temperature"].copy()
    cells[: 2 * len(sentinels)] = sentinels * 2
    wide = np.linspace(-2e31, 2e31, 900)
    wide[:300] = np.resize(sentinels, 300)

    assert likely_sentinels(cells) == []
    assert likely_sentinels(wide) == []


def test_missing_cells_and_the_order_of_rows_do_not_matter():
    cells = COLUMNS["temperature"].copy()
    cells[::30], cells[1::30] = -200, np.nan

    assert likely_sentinels(np.random.default_rng(1).permutation(cells)) == [-200]
    assert likely_sentinels(np.full(9, np.nan)) == []
