import numpy as np
import pandas as pd
import pytest

from benchmarks.tasks import seasonal_series
from benchmarks.tasks.forecast import (
    METHODS,
    QUANTILES,
    measure,
    pinball,
    read,
    seasonal_naive,
    summary,
)
from benchmarks.tasks.seasonal_series import LEAST_RISE, Case, season, seasonal_cases
from tests.settings import TINY


def write(folder, name, values, label=None):
    label = np.zeros(len(values), dtype=int) if label is None else label
    frame = pd.DataFrame({"Data": values, "Label": label})
    frame.to_csv(folder / name, index=False)


def wave(n=800, period=20, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.1, n)
    return np.sin(2 * np.pi * np.arange(n) / period) + noise


@pytest.mark.parametrize("period", [9, 20, 47])
def test_the_season_is_a_multiple_of_the_period_whatever_the_trend(period):
    found, peak, rise = season(wave(period=period) + np.arange(800) / 100)

    assert found % period == 0
    assert peak > 0.9
    assert rise > 1.5


def test_noise_and_constants_have_no_season():
    noise = season(np.random.default_rng(0).normal(size=800))

    assert noise is None or noise[2] < LEAST_RISE
    assert season(np.ones(800)) is None


def test_the_rule_takes_seasonal_files_once_and_keeps_origins_off_anomalies(tmp_path):
    label = np.isin(np.arange(800), np.arange(600, 610)).astype(int)
    write(tmp_path, "001_A_id_1_x_tr_400_1st_601.csv", wave(), label)
    write(tmp_path, "002_A_id_2_x_tr_400_1st_601.csv", wave(seed=1), label)  # a twin
    write(tmp_path, "003_A_id_3_x_tr_300_1st_601.csv", wave(), label)
    write(tmp_path, "004_B_id_1_x_tr_400_1st_601.csv", np.random.default_rng(0).normal(size=800))

    cases = seasonal_cases(tmp_path)

    assert sorted(case.name[:3] for case in cases) in (["001", "003"], ["002", "003"])
    for case in cases:
        assert case.horizon == case.period == 20
        assert case.origins.min() >= case.n_fit
        assert not ((case.origins > 580) & (case.origins < 610)).any()


def test_pinball_loss_is_the_least_at_the_quantiles_of_the_truth():
    truth = np.random.default_rng(0).normal(size=(5000, 1))
    right = np.quantile(truth, QUANTILES)

    losses = [pinball(truth, np.broadcast_to(right + d, (5000, 1, 9))) for d in (-0.1, 0, 0.1)]

    assert losses[1] == min(losses)
    single = [
        np.maximum(q * (truth - r), (q - 1) * (truth - r)).mean()
        for q, r in zip(QUANTILES, right, strict=True)
    ]
    assert losses[1] == pytest.approx(np.mean(single))


@pytest.mark.parametrize("method", METHODS)
def test_every_competitor_forecasts_a_wave_within_its_noise(method):
    values = wave(n=1200)
    case = Case("wave", "x", values, 800, 20, 20, np.arange(820, 1100, 20))

    quantiles = METHODS[method](case, 0)

    assert quantiles.shape == (14, 20, 9)
    assert np.abs(quantiles[:, :, 4] - case.truth).mean() < 0.15
    assert ((case.truth >= quantiles[..., 0]) & (case.truth <= quantiles[..., -1])).mean() > 0.6


def test_seasonal_naive_repeats_the_last_period():
    values = np.tile(np.arange(10.0), 40)
    case = Case("steps", "x", values, 200, 10, 10, np.array([200, 305]))

    quantiles = seasonal_naive(case, 0)

    np.testing.assert_allclose(quantiles, np.repeat(case.truth[:, :, None], 9, axis=2))


def test_without_data_generated_series_are_measured_and_summed_up_in_a_line(monkeypatch):
    monkeypatch.setattr(seasonal_series, "N_GENERATED", 1)
    monkeypatch.setattr(seasonal_series, "N_ORIGINS", 5)

    figures = measure(read(None), 0, {**TINY, "max_iter": 2, "window_lengths": (32, 64)})

    assert sorted(figures["method"]) == sorted([*METHODS, "anomdiff"])
    assert (figures.loc[figures["method"] == "seasonal-naive", "ratio"] == 1).all()
    assert figures["coverage80"].between(0, 1).all()
    assert "\n" not in summary(figures)
    assert "anomdiff" in summary(figures)
