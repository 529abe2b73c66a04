"""The detectors that are compared on series, and the results that they give.

Every method is fitted to a training series and returns the function that scores another; the
window is the period of the series that is scored, as in TSB-AD.
"""

import warnings
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from anomdiff import TimeSeriesDetector
from anomdiff.metrics.detection import auroc, average_precision, period, vus_pr, vus_roc
from benchmarks.common.comparison import Comparison, Split
from benchmarks.common.methods import (
    Fit,
    Params,
    Score,
    fit_ours,
    isolation_forest,
    neighbours,
    screen_ours,
)

__all__ = ["METHODS", "SERIES", "compiled_stump", "timeseries", "to_points", "window_of"]

MAX_KNOWN = 10_000  # training windows, evenly spaced beyond this many
CHUNK = 2**24  # numbers that are copied out of overlapping windows at a time
N_LAGS = 16
MEDIAN_ROWS = 101
COLUMNS = (
    "file family n n_channels method vus_pr vus_roc auc_pr auc_roc fit_seconds score_seconds "
    "peak_memory_mb"
).split()
MEASURES = {"VUS-PR": "vus_pr", "AUC-PR": "auc_pr"}


def timeseries(seed: int, params: Params = None) -> TimeSeriesDetector:
    """Our detector with its defaults, but for the parameters that are given."""
    return TimeSeriesDetector(**{"random_state": seed, "progress": False, **(params or {})})


def fit_anomdiff(train: np.ndarray, seed: int, window: int, params: Params = None) -> Score:
    """Fit our detector to the training series."""
    return fit_ours(timeseries, train, seed, params)


def fit_transductive(train: np.ndarray, seed: int, window: int, params: Params = None) -> Score:
    """Let our detector screen the series itself."""
    return screen_ours(timeseries, train, seed, params)


def fit_matrix_profile(train: np.ndarray, seed: int, window: int) -> Score:
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


def fit_iforest(train: np.ndarray, seed: int, window: int) -> Score:
    """Score by scikit-learn's isolation forest of z-scored windows, in its defaults."""
    windows = _Windows(train, window)
    return windows.scorer(isolation_forest(windows.known, seed))


def fit_knn(train: np.ndarray, seed: int, window: int) -> Score:
    """Score by the distance of each z-scored window to the nearest training window."""
    windows = _Windows(train, window)
    return windows.scorer(neighbours(windows.known, algorithm="brute"))


def fit_linear(train: np.ndarray, seed: int, window: int) -> Score:
    """Score by the error of a linear forecast from the previous 16 values, channel by channel."""
    weights = [np.linalg.lstsq(*_lagged(channel), rcond=None)[0] for channel in train.T]

    def score(whole: np.ndarray) -> np.ndarray:
        lagged = [_lagged(channel) for channel in whole.T]
        errors = [np.abs(y - x @ w) for (x, y), w in zip(lagged, weights, strict=True)]
        return np.pad(np.mean(errors, axis=0), (N_LAGS, 0))

    return score


def fit_median(train: np.ndarray, seed: int, window: int) -> Score:
    """Score by the absolute deviation from the moving median of the 101 rows around."""

    def score(whole: np.ndarray) -> np.ndarray:
        frame = pd.DataFrame(whole)
        median = frame.rolling(MEDIAN_ROWS, center=True, min_periods=1).median()
        return (frame - median).abs().mean(axis=1).to_numpy()

    return score


@cache
def compiled_stump() -> Callable[[np.ndarray, int], np.ndarray]:
    """The matrix profile of stumpy, on one thread; the first call compiles it, half a minute."""
    import numba
    import stumpy

    numba.set_num_threads(1)
    stumpy.stump(np.random.default_rng(0).normal(size=64), 8)
    return stumpy.stump


def window_of(split: Split) -> dict[str, int]:
    """The window by which the methods and the measures of a series go."""
    return {"window": period(split.test)}


def judge(split: Split, scores: np.ndarray, window: int) -> dict[str, float]:
    """Sizes of a series and measures of its scores."""
    judged = split.anomalous, scores
    return {
        "n": len(split.test),
        "n_channels": split.test.shape[1],
        "vus_pr": vus_pr(*judged, window),
        "vus_roc": vus_roc(*judged, window),
        "auc_pr": average_precision(*judged),
        "auc_roc": auroc(*judged),
    }


METHODS: dict[str, Fit] = {
    "anomdiff": fit_anomdiff,
    "anomdiff-transductive": fit_transductive,
    "matrixprofile": fit_matrix_profile,
    "iforest": fit_iforest,
    "knn": fit_knn,
    "linear16": fit_linear,
    "median": fit_median,
}
SERIES = Comparison(
    METHODS, COLUMNS, ["file", "method"], judge, MEASURES, window_of,
    warm_ups={"matrixprofile": compiled_stump},
)  # fmt: skip


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

    def scorer(self, score: Score) -> Score:
        """Score every window, and with it the row in its middle."""
        return lambda whole: to_points(
            np.concatenate([*map(score, self._chunks(whole))]), len(whole)
        )

    def _chunks(self, series: np.ndarray, every: int = 1) -> Iterator[np.ndarray]:
        scaled = ((series - self.mean) / self.scale).astype(np.float32)
        windows = sliding_window_view(scaled, self.window, axis=0)[::every]
        step = max(1, CHUNK // windows[0].size)
        for start in range(0, len(windows), step):
            yield windows[start : start + step].reshape(-1, windows[0].size)


def _lagged(channel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The previous 16 values and a one, and the value that follows them."""
    past = sliding_window_view(channel, N_LAGS)[:-1]
    return np.column_stack([past, np.ones(len(past))]), channel[N_LAGS:]
