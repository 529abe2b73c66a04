import numpy as np
import pandas as pd
import pytest

from anomdiff import TabularDetector
from tests.series import panel, waves
from tests.settings import TINY
from tests.tables import mixed_table

SHORT = {**TINY, "max_iter": 150, "width": 32}


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
    detector = TabularDetector(**SHORT).fit(rows)
    holed = rows.mask(rng.random(rows.shape) < 0.2)

    for filled in (detector.impute(holed), detector.impute(holed, n_draws=1).xs(0, level="draw")):
        assert filled.notna().all().all()
        assert filled.dtypes.to_dict() == holed.dtypes.to_dict()


def with_holes(frame, seed=0, length=12):
    """Remove a block of every channel in each hundred steps, and some single cells."""
    rng = np.random.default_rng(seed)
    missing = rng.random(frame.shape) < 0.02
    for channel in range(frame.shape[1]):
        for start in range(0, len(frame), 100):
            at = start + rng.integers(0, 100 - length)
            missing[at : at + length, channel] = True
    return frame.mask(missing), missing


def test_missing_steps_of_waves_are_filled_nearly_as_well_as_noise_allows(wide):
    whole = waves(400, seed=1)
    holed, missing = with_holes(whole)

    filled = wide.impute(holed)

    assert filled.notna().all(axis=None)
    pd.testing.assert_frame_equal(filled.mask(missing), holed)
    assert (filled - whole).to_numpy()[missing].std() < 0.1  # the noise of what is missing is 0.05
    assert (holed.interpolate() - whole).to_numpy()[missing].std() > 0.5


def test_draws_of_missing_steps_spread_around_their_mean(wide):
    whole = waves(400, seed=1)
    holed, missing = with_holes(whole)

    draws = wide.impute(holed, n_draws=100)

    assert draws.index.names[0] == "draw"
    cells = draws.to_numpy().reshape(100, *whole.shape)
    low, high = np.quantile(cells, [0.1, 0.9], axis=0)
    inside = (whole.to_numpy() >= low) & (whole.to_numpy() <= high)
    assert 0.65 < inside[missing].mean() < 0.9
    assert (np.ptp(cells, axis=0)[~missing] == 0).all()
    pd.testing.assert_frame_equal(wide.impute(holed, n_draws=100), draws)


def test_a_series_is_filled_from_itself_alone_and_keeps_its_order(long):
    frame = panel(120, seed=3)
    frame.loc[[30, 31, 150], "slow"] = np.nan
    order = np.random.default_rng(0).permutation(len(frame))

    filled = long.impute(frame)

    own = (frame["host"] == "a").to_numpy()
    pd.testing.assert_frame_equal(long.impute(frame[own]), filled[own])
    pd.testing.assert_frame_equal(long.impute(frame.iloc[order]), filled.iloc[order])
    assert filled["host"].equals(frame["host"])


def test_a_missing_channel_is_filled_from_the_others(wide):
    whole = waves(200, seed=1)
    holed = whole.assign(echo=whole["echo"].where(np.arange(200) < 100))

    filled = wide.impute(holed)

    error = (filled["echo"] - whole["echo"])[100:].std()
    assert error < 0.3 * whole["echo"].std()


@pytest.mark.parametrize("n_rows", [5, 20])
def test_short_series_and_series_without_gaps_can_be_filled_too(wide, n_rows):
    whole = waves(n_rows, seed=1)
    holed = whole.copy()
    holed.iloc[3, 0] = np.nan

    assert wide.impute(holed).notna().all(axis=None)
    pd.testing.assert_frame_equal(wide.impute(whole), whole)


def test_the_number_of_draws_is_checked(fitted, wide):
    for detector, frame in ((fitted, mixed_table(5, seed=0)), (wide, waves(50, seed=1))):
        with pytest.raises(ValueError, match="n_draws of at least 1, or None; got 0"):
            detector.impute(frame, n_draws=0)
