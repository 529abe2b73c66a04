"""New rows and missing cells, from the network and the remembered rows of a fitted detector.

Nothing is trained here. A remembered row that is noised and denoised is another draw from the
data; with some cells given it is one of the others. Where network and memory err is measured on
the rows that ``fit`` held out, and put right: means, spreads, marginals, nearness to copies.
"""

from functools import cached_property

import numpy as np
import pandas as pd
import torch
from scipy.optimize import nnls
from sklearn.base import clone
from sklearn.utils import check_random_state
from torch import Tensor

from anomdiff.diffusion.noise import geometric_levels, karras_levels
from anomdiff.diffusion.sampling import gaussian_means, neighbour_means, pick, sample
from anomdiff.encoding.restore import fill_missing

# Noise level, in standard deviations, at which missing entries say nothing of themselves.
REDRAWN = 2.5
# How many neighbours are averaged: one guess each.
NEIGHBOURS = (5, 20, 60)
# Remembered rows nearest in what is given, one of which a draw starts from, and its noise.
DONORS, DONOR_LEVEL = 20, 0.3
# Levels that new rows may start from; steps down from there.
START_LEVELS = geometric_levels(16, 0.1, 4.0).tolist()
LEAST_LEVEL, N_STEPS = 0.02, 10
# Held-out rows, with cells removed, on which guesses are weighed and spreads are set.
N_TRIALS, TRIAL_DRAWS, LEAST_TRIALS = 1000, 36, 20
# Most columns removed from a trial, as a share; the fewer the commoner, as in real tables.
MOST_GAPS = 0.7
# Share of rows that intervals are to hold; what factors that may take; and the least standard
# deviation of draws, as a share of the typical miss.
COVERED, SPREADS, LEAST_NOISE = 0.9, (0.5, 3.0), 0.5
# Weight that all columns together have in the weights of one, as a share of the trials.
POOLED = 0.02
# Draws that show how marginals come out, and how far draws are from the training rows.
N_MARGINAL, N_DISTANCES = 3000, 500
# Coords beyond which a covariance matrix takes too long to solve for every pattern of gaps.
MAX_GAUSSIAN = 256
MAX_DECIMALS = 6
# Rows completed by draws at once: bounds memory.
DRAWN_AT_ONCE = 2048


def impute_rows(detector, X, checked, n_draws=None, random_state=None) -> pd.DataFrame:
    """Fill the missing cells of ``X``, whose checked frame is given; see ``impute``."""
    if n_draws is not None and n_draws < 1:
        raise ValueError(f"need n_draws of at least 1, or None; got {n_draws}.")
    frame = X if isinstance(X, pd.DataFrame) else checked
    recall = Recall(detector)
    completion, (values, given) = Completion(recall), recall.encode(checked)
    if n_draws is None:
        cells = recall.decode(completion.means(values, given))
        return fill_missing(frame, checked.isna(), cells)
    drawn = completion.draws(values, given, n_draws, _generator(random_state))
    frames = [fill_missing(frame, checked.isna(), recall.cells(events)) for events in drawn]
    return pd.concat(frames, keys=range(n_draws), names=["draw", *frame.index.names])


def sample_rows(detector, n, conditions=None, random_state=None) -> pd.DataFrame:
    """Draw new rows; see ``TabularDetector.sample``."""
    if n < 1:
        raise ValueError(f"need n of at least 1; got {n}.")
    recall, conditions = Recall(detector), conditions or {}
    values, given = recall.conditions(conditions, n)
    frame = recall.cells(new_events(recall, values, given, _generator(random_state)))
    for name, value in conditions.items():  # a rare category decodes as the commonest rare one
        cells = pd.Series(value if np.ndim(value) else [value] * n, dtype=object)
        frame[name] = cells.astype(frame[name].dtype)
    return frame


