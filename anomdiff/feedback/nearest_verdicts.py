"""Which judged row is nearest to a row, and how near is near enough for its verdict to hold."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.detectors.tabular import TabularDetector
from anomdiff.models.encoded_rows import missing_columns
from anomdiff.models.tabular_model import TabularModel

__all__ = ["Nearest", "NearestVerdicts", "Points", "default_radius", "nearest_rows"]

# Normal rows whose distance to their nearest fellow is measured.
MEASURED_ROWS = 1000
# Rows that are compared with all others at once.
COMPARED_AT_ONCE = 256


@dataclass(frozen=True)
class Points:
    """Rows of a table as the model encodes them.

    Attributes
    ----------
    values, observed : Tensor of shape (row, coord)
        As from ``TabularModel.encode``.
    weighted : Tensor of shape (row, coord)
        As the reference search compares them; 0 where missing.
    missing : Tensor of shape (row, column)
        1 where a column is missing.
    """

    values: Tensor
    observed: Tensor
    weighted: Tensor
    missing: Tensor

    @classmethod
    def of(cls, detector: TabularDetector, rows: pd.DataFrame) -> "Points":
        """Encode rows, under the model's names; cells that cannot be read count as missing."""
        model = detector.model_
        readable = rows.mask(model.schema.unreadable(rows))
        values, observed = model.encode(model.schema.check(readable))
        missing = missing_columns(observed, model.column_masks).double()
        weighted = torch.where(observed, values * model.distance_weights, 0.0)
        return cls(values, observed, weighted, missing)

    @property
    def compared(self) -> Tensor:
        """Rows as they are compared: a cell that only one of two rows lacks counts as 1."""
        return torch.cat([self.weighted, self.missing], dim=1)


@dataclass(frozen=True)
class Nearest:
    """The nearest row of each row: its distance, infinite if there is none, and its number."""

    distances: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class NearestVerdicts:
    r"""Judged rows, to be searched.

    A row within ``radius`` of a false alarm, and nearer to it than to any confirmed anomaly, is
    like it. Distances are those of the model's reference search, in standard deviations.

    Attributes
    ----------
    compared : Tensor of shape (verdict, _)
        ``Points.compared`` of the judged rows.
    anomalous : bool ndarray of shape (verdict,)
        Whether each was confirmed, or missed.
    radius : float
        Distance up to which a verdict holds for other rows.
    """

    compared: Tensor
    anomalous: np.ndarray
    radius: float

    def search(self, compared: Tensor) -> tuple[Nearest, Nearest]:
        """Nearest false alarm, and nearest confirmed anomaly, of rows of shape (row, _)."""
        found = []
        for kind in (False, True):
            own = np.flatnonzero(self.anomalous == kind)
            nearest = nearest_rows(compared, self.compared[torch.from_numpy(own)])
            rows = own[nearest.rows] if len(own) else nearest.rows
            found.append(Nearest(nearest.distances, rows))
        return found[0], found[1]


def nearest_rows(x: Tensor, others: Tensor) -> Nearest:
    """Nearest of some other rows for each row; of equally near ones the first.

    Distances are sums of squared differences, so that a copy is at 0 exactly.
    """
    if not len(others) or not len(x):
        return Nearest(np.full(len(x), np.inf), np.full(len(x), -1))
    exact = "donot_use_mm_for_euclid_dist"
    blocks = [torch.cdist(part, others, compute_mode=exact) for part in x.split(COMPARED_AT_ONCE)]
    found = [block.min(1) for block in blocks]
    rows = torch.cat([each.indices for each in found])
    return Nearest(torch.cat([each.values for each in found]).numpy(), rows.numpy())


def default_radius(model: TabularModel) -> float:
    """Median distance of held-out normal rows to the nearest other reference row.

    Rows this near to each other are as alike as neighbours of everyday data. It is 0 where most
    rows have copies: then only copies of a false alarm are like it.
    """
    reference = model.reference.values * model.distance_weights
    held_out = torch.nonzero(model.reference.exclude_self)[:, 0]
    own = held_out[torch.linspace(0, len(held_out) - 1, min(MEASURED_ROWS, len(held_out))).long()]
    if len(reference) < 2 or not len(own):
        return 0.0
    distances = []
    for part in own.split(COMPARED_AT_ONCE):
        apart = torch.cdist(reference[part], reference)
        apart[torch.arange(len(part)), part] = torch.inf
        at = apart.argmin(1)
        distances.append((reference[part] - reference[at]).square().sum(1).sqrt())
    return float(torch.cat(distances).median())
