"""The reference rows of a table as material for new cells: grids, groups, distances."""

from functools import cached_property

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anomdiff.conditional import constants as tuned
from anomdiff.diffusion.noise import seeded
from anomdiff.encoding.casting import restore_cells
from anomdiff.models.tabular_model import TabularModel
from anomdiff.reference.conditional_means import dependent_groups, nearest_distances

__all__ = ["ReferenceRows"]

Rows = Float[Tensor, "row coord"]
RowMask = Bool[Tensor, "row coord"]


class ReferenceRows:
    """The reference rows of a fitted model, in the coords that its network sees.

    Attributes
    ----------
    rows : float Tensor of shape (reference, coord)
        Reference rows.
    frame : DataFrame of shape (reference, column)
        Their cells.
    column : int Tensor of shape (coord,)
        Number of the column that a coord belongs to.
    missing : bool Tensor of shape (reference, coord)
        Coords of missing cells.
    measured, flags : bool Tensor of shape (coord,)
        Coords that are numbers or times, and those that say whether a cell is missing.
    held_out, others : int Tensor
        Held-out rows (a fifth of the rows, where all or none are), and the others.
    """

    def __init__(self, model: TabularModel):
        self.model, self.view = model, model.network_view
        self.rows = model.reference_events()
        self.column = model.column_masks.int().argmax(0)[self.view]
        edge, end = self.column.diff() > 0, torch.tensor([True])
        columns = model.schema.used
        kinds = torch.tensor([column.kind in ("number", "datetime") for column in columns])
        nullable = torch.tensor([column.nullable for column in columns])
        self.measured = torch.cat([end, edge]) & kinds[self.column]
        self.flags = torch.cat([edge, end]) & nullable[self.column]
        self.frame = self.decode(self.rows)
        self.missing = self.by_coord(self.frame.isna())
        held = model.reference.exclude_self
        if not 0 < held.sum() < len(held):
            held = torch.randperm(len(held), generator=seeded(0)) % 5 == 0
        self.held_out, self.others = torch.nonzero(held)[:, 0], torch.nonzero(~held)[:, 0]

    @classmethod
    def of(cls, model: TabularModel) -> "ReferenceRows":
        """Reference rows of a model, prepared once."""
        return model.derived("reference_rows", lambda: cls(model))

    def encode(self, checked: pd.DataFrame) -> tuple[Rows, RowMask]:
        """Encode checked rows; nothing of a missing cell is given, not even that it is missing."""
        given = ~self.by_coord(checked.isna())
        values, _ = self.model.network_events(checked)
        return values.where(given, 0.0), given

    def conditions(self, fixed: dict, n: int) -> tuple[Rows, RowMask]:
        """Encode ``n`` rows of which some columns are fixed; only these are given."""
        names, encoder = self.model.columns, self.model.encoder
        if unknown := [name for name in fixed if name not in names]:
            raise ValueError(f"need conditions on the columns {names}; got {unknown}.")
        cells = self.frame.iloc[np.zeros(n, dtype=int)].astype(object).reset_index(drop=True)
        for name, value in fixed.items():
            cells[name] = pd.Series(value if np.ndim(value) else [value] * n, dtype=object)
        values, _ = self.model.encode(self.model.schema.check(cells))
        for name in fixed:
            label = f"{name} is unseen"
            if label in encoder.features and values[:, encoder.features.index(label)].any():
                raise ValueError(f"need values that training had in column {name!r}; got others.")
        given = torch.tensor([name in fixed for name in names])[self.column].expand(n, -1)
        return values[:, self.view].where(given, 0.0), given

    def decode(self, events: Rows) -> pd.DataFrame:
        """Cells of rows, in the dtypes of the training frame."""
        values = np.zeros((len(events), len(self.view)))
        values[:, self.view.numpy()] = events.numpy()
        return self.model.encoder.decode(values)

    def cells(self, drawn: Rows, generator: torch.Generator) -> pd.DataFrame:
        """Cells of drawn rows, no finer than reference cells; any rare value for a rare one."""
        events = drawn.clone()
        for coord, grid in self.grids.items():
            middle = (grid[1:] + grid[:-1]) / 2
            events[:, coord] = grid[torch.searchsorted(middle, events[:, coord].contiguous())]
        frame = self.decode(events).round(self.decimals)
        for name, rare in self.rare.items():
            place = torch.randint(len(rare), (len(frame),), generator=generator).numpy()
            at = (frame[name] == rare[0]).to_numpy(dtype=bool)
            frame[name] = frame[name].mask(at, rare.iloc[place].set_axis(frame.index))
        return frame

    def as_cells(self, drawn: Rows, generator: torch.Generator) -> Rows:
        """Drawn rows as the cells that they become, encoded: no category between two."""
        return self.encode(self.model.schema.check(self.cells(drawn, generator)))[0]

    def by_coord(self, cells: pd.DataFrame) -> RowMask:
        """Turn flags of cells into flags of their coords."""
        return torch.from_numpy(cells.to_numpy(dtype=bool, copy=True))[:, self.column]

    @cached_property
    def rare(self) -> dict:
        """Rare values of the category columns that have several."""
        codecs = zip(self.model.schema.used, self.model.encoder.to_dict()["codecs"], strict=True)
        found = {column: codec.get("rare", ()) for column, codec in codecs}
        return {
            column.name: restore_cells(np.array(values, dtype=object), column)
            for column, values in found.items()
            if len(values) > 1
        }

    @cached_property
    def group(self) -> Tensor:
        """Group of each coord: columns that say much of each other are in one."""
        return dependent_groups(self.rows, self.column, tuned.TOGETHER)

    @cached_property
    def distances(self) -> Tensor:
        """Distance of each held-out row to the nearest of the others."""
        return nearest_distances(self.rows[self.held_out], self.rows[self.others])

    @cached_property
    def grids(self) -> dict[int, Tensor]:
        """Reference values of the coords where most cells have a value that others have too."""
        grids = {}
        for coord in torch.nonzero(self.measured)[:, 0].tolist():
            cells = self.rows[~self.missing[:, coord], coord]
            grid, counts = cells.unique(return_counts=True)
            if len(grid) > 1 and counts[counts > 1].sum() > len(cells) / 2:
                grids[coord] = grid
        return grids

    @cached_property
    def decimals(self) -> dict:
        """Decimals of the float columns that have few."""
        floats = self.frame.select_dtypes("float")
        found = {name: _decimals(floats[name].dropna()) for name in floats}
        return {name: places for name, places in found.items() if places is not None}


def _decimals(cells: pd.Series) -> int | None:
    """Fewest decimals that hold all cells, None where that is many."""
    for n in range(tuned.MAX_DECIMALS + 1):
        if np.allclose(cells, cells.round(n), rtol=1e-12, atol=1e-10):
            return n
    return None
