"""The competitors of our forecasts: seasonal naive and linear autoregressions."""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.linear_model import Ridge

from benchmarks.tasks.seasonal_series import Case

__all__ = ["METHODS", "QUANTILES", "autoregression", "moving_ridge", "ridge", "seasonal_naive"]

QUANTILES = np.arange(1, 10) / 10
LEAST_LAGS = 32
ALPHAS = 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0
N_PATHS = 200


def seasonal_naive(case: Case, seed: int) -> np.ndarray:
    """The values a period ago, plus the quantiles of its errors in training."""
    known = case.values[: case.n_fit]
    errors = known[case.period :] - known[: -case.period]
    ago = [case.values[t - case.period : t - case.period + case.horizon] for t in case.origins]
    return np.stack(ago)[:, :, None] + np.quantile(errors, QUANTILES)


def autoregression(case: Case, seed: int) -> np.ndarray:
    """Linear in the last values, step by step along paths with bootstrapped residuals."""
    rng, lags, z = np.random.default_rng(seed), _n_lags(case), _scaled(case)
    windows = sliding_window_view(z[: case.n_fit], lags + 1)
    x = np.column_stack([windows[:, :lags], np.ones(len(windows))])
    y = windows[:, lags]
    weights = np.linalg.lstsq(x, y, rcond=1e-8)[0]
    residuals = (y - x @ weights) * np.sqrt(len(y) / (len(y) - min(lags, len(y) // 2)))
    found = []
    for t in case.origins:
        path = np.tile(z[t - lags : t], (N_PATHS, 1))
        for _ in range(case.horizon):
            new = path[:, -lags:] @ weights[:-1] + weights[-1] + rng.choice(residuals, N_PATHS)
            path = np.column_stack([path, new])
        found.append(np.quantile(path[:, lags:], QUANTILES, axis=0).T)
    return _unscaled(np.stack(found), case)


def ridge(case: Case, seed: int) -> np.ndarray:
    """Regress every step on the last values, about the mean of training."""
    return _direct(case, lambda past: np.zeros((len(past), 1)))


def moving_ridge(case: Case, seed: int) -> np.ndarray:
    """Regress every step on the last values, about their own mean: the level may wander."""
    return _direct(case, lambda past: past.mean(1, keepdims=True))


METHODS: dict[str, Callable[[Case, int], np.ndarray]] = {
    "seasonal-naive": seasonal_naive,
    "autoregression": autoregression,
    "ridge": ridge,
    "moving-ridge": moving_ridge,
}


def _direct(case: Case, level: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Ridge regression of all steps at once, with quantiles of held-out residuals.

    The penalty is the one with the least error on the last fifth of training.
    """
    lags, z = _n_lags(case), _scaled(case)
    windows = sliding_window_view(z[: case.n_fit], lags + case.horizon)
    windows = windows - level(windows[:, :lags])
    n_first = round(0.8 * len(windows))
    first, late = windows[:n_first], windows[n_first + case.horizon :]
    trials = [_ridge(first, lags, alpha) for alpha in ALPHAS]
    errors = [late[:, lags:] - model.predict(late[:, :lags]) for model in trials]
    best = int(np.argmin([np.square(error).mean() for error in errors]))
    past = np.stack([z[t - lags : t] for t in case.origins])
    centre = _ridge(windows, lags, ALPHAS[best]).predict(past - level(past)) + level(past)
    return _unscaled(centre[:, :, None] + np.quantile(errors[best], QUANTILES, axis=0).T, case)


def _ridge(windows: np.ndarray, lags: int, alpha: float) -> Ridge:
    return Ridge(alpha=alpha * len(windows) / 100).fit(windows[:, :lags], windows[:, lags:])


def _n_lags(case: Case) -> int:
    return min(max(case.period, LEAST_LAGS), (case.n_fit - case.horizon) // 4)


def _scaled(case: Case) -> np.ndarray:
    known = case.values[: case.n_fit]
    return (case.values - known.mean()) / known.std()


def _unscaled(z: np.ndarray, case: Case) -> np.ndarray:
    known = case.values[: case.n_fit]
    return z * known.std() + known.mean()
