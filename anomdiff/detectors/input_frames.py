"""The door of a detector: whatever rows come in, as a pandas frame."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.utils.validation import validate_data

from anomdiff.encoding.frames import as_pandas
from anomdiff.encoding.json_values import require_labels
from anomdiff.encoding.parsing import require_distinct_names

__all__ = ["InputFrames"]


class InputFrames:
    """How a detector takes rows; mixed into ``DiffusionDetector``."""

    unit: ClassVar[str]

    def _framed(self, X: ArrayLike, *, reset: bool = False, by_name: bool = False) -> pd.DataFrame:
        """Rows as a frame with the cells as they came, whatever they came in."""
        X = as_pandas(X)
        if isinstance(X, pd.Series) and self.unit == "step":
            X = X.to_frame(X.name if X.name is not None else "value")
        _require_rows(X)
        if not isinstance(X, pd.DataFrame):
            return self._from_array(X, reset=reset, dtype=float if self.unit == "step" else None)
        if reset:
            require_distinct_names(X.columns)
            require_labels(X.columns)
        elif not by_name:
            validate_data(self, _nameable(X), reset=False, skip_check_array=True)
        return X

    def _keep_names(self, X: Any, frame: pd.DataFrame) -> None:
        """Keep the names of columns that can be used; those of arrays have none."""
        if isinstance(X, pd.DataFrame | pd.Series):
            validate_data(self, _nameable(frame), reset=True, skip_check_array=True)

    def _from_array(self, X: ArrayLike, *, reset: bool, dtype: Any) -> pd.DataFrame:
        """Name the columns of an array."""
        array = validate_data(self, X, reset=reset, dtype=dtype, ensure_all_finite="allow-nan")
        names = [f"x{i}" for i in range(array.shape[1])]
        return pd.DataFrame(array, columns=getattr(self, "feature_names_in_", names))


def _require_rows(X: Any) -> None:
    """Refuse what looks like rows but is none, and say how it becomes some."""
    first = X[0] if isinstance(X, list) and X else X
    if isinstance(X, pd.Series):
        got = f"the Series {X.name!r}: set X.to_frame() for a column, X.to_frame().T for a row"
    elif isinstance(first, Mapping) and not issparse(X):
        several = "a list of dicts" if isinstance(X, list) else "a dict"
        got = f"{several}: set pandas.DataFrame(X)"
    elif X is None or isinstance(X, PurePath) or np.isscalar(X):
        got = f"{X!r:.80}: read the table first, as by pandas.read_csv"
    elif getattr(X, "ndim", 2) < 2 or (isinstance(X, list) and np.isscalar(first)):
        # scikit-learn would print the whole array, and wants these words.
        raise ValueError(
            f"need rows and columns in a DataFrame or an array; got {np.asarray(X).size} cells in "
            "one dimension. Reshape your data by X.reshape(-1, 1) for a column, or by "
            "X.reshape(1, -1) for a row."
        )
    else:
        return
    raise TypeError(f"need rows and columns in a DataFrame or an array; got {got}.")


def _nameable(frame: pd.DataFrame) -> pd.DataFrame:
    """Frame with numbered columns where text is among names of other types.

    scikit-learn knows no such names; the columns are found by their own.
    """
    texts = [isinstance(name, str) for name in frame.columns]
    return frame if all(texts) or not any(texts) else frame.set_axis(range(len(texts)), axis=1)
