"""How far our detector is behind the best baseline of each set, or above the neighbours."""

from collections.abc import Iterable

import pandas as pd

from benchmarks.common.commands import OURS

__all__ = ["BASELINES", "FAR", "compared", "per_set", "regret", "regret_lines"]

NEIGHBOURS = ("knn1", "knn5")
BASELINES = (*NEIGHBOURS, "iforest")
FAR = 5  # points, from which a set is named


def regret(figures: pd.DataFrame, ours: str = OURS) -> pd.Series:
    """Average precision of the best baseline of each set minus ours, largest first.

    Below 0 where ours is better than all baselines.

    Parameters
    ----------
    figures : DataFrame of shape (set, (measure, method))
        Means over seeds in [0, 1], as from `complete`.
    ours : str, default="anomdiff"
        Name of our method.

    Returns
    -------
    regret : Series of shape (set,)
        In points: differences of percentages.

    Raises
    ------
    ValueError
        If ours or all of knn1, knn5 and iforest are missing.
    """
    precision = figures["AP"]
    if not compared(precision, ours):
        raise ValueError(
            f"need {ours} and one of {', '.join(BASELINES)}; got {', '.join(precision)}."
        )
    best = precision[_among(BASELINES, precision)].max(axis=1)
    return (100 * (best - precision[ours])).rename("regret").sort_values(ascending=False)


def compared(methods: Iterable[str], ours: str = OURS) -> bool:
    """Whether our method is there, and a baseline to hold it against."""
    return ours in methods and bool(_among(BASELINES, methods))


def regret_lines(figures: pd.DataFrame, ours: str = OURS) -> list[str]:
    """Regret over all sets in one line; our means minus the better nearest neighbour's in another.

    The better one is that of the larger mean, measure by measure. No lines without our method or
    without a baseline.
    """
    methods = [*figures["AP"]]
    if not compared(methods, ours):
        return []
    lines = [_regret_line(regret(figures, ours), _among(BASELINES, methods))]
    if near := _among(NEIGHBOURS, methods):
        lines.append(_above(figures, ours, near))
    return lines


def per_set(figures: pd.DataFrame, ours: str = OURS) -> pd.DataFrame:
    """Average precision of each method on each set in per cent; if it is known, the regret too."""
    table = 100 * figures["AP"].rename_axis(columns=None)
    if not compared(table, ours):
        return table
    by_regret = regret(figures, ours)
    return table.loc[by_regret.index].assign(regret=by_regret)


def _regret_line(points: pd.Series, baselines: list[str]) -> str:
    far = points[points > FAR]
    named = ", ".join(f"{name} {value:.1f}" for name, value in far.items())
    share = f"{len(far)} of {len(points)} sets ({100 * len(far) / len(points):.1f} %)"
    return (
        f"regret in AP against {'the best of ' * (len(baselines) > 1)}{', '.join(baselines)}: "
        f"mean {points.mean():.2f} | 90 % quantile {points.quantile(0.9):.1f} | "
        f"above {FAR} points on {share}{': ' * bool(named)}{named}"
    )


def _above(figures: pd.DataFrame, ours: str, near: list[str]) -> str:
    means = 100 * figures.mean().unstack()  # a row per measure
    gain = means[ours] - means[near].max(axis=1)
    better = f"the better of {' and '.join(near)}" if len(near) > 1 else near[0]
    return f"above {better}: " + " ".join(f"{name} {gain[name]:+.1f}" for name in ("AUROC", "AP"))


def _among(names: Iterable[str], methods: Iterable[str]) -> list[str]:
    return [name for name in names if name in methods]