def augment(X, y, *, detector=None, random_state=None) -> tuple[pd.DataFrame, pd.Series]:
    """Balance a labelled table: add generated rows until all labels are as frequent.

    One detector is fitted to the rows of every label but the most frequent, and draws what
    it is short of. Fit a classifier to the result, but judge it on real rows only.

    Parameters
    ----------
    X : DataFrame of shape (row, column)
        Rows, without the label.
    y : array-like of shape (row,)
        Labels.
    detector : TabularDetector, optional
        How to fit; it is cloned, not changed. By default one with default parameters.
    random_state : int, RandomState or None, default=None
        Seed of fits and draws.

    Returns
    -------
    frame : DataFrame
        The rows of ``X``, then the generated ones, numbered from 0. Columns that the detector
        ignores, such as identifiers, are missing in generated rows.
    labels : Series
        Their labels.

    Raises
    ------
    ValueError
        If lengths differ, or a label to be added to has fewer than 4 rows.
    """
    labels = pd.Series(np.asarray(y), name=getattr(y, "name", None))
    if len(labels) != len(X):
        raise ValueError(f"need one label per row; got {len(labels)} labels for {len(X)} rows.")
    counts = labels.value_counts()
    if counts.min() < 4 and counts.nunique() > 1:
        raise ValueError(
            f"need at least 4 rows of every label; got {counts.min()} of {counts.idxmin()!r}."
        )
    rng = check_random_state(random_state)
    frames, added = [X.reset_index(drop=True)], [labels]
    for label, count in counts[counts < counts.max()].items():
        n = int(counts.max() - count)
        model = _unfitted(detector).set_params(random_state=rng.randint(2**31 - 1))
        frames.append(model.fit(X[(labels == label).to_numpy()]).sample(n, random_state=rng))
        added.append(pd.Series([label] * n, dtype=labels.dtype))
    frame = pd.concat(frames, ignore_index=True)[X.columns]
    return frame, pd.concat(added, ignore_index=True).rename(labels.name)


def new_events(recall: "Recall", values: Tensor, given: Tensor, generator) -> Tensor:
    """Draw rows, conditioned on what is given, with the marginals of the remembered rows.

    How the marginals come out is seen on many rows drawn with nothing given: these, or others
    drawn besides.
    """
    n_rows = len(values)
    n_more = N_MARGINAL if given.any() else max(N_MARGINAL - n_rows, 0)
    more = torch.zeros(n_more, values.shape[1]).to(values)
    values, given = torch.cat([values, more]), torch.cat([given, more > 0])
    drawn = _redrawn(recall, recall.rows, values, given, start_level(recall), generator)
    mapped = _with_marginals(recall, drawn, ~given.any(1))
    return torch.where(given, values, mapped)[:n_rows]


def start_level(recall: "Recall") -> float:
    """Lowest level that takes draws as far from the training rows as held-out rows are."""
    rest = recall.rows[recall.rest]
    far = _nearest(recall.rows[recall.tried], rest).median()
    values = torch.zeros(N_DISTANCES, rest.shape[1]).to(rest)
    for level in START_LEVELS:
        drawn = _redrawn(recall, rest, values, values > 0, level, _seeded(3))
        # Seen through the cells they become: categories are drawn between their values.
        drawn, _ = recall.encode(recall.schema.check(recall.decode(drawn)))
        if _nearest(drawn, rest).median() >= far:
            break
    return level


def _redrawn(recall, rows, values, given, level, generator) -> Tensor:
    """Noise remembered rows like what is given, and denoise them."""
    order = torch.randperm(len(rows), generator=generator)
    start = rows[order[torch.arange(len(values)) % len(rows)]]
    bound = given.any(1)
    if bound.any():
        anything = torch.zeros_like(rows, dtype=torch.bool)
        arguments = values[bound], given[bound], DONORS, anything, 1, generator
        start[bound] = rows[pick(rows, *arguments)[0]]
    levels = karras_levels(N_STEPS, LEAST_LEVEL, level)
    return sample(recall.denoiser, values, given, levels, generator, start)


