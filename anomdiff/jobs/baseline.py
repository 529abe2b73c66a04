"""scikit-learn's IsolationForest on a mixed table, as a user would set it up in ten lines."""

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

__all__ = ["isolation_forest_scores"]


def isolation_forest_scores(
    training: pd.DataFrame, later: pd.DataFrame, alpha: float
) -> tuple[np.ndarray, float]:
    """Scores of the later rows, and the one that a share `alpha` of the training rows exceeds."""
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
    )
    columns = make_column_transformer(
        (codes, make_column_selector(dtype_include=["object", "string", "category", "bool"])),
        (SimpleImputer(), make_column_selector(dtype_include="number")),
    )
    model = make_pipeline(columns, IsolationForest(n_estimators=300, random_state=0))
    known, new = _with_hours(training), _with_hours(later)
    model.fit(known)
    return -model.score_samples(new), float(np.quantile(-model.score_samples(known), 1 - alpha))


def _with_hours(frame: pd.DataFrame) -> pd.DataFrame:
    """Replace times by the hour of the day."""
    times = frame.select_dtypes("datetime").columns
    return frame.assign(**{name: frame[name].dt.hour for name in times})
