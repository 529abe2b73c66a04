import warnings

import numpy as np
import pandas as pd
import pytest

from anomdiff import TabularDetector, load, save
from anomdiff.augmentation import augment
from tests.tables import mixed_table

SHORT = {"max_iter": 150, "width": 32, "n_blocks": 1, "progress": False}


@pytest.fixture(scope="module")
def holed():
    """New rows with a third of the cells removed, and the rows as they were."""
    whole = mixed_table(200, seed=7)
    removed = np.random.default_rng(0).random(whole.shape) < 0.3
    return whole.mask(removed), whole


@pytest.fixture(scope="module")
def pair():
    """A detector of two numbers and a flag of which each gives the others away."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=1500)
    table = pd.DataFrame({"x": x, "y": 2 * x + 0.2 * rng.normal(size=1500), "high": x > 0})
    return TabularDetector(random_state=0, **SHORT).fit(table), table


def test_imputing_fills_all_cells_and_leaves_the_observed_ones(fitted, holed):
    rows, _ = holed

    filled = fitted.impute(rows)

    assert filled.notna().all().all()
    assert (filled == rows)[rows.notna()].stack().dropna().all()
    pd.testing.assert_index_equal(filled.index, rows.index)
    assert filled.dtypes.to_dict() == rows.dtypes.to_dict()


def test_rows_without_gaps_come_back_as_they_are(fitted):
    rows = mixed_table(30, seed=3).dropna()

    pd.testing.assert_frame_equal(fitted.impute(rows), rows)


def test_an_imputed_row_does_not_depend_on_the_others(fitted, holed):
    rows, _ = holed

    alone = fitted.impute(rows.iloc[5:6])

    pd.testing.assert_frame_equal(alone, fitted.impute(rows).iloc[5:6], rtol=1e-6)


def test_a_cell_is_imputed_from_the_cells_it_depends_on(pair):
    detector, _ = pair
    rows = pd.DataFrame({"x": [-1.5, 0.5, 1.5], "y": [np.nan] * 3, "high": [False, True, True]})

    filled = detector.impute(rows)

    np.testing.assert_allclose(filled["y"], [-3.0, 1.0, 3.0], atol=0.25)


def test_intervals_of_draws_hold_the_removed_cells(pair):
    detector, _ = pair
    rng = np.random.default_rng(1)
    x = rng.normal(size=300)
    whole = pd.DataFrame({"x": x, "y": 2 * x + 0.2 * rng.normal(size=300), "high": x > 0})
    rows = whole.assign(y=np.nan)

    drawn = detector.impute(rows, n_draws=40, random_state=0)

    low, high = (drawn["y"].groupby(level=1).quantile(q) for q in (0.05, 0.95))
    assert 0.82 < whole["y"].between(low, high).mean() < 0.98
    assert (high - low).median() < 1.5  # the column spreads over 6.6


def test_draws_come_one_below_the_other_and_differ_only_where_cells_were_missing(fitted, holed):
    rows, _ = holed

    drawn = fitted.impute(rows, n_draws=3, random_state=0)

    assert drawn.index.names == ["draw", None]
    first, second = (drawn.xs(draw, level="draw") for draw in (0, 1))
    pd.testing.assert_index_equal(first.index, rows.index)
    assert (first == second)[rows.notna()].stack().dropna().all()
    assert not first["size"].equals(second["size"])


def test_the_same_seed_draws_the_same(fitted, holed):
    rows, _ = holed

    first, again = (fitted.impute(rows, n_draws=2, random_state=4) for _ in range(2))

    pd.testing.assert_frame_equal(first, again)
    pd.testing.assert_frame_equal(*(fitted.sample(20, random_state=4) for _ in range(2)))


def test_samples_have_columns_types_and_values_of_training(fitted, table):
    drawn = fitted.sample(300, random_state=0)

    assert drawn.dtypes.to_dict() == table.dtypes.to_dict()
    assert set(drawn["kind"]) <= set(table["kind"])
    assert drawn["size"].between(table["size"].min(), table["size"].max()).all()
    assert set(drawn["count"]) <= set(table["count"])
    assert 0.02 < drawn["weight"].isna().mean() < 0.25


def test_samples_keep_marginals_and_dependencies(pair):
    detector, _ = pair

    drawn = detector.sample(1500, random_state=0)

    np.testing.assert_allclose(drawn["x"].quantile([0.1, 0.9]), [-1.28, 1.28], atol=0.15)
    assert (drawn["y"] - 2 * drawn["x"]).std() < 0.5
    assert (drawn["high"] == (drawn["x"] > 0)).mean() > 0.95


def test_samples_are_no_copies(pair):
    detector, table = pair

    drawn = detector.sample(500, random_state=0)

    assert not drawn.merge(table, on=["x", "y"]).size


def test_samples_are_as_coarse_as_the_training_cells():
    rng = np.random.default_rng(0)
    amount = np.where(rng.random(400) < 0.3, 0.0, rng.gamma(2.0, 1 / 3, 400) / 7)
    table = pd.DataFrame({"amount": amount, "tenths": rng.normal(size=400).round(1)})

    drawn = TabularDetector(random_state=0, **SHORT).fit(table).sample(1000, random_state=0)

    assert (drawn["amount"] == 0).mean() == pytest.approx((amount == 0).mean(), abs=0.05)
    assert set(drawn["tenths"]) <= set(table["tenths"])


def test_conditions_fix_columns_and_move_the_others(fitted, pair):
    detector, _ = pair

    drawn = detector.sample(200, conditions={"x": 1.5}, random_state=0)
    tools = fitted.sample(200, conditions={"kind": "tool"}, random_state=0)
    books = fitted.sample(200, conditions={"kind": "book"}, random_state=0)

    assert (drawn["x"] == 1.5).all()
    assert drawn["y"].mean() == pytest.approx(3.0, abs=0.3)
    assert (tools["kind"] == "tool").all()
    assert (tools["price"] / tools["size"]).median() > 1.7 * (
        books["price"] / books["size"]
    ).median()


def test_conditions_may_differ_from_row_to_row(pair):
    detector, _ = pair

    drawn = detector.sample(3, conditions={"x": [-1.0, 0.0, 1.0]}, random_state=0)

    assert drawn["x"].tolist() == [-1.0, 0.0, 1.0]
    assert drawn["y"].is_monotonic_increasing


def test_a_loaded_detector_draws_the_same(pair, tmp_path):
    detector, _ = pair

    again = load(save(detector, tmp_path / "model"))

    pd.testing.assert_frame_equal(*(d.sample(50, random_state=1) for d in (detector, again)))


def test_categories_text_and_gaps_of_any_dtype_are_filled():
    rng = np.random.default_rng(0)
    n = 300
    rows = pd.DataFrame(
        {
            "size": pd.Categorical(rng.choice(["s", "m", "l"], n), ["s", "m", "l"], ordered=True),
            "whole": pd.array(rng.integers(0, 5, n), dtype="Int64"),
            "flag": pd.array(rng.random(n) < 0.5, dtype="boolean"),
            "text": rng.normal(size=n).round(1).astype(str),
            "day": pd.Timestamp("2025-01-01", tz="UTC")
            + pd.to_timedelta(rng.integers(0, 90, n), "D"),
        }
    )
    detector = TabularDetector(random_state=0, **SHORT).fit(rows)
    holed = rows.mask(rng.random(rows.shape) < 0.2)

    for filled in (detector.impute(holed), detector.impute(holed, n_draws=1).xs(0, level="draw")):
        assert filled.notna().all().all()
        assert filled.dtypes.to_dict() == holed.dtypes.to_dict()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda d: d.sample(0), "n of at least 1; got 0"),
        (lambda d: d.sample(2, conditions={"colour": 1}), "need conditions on the columns"),
        (lambda d: d.sample(2, conditions={"kind": "boat"}), "'kind'"),
        (lambda d: d.impute(mixed_table(5, seed=0), n_draws=0), "n_draws of at least 1"),
        (lambda d: augment(mixed_table(5, seed=0), [0, 1]), "one label per row"),
        (lambda d: augment(mixed_table(5, seed=0), [0, 1, 1, 1, 1]), "at least 4 rows"),
    ],
)
def test_what_cannot_be_done_is_said(fitted, call, words):
    with pytest.raises(ValueError, match=words):
        call(fitted)


def test_augmenting_balances_the_labels_and_keeps_the_rows():
    table = mixed_table(260, seed=1)
    labels = pd.Series(np.where(np.arange(260) < 60, "rare", "common"), name="label")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame, balanced = augment(table, labels, detector=TabularDetector(**SHORT), random_state=0)

    assert balanced.value_counts().to_dict() == {"rare": 200, "common": 200}
    assert balanced.name == "label"
    pd.testing.assert_frame_equal(frame.iloc[:260], table.reset_index(drop=True))
    assert frame.dtypes.to_dict() == table.dtypes.to_dict()
