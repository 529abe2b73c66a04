"""New rows and missing cells, from the network and the remembered rows of a fitted detector.

Nothing is trained here. A remembered row that is noised and denoised is another draw from the
data; with some cells given it is one of the others. Where network and memory err is measured on
the rows that ``fit`` held out, and put right: means, spreads, marginals, nearness to copies.
"""

from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.utils import check_random_state
from torch import Tensor

from anomdiff.conditional.reference_rows import LEAST_LEVEL, N_STEPS, Recall, nearest_rows, seeded
from anomdiff.conditional.row_imputer import DONORS, Completion
from anomdiff.diffusion.noise import karras_levels
from anomdiff.diffusion.sampling import pick, recombine, sample
from anomdiff.encoding.casting import fill_missing

# How new rows may start: the number of neighbours that lend groups of columns, and the level of
# the noise. Each path leads away from the remembered rows: by noise, by both, by mixing.
LEVELS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.4, 2.0, 2.8, 4.0)
PATHS = (
    [(1, level) for level in LEVELS],
    [(10, level) for level in LEVELS],
    [(k, 0.1) for k in (5, 10, 20, 50, 100, 300, 1000, 100_000)],
)
# How far from the remembered rows, in distances of held-out rows, is far enough; and how often
# a row that lies too near to one is drawn again.
FAR_ENOUGH, N_AGAIN = 0.9, 3
# Share of the groups that a new row keeps of the row it starts from.
KEPT = 0.5
# Draws that show how marginals come out, and how far draws are from the training rows.
N_MARGINAL, N_DISTANCES, N_COMPARED = 3000, 300, 1500
# The start found for each network still alive: it takes seconds, and is the same every time.
_FOUND: WeakKeyDictionary = WeakKeyDictionary()


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
    generator = _generator(random_state)
    drawn = completion.draws(values, given, n_draws, generator)
    cells = [recall.cells(events, generator) for events in drawn]
    frames = [fill_missing(frame, checked.isna(), each) for each in cells]
    return pd.concat(frames, keys=range(n_draws), names=["draw", *frame.index.names])


def sample_rows(detector, n, conditions=None, random_state=None) -> pd.DataFrame:
    """Draw new rows; see ``TabularDetector.sample``."""
    if n < 1:
        raise ValueError(f"need n of at least 1; got {n}.")
    recall, conditions = Recall(detector), conditions or {}
    values, given = recall.conditions(conditions, n)
    generator = _generator(random_state)
    frame = recall.cells(new_events(recall, values, given, generator), generator)
    for name, value in conditions.items():  # a rare category decodes as the commonest rare one
        cells = pd.Series(value if np.ndim(value) else [value] * n, dtype=object)
        frame[name] = cells.astype(frame[name].dtype)
    return frame


def new_events(recall: Recall, values: Tensor, given: Tensor, generator) -> Tensor:
    """Draw rows, conditioned on what is given, with the marginals of the remembered rows.

    How the marginals come out is seen on many rows drawn with nothing given: these, or others
    drawn besides. Rows that come too near to a remembered one are drawn again.
    """
    start, n_more = find_start(recall), N_MARGINAL if given.any() else N_MARGINAL - len(values)
    drawn = _redrawn(recall, recall.rows, values, given, start, generator)
    more = torch.zeros(max(n_more, 0), values.shape[1]).to(values)
    free = _redrawn(recall, recall.rows, more, more > 0, start, generator)
    quantiles = _quantiles(recall, free if given.any() else torch.cat([drawn, free]))
    events = torch.where(given, values, _mapped(drawn, quantiles))
    for _ in range(N_AGAIN):
        far = nearest_rows(recall.as_cells(events, seeded(5)), recall.rows)
        near = torch.nonzero(far < recall.least)[:, 0]
        if not len(near):
            break
        again = _redrawn(recall, recall.rows, values[near], given[near], start, generator)
        events[near] = torch.where(given[near], values[near], _mapped(again, quantiles))
    return events


