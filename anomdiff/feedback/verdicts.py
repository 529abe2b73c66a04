"""Verdicts as people write them, and how good judged alarms were."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

__all__ = ["CONFIRMED", "FALSE_ALARM", "MISSED", "precision_at", "read_verdicts"]

FALSE_ALARM, CONFIRMED, MISSED = "false alarm", "confirmed", "missed"
SPELLINGS = {
    FALSE_ALARM: ("false alarm", "false positive", "fp", "false", "no", "0", "normal"),
    CONFIRMED: ("confirmed", "true positive", "tp", "true", "yes", "1", "anomaly"),
    MISSED: ("missed", "miss", "false negative", "fn"),
}
MEANINGS = {text: verdict for verdict, texts in SPELLINGS.items() for text in texts}


def read_verdicts(cells: pd.Series) -> pd.Series:
    """Verdicts by what people write: ``true``, ``1`` or ``yes`` says that it was an anomaly.

    Parameters
    ----------
    cells : Series
        Texts, numbers or booleans. Case, outer space and ``_`` or ``-`` between words do not count.

    Returns
    -------
    verdicts : Series of object
        ``"false alarm"``, ``"confirmed"`` or ``"missed"``; None where nothing is written.

    Raises
    ------
    ValueError
        If something else is written.
    """
    numbers = pd.to_numeric(cells, errors="coerce")
    texts = cells.astype("string").str.strip().str.casefold().str.replace(r"[_-]", " ", regex=True)
    texts = texts.mask(numbers.isin([0]), "0").mask(numbers.isin([1]), "1")
    blank = texts.isna() | (texts == "")
    if len(unknown := cells[~blank & ~texts.isin(list(MEANINGS))]):
        raise ValueError(
            f"need the verdicts 'false alarm', 'confirmed' or 'missed'; got {unknown.iloc[0]!r} in "
            f"{len(unknown)} of {len(cells)} rows: write one of these, or nothing."
        )
    found = [MEANINGS.get(text) for text in texts.where(~blank, "")]
    return pd.Series(found, index=cells.index, dtype=object)


def precision_at(scores: ArrayLike, anomalous: ArrayLike, ks: Sequence[int]) -> dict[str, float]:
    """Share of anomalies among the k alarms of the highest scores, and among all.

    Parameters
    ----------
    scores : array-like of shape (alarm,)
        Scores of judged alarms.
    anomalous : bool array-like of shape (alarm,)
        Whether each was confirmed.
    ks : sequence of int
        How many are looked at; more than there are is left out.

    Returns
    -------
    precision : dict of str to float
        By ``k`` as text, and for ``"all"``; empty without alarms.
    """
    best = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    hits = np.asarray(anomalous, dtype=bool)[best]
    if not len(hits):
        return {}
    found = {str(k): float(hits[:k].mean()) for k in ks if k <= len(hits)}
    return {**found, "all": float(hits.mean())}