def _with_marginals(recall, drawn: Tensor, free: Tensor) -> Tensor:
    """Map every measured coord so that ``free`` rows have the marginals of the remembered."""
    mapped, missing = drawn.clone(), recall.by_coord(recall.decode(drawn).isna())
    for coord in torch.nonzero(recall.measured)[:, 0].tolist():
        here = drawn[free & ~missing[:, coord], coord].sort().values
        there = recall.rows[~recall.lacking[:, coord], coord]
        if len(here) and len(there):
            shares = (np.arange(len(here)) + 0.5) / len(here)
            column = np.interp(drawn[:, coord], here, np.quantile(there, shares))
            mapped[:, coord] = torch.from_numpy(column)
    return mapped


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
        held, order = detector.memory_["shy"], torch.randperm(len(self.rows), generator=_seeded(0))
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

    def cells(self, drawn: Tensor) -> pd.DataFrame:
        """Cells of drawn rows, no finer than the remembered ones."""
        events = drawn.clone()
        for coord, grid in self.grids.items():
            middle = (grid[1:] + grid[:-1]) / 2
            events[:, coord] = grid[torch.searchsorted(middle, events[:, coord].contiguous())]
        return self.decode(events).round(self.decimals)

    def by_coord(self, cells: pd.DataFrame) -> Tensor:
        """Turn flags of cells into flags of their coords."""
        return torch.from_numpy(cells.to_numpy(dtype=bool))[:, self.part]

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


