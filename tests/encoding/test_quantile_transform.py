import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from anomdiff.encoding import table as table_module
from anomdiff.encoding.codecs import NumberCodec
from anomdiff.encoding.quantile_transform import BEYOND, RankedNumbers
from anomdiff.encoding.schema import Schema
from anomdiff.encoding.table import TableEncoder
from tests.tables import mixed_table


@pytest.mark.parametrize("n", [1, 7, 500])
def test_numbers_together_are_encoded_as_by_their_codecs_one_by_one(n):
    rng = np.random.default_rng(n)
    training = [rng.normal(size=300), rng.gamma(0.5, size=300) * 1e300, rng.poisson(1.0, 300) * 1.0]
    codecs = [NumberCodec.fit(cells) for cells in training]
    cells = np.stack(
        [rng.permutation(column)[:1].repeat(n) * rng.normal(size=n) for column in training]
    )
    cells[:, ::3] = np.nan
    cells[:, 1::5] *= 1e5

    together = RankedNumbers(codecs).encode(cells)

    for codec, column, *coords in zip(codecs, cells, *together, strict=True):
        np.testing.assert_array_equal(np.column_stack(coords), codec.encode(column))


DRAWS = {
    "smooth": lambda rng: rng.normal(size=900),
    "ties": lambda rng: rng.poisson(2.0, 900) * 1.0,
    "heavy tails": lambda rng: rng.standard_cauchy(900) * 1e200,
    "mostly one value": lambda rng: np.r_[np.zeros(700), rng.normal(size=200)],
    "subnormal": lambda rng: rng.normal(size=900) * 1e-310,
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_ranks_are_what_interpolation_from_both_sides_gives(draw):
    rng = np.random.default_rng(0)
    training = draw(rng)
    codec = NumberCodec.fit(training)
    quantiles, shares = np.array(codec.quantiles), np.linspace(0, 1, len(codec.quantiles))
    cells = np.concatenate(
        [training, 3 * training, quantiles, np.nextafter(quantiles, np.inf), [np.nan, -0.0]]
    )

    ranks = codec.encode(cells)[:, 1]

    below = np.interp(cells, quantiles, shares)
    above = np.interp(-cells, -quantiles[::-1], shares)
    expected = np.clip(ndtri((below + 1 - above) / 2), -codec.edge, codec.edge)
    expected += BEYOND * ((cells > training.max()) * 1.0 - (cells < training.min()))
    # To the last bit, unless NumPy was compiled to multiply and add at once.
    np.testing.assert_allclose(ranks, expected, rtol=1e-12, atol=1e-12)


def test_a_range_beyond_that_of_floats_is_ranked():
    training = 1.7e308 * np.linspace(-1, 1, 999)

    z, ranks = NumberCodec.fit(training).encode(training).T

    assert np.isfinite(z).all()
    np.testing.assert_array_equal(np.argsort(ranks, kind="stable"), np.arange(999))


def test_how_many_rows_are_looked_up_together_does_not_matter(monkeypatch):
    table = mixed_table(100, seed=0)
    schema = Schema.infer(table)
    encoder = TableEncoder().fit(schema.check(table), schema)
    expected = encoder.encode(schema.check(table))

    monkeypatch.setattr(table_module, "ENCODED_AT_ONCE", 7)

    for found, wanted in zip(encoder.encode(schema.check(table)), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_columns_are_found_by_name_in_whatever_order_they_lie():
    table = mixed_table(100, seed=0)
    schema = Schema.infer(table)
    checked = schema.check(table)
    encoder = TableEncoder().fit(checked, schema)

    values, observed = encoder.encode(checked[checked.columns[::-1]])

    for found, wanted in zip((values, observed), encoder.encode(checked), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_checking_reads_plain_numbers_as_it_reads_them_one_by_one():
    table = mixed_table(100, seed=0)
    schema = Schema.infer(table)

    together = schema.check(table)

    alone = schema.check(table.astype({"size": object, "price": object, "weight": object}))
    pd.testing.assert_frame_equal(together, alone)
