"""Rows of a table as tensors: encoded values, and the codes of their categories."""

import pandas as pd
import torch
from torch import Tensor

from anomdiff.encoding.table import TableEncoder

__all__ = ["category_codes", "encode", "missing_columns"]


def encode(encoder: TableEncoder, frame: pd.DataFrame) -> tuple[Tensor, Tensor]:
    """Encode a checked frame to float64 values and the observed mask, (row, coord)."""
    values, observed = encoder.encode(frame)
    return torch.from_numpy(values), torch.from_numpy(observed)


def category_codes(encoder: TableEncoder, values: Tensor, observed: Tensor) -> Tensor:
    """Categories of encoded rows, (row, column)."""
    return torch.from_numpy(encoder.category_codes(values.numpy(), observed.numpy()))


def missing_columns(observed: Tensor, columns: Tensor) -> Tensor:
    """Which columns encoded rows lack, bool of shape (row, column).

    ``columns`` has the coords of each column, bool of shape (column, coord); the first one of
    a column tells.
    """
    return ~observed[:, columns.int().argmax(1)]