class Completion:
    """Means and draws of missing cells, put right on held-out rows.

    Parameters
    ----------
    recall : Recall
        Network and remembered rows.
    """

    def __init__(self, recall: Recall):
        self.recall = recall
        self.center = recall.rows.mean(0)
        self.everyone = torch.arange(len(recall.rows))

    def means(self, values: Tensor, given: Tensor) -> Tensor:
        """Complete rows by the mean of what is missing."""
        return self._mean(self.everyone, values, given, self.weights)

    def draws(self, values: Tensor, given: Tensor, n_draws: int, generator) -> Tensor:
        """Complete rows by draws of what is missing, of shape (draw, row, coord)."""
        blocks = zip(values.split(DRAWN_AT_ONCE), given.split(DRAWN_AT_ONCE), strict=True)
        return torch.cat([self._draws(*each, n_draws, generator) for each in blocks], dim=1)

    def _draws(self, values: Tensor, given: Tensor, n_draws: int, generator) -> Tensor:
        """Draws of some rows."""
        away = self._deviations(self.everyone, values, given, n_draws, generator)
        spread, noise = self.widths
        drawn = self.means(values, given) + spread * _jittered(away, noise, generator)
        return torch.where(given, values, torch.where(self.recall.measured, drawn, away))

    @cached_property
    def trials(self) -> tuple[Tensor, Tensor, Tensor]:
        """Held-out rows, what is given of each, and what of the rest there is to be guessed."""
        generator, recall = _seeded(1), self.recall
        which = recall.tried[torch.arange(N_TRIALS) % len(recall.tried)]
        share = 1 - MOST_GAPS * torch.rand(N_TRIALS, 1, generator=generator).square()
        n_columns = len(recall.schema.used)
        shown = torch.rand(N_TRIALS, n_columns, generator=generator) < share
        given = shown[:, recall.part] & ~recall.lacking[which]
        return recall.rows[which], given, ~given & ~recall.lacking[which]

    @cached_property
    def weights(self) -> Tensor:
        """Weight of every guess for every column, of shape (column, guess)."""
        truth, given, wanted = self.trials
        guesses = self._guesses(self.recall.rest, truth.where(given, 0.0), given) - self.center
        aims, strength = truth - self.center, float(POOLED * wanted.sum())
        pooled = _weights(guesses[:, wanted], aims[wanted], torch.zeros(len(guesses)), 0.0)
        columns = [wanted & (self.recall.part == c) for c in self.recall.part.unique()]
        weights = [_weights(guesses[:, own], aims[own], pooled, strength) for own in columns]
        return torch.stack(weights)

    @cached_property
    def widths(self) -> tuple[Tensor, Tensor]:
        """Factor per coord that makes intervals of draws cover what they should, and least noise.

        The noise keeps draws apart where all donors happen to agree.
        """
        truth, given, wanted = self.trials
        arguments = self.recall.rest, truth.where(given, 0.0), given
        miss = truth - self._mean(*arguments, self.weights)
        typical = miss.abs().where(wanted, torch.nan).nanmedian(0).values.nan_to_num()
        noise, generator = LEAST_NOISE * typical * self.recall.measured, _seeded(2)
        away = self._deviations(*arguments, TRIAL_DRAWS, generator)
        ends = torch.tensor([1 - COVERED, 1 + COVERED]).to(away) / 2
        low, high = _jittered(away, noise, generator).quantile(ends, dim=0)
        needed = torch.where(miss > 0, miss / high.clamp(min=1e-9), miss / low.clamp(max=-1e-9))
        spread = torch.ones_like(noise)
        for coord in torch.nonzero(self.recall.measured)[:, 0]:
            own = needed[wanted[:, coord], coord]
            if len(own) >= LEAST_TRIALS:
                spread[coord] = own.quantile(COVERED).clamp(*SPREADS)
        return spread, noise

    def _mean(self, known: Tensor, values: Tensor, given: Tensor, weights: Tensor) -> Tensor:
        """Rows completed by the weighted guesses from the known rows."""
        guesses = self._guesses(known, values, given) - self.center
        mean = self.center + (guesses * weights[self.recall.part].T[:, None]).sum(0)
        return self._present(torch.where(given, values, mean), given)

    def _guesses(self, known: Tensor, values: Tensor, given: Tensor) -> Tensor:
        """Posterior means of each row under several models, of shape (guess, row, coord)."""
        rows, lacking = self.recall.rows[known], self.recall.lacking[known]
        guesses = [neighbour_means(rows, values, given, k, lacking) for k in NEIGHBOURS]
        if rows.shape[1] <= MAX_GAUSSIAN:
            guesses.append(gaussian_means(rows, values, given))
        with torch.inference_mode():
            level = values.new_full((len(values),), REDRAWN)
            return torch.stack([*guesses, self.recall.denoiser(values, level, given)])

    def _deviations(self, known, values, given, n_draws, generator) -> Tensor:
        """Draws of completed rows; of what is measured, less the mean they are drawn around."""
        rows, lacking = self.recall.rows[known], self.recall.lacking[known]
        start = rows[pick(rows, values, given, DONORS, lacking, n_draws, generator)]
        levels = karras_levels(N_STEPS // 2, LEAST_LEVEL, DONOR_LEVEL)
        arguments = self.recall.denoiser, values, given, levels, generator
        drawn = torch.stack([self._present(sample(*arguments, each), given) for each in start])
        center = neighbour_means(rows, values, given, DONORS, lacking)
        return torch.where(self.recall.measured, drawn - center, drawn)

    def _present(self, events: Tensor, given: Tensor) -> Tensor:
        """Rows none of whose cells is missing where it was to be found."""
        return torch.where(self.recall.flags & ~given, self.recall.rows.min(0).values, events)


def _weights(guesses: Tensor, truth: Tensor, prior: Tensor, strength: float) -> Tensor:
    """Weights, not negative, of the guesses that miss the truth least; drawn to the prior."""
    size = float(truth.square().mean()) if len(truth) else 1.0
    ridge = np.sqrt(strength * size + 1e-12)
    matrix = np.vstack([guesses.T.numpy(), ridge * np.eye(len(guesses))])
    return torch.from_numpy(nnls(matrix, np.append(truth.numpy(), ridge * prior.numpy()))[0])


def _jittered(events: Tensor, noise: Tensor, generator) -> Tensor:
    return events + noise * torch.randn(events.shape, generator=generator).to(events)


def _nearest(events: Tensor, rows: Tensor) -> Tensor:
    """Distance of each event to the nearest row."""
    return torch.cat([torch.cdist(block, rows).min(1).values for block in events.split(256)])


def _decimals(cells: pd.Series) -> int | None:
    """Fewest decimals that hold all cells, None where that is many."""
    return next((n for n in range(MAX_DECIMALS + 1) if _close(cells, cells.round(n))), None)


def _close(cells: pd.Series, others: pd.Series) -> bool:
    return bool(np.allclose(cells, others, rtol=1e-12, atol=1e-10))


def _unfitted(detector):
    """A detector to fit, with the parameters of another one."""
    from anomdiff.detectors.tabular import TabularDetector  # which imports this file

    return TabularDetector(progress=False) if detector is None else clone(detector)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _generator(random_state) -> torch.Generator:
    return _seeded(int(check_random_state(random_state).randint(2**31 - 1)))
