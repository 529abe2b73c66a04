"""What an analyst asks first: the alarms with their reasons, how good they are, what was fitted."""

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from anomdiff.conditional.draws import check_count
from anomdiff.explain.reasons import reason_cells
from anomdiff.metrics.detection import auroc, average_precision, precision_at_k
from anomdiff.thresholds.severity import severity

__all__ = ["Overview"]

# Names of columns of one kind that the summary shows; further ones are counted.
SHOWN_NAMES = 12
# Columns that are put beside those of the batch.
BESIDE = ("anomaly_score", "p_value", "severity", "reasons")
# Words that other libraries use for what a detector has under another name.
ELSEWHERE = {
    "contamination": "alpha=, the share of alarms among normal rows, or screen(X) for rows that "
    "hold anomalies",
    "decision_scores_": "calibration_scores_, or score_frame(X)['anomaly_score'] of any rows",
    "labels_": "screen(X)['is_anomaly'], which fits and flags the same rows",
}


class Overview:
    """Alarms, figures and summary of a fitted detector; mixed into ``DiffusionDetector``."""

    unit: ClassVar[str]
    alpha: float
    threshold_: float
    calibration_scores_: Any
    model_: Any
    score_frame: Callable[..., pd.DataFrame]
    explain: Callable[..., pd.DataFrame]
    _framed: Callable[..., pd.DataFrame]

    def alarms(self, X: ArrayLike, *, top: int = 3, limit: int | None = 100) -> pd.DataFrame:
        """Score rows and list the alarms, the worst first, each with its reasons.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to score.
        top : int, default=3
            Columns, or channels, that the reasons of an alarm name at most.
        limit : int, optional
            Most alarms, the worst ones; explaining one takes some hundredths of a second. None
            for all of them.

        Returns
        -------
        alarms : DataFrame
            The flagged rows of ``X`` with their index and columns, and ``anomaly_score``,
            ``p_value``, ``severity`` (50 at the threshold, below 100) and ``reasons``, a sentence
            such as ``amount 940, expected 120 to 180``. Of series, the flagged steps; ``segments``
            joins them.

        Raises
        ------
        ValueError
            If the rows cannot be used, ``top`` or ``limit`` is below 1, or ``X`` has a column
            with a name of these.
        """
        check_count("top", top, optional=False)
        check_count("limit", limit)
        rows, scored = self._framed(X, by_name=True), self.score_frame(X)
        if taken := [name for name in BESIDE if name in rows.columns]:
            raise ValueError(f"need other names for the columns {taken}; the alarms have them.")
        order = np.argsort(-scored["anomaly_score"].to_numpy(), kind="stable")
        worst = order[scored["is_anomaly"].to_numpy(bool)[order]][:limit]
        found = scored[["anomaly_score", "p_value"]].iloc[worst]
        found["severity"] = severity(
            found["anomaly_score"], self.calibration_scores_, self.threshold_
        )
        found["reasons"] = self._sentences(rows, worst, top)
        return pd.concat([rows.iloc[worst], found], axis=1)

    def evaluate(self, X: ArrayLike, truth: ArrayLike) -> pd.Series:
        """Say how well the alarms and the order of the scores meet known anomalies.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to score.
        truth : array-like of bool, or of 0 and 1, of shape (row,)
            Which rows are anomalies.

        Returns
        -------
        figures : Series
            ``rows`` (that have a score) and ``anomalies`` among them; of the order, ``auroc``,
            ``average_precision`` and ``precision_at_n``, of as many worst rows as there are
            anomalies; of the alarms, ``alarms``, ``precision``, ``recall``, and ``false_alarms``,
            the share of flagged normal rows, which ``alpha`` promises.

        Raises
        ------
        ValueError
            If the rows cannot be used, or ``truth`` has another length, other values, or only
            one kind of row.
        """
        scored = self.score_frame(X)
        anomalous = _flags(truth, len(scored))
        judged = scored["anomaly_score"].notna().to_numpy()
        scores = scored["anomaly_score"].to_numpy()[judged]
        flagged, anomalous = scored["is_anomaly"].to_numpy(bool)[judged], anomalous[judged]
        n_anomalies = int(anomalous.sum())
        found = {
            "rows": len(scores),
            "anomalies": n_anomalies,
            "auroc": auroc(anomalous, scores),
            "average_precision": average_precision(anomalous, scores),
            "precision_at_n": precision_at_k(anomalous, scores, n_anomalies),
            "alarms": int(flagged.sum()),
            "precision": float(anomalous[flagged].mean()) if flagged.any() else np.nan,
            "recall": float(flagged[anomalous].mean()),
            "false_alarms": float(flagged[~anomalous].mean()),
        }
        return pd.Series(found, dtype=object, name=type(self).__name__)

    def _sentences(self, rows: pd.DataFrame, worst: np.ndarray, top: int) -> list[str]:
        """Reasons of some rows, in their order."""
        if not len(worst):
            return []
        numbered = rows.set_axis(range(len(rows)))
        if self.unit == "row":
            explained = self.explain(numbered.iloc[worst], top=top)
        else:
            explained = self.explain(numbered, top=top, rows=worst)
        return reason_cells(explained, top)["sentence"].loc[worst].tolist()

    if not TYPE_CHECKING:  # else attributes would not be checked any more

        def __getattr__(self, name: str) -> Any:
            """Say what the words of other libraries are called here."""
            instead = f"; use {ELSEWHERE[name]}." if name in ELSEWHERE else ""
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{instead}")

    def _html_repr(self) -> str:
        """What a notebook shows: a summary of what was fitted, scikit-learn's diagram folded."""
        diagram = super()._html_repr()  # type: ignore[misc]
        if "model_" not in vars(self):
            return diagram
        lines = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            f"<td style='text-align:left'>{escape(text)}</td></tr>"
            for name, text in _summary(self)
        )
        return (
            f"<div><b>{type(self).__name__}</b>, fitted<table>{lines}</table>"
            f"<details><summary>Parameters</summary>{diagram}</details></div>"
        )


