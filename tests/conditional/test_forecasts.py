import numpy as np
import pandas as pd
import pytest

import anomdiff
from anomdiff import TimeSeriesDetector
from tests.series import autoregression, panel, waves
from tests.settings import TINY, TINY_LONG


def test_a_forecast_of_waves_is_nearer_than_their_noise_is_large(wide):
    expected = wide.forecast(waves(200, seed=1), 24)

    truth = waves(24, seed=2, start=200)
    means = expected.pivot(index="step", columns="channel", values="mean")[truth.columns]
    error = (means.to_numpy() - truth.to_numpy()).std()
    assert error < 0.08  # the noise of the truth is 0.05


def test_a_forecast_has_a_row_for_every_series_step_and_channel(long):
    expected = long.forecast(panel(120, seed=3), 5, quantiles=(0.05, 0.5, 0.975))

    columns = ["host", "time", "step", "channel", "mean", "q05", "q50", "q97.5"]
    assert list(expected.columns) == columns
    assert len(expected) == 2 * 5 * 3
    assert expected["host"].tolist() == ["a"] * 15 + ["b"] * 15
    assert expected["channel"].tolist()[:3] == ["slow", "echo", "fast"]
    assert (expected["q05"] <= expected["q50"]).all()
    assert (expected["q50"] <= expected["q97.5"]).all()


def test_each_series_is_forecast_in_its_own_units(long):
    expected = long.forecast(panel(120, seed=3), 5).groupby("host")["mean"].apply(np.ptp)

    assert 8 < expected["b"] / expected["a"] < 12  # series b is ten times as large


@pytest.mark.parametrize(
    ("index", "first"),
    [
        (pd.date_range("2025-01-01", periods=100, freq="15min", tz="Europe/Paris"), None),
        (pd.date_range("2025-01-01", periods=100, freq="D"), pd.Timestamp("2025-04-11")),
    ],
)
def test_times_go_on_a_median_step_apart(index, first):
    frame = waves(100, seed=0).set_index(index)
    detector = TimeSeriesDetector(**TINY, window_lengths=(8,)).fit(frame)

    times = detector.forecast(frame, 3, n_draws=2)["time"].unique()

    assert (pd.DatetimeIndex(times) == index[-1] + index.freq * np.arange(1, 4)).all()
    assert first is None or times[0] == first


def test_whole_numbers_of_time_stay_whole_and_rows_in_order_have_none():
    frame = waves(100, seed=0).assign(t=np.arange(0, 500, 5))
    numbered = TimeSeriesDetector(time="t", **TINY, window_lengths=(8,)).fit(frame)
    ordered = TimeSeriesDetector(**TINY, window_lengths=(8,)).fit(frame.to_numpy())

    assert numbered.forecast(frame, 2)["t"].unique().tolist() == [500, 505]
    assert "time" not in ordered.forecast(frame.to_numpy(), 2)


def test_a_forecast_starts_after_the_last_gap_and_needs_enough_rows(wide):
    frame = waves(200, seed=1)
    gap = frame.iloc[np.r_[:100, 120:200]]

    alone, both = wide.forecast(frame.iloc[120:], 8), wide.forecast(gap, 8)

    pd.testing.assert_frame_equal(alone, both)
    with pytest.raises(ValueError, match="need at least 4 rows without a gap in time; got 3"):
        wide.forecast(frame.iloc[:3], 8)


@pytest.mark.parametrize("horizon", [1, 8, 70])
def test_paths_agree_with_the_forecast_whatever_the_horizon(wide, horizon):
    history = waves(200, seed=1)

    paths = wide.forecast_paths(history, horizon, n_draws=30)
    expected = wide.forecast(history, horizon, n_draws=30)

    assert len(paths) == 30 * horizon
    means = expected.pivot(index="step", columns="channel", values="mean")
    own = paths.groupby("step")[["echo", "fast", "slow"]].mean()
    np.testing.assert_allclose(own, means, rtol=0, atol=1e-9)


