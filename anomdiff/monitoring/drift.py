"""Drift of a batch of rows against training: how far each column is away, and what is too far.

Columns are compared with a small profile of the training rows: JSON, without any of the rows, but
with the most frequent categories. A few odd rows are anomalies, not drift: a column has drifted
where no share of odd rows up to a limit, whatever they are, makes the batch of training rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom, ks_2samp

from anomdiff.monitoring.stability import lost_by_chance, lost_share, population_stability
from anomdiff.monitoring.values import describe_values, digits, novelty

__all__ = ["DriftLimits", "column_drift", "drift_alarms", "profile"]

# Tests of each column, and of all columns together: by scores, alarms and a classifier.
TESTS_OF_COLUMN, JOINT_TESTS = 3, 3
PROFILE_QUANTILES, N_BINS = 101, 10
RARE = 0.05  # categories below this share are one bin


@dataclass(frozen=True)
class DriftLimits:
    """How far a batch may be from training without an alarm.

    Figures below their limit never alarm; those above do if chance is no likely explanation.

    Attributes
    ----------
    anomalies : float
        Share of rows that may be odd, whatever they are: what so many explain of columns, of
        scores, and of alarms beside ``alpha``, is no drift.
    missing, unseen : float
        Rise of the share of missing cells of a column, and of the share of cells whose value is
        not in training.
    alarm_factor : float
        How many times more, or fewer, alarms than ``alpha`` are allowed.
    level : float
        Share of batches without drift that alarm, at most; one half is divided among the tests of
        columns, the other among those of all columns together (Bonferroni).
    """

    anomalies: float = 0.05
    missing: float = 0.1
    unseen: float = 0.05
    alarm_factor: float = 2.0
    level: float = 0.01

    def per_test(self, n_columns: int) -> float:
        """Level of each test of each of so many columns."""
        return self.level / (2 * TESTS_OF_COLUMN * max(n_columns, 1))

    @property
    def per_joint_test(self) -> float:
        """Level of each test of all columns together."""
        return self.level / (2 * JOINT_TESTS)

    def most_alarms(self, alpha: float) -> float:
        """Share of alarms up to which they are anomalies and false alarms, and no drift."""
        return max(alpha * self.alarm_factor, alpha + self.anomalies)


def profile(frame: pd.DataFrame) -> dict[str, Any]:
    """Describe the columns of training rows in a few numbers each.

    Parameters
    ----------
    frame : DataFrame
        Training rows. Numbers, flags and times are described by their quantiles, anything else
        by the shares of its most frequent values and hashes of others.

    Returns
    -------
    reference : dict
        JSON values: the number of ``rows`` and, by column, its ``kind``, its share of
        ``missing`` cells, and ``quantiles`` or what ``describe_values`` finds, with ``digits``,
        the range of the numbers that the digits of its texts are.
    """
    columns = {str(name): _describe(frame[name]) for name in frame}
    return {"rows": len(frame), "columns": columns}


def column_drift(
    reference: Mapping[str, Any], frame: pd.DataFrame, limits: DriftLimits | None = None
) -> pd.DataFrame:
    """Compare each column of a batch with the profile of training.

    Parameters
    ----------
    reference : mapping
        From `profile`.
    frame : DataFrame
        The batch. A column that it lacks counts as missing in every row; one that training
        lacked is left out.
    limits : DriftLimits, optional
        Share of odd rows, and level, of ``lost`` and ``lost_by_chance``.

    Returns
    -------
    drift : DataFrame
        One row per column: ``psi``, the population stability index; ``moved``, the share of rows
        in other bins, and ``lost``, that beyond what odd rows explain; ``lost_by_chance``, which
        batches without drift stay below but for the level of the test; ``ks``, the
        Kolmogorov-Smirnov distance (NaN for categories); the shares ``missing`` and
        ``missing_before``, of ``rows`` rows; ``unseen``, the share of cells beyond the range or
        not among the values of training, found from ``judged`` cells (NaN from none), and
        ``unseen_before``, that to be expected of more rows of training; ``beyond``, the share of
        texts whose digits are a number beyond the range of training.
    """
    limits = limits or DriftLimits()
    by_chance = limits.anomalies, limits.per_test(len(reference["columns"]))
    rows = {
        name: _compare(described, _column(frame, name), reference["rows"], *by_chance)
        for name, described in reference["columns"].items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("column")


def drift_alarms(
    columns: pd.DataFrame,
    scores: Mapping[str, float],
    alarms: Mapping[str, float],
    limits: DriftLimits | None = None,
    classifier: Mapping[str, float] | None = None,
) -> list[str]:
    """One sentence for each figure that is too far away.

    They are those of `column_drift`, `score_drift`, `alarm_drift` and, where rows of training are
    at hand, `classifier_drift`.
    """
    limits = limits or DriftLimits()
    sentences, rate, alpha = [], alarms["alarm_rate"], alarms["alpha"]
    least, most = alpha / limits.alarm_factor, limits.most_alarms(alpha)
    level, joint = limits.per_test(len(columns)), limits.per_joint_test
    if not least <= rate <= most and alarms["p_value"] < joint:
        sentences.append(f"alarm rate {rate:.2%} is far from alpha = {alpha:g}")
    if scores["ks"] > limits.anomalies and scores["p_value"] < joint:
        way = "risen" if scores["higher"] > 0 else "fallen"
        sentences.append(f"scores have {way}: KS distance {scores['ks']:.2f}")
    if classifier is not None and classifier["p_value"] < joint:
        sentences.append(
            "columns together are not as in training: a classifier tells the rows apart, "
            f"AUC {classifier['auc']:.2f}"
        )
    for name, row in columns.iterrows():
        sentences += [f"column {name!r}: {what}" for what in _column_alarms(row, limits, level)]
    return sentences


def _column_alarms(row: pd.Series, limits: DriftLimits, level: float) -> list[str]:
    found = []
    if _exceeds(row["missing"], row["missing_before"] + limits.missing, row["rows"], level):
        found.append(
            f"{row['missing']:.1%} of its cells are missing, not {row['missing_before']:.1%}"
        )
    new = _exceeds(row["unseen"], row["unseen_before"] + limits.unseen, row["judged"], level)
    if new:
        usual = f", not {row['unseen_before']:.1%}" if row["unseen_before"] >= 0.001 else ""
        found.append(f"{row['unseen']:.1%} of its cells are beyond what training showed{usual}")
    elif _exceeds(row["beyond"], limits.unseen, row["rows"], level):
        found.append(
            f"the numbers in {row['beyond']:.1%} of its texts are beyond those of training"
        )
    moved = row["moved"] > limits.anomalies and row["lost"] > row["lost_by_chance"]
    if moved and not (new and np.isnan(row["ks"])):  # new categories take the place of others
        found.append(f"its distribution has moved, PSI {row['psi']:.2f}")
    return found


def _exceeds(share: float, limit: float, n: float, level: float) -> bool:
    """Tell whether a share of ``n`` rows is above a limit, and by more than chance."""
    return bool(share > limit and binom.sf(round(share * n) - 1, n, limit) < level)


def _describe(cells: pd.Series) -> dict[str, Any]:
    """Profile of a column."""
    present = cells.dropna()
    described = {"missing": float(cells.isna().mean())}
    numbers = _as_numbers(present)
    if numbers is not None and len(np.unique(numbers)) > N_BINS:
        quantiles = np.quantile(numbers, np.linspace(0, 1, PROFILE_QUANTILES)).tolist()
        return {"kind": "number", **described, "quantiles": quantiles}
    labels = _labels(present)
    found = digits(labels) if numbers is None else np.empty(0)
    ends = [float(found.min()), float(found.max())] if len(found) else None
    return {"kind": "category", **described, **describe_values(labels), "digits": ends}


def _compare(
    described: Mapping[str, Any], cells: pd.Series, n_before: int, odd: float, level: float
) -> dict[str, float]:
    """Drift of a column."""
    present = cells.dropna()
    drift = {"psi": 0.0, "moved": 0.0, "lost": 0.0, "lost_by_chance": np.inf, "ks": np.nan}
    drift |= {"missing": float(cells.isna().mean()), "missing_before": described["missing"]}
    drift |= {"rows": len(cells), "judged": len(present), "beyond": 0.0}
    drift["unseen_before"] = described.get("seen_once", 0.0)
    before = round(n_before * (1 - described["missing"]))
    if not len(present) or not before:
        return {**drift, "unseen": float(not before) if len(present) else 0.0}
    compare = _compare_numbers if described["kind"] == "number" else _compare_values
    expected, actual, further = compare(described, present)
    drift["psi"] = population_stability(expected, actual)
    drift["moved"], drift["lost"] = (lost_share(expected, actual, each) for each in (0.0, odd))
    drift["lost_by_chance"] = lost_by_chance(expected, before, len(present), odd, level)
    return {**drift, **further}


def _compare_numbers(described: Mapping, present: pd.Series) -> tuple[np.ndarray, np.ndarray, dict]:
    """Shares of bins, and distance, of numbers; what is no number is beyond the last bin."""
    numbers = _as_numbers(present)
    if numbers is None:
        numbers = pd.to_numeric(present.astype(str), errors="coerce").fillna(np.inf).to_numpy()
    quantiles = np.array(described["quantiles"])
    edges = _edges(quantiles)
    below = np.searchsorted(quantiles, edges, side="left") / (len(quantiles) - 1)
    expected = np.diff(below, prepend=0.0, append=1.0)
    actual = np.bincount(np.searchsorted(edges, numbers, side="right"), minlength=len(expected))
    outside = float(((numbers < quantiles[0]) | (numbers > quantiles[-1])).mean())
    # A hundred quantiles stand for the training rows: the distance is exact to about 0.01.
    ks = float(ks_2samp(quantiles, numbers, method="asymp").statistic)
    return expected, actual, {"ks": ks, "unseen": outside}


def _compare_values(described: Mapping, present: pd.Series) -> tuple[np.ndarray, np.ndarray, dict]:
    """Shares of the named values, and of all others together."""
    shares, labels = pd.Series(described["shares"], dtype=float), _labels(present)
    # Rare values, of which there may be many, are one bin: each alone would be mostly noise.
    common = shares[shares >= RARE]
    expected = np.append(common, max(0.0, 1 - common.sum()))
    actual = np.append(labels.value_counts().reindex(common.index, fill_value=0), 0)
    actual[-1] = len(present) - actual.sum()
    unseen, judged = novelty(described, labels)
    return (
        expected,
        actual,
        {"unseen": unseen, "judged": judged, "beyond": _beyond(described, labels)},
    )


def _beyond(described: Mapping, labels: pd.Series) -> float:
    """Share of texts whose digits are beyond the range of training."""
    if described.get("digits") is None:
        return 0.0
    low, high = described["digits"]
    found = digits(labels)
    return float(((found < low) | (found > high)).sum() / len(labels))


def _edges(quantiles: np.ndarray) -> np.ndarray:
    """Inner edges of about ten bins, none of them empty in training even if values repeat.

    A bin reaches from its edge up to the next, which is not part of it.
    """
    values = np.unique(quantiles)
    repeated = np.searchsorted(quantiles, values[-1], side="left") < len(quantiles) - 1
    inner = values[1:] if repeated else values[1:-1]
    if len(inner) < N_BINS:
        return inner
    return inner[np.linspace(0, len(inner) - 1, N_BINS + 1).round().astype(int)[1:-1]]


def _labels(cells: pd.Series) -> pd.Series:
    """Values as text, numbers in one way whatever their type."""
    numbers = _as_numbers(cells)
    if numbers is None:
        return cells.astype(str)
    return pd.Series([f"{number:g}" for number in numbers], index=cells.index, dtype=object)


def _as_numbers(cells: pd.Series) -> np.ndarray | None:
    """Numbers, flags and times as floats; None for anything else."""
    if pd.api.types.is_numeric_dtype(cells):
        return cells.to_numpy(float)
    if pd.api.types.is_datetime64_any_dtype(cells):
        return cells.astype("int64").to_numpy(float)
    return None


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    """Column by its name as text; all missing if it is not there."""
    nothing = pd.Series(np.nan, index=frame.index, dtype=object)
    return next((frame[column] for column in frame if str(column) == name), nothing)
