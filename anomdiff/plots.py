"""Pictures of a training run, from losses to sampled rows, and of a scored series."""

from collections.abc import Hashable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.stats import beta

from anomdiff.detectors.timeseries import TimeSeriesDetector
from anomdiff.encoding.panel import PanelLayout

__all__ = [
    "alarm_rates",
    "calibration_figure",
    "level_figure",
    "loss_figure",
    "sample_figure",
    "score_figure",
    "series_figure",
]

MAX_COLUMNS, SHOWN_VALUES = 12, 8
LABELS = ("training", "sampled")
BAND = 0.9  # of the possible alarm rates, shown as a band
# A fixed layout: matplotlib's own takes as long as all the drawing.
MARGINS = {"left": 0.12, "right": 0.97, "bottom": 0.15, "top": 0.9}
ALPHAS = np.geomspace(0.001, 0.5, 60)
# Colours of alarms and of what is around them; segments whose kinds are written beside them.
ALARM, CONTEXT, NAMED_SEGMENTS = "C3", "C1", 12
# Room above and below the panels of a series, for a title and the times, in inches.
ABOVE, BELOW = 0.7, 0.4


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


def series_figure(
    detector: TimeSeriesDetector,
    X: ArrayLike,
    scored: pd.DataFrame,
    *,
    series: Hashable | None = None,
) -> Figure:
    """Channels of a series with its alarms, and the score below.

    Segments of alarms are dark in the channels that they are named after, their context is light;
    each segment has its kind above, unless there are many.

    Parameters
    ----------
    detector : TimeSeriesDetector
        Fitted.
    X : DataFrame or array-like of shape (row, column)
        The rows that were scored; of many channels the first twelve are drawn, those with alarms
        before others.
    scored : DataFrame
        From ``detector.score_frame(X)``.
    series : label, optional
        Which series of a panel to draw; the one that there is, if there is one only.

    Returns
    -------
    figure : Figure

    Raises
    ------
    ValueError
        If there are several series and none of them is named, or ``X`` has other rows.
    """
    frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(X)
    segments, layout = detector.segments(scored, frame), detector.layout_
    if layout.series is not None:
        series = _one_series(scored[layout.series], series)
        own = (scored[layout.series] == series).to_numpy()
        frame, scored = frame[own], scored[own]
        segments = segments[segments[layout.series] == series]
    named = {name for channels in segments["channels"] for name in channels}
    drawn = sorted(detector.model_.names, key=lambda name: name not in named)[:MAX_COLUMNS]
    names = [name for name in detector.model_.names if name in drawn]
    height = 1.4 * (len(names) + 1) + ABOVE + BELOW
    figure = Figure(figsize=(10, height))
    spaces = {"left": 0.09, "right": 0.98, "top": 1 - ABOVE / height, "bottom": BELOW / height}
    spaces["hspace"] = 0.3
    *upper, below = figure.subplots(len(names) + 1, 1, sharex=True, gridspec_kw=spaces)
    at, bounds = _places(layout, frame, scored, segments)
    order = np.argsort(at, kind="stable")
    for axes, name in zip(upper, names, strict=True):
        axes.plot(at[order], layout.numbers(frame[name], name)[order], linewidth=0.8)
        axes.set_ylabel(str(name))
        _shade(axes, segments, bounds, name)
    below.plot(at[order], scored["anomaly_score"].to_numpy()[order], linewidth=0.8)
    if np.isfinite(detector.threshold_):
        style = {"color": ALARM, "linewidth": 0.8, "linestyle": "--"}
        below.axhline(detector.threshold_, label="threshold", **style)
        below.legend(loc="upper right", fontsize="x-small")
    below.set_ylabel("score")
    figure.align_ylabels()
    if layout.has_dates:
        below.xaxis_date()
    return figure


def _one_series(labels: pd.Series, series: Hashable | None) -> Hashable:
    """Series to draw; refuse one that is not there, naming some that are."""
    known = labels.unique().tolist()
    if series is None and len(known) == 1:
        return known[0]
    if series not in known:
        few = f"{known[:MAX_COLUMNS]}{' and more' if len(known) > MAX_COLUMNS else ''}"
        raise ValueError(f"need one of the series {few}; got series={series!r}.")
    return series


def _places(
    layout: PanelLayout, frame: pd.DataFrame, scored: pd.DataFrame, segments: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Where steps are drawn, and the bounds of contexts and segments, (segment, 4).

    That is at their times, dates in days and durations in seconds, else at the numbers of the
    index, else in their order.
    """
    labels = pd.Index(scored.index if layout.time is None else scored[layout.time])
    times = layout.times(frame)
    at = np.arange(len(labels), dtype=float)
    if times is not None:
        at = date2num(times.astype("datetime64[ns]")) if layout.has_dates else times.astype(float)
        at = at / 1e9 if layout.durations else at
    elif pd.api.types.is_numeric_dtype(labels):
        at = labels.to_numpy(dtype=float)
    first = ~labels.duplicated()
    edges = ("context_start", "context_end", "start", "end")
    found = [at[first][labels[first].get_indexer(pd.Index(segments[each]))] for each in edges]
    steps = np.diff(np.sort(at))
    half = float(np.median(steps)) / 2 if len(steps) else 0.5
    return at, np.stack(found, axis=1) + half * np.array([-1, 1, -1, 1])


def _shade(axes: Axes, segments: pd.DataFrame, bounds: np.ndarray, name: Hashable) -> None:
    """Shade the contexts of all segments, and the segments of a channel; name their kinds."""
    for low, high in np.unique(bounds[:, :2], axis=0):
        axes.axvspan(low, high, color=CONTEXT, alpha=0.15, linewidth=0)
    rows = zip(bounds[:, 2:], segments["channels"], segments["kind"], strict=True)
    for (start, end), channels, kind in rows:
        if name in channels:
            axes.axvspan(start, end, color=ALARM, alpha=0.35, linewidth=0.8)
        if name == channels[0] and len(segments) <= NAMED_SEGMENTS:
            above = axes.text(
                (start + end) / 2, 1.02, kind, transform=axes.get_xaxis_transform(), color=ALARM
            )
            above.set(fontsize="small", horizontalalignment="center")


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
