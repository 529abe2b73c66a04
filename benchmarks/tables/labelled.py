"""A table of which it is known which rows are anomalies."""

from typing import NamedTuple

import numpy as np

from benchmarks.common.comparison import Rows

__all__ = ["Table"]


class Table(NamedTuple):
    """Rows, the columns without the label, and which of them are anomalies; not yet split."""

    rows: Rows
    anomalous: np.ndarray
