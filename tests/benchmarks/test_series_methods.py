import numpy as np
import pytest

from benchmarks.series.methods import METHODS, to_points
from tests.benchmarks.labelled import labelled_series


@pytest.mark.parametrize("window", [1, 6, 7])
def test_points_get_the_score_of_the_window_around_them(window):
    scores = np.arange(20.0 - window + 1)

    points = to_points(scores, 20)

    before = window // 2
    assert len(points) == 20
    np.testing.assert_array_equal(points[before : before + len(scores)], scores)


@pytest.mark.parametrize("method", ["iforest", "knn", "linear16", "median"])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_baselines_score_every_row_and_find_the_burst(method, n_channels):
    values, anomalous = labelled_series(n_channels=n_channels)

    scores = METHODS[method](values[:100], 0, 12)(values)

    assert scores.shape == (240,)
    assert scores[anomalous].mean() > np.quantile(scores, 0.9)


def test_the_matrix_profile_is_that_of_a_naive_loop(monkeypatch):
    def stump(channel, window):
        windows = np.lib.stride_tricks.sliding_window_view(channel, window)
        scaled = windows - windows.mean(axis=1, keepdims=True)
        scaled /= scaled.std(axis=1, keepdims=True)
        distances = np.linalg.norm(scaled[:, None] - scaled[None], axis=2)
        rows = np.arange(len(windows))
        distances[np.abs(rows[:, None] - rows) <= np.ceil(window / 4)] = np.inf
        return distances.min(axis=1)[:, None].astype(object)

    monkeypatch.setattr("benchmarks.series.methods.compiled_stump", lambda: stump)
    values, anomalous = labelled_series(n_channels=2)

    scores = METHODS["matrixprofile"](values[:100], 0, 12)(values)

    profiles = [stump(channel, 12)[:, 0].astype(float) for channel in values.T]
    np.testing.assert_allclose(scores[6:-5], np.mean(profiles, axis=0))
    assert scores[0] == scores.min()
    assert scores[anomalous].mean() > scores[~anomalous].mean()


def test_knn_is_that_of_a_naive_loop():
    values, _ = labelled_series(n_channels=2)
    train = values[:60]

    scores = METHODS["knn"](train, 0, 5)(values)

    scaled = (values - train.mean(axis=0)) / train.std(axis=0)
    known = [scaled[i : i + 5] for i in range(56)]
    for row in (2, 100, 237):
        window = scaled[row - 2 : row + 3]
        assert scores[row] == pytest.approx(
            min(np.linalg.norm(window - other) for other in known), abs=1e-3
        )