def _summary(detector: Any) -> list[tuple[str, str]]:
    """Lines of the summary, a name and a text each."""
    unit, n = f"{detector.unit}s", len(detector.calibration_scores_)
    threshold = float(detector.threshold_)
    return [
        *_columns(detector),
        (
            "alarms",
            f"alpha {detector.alpha:g}: about {detector.alpha:.2%} of normal {unit}; threshold "
            f"{threshold:.4g}, by {n:,} held-out {unit}",
        ),
        ("training", f"{detector.n_iter_:,} steps, seed {detector.seed_}"),
        (
            "next",
            "alarms(batch): flagged rows with reasons; score_frame(batch): all scores; "
            "evaluate(batch, truth); diagnose(): what may be wrong",
        ),
    ]


def _columns(detector: Any) -> list[tuple[str, str]]:
    """Columns by kind, and those that are ignored, with the reason."""
    if detector.unit == "step":
        layout = detector.model_.layout
        keys = [str(name) for name in (layout.series, layout.time) if name is not None]
        lines = [("channels", _names(detector.model_.names))]
        return [*lines, ("series and time", ", ".join(keys))] if keys else lines
    by_kind: dict[str, list] = {}
    for column in detector.schema_.columns:
        by_kind.setdefault(column.kind, []).append(column)
    ignored = by_kind.pop("ignored", [])
    lines = [(kind, _names([each.name for each in several])) for kind, several in by_kind.items()]
    lines += [("ignored", f"{each.name}: {each.reason}") for each in ignored[:SHOWN_NAMES]]
    if len(ignored) > SHOWN_NAMES:
        lines.append(("ignored", f"and {len(ignored) - SHOWN_NAMES} more"))
    return lines


def _names(names: list) -> str:
    """How many, and the first of them."""
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f"{len(names)}: {', '.join(map(str, names[:SHOWN_NAMES]))}{more}"


def _flags(truth: ArrayLike, n_rows: int) -> np.ndarray:
    """Known anomalies as flags of shape (row,)."""
    given = np.asarray(truth)
    if given.shape != (n_rows,):
        raise ValueError(f"need truth as {n_rows} flags, one per row; got shape {given.shape}.")
    kinds = pd.unique(pd.Series(given))
    if not set(kinds) <= {0, 1}:
        raise ValueError(
            f"need truth as flags, or 0 and 1 for an anomaly; got {kinds.tolist()[:5]}."
        )
    return given.astype(bool)
