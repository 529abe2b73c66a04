"""Pictures of a training run, for the artifacts page of MLflow."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from scipy.stats import beta

MOST_COLUMNS, MOST_VALUES = 12, 8
SHARE = 0.9  # of the possible alarm rates, shown as a band
# A fixed layout: matplotlib's own takes as long as all the drawing.
MARGINS = {"left": 0.12, "right": 0.97, "bottom": 0.15, "top": 0.9}
ALPHAS = np.geomspace(0.001, 0.5, 60)


def loss_figure(history: pd.DataFrame) -> Figure:
    """Training loss and held-out loss against the optimiser's steps."""
    figure, axes = _canvas()
    axes.plot(history["step"], history["loss"], alpha=0.5, label="training batch")
    axes.plot(history["step"], history["validation_loss"], label="held-out rows")
    axes.set(xlabel="step", ylabel="denoising loss", title="Training")
    axes.legend()
    return figure


def score_figure(scores: np.ndarray, threshold: float, alpha: float) -> Figure:
    """Histogram of the anomaly scores of held-out normal rows, and the alarm threshold."""
    figure, axes = _canvas()
    axes.hist(scores, bins=60, log=True, histtype="stepfilled")
    if np.isfinite(threshold):
        axes.axvline(threshold, color="C3", label=f"threshold at alpha={alpha:g}")
        axes.legend()
    axes.set(xlabel="anomaly score", ylabel="rows", title=f"{len(scores):,} held-out normal rows")
    return figure


def calibration_figure(scores: np.ndarray, alpha: float) -> Figure:
    """What another alpha would mean: its threshold, and the alarm rates it may turn out as."""
    figure = Figure(figsize=(10, 3.5))
    left, right = figure.subplots(1, 2, gridspec_kw=MARGINS | {"left": 0.07})
    shares = np.arange(len(scores), 0, -1) / len(scores)
    left.step(np.sort(scores), shares, where="post")
    left.set(yscale="log", xlabel="threshold", ylabel="share of held-out rows at or above")
    low, high = alarm_rates(len(scores), ALPHAS)
    right.fill_between(ALPHAS, low, high, alpha=0.3, label=f"{SHARE:.0%} of calibrations")
    right.plot(ALPHAS, ALPHAS, color="black", linewidth=0.8, label="alarm rate = alpha")
    right.set(xscale="log", yscale="log", xlabel="alpha", ylabel="alarm rate on normal rows")
    right.legend()
    for axis in (left.axhline, right.axvline):
        axis(alpha, color="C3")
    figure.suptitle(f"Calibration on {len(scores):,} held-out rows; alpha={alpha:g} in red")
    return figure


def alarm_rates(n: int, alphas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Range that holds the alarm rate on new normal rows for 90 % of calibration samples.

    With :math:`k = \lfloor \alpha (n + 1) \rfloor` the alarm rate of a conformal threshold is
    distributed as :math:`Beta(k, n + 1 - k)` over calibration samples of exchangeable rows.

    Parameters
    ----------
    n : int
        Number of calibration rows.
    alphas : float or array of shape (alpha,)
        Wanted alarm rates.

    Returns
    -------
    low, high : array of shape (alpha,)
        0 where no row can be flagged.

    References
    ----------
    Vovk (2012), "Conditional Validity of Inductive Conformal Predictors", proposition 2a.
    """
    k = np.floor(np.asarray(alphas) * (n + 1) + 1e-9)
    tail = (1 - SHARE) / 2
    return tuple(
        np.where(k > 0, beta.ppf(side, np.maximum(k, 1), n + 1 - k), 0.0)
        for side in (tail, 1 - tail)
    )


def level_figure(losses: pd.DataFrame) -> Figure:
    """Denoising loss against the noise level, one line per group of rows."""
    figure, axes = _canvas()
    for name in losses.columns.drop("sigma"):
        axes.plot(losses["sigma"], losses[name], marker=".", label=name)
    axes.axhline(1.0, color="black", linewidth=0.8, label="nothing learnt")
    axes.set(xscale="log", xlabel="noise level, in standard deviations", ylabel="denoising loss")
    axes.legend()
    return figure


def sample_figure(rows: pd.DataFrame, drawn: pd.DataFrame) -> Figure:
    """Columns of training rows beside those of rows that the detector has drawn.

    Parameters
    ----------
    rows, drawn : DataFrame
        With the same columns, of which the first twelve are shown.
    """
    names = drawn.columns[:MOST_COLUMNS]
    n_across = min(4, len(names))
    n_down = -(-len(names) // n_across)
    figure = Figure(figsize=(3 * n_across, 2.4 * n_down))
    spaces = {"left": 0.02, "right": 0.98, "wspace": 0.08, "hspace": 0.7}
    grid = figure.subplots(n_down, n_across, squeeze=False, gridspec_kw=spaces).ravel()
    for axes, name in zip(grid, names, strict=False):
        _compare(axes, rows[name], drawn[name])
        axes.set_title(str(name), fontsize="small")
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    grid[0].legend(fontsize="x-small")
    return figure


def _compare(axes: Axes, before: pd.Series, drawn: pd.Series) -> None:
    """Histogram of a column of numbers or times; bars of the commonest values of another."""
    measured = pd.api.types.is_any_real_numeric_dtype(before.dtype)
    if measured or pd.api.types.is_datetime64_any_dtype(before.dtype):
        pair = [_plain(cells.dropna(), measured) for cells in (before, drawn)]
        edges = np.histogram_bin_edges(np.concatenate(pair), bins=30)
        for values, label in zip(pair, ("training", "drawn"), strict=True):
            look = {"histtype": "stepfilled", "alpha": 0.5, "label": label}
            axes.hist(values, bins=edges, density=len(values) > 0, **look)
        if not measured:
            axes.xaxis_date()
            axes.tick_params(axis="x", labelrotation=30)
    else:
        shares = [cells.astype(str).value_counts(normalize=True) for cells in (before, drawn)]
        top = shares[0].index[:MOST_VALUES]
        for offset, part, label in zip((-0.2, 0.2), shares, ("training", "drawn"), strict=True):
            heights = part.reindex(top, fill_value=0)
            axes.bar(np.arange(len(top)) + offset, heights, 0.4, alpha=0.5, label=label)
        axes.set_xticks(np.arange(len(top)), [value[:8] for value in top], rotation=30)
    axes.tick_params(labelsize="x-small")
    axes.set_yticks([])


def _plain(cells: pd.Series, measured: bool) -> np.ndarray:
    """Numbers as they are; times as matplotlib counts them, in days."""
    return cells.to_numpy(float) if measured else date2num(cells.dt.tz_localize(None))


def _canvas() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6, 3.5))
    return figure, figure.subplots(gridspec_kw=MARGINS)
