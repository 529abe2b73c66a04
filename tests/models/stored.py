"""The stored models of the golden tests, loaded once, and what they are asked about."""

from functools import cache
from pathlib import Path

import pandas as pd

import anomdiff

__all__ = ["stored_detector", "stored_frame", "stored_model", "stored_rows", "stored_segments"]

FOLDER = Path(__file__).parents[1] / "golden"


@cache
def stored_detector(kind):
    """The detector of ``table``, ``numbers``, ``panel`` or ``series``; do not change it."""
    return anomdiff.load(FOLDER / "models" / f"{kind}_3")


def stored_model(kind):
    """Its fitted model."""
    return stored_detector(kind).model_


@cache
def stored_frame(kind):
    """New rows, planted faults and gaps among them; do not change them."""
    return pd.read_parquet(FOLDER / "inputs" / f"{kind}.parquet")


def stored_rows(kind, rows=slice(None)):
    """Some of these rows, encoded: values and which are observed."""
    model = stored_model(kind)
    return model.encode(model.schema.check(stored_frame(kind).iloc[rows]))


def stored_segments(kind):
    """The segments of a frame of series, the longest first."""
    return sorted(stored_model(kind).encode(stored_frame(kind)), key=len, reverse=True)
