import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import ks_2samp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_val_score

import anomdiff
from anomdiff import TimeSeriesDetector
from anomdiff.conditional.window_sampling import with_levels
from anomdiff.diffusion.noise import seeded
from anomdiff.reference.window_bank import WindowBank
from tests.series import autoregression, panel, waves
from tests.settings import TINY_LONG


@pytest.fixture(scope="module")
def wide():
    """A detector of one series; do not change it."""
    return TimeSeriesDetector(**TINY_LONG).fit(waves(1500, seed=0))


def cut(values, length=32):
    return np.lib.stride_tricks.sliding_window_view(values, length, axis=0).reshape(
        -1, values.shape[1] * length
    )


def as_windows(drawn, channels, length=32):
    cells = drawn[channels].to_numpy().reshape(-1, length, len(channels))
    return cells.transpose(0, 2, 1).reshape(len(cells), -1)


def nearest(windows, others):
    return torch.cdist(*map(torch.from_numpy, (windows.copy(), others.copy()))).min(1).values


def test_as_many_windows_as_asked_for_each_as_long_as_the_networks(wide):
    drawn = wide.sample(7)

    assert list(drawn) == ["series", "step", "slow", "echo", "fast"]
    assert drawn["series"].tolist() == np.repeat(np.arange(7), 32).tolist()
    assert drawn["step"].tolist() == list(range(32)) * 7
    assert np.isfinite(drawn).all(axis=None)
    for length in (1, 5, 20):
        assert len(wide.sample(3, length=length)) == 3 * length


def test_draws_depend_on_the_seed_alone_and_survive_a_round_trip(wide, tmp_path):
    loaded = anomdiff.load(anomdiff.save(wide, tmp_path))

    first = wide.sample(5, random_state=3)

    pd.testing.assert_frame_equal(wide.sample(5, random_state=3), first)
    pd.testing.assert_frame_equal(loaded.sample(5, random_state=3), first)
    assert not wide.sample(5, random_state=4).equals(first)


def test_draws_are_no_copies_but_as_far_from_training_as_unseen_windows(process):
    detector, values = process
    training, unseen = cut(values[:3000]), cut(values[3000:])[::3]

    drawn = as_windows(detector.sample(300, random_state=0), ["x0"])

    near, far = nearest(drawn, training), nearest(unseen, training)
    assert 0.8 < near.median() / far.median() < 1.2
    assert near.min() > 0.6 * far.min()


def test_draws_have_the_marginals_and_dependencies_of_training(wide, process):
    frame, drawn = waves(1500, seed=0), wide.sample(300, random_state=0)
    detector, _ = process

    noise = detector.sample(300, random_state=0)["x0"].to_numpy().reshape(300, 32)

    channels = frame.columns
    for name in channels:
        assert ks_2samp(drawn[name], frame[name]).statistic < 0.06
    np.testing.assert_allclose(drawn[channels].corr(), frame.corr(), atol=0.05)
    assert np.ptp(drawn["slow"]) <= np.ptp(frame["slow"]) + 1e-5
    lagged = np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]
    assert lagged == pytest.approx(0.6, abs=0.1)  # somewhat rougher than the process


def test_a_classifier_hardly_tells_draws_from_unseen_windows(process):
    detector, values = process
    unseen = cut(values[3000:])[::3]
    drawn = as_windows(detector.sample(len(unseen), random_state=0), ["x0"])

    both, is_drawn = np.concatenate([unseen, drawn]), np.repeat([0, 1], len(unseen))
    changes = np.diff(both, axis=1)
    features = np.c_[both, changes.std(1), both.std(1), np.diff(changes, axis=1).std(1)]
    classifier = HistGradientBoostingClassifier(max_iter=30, random_state=0)
    assert cross_val_score(classifier, features, is_drawn, cv=3, scoring="roc_auc").mean() < 0.7


def test_draws_are_laid_out_as_the_detector_was_fitted_and_score_as_normal():
    frame = panel(600, seed=0).assign(on=np.arange(1200) % 2)
    detector = TimeSeriesDetector(series="host", time="time", **TINY_LONG).fit(frame)

    drawn = detector.sample(30, random_state=0)

    assert set(drawn) == set(frame)
    assert drawn["on"].isna().all()
    assert (drawn["time"].diff().dropna().abs().min()) == pd.Timedelta(minutes=1)
    size = drawn.groupby("host")["slow"].std()
    assert (size < 2).any()
    assert ((size < 2) | (size > 5)).all()  # series b is ten times as large
    own = detector.sample(10, series="b", random_state=0).groupby("host")
    rates = [detector.score_frame(each.assign(host="b"))["is_anomaly"].mean() for _, each in own]
    assert np.mean(rates) < 0.15


@pytest.mark.parametrize("kept", [1.0, 0.3])
def test_levels_are_found_again_from_windows_that_overlap(kept):
    series = autoregression(600, seed=2, memory=0.99)
    series = torch.from_numpy((series - series.mean()) / series.std())
    starts = torch.nonzero(torch.rand(569, generator=seeded(0)) < kept)[:, 0]
    windows = series.unfold(0, 32, 1)[starts]
    bank = WindowBank(32, (windows - windows.mean(2, keepdim=True)).flatten(1), starts)

    found = with_levels(bank, 1, torch.Generator())

    off = (found - windows).flatten()
    assert off.std() < 1e-6  # the level of all is known but for the ends
    assert off.abs().max() < 0.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "need n as a whole number of at least 1; got 0"),
        ({"n": 2.5}, "need n as a whole number of at least 1; got 2.5"),
        ({"n": 1, "series": "a"}, "need a series of training.*got 'a'"),
        ({"n": 1, "length": 33}, "need a length from 1 to 32, the longest window; got 33"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(wide, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        wide.sample(**arguments)

    assert "\n" not in str(caught.value)
