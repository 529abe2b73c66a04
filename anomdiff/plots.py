"""Pictures of a training run: losses, calibration, noise levels, sampled rows."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from scipy.stats import beta

__all__ = [
    "alarm_rates",
    "calibration_figure",
    "level_figure",
    "loss_figure",
    "sample_figure",
    "score_figure",
]

MAX_COLUMNS, SHOWN_VALUES = 12, 8
LABELS = ("training", "sampled")
BAND = 0.9  # of the possible alarm rates, shown as a band
# A fixed layout: matplotlib's own takes as long as all the drawing.
MARGINS = {"left": 0.12, "right": 0.97, "bottom": 0.15, "top": 0.9}
ALPHAS = np.geomspace(0.001, 0.5, 60)


def loss_figure(history: pd.DataFrame) -> Figure:
    """Training loss and validation loss against the training step; `history_` of a detector."""
    figure, axes = _canvas()
    axes.plot(history["step"], history["loss"], alpha=0.5, label="training batch")
    axes.plot(history["step"], history["validation_loss"], label="held-out rows")
    axes.set(xlabel="step", ylabel="denoising loss", title="Training")
    axes.legend()
    return figure


def score_figure(scores: np.ndarray, threshold: float, alpha: float) -> Figure:
    """Histogram of the calibration scores, and the alarm threshold if it is finite."""
    figure, axes = _canvas()
    axes.hist(scores, bins=60, log=True, histtype="stepfilled")
    if np.isfinite(threshold):
        axes.axvline(threshold, color="C3", label=f"threshold at alpha={alpha:g}")
        axes.legend()
    axes.set(xlabel="anomaly score", ylabel="rows", title=f"{len(scores):,} calibration rows")
    return figure


def calibration_figure(scores: np.ndarray, alpha: float) -> Figure:
    """Threshold of every alpha, and the range of alarm rates that it may have on new rows."""
    figure = Figure(figsize=(10, 3.5))
    left, right = figure.subplots(1, 2, gridspec_kw=MARGINS | {"left": 0.07})
    shares = np.arange(len(scores), 0, -1) / len(scores)
    left.step(np.sort(scores), shares, where="post")
    left.set(yscale="log", xlabel="threshold", ylabel="share of calibration rows at or above")
    low, high = alarm_rates(len(scores), ALPHAS)
    right.fill_between(ALPHAS, low, high, alpha=0.3, label=f"{BAND:.0%} of calibrations")
    right.plot(ALPHAS, ALPHAS, color="black", linewidth=0.8, label="alarm rate = alpha")
    right.set(xscale="log", yscale="log", xlabel="alpha", ylabel="alarm rate on normal rows")
    right.legend()
    for axis in (left.axhline, right.axvline):
        axis(alpha, color="C3")
    figure.suptitle(f"Calibration on {len(scores):,} rows; alpha={alpha:g} in red")
    return figure


def alarm_rates(n: int, alphas: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Range that holds the alarm rate on new normal rows for 90 % of calibration samples.

    With :math:`k = \lfloor \alpha (n + 1) \rfloor` the alarm rate of a conformal threshold is
    distributed as :math:`Beta(k, n + 1 - k)` over calibration samples of exchangeable rows. Both
    ends are 0 where no row can be flagged.

    References
    ----------
    Vovk (2012), "Conditional Validity of Inductive Conformal Predictors", proposition 2a.
    """
    k = np.floor(np.asarray(alphas) * (n + 1) + 1e-9)
    tail = (1 - BAND) / 2
    low, high = (
        np.where(k > 0, beta.ppf(side, np.maximum(k, 1), n + 1 - k), 0.0)
        for side in (tail, 1 - tail)
    )
    return low, high


def level_figure(losses: pd.DataFrame) -> Figure:
    """Denoising loss against the noise level, one line per group of rows; from `level_losses`."""
    figure, axes = _canvas()
    for name in losses.columns.drop("sigma"):
        axes.plot(losses["sigma"], losses[name], marker=".", label=name)
    axes.axhline(1.0, color="black", linewidth=0.8, label="nothing learnt")
    axes.set(xscale="log", xlabel="noise level, in standard deviations", ylabel="denoising loss")
    axes.legend()
    return figure


def sample_figure(rows: pd.DataFrame, sampled: pd.DataFrame) -> Figure:
    """Columns of training rows beside the same ones of sampled rows; the first twelve are shown."""
    names = sampled.columns[:MAX_COLUMNS]
    n_across = min(4, len(names))
    n_down = -(-len(names) // n_across)
    figure = Figure(figsize=(3 * n_across, 2.4 * n_down))
    spaces = {"left": 0.02, "right": 0.98, "wspace": 0.08, "hspace": 0.7}
    grid = figure.subplots(n_down, n_across, squeeze=False, gridspec_kw=spaces).ravel()
    for axes, name in zip(grid, names, strict=False):
        _compare(axes, rows[name], sampled[name])
        axes.set_title(str(name), fontsize="small")
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    grid[0].legend(fontsize="x-small")
    return figure


def _compare(axes: Axes, before: pd.Series, sampled: pd.Series) -> None:
    """Histogram of a column of numbers or times; bars of the most frequent values of another."""
    numbers = pd.api.types.is_any_real_numeric_dtype(before.dtype)
    if numbers or pd.api.types.is_datetime64_any_dtype(before.dtype):
        _draw_histograms(axes, [_plain(cells.dropna(), numbers) for cells in (before, sampled)])
        if not numbers:
            axes.xaxis_date()
            axes.tick_params(axis="x", labelrotation=30)
    else:
        _draw_bars(axes, [cells.astype(str) for cells in (before, sampled)])
    axes.tick_params(labelsize="x-small")
    axes.set_yticks([])


def _draw_histograms(axes: Axes, pair: list[np.ndarray]) -> None:
    edges = np.histogram_bin_edges(np.concatenate(pair), bins=30).tolist()
    for values, label in zip(pair, LABELS, strict=True):
        some = len(values) > 0
        axes.hist(values, bins=edges, density=some, histtype="stepfilled", alpha=0.5, label=label)


def _draw_bars(axes: Axes, pair: list[pd.Series]) -> None:
    shares = [texts.value_counts(normalize=True) for texts in pair]
    top = shares[0].index[:SHOWN_VALUES]
    for offset, part, label in zip((-0.2, 0.2), shares, LABELS, strict=True):
        heights = part.reindex(top, fill_value=0)
        axes.bar(np.arange(len(top)) + offset, heights, 0.4, alpha=0.5, label=label)
    axes.set_xticks(np.arange(len(top)), [text[:8] for text in top], rotation=30)


def _plain(cells: pd.Series, numbers: bool) -> np.ndarray:
    """Numbers as they are; times as matplotlib counts them, in days."""
    return cells.to_numpy(float) if numbers else date2num(cells.dt.tz_localize(None))


def _canvas() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6, 3.5))
    return figure, figure.subplots(gridspec_kw=MARGINS)