def test_missing_steps_are_bridged(wide):
    whole = waves(200, seed=1)
    holed = whole.mask(np.random.default_rng(0).random(whole.shape) < 0.1)

    means = [wide.forecast(frame, 8)["mean"] for frame in (whole, holed)]

    assert (means[0] - means[1]).abs().max() < 0.2


def test_a_higher_history_is_continued_higher(wide):
    history, moved = waves(200, seed=1), waves(200, seed=1) + 0.5

    low, high = (wide.forecast(frame, 24)["mean"].to_numpy() for frame in (history, moved))

    np.testing.assert_allclose(high, low + 0.5, rtol=0, atol=1e-6)


def test_draws_depend_on_the_seed_alone_and_survive_a_round_trip(wide, tmp_path):
    history = waves(100, seed=1)
    loaded = anomdiff.load(anomdiff.save(wide, tmp_path))

    first = wide.forecast(history, 8, n_draws=20, random_state=3)

    pd.testing.assert_frame_equal(wide.forecast(history, 8, n_draws=20, random_state=3), first)
    pd.testing.assert_frame_equal(loaded.forecast(history, 8, n_draws=20, random_state=3), first)
    assert not wide.forecast(history, 8, n_draws=20, random_state=4).equals(first)


def test_a_detector_that_is_fitted_again_forecasts_the_new_data():
    detector = TimeSeriesDetector(**TINY_LONG).fit(waves(300, seed=0))
    detector.forecast(waves(100, seed=1), 8)
    other = waves(300, seed=0) ** 2

    again = detector.fit(other).forecast(other, 8)

    fresh = TimeSeriesDetector(**TINY_LONG).fit(other)
    pd.testing.assert_frame_equal(again, fresh.forecast(other, 8))


def test_four_of_five_autoregressive_steps_fall_between_the_tenths():
    process = autoregression(3000, seed=0)
    detector = TimeSeriesDetector(**TINY_LONG).fit(process[:1500])

    inside = []
    for end in range(1600, 2900, 20):
        expected = detector.forecast(process[end - 100 : end], 10)
        truth = process[end : end + 10, 0]
        inside.append((truth >= expected["q10"]) & (truth <= expected["q90"]))

    assert 0.75 < np.mean(inside) < 0.85


def test_risk_rises_with_the_steps_and_is_certain_where_the_threshold_is_low(wide):
    history = waves(200, seed=1)

    low, high, never = (
        wide.risk(history, {"slow": (None, bound)}, 24)["probability"] for bound in (-9, 0.9, 9)
    )

    assert (low == 1).all()
    assert (never == 0).all()
    assert (high.diff().dropna() >= 0).all()
    # A period is 25 steps: the wave crosses 0.9 within the horizon, but not in the first step.
    assert high.iloc[0] < 0.1
    assert high.iloc[-1] > 0.9


def test_risk_is_the_share_of_paths_that_leave_the_bounds(long):
    history, event = panel(120, seed=3), {"slow": (-1.02, None), "fast": (None, 1.02)}

    risk = long.risk(history, event, 6, n_draws=50).groupby("host")["probability"].last()
    paths = long.forecast_paths(history, 6, n_draws=50)

    out = (paths["slow"] < -1.02) | (paths["fast"] > 1.02)
    share = out.groupby([paths["host"], paths["draw"]]).any().groupby("host").mean()
    np.testing.assert_allclose(risk, share)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": 0}, "horizon must be a whole number above 0; got 0"),
        ({"n_draws": 1.5}, "n_draws must be a whole number above 0; got 1.5"),
        ({"quantiles": (0, 0.5)}, "quantiles must lie between 0 and 1"),
    ],
)
def test_what_is_no_forecast_is_refused(wide, arguments, message):
    with pytest.raises(ValueError, match=message):
        wide.forecast(waves(100, seed=1), **{"horizon": 4, **arguments})


@pytest.mark.parametrize(
    ("event", "message"),
    [({"quick": (0, 1)}, "got \\['quick'\\]"), ({}, "need event as"), (3, "need event as")],
)
def test_what_is_no_event_is_refused(wide, event, message):
    with pytest.raises(ValueError, match=message):
        wide.risk(waves(100, seed=1), event, 4)
