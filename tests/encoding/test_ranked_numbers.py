import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.codecs import NumberCodec
from anomdiff.encoding.schema import Schema
from anomdiff.encoding.table import RankedNumbers, TableEncoder
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

    for codec, column, coords in zip(codecs, cells, together, strict=True):
        np.testing.assert_array_equal(coords, codec.encode(column))


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
