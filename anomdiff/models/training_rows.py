"""What a model of a table learns from its training rows besides the network."""

import numpy as np
import pandas as pd
import torch

from anomdiff.diffusion.noise import seeded
from anomdiff.encoding.table import TableEncoder
from anomdiff.models.encoded_rows import category_codes, encode, missing_columns
from anomdiff.reference.reference_set import ReferenceSet
from anomdiff.reference.subset_search import Subsets, parts, subspaces
from anomdiff.reference.trimming import central_rows
from anomdiff.scoring.cooccurrence import Cooccurrence

__all__ = ["MOST_HELD_OUT", "TrainingRows", "split_rows"]

# Share of the rows that is held out at most where a small ``alpha`` needs many.
MOST_HELD_OUT = 0.4


def split_rows(
    n: int, fraction: float, least: int, most: int, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Shuffle row numbers; return those to train on and those to hold out.

    A share ``fraction`` is held out, ``least`` rows if that is no more than 40 % of all, and
    ``most`` rows at most.

    Raises
    ------
    ValueError
        If there are fewer than 4 rows.
    """
    if n < 4:
        raise ValueError(f"need at least 4 rows to train and calibrate; got {n} (n_samples={n}).")
    wanted = max(round(fraction * n), min(least, int(MOST_HELD_OUT * n)))
    n_held_out = min(max(wanted, 1), most)
    order = rng.permutation(n)
    return order[n_held_out:], order[:n_held_out]


class TrainingRows:
    """All encoded rows of a fit; ``seed`` is that of what is drawn from them."""

    def __init__(self, encoder: TableEncoder, frame: pd.DataFrame, seed: int):
        self.encoder, self.seed = encoder, seed
        self.values, self.observed = encode(encoder, frame)
        self.views = torch.from_numpy(encoder.views())
        self.distance_weights = torch.from_numpy(encoder.rarity())
        self.columns = torch.from_numpy(encoder.column_masks())

    def missing_columns(self, rows: np.ndarray) -> torch.Tensor:
        """Which columns some rows lack, bool of shape (row, column)."""
        return missing_columns(self.observed[rows], self.columns)

    def central(self, trim_fraction: float) -> np.ndarray:
        """Tell the rows to learn from, bool of shape (row,): all but the least central ones."""
        if not trim_fraction:
            return np.ones(len(self.values), dtype=bool)
        weighted = self.values * self.distance_weights
        generator = seeded(self.seed)
        views = [weighted[:, view] for view in self.views]
        return central_rows(views, 1 - trim_fraction, generator).numpy()

    def reference(
        self, rows: np.ndarray, exclude_self: np.ndarray, most: int, rng: np.random.RandomState
    ) -> ReferenceSet:
        """Reference rows, drawn where there are more than ``most``; some exclude themselves."""
        kept = np.sort(rng.permutation(rows)[:most])
        excluding = torch.from_numpy(np.isin(kept, exclude_self))
        values = self.values[kept].clone()
        return ReferenceSet.build(values, excluding, self.views, self.distance_weights)

    def subsets(self, n_reference: int) -> list[Subsets]:
        """Draw subsets of the reference rows: of some columns in each view, and of all columns."""
        generator = seeded(self.seed)
        drawn = [subspaces(n_reference, self.columns & view, generator) for view in self.views]
        return [*drawn, parts(n_reference, self.views[0], generator)]

    def cooccurrence(self, training: np.ndarray, held_out: np.ndarray) -> Cooccurrence | None:
        """Learn which categories go together; None where they do not depend on each other."""
        sizes = self.encoder.category_sizes()
        if len(sizes) < 2 or not len(held_out):
            return None
        codes = category_codes(self.encoder, self.values, self.observed)
        found = Cooccurrence.fit(codes[training], codes[held_out], torch.tensor(sizes))
        return found if found.strength(codes[held_out], seeded(self.seed)) > 0 else None
