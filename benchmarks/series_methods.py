"""The detectors of series that are compared: ours, and baselines that score windows.

Every method is fitted to a training series and returns the function that scores another; the
window is the period of the series that is scored, as in TSB-AD.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

MAX_KNOWN = 10_000  # training windows, evenly spaced beyond this many
CHUNK = 2**24  # numbers that are copied out of overlapping windows at a time
N_LAGS = 16
MEDIAN_ROWS = 101

Score = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, int, int], Score]


def fit_anomdiff(
    train: np.ndarray, window: int, seed: int, params: Mapping[str, Any] | None = None
) -> Score:
    """Fit our detector, in its defaults, to the training series."""
    detector = _detector(seed, params).fit(train)
    return lambda whole: detector.score_frame(whole)["anomaly_score"].to_numpy()


def fit_transductive(
    train: np.ndarray, window: int, seed: int, params: Mapping[str, Any] | None = None
) -> Score:
    """Let our detector, in its defaults, screen the series itself, whatever trains."""
    detector = _detector(seed, params)
    return lambda whole: detector.screen(whole)["anomaly_score"].to_numpy()


def fit_matrix_profile(train: np.ndarray, window: int, seed: int) -> Score:
    """Score by the distance of each z-scored window to the nearest other one of the series.

    The mean over the channels, as the profile of a single channel in TSB-AD.
    """
    stump = compiled_stump()

    def score(whole: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about constant windows
            profiles = [stump(channel, window)[:, 0].astype(float) for channel in whole.T]
        return to_points(np.mean(profiles, axis=0), len(whole), pad="minimum")

    return score


def fit_iforest(train: np.ndarray, window: int, seed: int) -> Score:
    """Score by scikit-learn's isolation forest of z-scored windows, in its defaults."""
    windows = _Windows(train, window)
    forest = IsolationForest(random_state=seed).fit(windows.known)
    return lambda whole: windows.scores(whole, lambda rows: -forest.score_samples(rows))


def fit_knn(train: np.ndarray, window: int, seed: int) -> Score:
    """Score by the distance of each z-scored window to the nearest training window."""
    windows = _Windows(train, window)
    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(windows.known)
    return lambda whole: windows.scores(whole, lambda rows: nearest.kneighbors(rows)[0][:, 0])


def fit_linear(train: np.ndarray, window: int, seed: int) -> Score:
    """Score by the miss of a linear forecast from the previous 16 values, channel by channel."""
    weights = [np.linalg.lstsq(*_lagged(channel), rcond=None)[0] for channel in train.T]

    def score(whole: np.ndarray) -> np.ndarray:
        lagged = [_lagged(channel) for channel in whole.T]
        misses = [np.abs(y - x @ w) for (x, y), w in zip(lagged, weights, strict=True)]
        return np.pad(np.mean(misses, axis=0), (N_LAGS, 0))

    return score


def fit_median(train: np.ndarray, window: int, seed: int) -> Score:
    """Score by the absolute deviation from the moving median of the 101 rows around."""

    def score(whole: np.ndarray) -> np.ndarray:
        frame = pd.DataFrame(whole)
        median = frame.rolling(MEDIAN_ROWS, center=True, min_periods=1).median()
        return (frame - median).abs().mean(axis=1).to_numpy()

    return score


METHODS: dict[str, Fit] = {
    "anomdiff": fit_anomdiff,
    "anomdiff-transductive": fit_transductive,
    "matrixprofile": fit_matrix_profile,
    "iforest": fit_iforest,
    "knn": fit_knn,
    "linear16": fit_linear,
    "median": fit_median,
}


@cache
def compiled_stump() -> Callable[[np.ndarray, int], np.ndarray]:
    """The matrix profile of stumpy, on one thread; the first call compiles it, half a minute."""
    import numba
    import stumpy

    numba.set_num_threads(1)
    stumpy.stump(np.random.default_rng(0).normal(size=64), 8)
    return stumpy.stump


# What is done once per process and belongs to no file's time.
WARM_UPS: dict[str, Callable[[], Any]] = {"matrixprofile": compiled_stump}


def to_points(scores: np.ndarray, n_rows: int, pad: str = "edge") -> np.ndarray:
    """Give each row the score of the window around it; the rows at both ends are padded."""
    before = (n_rows - len(scores) + 1) // 2
    return np.pad(scores, (before, n_rows - len(scores) - before), mode=pad)


class _Windows:
    """Windows of z-scored channels, flattened; the scale is that of the training series."""

    def __init__(self, train: np.ndarray, window: int):
        self.window = max(1, min(window, len(train) // 2))
        self.mean, std = train.mean(axis=0), train.std(axis=0)
        self.scale = np.where(std > 0, std, 1.0)
        every = -(-len(train) // MAX_KNOWN)
        self.known = np.concatenate([*self._chunks(train, every)])

    def scores(self, whole: np.ndarray, score: Score) -> np.ndarray:
        """Score every window, and with it the row in its middle."""
        return to_points(np.concatenate([*map(score, self._chunks(whole))]), len(whole))

    def _chunks(self, series: np.ndarray, every: int = 1) -> Iterator[np.ndarray]:
        scaled = ((series - self.mean) / self.scale).astype(np.float32)
        windows = sliding_window_view(scaled, self.window, axis=0)[::every]
        step = max(1, CHUNK // windows[0].size)
        for start in range(0, len(windows), step):
            yield windows[start : start + step].reshape(-1, windows[0].size)


def _detector(seed: int, params: Mapping[str, Any] | None):
    from anomdiff import TimeSeriesDetector

    return TimeSeriesDetector(**{"random_state": seed, "progress": False, **(params or {})})


def _lagged(channel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The previous 16 values and a one, and the value that follows them."""
    past = sliding_window_view(channel, N_LAGS)[:-1]
    return np.column_stack([past, np.ones(len(past))]), channel[N_LAGS:]
