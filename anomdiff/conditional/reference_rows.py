"""The remembered rows of a detector as material for new cells: grids, groups, distances."""

from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.diffusion.sampling import dependent_groups
from anomdiff.encoding.casting import restore_cells

# Share of the variance of a column that another one explains if they stay together.
TOGETHER = 0.3
MAX_DECIMALS = 6
# Share of the held-out rows that lie too near to a remembered one.
TOO_NEAR = 0.01
# Where draws end, and in how many steps.
LEAST_LEVEL, N_STEPS = 0.02, 10


class Recall:
    r"""The remembered rows of a detector as its network sees them.

    Parameters
    ----------
    detector : TabularDetector
        Fitted.

    Attributes
    ----------
    rows : float Tensor of shape (memory, coord)
        Remembered rows, in the coords of the network.
    part : int Tensor of shape (coord,)
        Column that a coord belongs to.
    lacking : bool Tensor of shape (memory, coord)
        Coords of missing cells.
    measured, flags : bool Tensor of shape (coord,)
        Coords that are numbers or moments, and those that say whether a cell is missing.
    tried, rest : int Tensor
        Held-out rows (or some, where all are), and the others.
    """

    def __init__(self, detector):
        self.encoder, self.schema = detector.encoder_, detector.schema_
        self.denoiser, self.view = detector.denoiser_, detector._views()[0]
        self.rows = (detector.memory_["rows"] / detector._factors())[:, self.view]
        columns = self.schema.used
        parts = np.stack([self.encoder.part(column.name) for column in columns])
        self.part = torch.from_numpy(parts.argmax(0))[self.view]
        edge, end = self.part.diff() > 0, torch.tensor([True])
        kinds = torch.tensor([column.kind in ("number", "datetime") for column in columns])
        nullable = torch.tensor([column.nullable for column in columns])
        self.measured = torch.cat([end, edge]) & kinds[self.part]
        self.flags = torch.cat([edge, end]) & nullable[self.part]
        self.frame = self.decode(self.rows)
        self.lacking = self.by_coord(self.frame.isna())
        held, order = detector.memory_["shy"], torch.randperm(len(self.rows), generator=seeded(0))
        held = held if 0 < held.sum() < len(held) else order % 5 == 0
        self.tried, self.rest = torch.nonzero(held)[:, 0], torch.nonzero(~held)[:, 0]

    def encode(self, checked: pd.DataFrame) -> tuple[Tensor, Tensor]:
        """Encode checked rows; nothing of a missing cell is given, not even that it is missing."""
        given = ~self.by_coord(checked.isna())
        values = torch.from_numpy(self.encoder.encode(checked)[0])[:, self.view]
        return values.where(given, 0.0), given

    def conditions(self, fixed: dict, n: int) -> tuple[Tensor, Tensor]:
        """Encode ``n`` rows of which some columns are fixed; only these are given."""
        names = [column.name for column in self.schema.used]
        if unknown := [name for name in fixed if name not in names]:
            raise ValueError(f"need conditions on the columns {names}; got {unknown}.")
        cells = self.frame.iloc[np.zeros(n, dtype=int)].astype(object).reset_index(drop=True)
        for name, value in fixed.items():
            cells[name] = pd.Series(value if np.ndim(value) else [value] * n, dtype=object)
        values, _ = self.encoder.encode(self.schema.check(cells))
        for name in fixed:
            label = f"{name} is unseen"
            if (
                label in self.encoder.features
                and values[:, self.encoder.features.index(label)].any()
            ):
                raise ValueError(f"need values that training had in column {name!r}; got others.")
        given = torch.tensor([name in fixed for name in names])[self.part].expand(n, -1)
        return torch.from_numpy(values)[:, self.view].where(given, 0.0), given

    def decode(self, events: Tensor) -> pd.DataFrame:
        """Cells of rows, in the dtypes of the training frame."""
        values = np.zeros((len(events), *self.encoder.event_shape))
        values[:, self.view.numpy()] = events.numpy()
        return self.encoder.decode(values)

    def cells(self, drawn: Tensor, generator) -> pd.DataFrame:
        """Cells of drawn rows, no finer than the remembered ones; any rare value for a rare one."""
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

    def as_cells(self, drawn: Tensor, generator) -> Tensor:
        """Drawn rows as the cells that they become, encoded: no category between two."""
        return self.encode(self.schema.check(self.cells(drawn, generator)))[0]

    def by_coord(self, cells: pd.DataFrame) -> Tensor:
        """Turn flags of cells into flags of their coords."""
        return torch.from_numpy(cells.to_numpy(dtype=bool, copy=True))[:, self.part]

    @cached_property
    def rare(self) -> dict:
        """Rare values of the category columns that have several."""
        codecs = zip(self.schema.used, self.encoder.to_dict()["codecs"], strict=True)
        found = {column: codec.get("rare", ()) for column, codec in codecs}
        return {
            column.name: restore_cells(np.array(values, dtype=object), column)
            for column, values in found.items()
            if len(values) > 1
        }

    @cached_property
    def group(self) -> Tensor:
        """Group of each coord: columns that say much of each other are in one."""
        return dependent_groups(self.rows, self.part, TOGETHER)

    @cached_property
    def distances(self) -> Tensor:
        """Distance of each held-out row to the nearest of the others."""
        return nearest_rows(self.rows[self.tried], self.rows[self.rest])

    @property
    def far(self) -> Tensor:
        """How far a row is from the nearest other, as a rule."""
        return self.distances.median()

    @property
    def least(self) -> Tensor:
        """How far it is at least, but for a few."""
        return self.distances.quantile(TOO_NEAR)

    @cached_property
    def grids(self) -> dict[int, Tensor]:
        """Remembered values of the coords where most cells have a value that others have too."""
        grids = {}
        for coord in torch.nonzero(self.measured)[:, 0].tolist():
            cells = self.rows[~self.lacking[:, coord], coord]
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


def nearest_rows(events: Tensor, rows: Tensor) -> Tensor:
    """Distance of each event to the nearest row."""
    return torch.cat([torch.cdist(block, rows).min(1).values for block in events.split(256)])


def _decimals(cells: pd.Series) -> int | None:
    """Fewest decimals that hold all cells, None where that is many."""
    return next((n for n in range(MAX_DECIMALS + 1) if _close(cells, cells.round(n))), None)


def _close(cells: pd.Series, others: pd.Series) -> bool:
    return bool(np.allclose(cells, others, rtol=1e-12, atol=1e-10))


def seeded(seed: int) -> torch.Generator:
    """Return a generator with a seed."""
    return torch.Generator().manual_seed(seed)
