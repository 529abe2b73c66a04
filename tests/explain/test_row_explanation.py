import numpy as np
import pandas as pd
import pytest
import torch

from anomdiff import TabularDetector
from anomdiff.explain.row_explanation import as_cells, decoded
from tests.settings import TINY
from tests.tables import mixed_table

COLUMNS = ["row", "column", "value", "expected", "low", "high", "contribution"]


def corrupted(frame):
    """One cell a row, by turns: a number far off, a category never seen, another number."""
    bad, changed = frame.copy(), np.tile(["price", "kind", "size"], len(frame))[: len(frame)]
    for i, column in enumerate(changed):
        bad.iat[i, bad.columns.get_loc(column)] = "yacht" if column == "kind" else 900.0 + i
    return bad, changed


def test_contributions_of_a_row_add_up_to_its_score(fitted):
    normal = mixed_table(40, seed=7)
    frame = pd.concat([normal, corrupted(normal)[0].rename(index="bad {}".format)])

    explained = fitted.explain(frame)

    sums = explained.groupby("row", sort=False)["contribution"].sum()
    scores = fitted.score_frame(frame)["anomaly_score"]
    np.testing.assert_allclose(sums, scores, rtol=0, atol=1e-6)


def test_the_corrupted_column_comes_first(fitted):
    bad, changed = corrupted(mixed_table(60, seed=8))

    first = fitted.explain(bad, top=1)

    assert (first["column"].to_numpy() == changed).mean() > 0.95


def test_explanations_keep_index_and_values_and_list_the_largest_contributions_first(fitted):
    frame = mixed_table(6, seed=3)
    frame.iloc[2, frame.columns.get_loc("weight")] = np.nan

    explained = fitted.explain(frame)

    assert list(explained.columns) == COLUMNS
    assert explained["row"].unique().tolist() == frame.index.tolist()
    for label, block in explained.groupby("row", sort=False):
        assert block["contribution"].is_monotonic_decreasing
        found = block.set_index("column")["value"]
        for column in frame:
            assert found[column] == frame.loc[label, column] or pd.isna(frame.loc[label, column])


def test_top_keeps_the_first_lines_of_every_row(fitted):
    bad, _ = corrupted(mixed_table(9, seed=4))

    whole, part = fitted.explain(bad), fitted.explain(bad, top=2)

    first = whole.groupby("row", sort=False).head(2).reset_index(drop=True)
    pd.testing.assert_frame_equal(part, first)


def test_explanations_do_not_depend_on_the_batch(fitted):
    bad, _ = corrupted(mixed_table(12, seed=5))
    whole = fitted.explain(bad, top=1)

    alone = pd.concat([fitted.explain(bad.iloc[[i]], top=1) for i in range(12)])

    pd.testing.assert_frame_equal(alone.reset_index(drop=True), whole, rtol=1e-5)


def test_an_expected_number_lies_in_its_interval_and_follows_the_dependency(fitted):
    bad, changed = corrupted(mixed_table(90, seed=6))
    truth = mixed_table(90, seed=6)

    explained = fitted.explain(bad, top=1)

    of_price = explained[(changed == "price") & (explained["column"] == "price").to_numpy()]
    expected, low, high = (of_price[name].astype(float) for name in ("expected", "low", "high"))
    assert ((low <= expected) & (expected <= high)).mean() > 0.8
    found = truth.loc[of_price["row"], "price"].to_numpy()
    assert np.median(np.abs(expected - found)) < 0.5 * truth["price"].std()


def test_intervals_hold_nine_of_ten_normal_values(fitted):
    explained = fitted.explain(mixed_table(300, seed=9))

    numbers = explained[explained["column"].isin(["size", "price"])]
    value, low, high = (numbers[name].astype(float) for name in ("value", "low", "high"))
    share = ((low <= value) & (value <= high)).mean()
    assert share > 0.9 - 3 * np.sqrt(0.09 / len(numbers))


def test_only_numbers_have_an_interval_and_timestamps_of_which_the_day_counts(fitted):
    explained = fitted.explain(mixed_table(3, seed=2)).set_index("column")
    assert explained.loc[["kind", "gift", "sold"], ["low", "high"]].isna().all(axis=None)
    assert explained.loc[["size"], ["low", "high"]].notna().all(axis=None)

    kept = TabularDetector(**TINY, kinds={"sold": "datetime"}).fit(mixed_table(300, seed=0))
    explained = kept.explain(mixed_table(3, seed=2)).set_index("column")
    assert (explained.loc["sold", "low"] <= explained.loc["sold", "high"]).all()


def test_reference_rows_are_cells_already(fitted):
    rows = fitted.model_.reference.values[:100]

    values, _ = as_cells(fitted.model_, rows)

    torch.testing.assert_close(values, rows, rtol=1e-9, atol=1e-9)


def test_decoding_leaves_no_rounding_errors():
    frame = pd.DataFrame({"a": np.tile([0.0, 0.1, 12.3, 35.7], 50), "b": np.arange(200) % 20 / 7})
    model = TabularDetector(**TINY).fit(frame).model_

    cells = decoded(model, model.encode(model.schema.check(frame))[0])

    np.testing.assert_array_equal(cells["a"], frame["a"])
    np.testing.assert_allclose(cells["b"], frame["b"], rtol=1e-11, atol=1e-11)


def test_arrays_are_explained_by_the_names_of_their_columns():
    rows = np.random.default_rng(0).normal(size=(200, 3))
    detector = TabularDetector(**TINY).fit(rows)

    first = detector.explain(np.array([[0.0, 0.0, 9.0], [-9.0, 0.0, 0.0]]), top=1)

    assert first["column"].tolist() == ["x2", "x0"]
    assert first["value"].tolist() == [9.0, -9.0]


def test_an_impossible_top_is_refused(fitted, table):
    with pytest.raises(ValueError, match="need top of at least 1, or None; got 0"):
        fitted.explain(table[:2], top=0)
