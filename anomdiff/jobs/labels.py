"""Labels of rows: which of them are normal, anomalous or not known."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

__all__ = ["Value", "anomaly_labels", "is_normal"]

Value = bool | int | float | str


def anomaly_labels(labels: pd.Series, normal: Sequence[Value]) -> np.ndarray:
    """Label of each row as int8: 1 is an anomaly, 0 is normal, -1 is not known."""
    anomaly = ~is_normal(labels, normal)
    return anomaly.where(labels.notna(), -1).astype(np.int8).to_numpy()


def is_normal(labels: pd.Series, normal: Sequence[Value]) -> pd.Series:
    """Whether each label is one of the normal values, as text or as a number; missing is not.

    Case and outer space do not count, and 0, "0", "0.0" and 0.0 are the same value, because the
    type of a label depends on the file it comes from.
    """
    text = labels.astype("string").str.strip().str.casefold()
    wanted = pd.Series([str(value).strip().casefold() for value in normal], dtype="string")
    numbers = pd.to_numeric(wanted, errors="coerce").dropna()
    same_number = pd.to_numeric(text, errors="coerce").isin(numbers)
    return (text.isin(wanted) | same_number).astype(bool) & text.notna()