def find_start(recall: Recall) -> tuple[int, float]:
    """Of the starts far enough from the remembered rows, the one with the likeliest draws.

    On every path it is the first that takes draws about as far as held-out rows are; of these,
    the one whose draws a classifier tells from held-out rows the least.
    """
    if recall.denoiser not in _FOUND:
        starts = [_far_enough(recall, path) for path in PATHS]
        _FOUND[recall.denoiser] = min(starts, key=lambda start: _difference(recall, start))
    return _FOUND[recall.denoiser]


def _far_enough(recall, path) -> tuple[int, float]:
    """First start of a path that leads far enough."""
    for start in path:
        drawn = _trial(recall, start, N_DISTANCES)
        if nearest_rows(drawn, recall.rows[recall.rest]).median() >= FAR_ENOUGH * recall.far:
            break
    return start


def _difference(recall, start) -> float:
    """AUROC of telling draws from remembered rows."""
    order = torch.randperm(len(recall.rows), generator=seeded(6))[:N_COMPARED]
    real = recall.as_cells(recall.rows[order], seeded(4))
    both = torch.cat([real, _trial(recall, start, len(real))]).numpy()
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    classifier = HistGradientBoostingClassifier(max_iter=50, random_state=0)
    is_drawn = np.arange(len(both)) >= len(real)
    return cross_val_score(classifier, both, is_drawn, cv=folds, scoring="roc_auc").mean()


def _trial(recall, start, n_rows: int) -> Tensor:
    """Encoded cells of rows drawn from all remembered rows but the held-out ones."""
    rest = recall.rows[recall.rest]
    values = torch.zeros(max(n_rows, N_MARGINAL // 3), rest.shape[1]).to(rest)
    drawn = _redrawn(recall, rest, values, values > 0, start, seeded(3))
    return recall.as_cells(_mapped(drawn, _quantiles(recall, drawn))[:n_rows], seeded(4))


def _redrawn(recall, rows, values, given, start, generator) -> Tensor:
    """Recombine remembered rows like what is given, noise them, and denoise them."""
    (k, level), n_groups = start, int(recall.group.max()) + 1
    anything = torch.zeros_like(rows, dtype=torch.bool)
    if given.any():
        k_like = max(k, DONORS)
        picked = pick(rows, values, given, k_like, anything, n_groups, generator)
        own = picked[0]
    else:
        order = torch.randperm(len(rows), generator=generator)
        own = order[torch.arange(len(values)) % len(rows)]
        picked = pick(rows, rows[own], ~given, k, anything, n_groups, generator)
    kept = torch.rand(picked.shape, generator=generator) < (KEPT if k > 1 else 1.0)
    mixed = recombine(rows, torch.where(kept, own, picked), recall.group)
    levels = karras_levels(N_STEPS, LEAST_LEVEL, level)
    return sample(recall.denoiser, values, given, levels, generator, mixed)


def _quantiles(recall, drawn: Tensor) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Quantiles per measured coord: those of draws, and those of the remembered cells."""
    missing, quantiles = recall.by_coord(recall.decode(drawn).isna()), {}
    for coord in torch.nonzero(recall.measured)[:, 0].tolist():
        here = drawn[~missing[:, coord], coord].sort().values.numpy()
        there = recall.rows[~recall.lacking[:, coord], coord].numpy()
        if len(here) and len(there):
            shares = (np.arange(len(here)) + 0.5) / len(here)
            quantiles[coord] = here, np.quantile(there, shares)
    return quantiles


def _mapped(drawn: Tensor, quantiles: dict) -> Tensor:
    """Draws with every measured coord mapped from quantiles to quantiles."""
    mapped = drawn.clone()
    for coord, pair in quantiles.items():
        mapped[:, coord] = torch.from_numpy(np.interp(drawn[:, coord].numpy(), *pair))
    return mapped


def _generator(random_state) -> torch.Generator:
    return seeded(int(check_random_state(random_state).randint(2**31 - 1)))
